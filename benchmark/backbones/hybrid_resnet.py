"""The ResNets of hybrid conversion (Rathi et al., ICLR 2020): ResNet-18's or -34's blocks behind three convolutions, no biases, no
normalisation.

The image arrives as random spikes, of either sign and of 0.9 times its rate. Average pooling halves the stem's maps; dropout stands behind
the stem's first two convolutions and inside each block, and what it takes away stays away for all steps of an image. The classifier sees
the whole last map. `20` are the three convolutions, eight blocks of two, and the classifier.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, self_models/resnet_spiking.py, resnet.py (whose blocks of 34 are 3, 4, 5, 3: here 3, 4,
6, 3 as of the spiking one).
Parity: see methods/hybrid.py.
Deviations: none known for CIFAR.
Guessed: the form for ImageNet, which the code has not: the first convolution and the pooling each halve the image, and the classifier sees
the mean of the last map.
"""

from functools import partial

from spikingjelly.activation_based.layer import Dropout
from torch import nn

from benchmark.backbones.hybrid_vgg import convolution, initialise
from benchmark.networks.layers import Residual, SpikingBackbone, Sum, average_pool, residual_blocks
from benchmark.networks.random_spikes import RandomSpikes

SIZES = {
    "20": {"widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "dropout": 0.3, "deviation": 0.01},
    "34": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "dropout": 0.3, "deviation": 0.01},
}
TWIN = {"divide": {"widths": 8, "depths": 2}, "set": {"dropout": 0.0, "deviation": 0.1}}
NEURON = {"name": "delayed-if", "threshold": 1.0, "leak": 1.0, "gradient": "stdb", "height": 0.3, "fall": 0.01}
LAYOUTS = {  # stride of the first convolution, and whether the classifier sees the mean of the last map
    "cifar": {"stride": 1, "mean": False},
    "imagenet": {"stride": 2, "mean": True},
}
RATE = 0.9


def build(size, layout, fire, classes, shape, steps):
    """A ResNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    return network(size, layout, RandomSpikes(steps, RATE), fire, classes, shape, steps)


def network(size, layout, image, fire, classes, shape, steps):
    """The same behind any form of the image."""
    width, stride = size["widths"][0], layout["stride"]
    stem = nn.Sequential(image, *deep_stem(shape[0], width, stride, size["dropout"], fire))
    blocks, widths = residual_blocks(width, size["widths"], size["depths"], partial(block, fire=fire, dropout=size["dropout"]))
    sides = [1, 1] if layout["mean"] else [length // (2 * stride * 8) for length in shape[1:]]
    head = nn.Sequential(nn.AdaptiveAvgPool3d((None, 1, 1))) if layout["mean"] else nn.Sequential()
    head.extend([nn.Flatten(2), nn.Linear(widths[-1] * sides[0] * sides[1], classes, bias=False)])
    model = SpikingBackbone(stem, blocks, widths, head, steps)
    initialise(model, size["deviation"])
    return model


def deep_stem(channels, width, stride, dropout, fire):
    """Three convolutions with neurons, dropout behind two of them and average pooling behind the last, as a list."""
    first = [convolution(channels, width, 3, stride), fire(), Dropout(dropout, step_mode="m")]
    second = [convolution(width, width), fire(), Dropout(dropout, step_mode="m")]
    return [*first, *second, convolution(width, width), fire(), average_pool(2, 2, 0)]


def block(before, width, stride, fire, dropout):
    """fire(x + f(x)), or fire(g(x) + f(x)) with a 1x1 convolution g."""
    branch = [convolution(before, width, 3, stride), fire(), Dropout(dropout, step_mode="m"), convolution(width, width)]
    if stride == 1 and before == width:
        return nn.Sequential(Residual(*branch), fire())
    return nn.Sequential(Sum(nn.Sequential(*branch), convolution(before, width, 1, stride)), fire())
