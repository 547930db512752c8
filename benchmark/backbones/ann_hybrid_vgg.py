"""The artificial network of hybrid conversion's VGG-11 (Rathi et al., ICLR 2020): the spiking one's layers with ReLUs, on the image itself.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, self_models/vgg.py, whose VGG11 has other layers than the spiking one of vgg_spiking.py,
to which its weights would not fit; here both have the spiking one's.
Deviations: that one.
"""

from torch import nn

from benchmark.backbones.hybrid_vgg import network
from benchmark.networks.layers import First

SIZES = {
    "11": {
        "groups": [[64], [128, 256, 256], [512, 512, 512], [512, 512]], "pools": [1, 1, 1, 0], "hidden": [1024, 1024],
        "dropout": 0.3, "hidden_dropout": 0.5, "deviation": 0.01,
    }
}  # fmt: skip
TWIN = {"divide": {"groups": 8, "hidden": 8}, "set": {"dropout": 0.0, "hidden_dropout": 0.0, "deviation": 0.1}}  # or nothing arrives
NEURON = {}
LAYOUTS = {"cifar": {}}


def build(size, layout, fire, classes, shape, steps):
    """A VGG for images of shape (channels, height, width); logits [1, B, classes]."""
    return network(size, First(1), nn.ReLU, classes, shape, 1)
