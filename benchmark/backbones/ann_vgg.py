"""VGG-11 and VGG-16 with ReLU (Simonyan and Zisserman, ICLR 2015), TSER's teachers: the spiking VGG's layers at one time step.

TSER does not say how its teacher pools; average pooling as in its students, and as QCFS and others need it that convert these networks.
The ImageNet form has three linear layers on the last 7x7 map.

Source: torchvision (vgg11_bn, vgg16_bn); of TSER's teachers nothing is public but their names.
Parity: parameters of the ImageNet form as torchvision's, 138,365,992.
Deviations: the ImageNet form has average pooling and no dropout. CIFAR's has one linear layer, as the spiking VGG.
"""

from torch import nn

from benchmark.backbones.vgg import build as plain_network

SIZES = {
    "11": {"widths": [64, 128, 256, 512, 512], "convolutions": [1, 1, 2, 2, 2], "pools": [1, 1, 1, 1, 1]},
    "16": {"widths": [64, 128, 256, 512, 512], "convolutions": [2, 2, 3, 3, 3], "pools": [1, 1, 1, 1, 1]},
}
TWIN = {"divide": {"widths": 8, "convolutions": 2}, "set": {"pools": [1, 1, 1, 1, 0]}}
MINI = {"divide": {"widths": 4}}
NEURON = {}
LAYOUTS = {"cifar": {}, "imagenet": {"hidden": 8}}  # neurons of a hidden linear layer, in widths of the last group: 4096


def build(size, layout, fire, classes, shape, steps):
    """A VGG for images of shape (channels, height, width); logits [1, B, classes]."""
    network = plain_network(size, layout, nn.ReLU, classes, shape, 1)
    if "hidden" in layout:
        side = 2 ** sum(size["pools"])
        network.head = MapHead(size["widths"][-1], (shape[1] // side) * (shape[2] // side), layout["hidden"] * size["widths"][-1], classes)
    return network


class MapHead(nn.Sequential):
    """[1, B, C, H, W] -> two hidden linear layers on the whole map -> [1, B, classes]."""

    def __init__(self, width: int, positions: int, hidden: int, classes: int):
        super().__init__(
            nn.Flatten(2), nn.Linear(width * positions, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )
