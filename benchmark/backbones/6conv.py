"""Six convolutions and two linear layers for CIFAR (Li et al., AICAS 2023), named by their number alone: 6Conv+2FC.

Source: no public code found, and the quoting table (IDSNN, Table 1) prints the name alone.
Decisions: two 3x3 convolutions with batch normalisation and neurons at each of the widths 64, 128 and 256, average pooling after each
pair, a hidden linear layer of 256 neurons on the last map, normalised too (without it they stay silent), and a linear classifier.
Neuron constants as for the spiking VGG.
Guessed: everything but the number of layers of each kind.
"""

from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.backbones.vgg import group
from benchmark.networks.layers import First, SpikingBackbone, conv_bn

SIZES = {"2fc": {"widths": [64, 128, 256], "hidden": 256}}
TWIN = {"divide": {"widths": 8, "hidden": 8}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {"cifar": {}}


def build(size, layout, fire, classes, shape, steps):
    """The network for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    widths, side = size["widths"], 2 ** len(size["widths"])
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], widths[0], 3, bias=True)), fire())
    blocks = [
        group(before, width, 2 if index else 1, 1, fire)
        for index, (before, width) in enumerate(zip([widths[0], *widths], widths, strict=False))
    ]
    positions = (shape[1] // side) * (shape[2] // side)
    hidden = SeqToANNContainer(nn.Linear(widths[-1] * positions, size["hidden"], bias=False), nn.BatchNorm1d(size["hidden"]))
    head = nn.Sequential(nn.Flatten(2), hidden, fire(), nn.Linear(size["hidden"], classes))
    return SpikingBackbone(stem, blocks, widths, head, steps)
