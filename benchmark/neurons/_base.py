"""What every neuron layer is, whatever its file: the counter and the checks know it by this class."""


class Neuron:
    """Mixed into a neuron layer. sends: `binary` spikes 0 and 1, `signed` ones (-1, 0 and 1 times one unit), or `graded` values."""

    sends = "binary"
