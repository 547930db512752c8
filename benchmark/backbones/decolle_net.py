"""DECOLLE's network for DVS128 Gesture (Kaiser et al., 2020): three convolutions of 7x7, each with a random readout that is never trained.

Frames whose 4x4 pixels are added up (32x32 of 128x128), then 64C7-P2, 128C7, 128C7-P2 without normalisation. Each layer sees two traces of
what it gets, and sends what its neurons' pooled membranes do. Trained by its method, no gradient leaves a layer. The last layer's readout answers:
in training its values, at the test one vote a step for the largest, from a fifth of the steps on; those of the other layers are the method's
(`decolle`), since nothing is left of them after training.

Source: nmi-lab/decolle-public@28f33a8, decolle/lenet_decolle_model.py, base_model.py, scripts/parameters/params_dvsgestures_torchneuromorphic.yml.
Parity: an official network of 8, 16 and 16 channels on 32x32 frames, weights and readouts copied, dropout off, 24 steps, double precision: 0
  of 688,128 spikes differ (39 to 51 % are sent), the last readout is equal to the bit, gradients of its layer to 3e-15 of the largest and of
  the layers before, whose readouts the method has in single precision, to 6e-7.
Deviations: none known.
"""

from torch import nn
from torch.nn import functional

from benchmark.backbones.liaf_net import SumPool
from benchmark.networks.layers import First, SpikingBackbone
from benchmark.neurons.decolle import Refractory, Traces

SIZES = {
    "gesture": {
        "widths": [64, 128, 128],
        "pools": [2, 1, 2],
        "kernel": 7,
        "down": 4,
        "alpha": 0.97,
        "beta": 0.92,
        "amplitude": 2.0,
        "dropout": 0.5,
    },
}
TWIN = {  # its readouts of few spikes lose none, and see the second halving's map before it: of fewer values no layer learns
    "divide": {"widths": 4}, "set": {"kernel": 3, "pools": [2, 1, 1], "dropout": 0.0},
}  # fmt: skip
NEURON = {"name": "decolle", "rho": 0.65, "weight": 1.0, "steepness": 10.0}
LAYOUTS = {"dvs": {}}
SKIPPED = 5  # one in so many steps has no say: the first 100 of 500


def build(size, layout, fire, classes, shape, steps):
    """DECOLLE's network for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs (votes for logits)."""
    before, side, blocks = shape[0], shape[1] // size["down"], []
    for width, pool in zip(size["widths"], size["pools"], strict=True):
        conv = nn.Conv2d(before, width, size["kernel"], padding=size["kernel"] // 2)
        blocks.append(Local(Traces(size["alpha"], size["beta"]), conv, fire(), nn.MaxPool2d(pool) if pool > 1 else None))
        before, side = width, side // pool
    head = nn.Sequential(Readout(before * side * side, classes, size["amplitude"], size["dropout"]), Votes(steps // SKIPPED))
    model = SpikingBackbone(First(steps, SumPool(size["down"])), blocks, size["widths"], head, steps)
    return model


class Local(nn.Module):
    """Traces, a convolution, neurons and pooling; once it is `local`, no gradient goes to what is before it while it trains.

    DECOLLE's neurons pool their membranes, which sends the same and has another gradient; of any others the spikes are pooled.
    """

    def __init__(self, traces: nn.Module, conv: nn.Module, neurons: nn.Module, pool: nn.Module | None):
        super().__init__()
        self.traces, self.conv, self.neurons, self.pool, self.local = traces, conv, neurons, None, False
        if isinstance(neurons, Refractory):
            neurons.pool = pool
        else:
            self.pool = pool

    def forward(self, x):
        sent = self.neurons(self.currents(x.detach() if self.local and self.training else x))
        return sent if self.pool is None else self.pool(sent.flatten(0, 1)).unflatten(0, sent.shape[:2])

    def currents(self, x):
        traces = self.traces(x)
        return self.conv(traces.flatten(0, 1)).unflatten(0, traces.shape[:2])


class Readout(nn.Module):
    """Spikes [T, B, C, H, W] -> [T, B, classes], by random weights that stay as they are, a share of the spikes hidden while it trains."""

    def __init__(self, inputs: int, classes: int, amplitude: float, dropout: float):
        super().__init__()
        self.dropout, self.layer, self.amplitude = nn.Dropout(dropout), nn.Linear(inputs, classes), amplitude
        for name, parameter in list(self.layer.named_parameters()):
            delattr(self.layer, name)  # kept with the weights, but none of what is trained
            self.layer.register_buffer(name, nn.init.uniform_(parameter.detach(), -amplitude / inputs**0.5, amplitude / inputs**0.5))

    def forward(self, spikes):
        return self.layer(self.dropout(spikes.flatten(2)))


class Votes(nn.Module):
    """While it trains, nothing; else for each step [T, B, classes] a vote of 1 for the largest value, with the value's gradient; none for the
    first `skipped` steps."""

    def __init__(self, skipped: int):
        super().__init__()
        self.skipped = skipped

    def forward(self, values):
        if self.training:
            return values
        votes = functional.one_hot(values.argmax(-1), values.shape[-1]).to(values)
        votes[: self.skipped] = 0
        return votes + (values - values.detach())
