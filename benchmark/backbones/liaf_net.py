"""LIAF-Net (Wu et al., TNNLS 2021): convolutions whose neurons send what their membranes are, for event cameras.

3x3 convolutions with bias, batch normalisation, average pooling and neurons, then a linear layer of 256 and one neuron for each class,
both normalised too. `gesture`: 64C3-128C3-P2-128C3-P2 on frames whose 4x4 pixels are added up. `cifar`: 32C3-P2-64C3-P2-128C3-P2-256C3-P2-
512C3-P4 on whole frames. What comes out at each step are the class neurons' values, from 0 on: its method is `liaf-net`.

Source: BICLab/Attention-SNN@ad80e7b, MA_SNN/DVSGestures/CNN/ and MA_SNN/CIFAR10DVS/CNN/ (Config.py, Networks/Att_SNN.py), without attention
and in its mode `mem`, which are LIAF-Nets; lyh983012/SNN-genunit@578fb23, LIAFnet/LIAFCNN.py, by authors of the paper, has the same layers
for gestures as its default.
Parity: with the official networks without attention at full size, both data sets: outputs equal to 1.5e-7, in double precision gradients to
4e-8 of the largest; parameters equal, 2,324,065 and 2,097,918.
Deviations: SNN-genunit's neuron, written after the paper, sends SELU values kept within 0 and 1, learns its decay and resets to 0.
Guessed: that `cifar` is LIAF-Net's too: SNN-genunit's example has four convolutions on 42x42 frames, whose pooling it does not say.
"""

from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.networks.excitation import Attended, Excitation
from benchmark.networks.layers import First, SpikingBackbone

SIZES = {
    "gesture": {"widths": [64, 128, 128], "pools": [1, 2, 2], "down": 4, "hidden": 256, "alpha": 2.0},
    "cifar": {"widths": [32, 64, 128, 256, 512], "pools": [2, 2, 2, 2, 4], "down": 1, "hidden": 256, "alpha": 1.0},
}
TWIN = {"divide": {"widths": 8, "hidden": 8}}
NEURON = {"name": "liaf", "decay": 0.3, "v_threshold": 0.3, "v_reset": 0.3, "surrogate": "rect", "alpha": 2.0}
LAYOUTS = {"dvs": {}}


def build(size, layout, fire, classes, shape, steps, ratio=None):
    """A LIAF-Net for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs.

    ratio: of the attention over time before each neuron, if there is one.
    """
    side, before, blocks = shape[1] // size["down"], shape[0], []
    for index, (width, pool) in enumerate(zip(size["widths"], size["pools"], strict=True)):
        kernel = min(pool, side)
        layers = [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.AvgPool2d(kernel) if kernel > 1 else nn.Identity()]
        layers = [SumPool(size["down"]), *layers] if index == 0 and size["down"] > 1 else layers
        merged = First(steps, *layers) if index == 0 else SeqToANNContainer(*layers)
        blocks.append(nn.Sequential(merged, *firing(size, fire, steps, ratio)))
        side, before = side // kernel, width
    linear, before = [nn.Flatten(2)], before * side * side
    for width in (size["hidden"], classes):
        linear += [SeqToANNContainer(nn.Linear(before, width), nn.BatchNorm1d(width)), *firing(size, fire, steps, ratio)]
        before = width
    return SpikingBackbone(blocks[0], blocks[1:], size["widths"][1:], nn.Sequential(*linear), steps)


def firing(size, fire, steps, ratio):
    """[Attention over time], neurons with the surrogate of this size."""
    attention = [Attended(Excitation(0, steps, ratio))] if ratio else []
    return [*attention, fire(**({"alpha": size["alpha"]} if "alpha" in fire.constants else {}))]


class SumPool(nn.AvgPool2d):
    """Events of `side` x `side` pixels, added up."""

    def __init__(self, side: int):
        super().__init__(side, divisor_override=1)
