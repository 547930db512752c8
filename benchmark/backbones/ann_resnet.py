"""ResNet with ReLU (He et al., CVPR 2016), the teachers of TSER and IDSNN: the spiking ResNet's layers, run at one time step.

The CIFAR form has a 3x3 first convolution of stride 1 and no max pooling; the ImageNet form equals torchvision's.
"""

from torch import nn

from benchmark.backbones.resnet import build as residual_network

SIZES = {  # as the spiking ones: ResNet-19 of tdBN with 256 hidden units, and TSER's group's with a wider stem
    "18": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "hidden": 0},
    "34": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "hidden": 0},
    "19": {"stem": 64, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
    "19-stem128": {"stem": 128, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
}
TWIN = {"divide": {"stem": 8, "widths": 8, "depths": 2, "hidden": 8}}
NEURON = {}
LAYOUTS = {
    "cifar": {"kernel": 3, "stride": 1, "pool": False},
    "imagenet": {"kernel": 7, "stride": 2, "pool": True},
}


def build(size, layout, fire, classes, shape, steps):
    """A ResNet for images of shape (channels, height, width); logits [1, B, classes]."""
    return residual_network(size, layout, nn.ReLU, classes, shape, 1)
