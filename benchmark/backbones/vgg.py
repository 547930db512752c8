"""Spiking VGG-11 and VGG-16 for CIFAR, as TSER's tables have them.

Source: torchvision's configurations A and D; of TSER's networks nothing is public but their names.
Decisions: batch normalisation and convolution biases, 2x2 average pooling and one linear classifier: the form whose operations, counted
by TSER's convention, equal its Table 4 to the digit (max pooling or bias-free convolutions do not). Neuron constants as for the spiking
ResNet. `blocks` are the five groups up to their pooling, the first one without its first convolution.
"""

from torch import nn

from benchmark.networks.layers import First, Head, SpikingBackbone, average_pool, conv_bn

SIZES = {
    "11": {"widths": [64, 128, 256, 512, 512], "convolutions": [1, 1, 2, 2, 2], "pools": [1, 1, 1, 1, 1]},
    "16": {"widths": [64, 128, 256, 512, 512], "convolutions": [2, 2, 3, 3, 3], "pools": [1, 1, 1, 1, 1]},
}
TWIN = {"divide": {"widths": 8, "convolutions": 2}, "set": {"pools": [1, 1, 1, 1, 0]}}  # a 16x16 image can be halved four times
MINI = {"divide": {"widths": 4}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {"cifar": {}}


def build(size, layout, fire, classes, shape, steps):
    """A spiking VGG for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    before = size["widths"][0]
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], before, 3, bias=True)), fire())
    blocks = []
    for index, (width, count, pool) in enumerate(zip(size["widths"], size["convolutions"], size["pools"], strict=True)):
        blocks.append(group(before, width, count - 1 if index == 0 else count, pool, fire))
        before = width
    return SpikingBackbone(stem, blocks, size["widths"], Head(before, classes), steps)


def group(before, width, count, pool, fire):
    """`count` times Conv3x3-BN-neuron, then average pooling."""
    layers = []
    for _ in range(count):
        layers += [conv_bn(before, width, 3, bias=True), fire()]
        before = width
    return nn.Sequential(*layers, *([average_pool(2, 2, 0)] if pool else []))
