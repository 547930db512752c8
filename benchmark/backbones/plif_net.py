"""PLIF's networks for event cameras (Fang et al., ICCV 2021): four pooled convolutions for CIFAR10-DVS, five for DVS128 Gesture.

As many times Conv3x3-BN-PLIF-max pool, then dropout, a linear layer to a quarter of the map, PLIF, dropout, a linear layer to ten
neurons a class, PLIF, and the vote of these ten, all linear layers without bias. spikingjelly's CIFAR10DVSNet has 512 neurons where the
official code has 2,048. A dropout mask is one for all time steps of a sample. What comes out at each step are votes from 0 to 1, no
logits: its method is `plif`.

Source: fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron@f644ff6, codes/models.py (CIFAR10DVSNet and DVS128GestureNet),
with the arguments in its logs, 128 channels.
Parity: `5` with spikingjelly's DVSGestureNet without biases, weights copied, dropout off, in training mode, all layers firing: votes
equal to 1e-6 (tests/test_backbones.py).
"""

from spikingjelly.activation_based.layer import Dropout
from torch import nn

from benchmark.networks.layers import First, SpikingBackbone, conv_bn, max_pool

SIZES = {"4": {"width": 128, "depth": 4}, "5": {"width": 128, "depth": 5}}
TWIN = {"divide": {"width": 8, "depth": 2}, "set": {"threshold": 0.25}}  # of the dense neurons: so few spikes have to be enough
NEURON = {
    "name": "plif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "atan", "alpha": 2.0,
}  # fmt: skip
LAYOUTS = {"dvs": {}}
VOTERS = 10  # output neurons of a class


def build(size, layout, fire, classes, shape, steps):
    """A PLIF net for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs (votes for logits)."""
    width, depth = size["width"], size["depth"]
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], width, 3)), fire(), max_pool(2, 2, 0))
    blocks = [nn.Sequential(conv_bn(width, width, 3), fire(), max_pool(2, 2, 0)) for _ in range(depth - 1)]
    map_ = width * (shape[1] >> depth) * (shape[2] >> depth)
    changed = {"v_threshold": size["threshold"]} if "threshold" in size else {}
    layers = [*dense(map_, map_ // 4, fire(**changed)), *dense(map_ // 4, classes * VOTERS, fire(**changed))]
    return SpikingBackbone(stem, blocks, [width] * len(blocks), nn.Sequential(nn.Flatten(2), *layers, Vote()), steps)


def dense(before, after, neurons):
    """Dropout, a linear layer, neurons, as a list."""
    return [Dropout(0.5, step_mode="m"), nn.Linear(before, after, bias=False), neurons]


class Vote(nn.Module):
    """Spikes [T, B, classes * VOTERS] -> the share of each class's neurons that fires, [T, B, classes]."""

    def forward(self, x):
        return x.unflatten(-1, (-1, VOTERS)).mean(-1)
