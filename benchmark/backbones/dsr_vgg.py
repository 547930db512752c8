"""DSR's VGG-11 (Meng et al., CVPR 2022), for event streams of 48x48.

64C3-P-128C3-P-256C3-256C3-P-512C3-512C3-P-512C3-512C3-P with biases, batch normalisation, average pooling, and dropout of 0.1 behind each
layer of neurons, on frames resized to 48x48; the last map, one pixel, is repeated 7x7 times for a linear layer of 512 x 7 x 7, whose outputs
are normalised and fire. Their mean over the steps, weighed as DSR's neuron weighs it, is the answer: T times each step's share of it stands
for the step. `blocks` are the five groups, the first without its first layer.

Source: qymeng94/DSR@876c8d1, cifar/modules/vgg.py (vgg11_lif), main_single_gpu.py.
Parity: with the official network of 8 to 20 channels on 48x48 frames, T=10, dropout off, all parameters scattered and copied, training mode,
double precision, 36 to 42 % firing: logits to 9e-16, every gradient, thresholds' too, to 4e-14 of its tensor's largest; parameters equal,
9,476,327.
Deviations: none known.
"""

from torch import nn
from torch.nn import functional

from benchmark.networks.layers import First, SpikingBackbone, average_pool, conv_bn, kaiming_normal
from benchmark.neurons.dsr import weights

SIZES = {"11": {"widths": [64, 128, 256, 512, 512], "convolutions": [1, 1, 2, 2, 2], "side": 48, "map": 7, "dropout": 0.1}}
TWIN = {"divide": {"widths": 8, "convolutions": 2}, "set": {"side": 32, "map": 1, "dropout": 0.0}}
NEURON = {"name": "dsr", "tau": 1.0, "step": 0.05, "threshold": 0.3, "share": 0.3, "bound": 0.0005}
LAYOUTS = {"dvs": {}}


def build(size, layout, fire, classes, shape, steps):
    """DSR's VGG for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    widths, before = size["widths"], size["widths"][0]
    stem = nn.Sequential(First(steps, Resized(size["side"]), *conv_bn(shape[0], before, 3, bias=True)), fire(), nn.Dropout(size["dropout"]))
    blocks = []
    for index, (width, count) in enumerate(zip(widths, size["convolutions"], strict=True)):
        blocks.append(group(before, width, count if index else 0, size["dropout"], fire))
        before = width
    head = WeighedHead(before, size["map"], classes, fire())
    model = SpikingBackbone(stem, blocks, widths, head, steps)
    model.causal = False  # how a step weighs in the answer depends on how many there are
    kaiming_normal(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.bias)
    return model


def group(before, width, count, dropout, fire):
    """`count` times convolution, normalisation, neuron and dropout, then average pooling."""
    layers = []
    for _ in range(count):
        layers += [conv_bn(before, width, 3, bias=True), fire(), nn.Dropout(dropout)]
        before = width
    return nn.Sequential(*layers, average_pool(2, 2, 0))


class Resized(nn.Module):
    """Frames [B, C, H, W] as torchvision resizes tensors: bilinear, without looking at more than four pixels."""

    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, x):
        return x if x.shape[-1] == self.side else functional.interpolate(x, (self.side, self.side), mode="bilinear", antialias=False)


class WeighedHead(nn.Module):
    """Maps [T, B, C, H, W] -> [T, B, classes], T times the weighed share of what each class neuron sends."""

    def __init__(self, width, side, classes, fire):
        super().__init__()
        self.repeat, self.classifier, self.norm = (
            nn.AdaptiveAvgPool2d(side),
            nn.Linear(width * side * side, classes),
            nn.BatchNorm1d(classes),
        )
        self.fire = fire
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x):
        sums = self.norm(self.classifier(self.repeat(x.flatten(0, 1)).flatten(1)))
        sent = self.fire(sums.unflatten(0, x.shape[:2]))
        return len(sent) * weights(sent, NEURON["tau"], NEURON["step"]) * sent
