"""VGG-11 and VGG-16 with ReLU for CIFAR (Simonyan and Zisserman, ICLR 2015), TSER's teachers: the spiking VGG's layers at one time step.

TSER does not say how its teacher pools; average pooling as in its students.
"""

from torch import nn

from benchmark.backbones.vgg import build as plain_network

SIZES = {
    "11": {"widths": [64, 128, 256, 512, 512], "convolutions": [1, 1, 2, 2, 2], "pools": [1, 1, 1, 1, 1]},
    "16": {"widths": [64, 128, 256, 512, 512], "convolutions": [2, 2, 3, 3, 3], "pools": [1, 1, 1, 1, 1]},
}
TWIN = {"divide": {"widths": 8, "convolutions": 2}, "set": {"pools": [1, 1, 1, 1, 0]}}
NEURON = {}
LAYOUTS = {"cifar": {}}


def build(size, layout, fire, classes, shape, steps):
    """A VGG for images of shape (channels, height, width); logits [1, B, classes]."""
    return plain_network(size, layout, nn.ReLU, classes, shape, 1)
