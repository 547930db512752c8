"""CIFARNet (Wu et al., AAAI 2019): five 3x3 convolutions and three linear layers without batch normalisation, whose output neurons fire.

128C3-256C3-P2-512C3-P2-1024C3-512C3-1024FC-512FC, then output neurons: each class's `voters`, whose mean is its answer at a step. Sizes:
  stbp     average pooling, biases, ten voters for a class.
  neunorm  the same with NeuNorm behind the neurons of every convolution: x(t) = k x(t-1) + v / F sum_c s_c(t) is how much all F maps fire
           at a position, and s - w * x goes on, w one trained weight for each neuron; k = 0.9 and v F + k = 1.
  tssl     TSSL-BP's form of it: no biases, pooling sums four neurons 1.1 times, dropout of 0.2 of each map's rows (the same at all steps
           of a sample) between all layers, one output neuron for a class; the image arrives through the trace of tau 3 of the neurons.

Source: stonezwr/TSSL-BP@ffaac71, layers/, cnns.py, Networks/CIFAR10.yaml (of its smaller network) and README.md, whose larger network has
these widths; of STBP yjwu17/BP-for-SpikingNN@8453086, spiking_model.py, which has a network for MNIST alone. NeuNorm: no public code of its
authors found (searched: title, "NeuNorm", "CIFARNet"); widths and voters as in a third party's network of this name, NeuNorm as in
spikingjelly's layer of this name.
Parity: tssl with the official network of an eighth of the widths, dropout off, all layers firing: traces equal to 2e-8, gradients to 4e-6 of
the largest of each layer, standard deviations of the weights at the start to 2 %. NeuNorm with spikingjelly's layer: equal to the bit.
Decisions: the neurons' threshold and decay are those of the CIFAR networks of Wu et al. (0.75 and 0.25). The image's trace is taken behind
the first convolution, which is linear: it runs once.
Guessed: that threshold and decay (the public code has 0.5 and 0.2, on MNIST; the paper was not at hand), k of NeuNorm (spikingjelly's), and
weights at the start of stbp and neunorm, uniform with a variance of 4 / fan-in, so that layers without normalisation fire.
tssl's weights start as the official ones do, which leaves its last layers silent: the window of its surrogate wakes them.
A printed 17.54 M parameters is not what these layers give.
"""

import math

import torch
from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.networks.layers import First, SpikingBackbone

SIZES = {
    "stbp": {
        "widths": [128, 256, 512, 1024, 512], "hidden": [1024, 512], "voters": 10, "bias": True, "norm": False,
        "pool": 0.25, "dropout": 0.0, "trace": None, "variance": 4.0, "variance_linear": 4.0, "wake": 1.0,
    },
    "neunorm": {
        "widths": [128, 256, 512, 1024, 512], "hidden": [1024, 512], "voters": 10, "bias": True, "norm": True,
        "pool": 0.25, "dropout": 0.0, "trace": None, "variance": 4.0, "variance_linear": 4.0, "wake": 1.0,
    },
    "tssl": {
        "widths": [128, 256, 512, 1024, 512], "hidden": [1024, 512], "voters": 1, "bias": False, "norm": False,
        "pool": 1.1, "dropout": 0.2, "trace": 3.0, "variance": 8.333333333333334, "variance_linear": 2.0, "wake": 1.0,
    },
}  # fmt: skip
TWIN = {"divide": {"widths": 16, "hidden": 16}, "set": {"wake": 9.0, "dropout": 0.0}}  # as narrow, tssl would stay silent
NEURON = {
    "name": "lif", "tau": 1.3333333333333333, "v_threshold": 0.75, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
    "surrogate": "rect", "alpha": 1.0,
}  # fmt: skip
LAYOUTS = {"cifar": {}}
POOLED = (1, 2)  # convolutions with pooling behind them


def build(size, layout, fire, classes, shape, steps):
    """A CIFARNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs (votes for logits)."""
    widths, hidden, bias = size["widths"], size["hidden"], size["bias"]
    side, before = list(shape[1:]), shape[0]
    convolutions = []
    for index, width in enumerate(widths):
        convolution = nn.Conv2d(before, width, 3, padding=1, bias=bias)
        between = [Trace(size["trace"])] if index == 0 and size["trace"] else []
        layers = [First(steps, convolution) if index == 0 else SeqToANNContainer(convolution), *between, fire()]
        layers += [NeuNorm(width, *side)] if size["norm"] else []
        if index in POOLED:
            layers.append(SeqToANNContainer(ScaledPool(4 * size["pool"])))
            side = [length // 2 for length in side]
        convolutions.append(nn.Sequential(*layers, *dropped(size)))
        before = width
    linear, before = [nn.Flatten(2)], before * math.prod(side)
    for width in hidden:
        linear += [nn.Linear(before, width, bias=bias), fire(), *dropped(size)]
        before = width
    linear += [nn.Linear(before, classes * size["voters"], bias=bias), fire(), Vote(size["voters"])]
    model = SpikingBackbone(convolutions[0], convolutions[1:], widths[1:], nn.Sequential(*linear), steps)
    initialise(model, size)
    return model


def initialise(model, size):
    """Convolutions uniform, linear layers normal, with `variance` / fan-in; `wake`: factor on that of a trace's linear layers. Biases zero."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            bound = math.sqrt(3 * size["variance"] / layer.weight[0].numel())
            nn.init.uniform_(layer.weight, -bound, bound)
        elif isinstance(layer, nn.Linear):
            woken = size["wake"] if size["trace"] else 1.0
            nn.init.normal_(layer.weight, std=math.sqrt(woken * size["variance_linear"] / layer.in_features))
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def dropped(size):
    return [RowDropout(size["dropout"])] if size["dropout"] else []


class ScaledPool(nn.AvgPool2d):
    """The mean of 2x2, times `scale`."""

    def __init__(self, scale: float):
        super().__init__(2)
        self.scale = scale

    def forward(self, x):
        return super().forward(x) * self.scale


class RowDropout(nn.Module):
    """Dropout of whole rows of a map [T, B, C, H, W], or of values [T, B, C], the same ones at every step."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        kept = torch.rand(x.shape[1:4], device=x.device) >= self.p
        return x * (kept if x.dim() == 3 else kept[..., None]) / (1 - self.p)


class Trace(nn.Module):
    """a(t) = a(t-1) + (x(t) - a(t-1)) / tau, from 0."""

    def __init__(self, tau: float):
        super().__init__()
        self.tau = tau

    def forward(self, x):
        traces = [x[0] / self.tau]
        for current in x[1:]:
            traces.append(traces[-1] + (current - traces[-1]) / self.tau)
        return torch.stack(traces)


class NeuNorm(nn.Module):
    """Spikes [T, B, C, H, W] -> spikes less a weighted trace of how many maps fire at the position."""

    def __init__(self, channels: int, height: int, width: int, keep: float = 0.9):
        super().__init__()
        self.keep, self.gain = keep, (1 - keep) / channels**2
        self.weight = nn.Parameter(torch.empty(channels, height, width))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, s):
        trace, sent = 0.0, []
        for spikes in s:
            trace = self.keep * trace + self.gain * spikes.sum(1, keepdim=True)
            sent.append(spikes - self.weight * trace)
        return torch.stack(sent)


class Vote(nn.Module):
    """What output neurons send [T, B, classes * voters] -> the mean of each class's, [T, B, classes]."""

    def __init__(self, voters: int):
        super().__init__()
        self.voters = voters

    def forward(self, x):
        return x.unflatten(-1, (-1, self.voters)).mean(-1)
