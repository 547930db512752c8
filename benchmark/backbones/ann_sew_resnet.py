"""SEW-ResNet with ReLU, TSER's teachers on ImageNet ("SEW R-18" and "SEW R-34", called ANN, at one time step).

Source: none; TSER says no more of them. Decisions: the spiking SEW-ResNet's layers with a ReLU for each neuron, so x + relu(f(x)), rather
than the usual relu(x + f(x)) of `ann-resnet`, whose published accuracies (69.76 and 73.31) are not the printed ones either.
"""

from torch import nn

from benchmark.backbones.sew_resnet import build as residual_network

SIZES = {
    "18": {"widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "bottleneck": False},
    "34": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "bottleneck": False},
}
TWIN = {"divide": {"widths": 8, "depths": 4}}
NEURON = {}
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A ResNet for images of shape (channels, height, width); logits [1, B, classes]."""
    return residual_network(size, layout, nn.ReLU, classes, shape, 1)
