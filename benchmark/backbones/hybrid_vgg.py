"""The VGG-11 of hybrid conversion (Rathi et al., ICLR 2020) for CIFAR: nine convolutions, three linear layers, no biases, no normalisation.

The image arrives as random spikes, of either sign. Average pooling in place of dropout behind the first, fourth and seventh convolution;
what dropout takes away stays away for all steps of an image. `blocks` are the four groups up to their pooling, the first one's only
convolution being the stem.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, self_models/vgg_spiking.py (VGG11 for CIFAR100), snn_script.py.
Parity: see methods/hybrid.py.
Deviations: none known.
A printed 9.27 M parameters is not what these layers give: 21.12 M for 100 classes.
"""

import math

from spikingjelly.activation_based.layer import Dropout, SeqToANNContainer
from torch import nn

from benchmark.networks.layers import SpikingBackbone, average_pool
from benchmark.networks.random_spikes import RandomSpikes

SIZES = {
    "11": {
        "groups": [[64], [128, 256, 256], [512, 512, 512], [512, 512]], "pools": [1, 1, 1, 0], "hidden": [1024, 1024],
        "dropout": 0.3, "hidden_dropout": 0.5, "deviation": 0.01,
    }
}  # fmt: skip
TWIN = {"divide": {"groups": 8, "hidden": 8}, "set": {"dropout": 0.0, "hidden_dropout": 0.0, "deviation": 0.1}}  # or nothing arrives
NEURON = {"name": "delayed-if", "threshold": 1.0, "leak": 1.0, "gradient": "stdb", "height": 0.3, "fall": 0.01}
LAYOUTS = {"cifar": {}}


def build(size, layout, fire, classes, shape, steps):
    """A VGG for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    return network(size, RandomSpikes(steps), fire, classes, shape, steps)


def network(size, image, fire, classes, shape, steps):
    """The same behind any form of the image."""
    groups, before = [], shape[0]
    for widths, pool in zip(size["groups"], size["pools"], strict=True):
        groups.append(group(before, widths, pool, size["dropout"], fire))
        before = widths[-1]
    side = 2 ** sum(size["pools"])
    head = classifier(before * (shape[1] // side) * (shape[2] // side), classes, size, fire)
    model = SpikingBackbone(nn.Sequential(image, groups[0]), groups[1:], [widths[-1] for widths in size["groups"][1:]], head, steps)
    initialise(model, size["deviation"])
    return model


def group(before, widths, pool, dropout, fire):
    """Convolution, neuron, dropout for each width, the last dropout giving way to pooling if there is any."""
    layers = []
    for width in widths:
        layers += [convolution(before, width), fire(), Dropout(dropout, step_mode="m")]
        before = width
    return nn.Sequential(*(layers[:-1] + [average_pool(2, 2, 0)] if pool else layers))


def convolution(before, width, kernel=3, stride=1):
    return SeqToANNContainer(nn.Conv2d(before, width, kernel, stride, kernel // 2, bias=False))


def classifier(values, classes, size, fire):
    """Hidden linear layers with neurons, then one output a class: [T, B, C, H, W] -> [T, B, classes]."""
    layers = [nn.Flatten(2)]
    for width in size["hidden"]:
        layers += [nn.Linear(values, width, bias=False), fire(), Dropout(size["hidden_dropout"], step_mode="m")]
        values = width
    return nn.Sequential(*layers, nn.Linear(values, classes, bias=False))


def initialise(model, deviation):
    """Weights normal: convolutions with a variance of 2 / (outputs x kernel), linear layers with this deviation."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=math.sqrt(2 / (layer.out_channels * layer.weight[0, 0].numel())))
        elif isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=deviation)
