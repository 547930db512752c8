"""What one layer did: written by the counter, kept in metrics.json, read by every convention. Loads no torch."""

from dataclasses import asdict, dataclass, field, replace

KINDS = {  # of values, by everything seen
    "binary": "0 and 1",
    "integer": "whole numbers of either sign; a 2 and a -2 are two spikes",
    "unit": "0 and one other magnitude, of either sign: spikes of a height that folds into the weights",
    "fraction": "not negative, as averages of spikes",
    "real": "anything",
}
SPIKES = ("binary", "integer", "unit")
AMOUNTS = ("dense", "outputs", "inputs", "nonzero", "total", "events", "values", "scores", "spikes", "neurons")


@dataclass(eq=False)
class Record:
    """One layer. Amounts are sums over all images seen and all time steps, those of a static first layer included; see `each`.

    kind: conv, linear, product (of activations with each other), neuron, norm, pool, activation, addition (a shortcut), other.
    layer: class name. first: the first synaptic layer of the network. steps: time steps of one inference. bias: adds one per output.
    weights: their shape, [outputs, inputs of a group, *kernel]; stride, groups: a convolution's. Runs of earlier versions kept neither.
    dense: multiply-accumulates if nothing were sparse, biases left out. outputs, inputs: elements. nonzero: inputs that were not 0.
    total: sum of the inputs' magnitudes (of real ones, how many are not 0). events: accumulates with one per nonzero input; values: with
    one per unit of an integer input (a 2 counts twice). input_kind: one of KINDS; unit: the magnitude, where it is `unit`.
    operands: of a product, [elements, nonzero] of each input; head_width: channels per head; scores: elements of Q K^T.
    spikes, neurons: of a neuron layer, outputs that were not 0 and all outputs; `rates` its spikes per step; sends: what its file
    declares (binary, signed, graded); sent: the kind of what it sent; leaks: whether its membranes are scaled at every step (None: a run
    of an earlier version, which did not keep it).
    by_step: of a layer of a converted network, nonzero, total, events and values of each step; of a product also `before` (its events),
    `after` and `two`, accumulates as measuring/accumulates.py reads them.
    """

    name: str
    kind: str
    steps: int
    layer: str = ""
    first: bool = False
    bias: bool = False
    weights: list = field(default_factory=list)
    stride: list = field(default_factory=list)
    groups: int = 1
    images: int = 0
    dense: int = 0
    outputs: int = 0
    inputs: int = 0
    nonzero: int = 0
    total: float = 0.0
    events: int = 0
    values: float = 0.0
    input_kind: str = "binary"
    unit: float = 1.0
    operands: list = field(default_factory=list)
    head_width: int = 0
    scores: int = 0
    spikes: int = 0
    neurons: int = 0
    rates: list = field(default_factory=list)
    sends: str = ""
    sent: str = ""
    leaks: bool | None = None
    by_step: dict = field(default_factory=dict)

    def each(self, amount: str) -> float:
        """An amount per inference of one image."""
        return getattr(self, amount) / max(1, self.images)

    @property
    def spiking(self) -> bool:
        """True if the inputs are spikes, so that the layer only accumulates."""
        return self.input_kind in SPIKES

    @property
    def rate(self) -> float:
        """Mean magnitude of the inputs, for spikes the share of ones; of unit and real inputs the share that is not 0."""
        amount = self.nonzero if self.input_kind in ("unit", "real") else self.total
        return amount / self.inputs if self.inputs else 0.0

    @property
    def accumulates(self) -> float:
        """Accumulates per inference: an integer spike as many, any other nonzero input one per output that it reaches."""
        return self.each("events" if self.input_kind in ("unit", "real") else "values")

    def up_to(self, steps: int) -> "Record":
        """The first steps of a converted network's layer. What is not kept by step is the same at each (of a product's operands: nothing)."""
        share = steps / self.steps
        amounts = {name: getattr(self, name) * share for name in AMOUNTS}
        by_step = {name: series[:steps] for name, series in self.by_step.items()}
        amounts |= {name: sum(series) for name, series in by_step.items() if name in AMOUNTS}
        rates = self.rates[:steps]
        return replace(self, steps=steps, operands=[], rates=rates, by_step=by_step, **{**amounts, "spikes": sum(rates)})

    def to_dict(self) -> dict:
        """For metrics.json; `from_dict` gives the same record."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Record":
        return cls(**values)

    def line(self) -> dict:
        """For layers.csv: numbers per inference, the firing rate in percent."""
        line = {key: value for key, value in self.to_dict().items() if key not in ("rates", "operands", "by_step")}
        line |= {key: " x ".join(map(str, line[key])) for key in ("weights", "stride")}
        line |= {key: self.each(key) for key in AMOUNTS}
        rate = 100 * self.spikes / self.neurons if self.neurons else ""
        steps = {f"firing_rate_t{t + 1}": 100 * value * len(self.rates) / self.neurons for t, value in enumerate(self.rates)}
        return {**line, "firing_rate": rate, **steps}
