"""Spiking ResNet, a neuron behind each sum: the students of TSER (18, 34), tdBN's and TET's ResNet-19, and He's ResNet-20 (0.27 M).

"ResNet-19" is three networks in the literature: `19` has a stem of 64 channels and a classifier of 256 hidden neurons, whose 12.63 M
parameters most tables print; `19-stem128` has a stem of 128 channels; `19-stem128-1fc` also a single linear classifier.
`17`, tdBN's network for DVS128 Gesture, is a reading: no source has its layers. SEW-ResNet's paper counts 11.18 M parameters for it; of the
residual networks with 7 or 8 basic blocks, stages of 64 to 512 channels, a stem of 64 or 128 and one or two linear layers, ResNet-18's plan
alone has that many, with a stem of 7x7 (11,179,019 for 2 channels and 11 classes; 5x5 would do too): 17 convolutions. It sees whole frames.
Decisions: TSER prints no neuron constants; these are its group's public code, v <- v / 2 + x, where TSER's equation 2 would divide x
as well. No shared code fixes a surrogate for ResNet-19 (TET's is a triangle of width and height 1); all sizes use the sigmoid of height 1.
Event frames of 128 x 128 come in as means of 3 x 3 pixels, 42 x 42: the works that run these networks on events make frames smaller first,
each in its own way; a network for pictures of 32 x 32 costs sixteen times as much on the whole sensor.

Source: Intelli-Chip-Lab/snn_temporal_decoupling_distillation@e3f5fd4, model/resnet.py, of TSER's group;
brain-intelligence-lab/temporal_efficient_training@8217492, models/resnet_models.py (TET).
Parity: `18` with the group's network on copied weights, spikingjelly's LIF for its own neuron, in training mode and double precision, T=4,
37 to 55 % firing: logits equal to the bit, gradients to 1e-14 of the largest. `19` with TET's, see methods/tet.py.
Deviations: none known.
Guessed: the layers of `17`, see above.
"""

from functools import partial

from torch import nn

from benchmark.networks.layers import (
    First,
    Head,
    Residual,
    SpikingBackbone,
    Sum,
    average_pool,
    basic_branch,
    conv_bn,
    max_pool,
    residual_blocks,
)

SIZES = {  # hidden: neurons between the last block and the classifier, 0 for none; a size may have its own value of what layouts say
    "18": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "hidden": 0},
    "34": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "hidden": 0},
    "17": {"stem": 64, "widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "hidden": 0, "kernel": 7, "stride": 2, "shrink": 0},
    "19": {"stem": 64, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
    "19-stem128": {"stem": 128, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 256},
    "19-stem128-1fc": {"stem": 128, "widths": [128, 256, 512], "depths": [3, 3, 2], "hidden": 0},
    "20": {"stem": 16, "widths": [16, 32, 64], "depths": [3, 3, 3], "hidden": 0},
}
TWIN = {  # least: two channels, of `20`, cannot learn; gain: of the hidden layer's first weights, so that it fires
    "divide": {"stem": 8, "widths": 8, "depths": 2}, "least": {"stem": 8, "widths": [8, 16, 32]}, "set": {"gain": 4},
}  # fmt: skip
MINI = {"divide": {"stem": 4, "widths": 4, "hidden": 4}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {  # of the first convolution; pool: behind its neurons, or "average"; shrink: the mean of so many pixels squared before it
    "cifar": {"kernel": 3, "stride": 1, "pool": False},
    "imagenet": {"kernel": 7, "stride": 2, "pool": True},
    "dvs": {"kernel": 3, "stride": 1, "pool": False, "shrink": 3},
}
POOLS = {True: max_pool, "average": average_pool}


def build(size, layout, fire, classes, shape, steps):
    """A spiking ResNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    plan = {**layout, **{key: size[key] for key in layout if key in size}}
    smaller = [nn.AvgPool2d(plan["shrink"])] if plan.get("shrink") else []
    first = First(steps, *smaller, *conv_bn(shape[0], size["stem"], plan["kernel"], plan["stride"]))
    stem = nn.Sequential(first, fire(), *([POOLS[plan["pool"]]()] if plan["pool"] else []))
    blocks, widths = residual_blocks(size["stem"], size["widths"], size["depths"], partial(block, fire=fire))
    width, hidden = widths[-1], size["hidden"]
    before = nn.Sequential(scaled(nn.Linear(width, hidden), size.get("gain", 1)), fire()) if hidden else None
    head = Head(hidden or width, classes, before)
    return SpikingBackbone(stem, blocks, widths, head, steps)


def scaled(linear, gain):
    """A layer whose initial weights are so many times PyTorch's."""
    linear.weight.data *= gain
    return linear


def block(before, width, stride, fire):
    """fire(x + f(x)), or fire(g(x) + f(x)) with a 1x1 convolution g."""
    branch = basic_branch(before, width, stride, fire)
    if stride == 1 and before == width:
        return nn.Sequential(Residual(*branch), fire())
    return nn.Sequential(Sum(nn.Sequential(*branch), conv_bn(before, width, 1, stride)), fire())
