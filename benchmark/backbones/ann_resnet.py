"""ResNet with ReLU (He et al., CVPR 2016), the teachers of TSER and IDSNN: the spiking ResNet's layers, run at one time step.

The CIFAR form has a 3x3 first convolution of stride 1 and no max pooling; the ImageNet form equals torchvision's.
ResNet-20 is two networks: `20`, He's with 0.27 M parameters (its shortcuts convolutions), and `20-wide`, the one of 11.3 M that SNN
Calibration's public code calls so: a stem of three convolutions, the last of stride 2, before ResNet-18's blocks.

Source: torchvision (ImageNet); fei015/IDSNN@10a103e, models/ResNet.py (CIFAR); yhhhli/SNN_Calibration, CIFAR/models/resnet.py (`20-wide`).
Parity: `34` for CIFAR with IDSNN's teacher, `34` and `50` for ImageNet with torchvision's, the same weights, in training mode and double
precision: logits and gradients equal to the bit. Parameters of `20-wide` as SNN Calibration's.
"""

from torch import nn

from benchmark.backbones.resnet import build as residual_network
from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, Sum, bottleneck_branch, conv_bn, max_pool, residual_blocks

SIZES = {  # as the spiking ones: ResNet-19 of tdBN with 256 hidden units, and TSER's group's with a wider stem
    "18": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "hidden": 0},
    "34": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "hidden": 0},
    "19": {"stem": 64, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
    "19-stem128": {"stem": 128, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
    "20": {"stem": 16, "widths": [16, 32, 64], "depths": [3, 3, 3], "hidden": 0},
    "20-wide": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "hidden": 0, "convolutions": 3},
    "50": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "hidden": 0, "bottleneck": True},
}
TWIN = {"divide": {"stem": 8, "widths": 8, "depths": 2, "hidden": 8}, "least": {"stem": 8, "widths": [8, 16, 32]}}  # as the spiking ones
MINI = {"divide": {"stem": 4, "widths": 4, "hidden": 4}}
NEURON = {}
LAYOUTS = {
    "cifar": {"kernel": 3, "stride": 1, "pool": False},
    "imagenet": {"kernel": 7, "stride": 2, "pool": True},
}


def build(size, layout, fire, classes, shape, steps):
    """A ResNet for images of shape (channels, height, width); logits [1, B, classes]."""
    if size.get("bottleneck"):
        return bottleneck_network(size, layout, classes, shape)
    network = residual_network(size, layout, nn.ReLU, classes, shape, 1)
    if size.get("convolutions", 1) > 1:
        network.stem = deep_stem(shape[0], size["stem"], size["convolutions"])
    return network


def deep_stem(channels, width, count):
    """`count` times Conv3x3-BN-ReLU, the last one halving the image."""
    layers = [First(1, *conv_bn(channels, width, 3)), nn.ReLU()]
    for index in range(1, count):
        layers += [conv_bn(width, width, 3, 2 if index == count - 1 else 1), nn.ReLU()]
    return nn.Sequential(*layers)


def bottleneck_network(size, layout, classes, shape):
    """Blocks of three convolutions, four times as wide at their ends."""
    first = [First(1, *conv_bn(shape[0], size["stem"], layout["kernel"], layout["stride"])), nn.ReLU()]
    blocks, widths = residual_blocks(size["stem"], size["widths"], size["depths"], bottleneck, 4)
    return SpikingBackbone(nn.Sequential(*first, *([max_pool()] if layout["pool"] else [])), blocks, widths, Head(widths[-1], classes), 1)


def bottleneck(before, width, stride):
    """relu(x + f(x)), or relu(g(x) + f(x)) with a 1x1 convolution g."""
    branch, after = bottleneck_branch(before, width, stride, nn.ReLU), 4 * width
    same = stride == 1 and before == after
    return nn.Sequential(Residual(*branch) if same else Sum(nn.Sequential(*branch), conv_bn(before, after, 1, stride)), nn.ReLU())
