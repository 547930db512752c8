"""Spiking ResNet-18 of IDSNN (Fan et al., Biomimetics 2023): the blocks of ResNet, another neuron, a stem that pads by 3.

The paper prints the rule of the neuron without its constants, which are the code's: v <- v / 4 + x, a hard reset to 0 that carries no
gradient, and a rectangle of width and height 1 as the surrogate. Batch normalisation is over time, batch and positions, its weight the
threshold at the start. The stem's padding of 3 makes maps of 36x36 from images of 32x32, where the teacher has 32x32: 0.743 instead of
0.555 G multiply-accumulates per step.

Source: fei015/IDSNN@10a103e, models/S_ResNet.py.
Parity: with that model on copied weights, in training mode and double precision, T=4: logits equal to 9e-16, gradients to 1.4e-7 of the
largest (its surrogate is in single precision); every layer fires, 41 to 61 %; parameters equal.
Deviations: a neuron fires at the threshold, the code's above it; and the mean over time is taken of the logits, the code's of what the
classifier sees, which is the same. The paper runs no ImageNet, so there is no form for it.
"""

from functools import partial

from torch import nn

from benchmark.backbones.resnet import block
from benchmark.networks.layers import First, Head, SpikingBackbone, conv_bn, residual_blocks

SIZES = {"18": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2]}}
TWIN = {"divide": {"stem": 8, "widths": 8, "depths": 2}}
MINI = {"divide": {"stem": 4, "widths": 4}}
NEURON = {  # tau 4 / 3 leaves a quarter of the membrane
    "name": "lif", "tau": 1.3333333333333333, "v_threshold": 0.5, "v_reset": 0.0, "detach_reset": True, "decay_input": False,
    "surrogate": "rect", "alpha": 1.0,
}  # fmt: skip
LAYOUTS = {"cifar": {"kernel": 3, "stride": 1, "padding": 3}}  # of the first convolution


def build(size, layout, fire, classes, shape, steps):
    """A spiking ResNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    first = First(steps, *conv_bn(shape[0], size["stem"], layout["kernel"], layout["stride"], layout["padding"]))
    blocks, widths = residual_blocks(size["stem"], size["widths"], size["depths"], partial(block, fire=fire))
    model = SpikingBackbone(nn.Sequential(first, fire()), blocks, widths, Head(widths[-1], classes), steps)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, fire.constants["v_threshold"])
    return model
