"""The artificial networks of hybrid conversion's ResNets (Rathi et al., ICLR 2020): the spiking ones' layers with ReLUs, on the image itself.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, self_models/resnet.py.
Deviations: its ResNet34 has five blocks in the third stage, the spiking one six; here both have six.
"""

from torch import nn

from benchmark.backbones.hybrid_resnet import network
from benchmark.networks.layers import First

SIZES = {
    "20": {"widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "dropout": 0.3, "deviation": 0.01},
    "34": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "dropout": 0.3, "deviation": 0.01},
}
TWIN = {"divide": {"widths": 8, "depths": 2}, "set": {"dropout": 0.0, "deviation": 0.1}}
NEURON = {}
LAYOUTS = {"cifar": {"stride": 1, "mean": False}, "imagenet": {"stride": 2, "mean": True}}


def build(size, layout, fire, classes, shape, steps):
    """A ResNet for images of shape (channels, height, width); logits [1, B, classes]."""
    return network(size, layout, First(1), nn.ReLU, classes, shape, 1)
