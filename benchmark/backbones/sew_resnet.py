"""SEW-ResNet (Fang et al., NeurIPS 2021) for ImageNet: a neuron behind each branch, spikes added, so that the stream holds integers.

spikingjelly's model is not wrapped because it fixes its widths, which the twin changes. Neurons integrate without leak (the official
training): they are the LIF with a time constant of 1e9 steps, whose leak has no effect in single precision.

Source: spikingjelly 2.0.0, activation_based/model/sew_resnet.py; its neuron's constants from fangwei123456/Spike-Element-Wise-ResNet.
Parity: 18 layers with that model on copied weights, in training mode, all layers firing: logits equal to 1e-5 (tests/test_backbones.py);
parameters of all five sizes equal.
"""

from functools import partial

from torch import nn

from benchmark.networks.layers import (
    First,
    Head,
    Residual,
    SpikingBackbone,
    Sum,
    basic_branch,
    bottleneck_branch,
    conv_bn,
    kaiming_normal,
    max_pool,
    residual_blocks,
)

SIZES = {
    "18": {"widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "bottleneck": False},
    "34": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "bottleneck": False},
    "50": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "bottleneck": True},
    "101": {"widths": [64, 128, 256, 512], "depths": [3, 4, 23, 3], "bottleneck": True},
    "152": {"widths": [64, 128, 256, 512], "depths": [3, 8, 36, 3], "bottleneck": True},
}
TWIN = {"divide": {"widths": 8, "depths": 4}}
NEURON = {
    "name": "lif", "tau": 1e9, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": False,
    "surrogate": "atan", "alpha": 2.0,
}  # fmt: skip
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A SEW-ResNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    first = size["widths"][0]
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], first, 7, 2)), fire(), max_pool())
    make, expansion = (bottleneck_branch, 4) if size["bottleneck"] else (basic_branch, 1)
    one = partial(block, fire=fire, make=make, expansion=expansion)
    blocks, widths = residual_blocks(first, size["widths"], size["depths"], one, expansion)
    model = SpikingBackbone(stem, blocks, widths, Head(widths[-1], classes), steps)
    kaiming_normal(model)
    return model


def block(before, width, stride, fire, make, expansion):
    """x + fire(f(x)), or fire(g(x)) + fire(f(x)) with a 1x1 convolution g."""
    branch, after = [*make(before, width, stride, fire), fire()], width * expansion
    if stride == 1 and before == after:
        return Residual(*branch)
    return Sum(nn.Sequential(*branch), nn.Sequential(conv_bn(before, after, 1, stride), fire()))
