"""The artificial network of Fast-SNN (Hu et al., TPAMI 2023): a VGG with strided convolutions and activations of three bits.

Paper: Fast-SNN (cited by Spikformer V2). Every ReLU becomes a uniform quantiser with a learned clip alpha, every pool the stride of the
convolution before it.
Equations: alpha round(7 clip(x / alpha, 0, 1)) / 7, gradients straight through the rounding; L = CE(z, y).
Expected: no table here prints this network's accuracy.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_spikformer_v2.csv
Source: yangfan-hu/Fast-SNN@e4315cd, image classification/ImageNet: models/quant_layer.py (QuantReLU), models/vgg.py, dali_main.py.
Parity: not compared with that code by running it; the activation's values and gradients by hand in tests.
Deviations: there, weights come from torchvision's network and four bits are trained before three; here, three bits from scratch. There the
first and the last layer round their weights to eight bits and the two hidden linear layers are normalised; not here. A value between two
stairs goes up here and to the even one there.
"""

from torch import nn

from benchmark.method import Method, cross_entropy
from benchmark.networks.converting.activations import ClipFloor, replaced


class FastSNNANN(Method):
    """An ANN with another activation; trained like any."""

    params = {"levels": 7, "clip": 6.0}
    ranges = {"levels": [1, 255], "clip": [0.01, 1000.0]}

    def start(self, network, above, calibration):
        return replaced(strided(network), lambda: ClipFloor(self.levels, self.clip))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def strided(network):
    """The network without pools: the convolution before each takes over its stride."""
    before = None
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.Conv2d):
            before = module
        elif isinstance(module, (nn.AvgPool2d, nn.MaxPool2d)):
            before.stride = (module.stride, module.stride)
            network.set_submodule(name, nn.Identity())
    return network


def fits(student):
    """Only a VGG: its pools follow convolutions."""
    return "" if student.ann and student.name.startswith("ann-vgg") else f"{student.name} is no VGG with ReLUs"
