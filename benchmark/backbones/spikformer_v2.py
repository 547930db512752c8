"""Spikformer V2 (Zhou et al., 2024), Spikformer with a convolutional stem.

Source: the paper; the authors have published no code. What the paper leaves open was chosen so that all five printed sizes come out
to the digit: expansion 4 in every stem block, no convolution for positions, biases as in Spikformer's ImageNet model. Not determined
by that and decided here: no bias in the 2x2 convolutions, 8 heads, and in the IAND variant every shortcut is IAND, the stem's too,
since the paper calls that network purely binary. The paper has it on ImageNet only and finds
the first version better on small images; the form for those is ours, for the mini scale, with smaller patches.
Guessed: the other stems of Figure 4 (`stem`), of which the text says "Linear layers" and that two convolutions are the best. Each block
keeps its strided convolution; behind it `linear` has an MLP block of two 1x1 layers, `conv-1` one 3x3 convolution, `conv-2` the network's
own two, and `conv-3` three with an expansion of 2, which have exactly as many parameters: "approximately the same number of parameters".
"""

from functools import partial
from itertools import pairwise
from math import log2

from torch import nn

from benchmark.networks.attention import AttentionProduct, SelfAttention
from benchmark.networks.layers import (
    First,
    Head,
    InverseAndResidual,
    Residual,
    SpikingBackbone,
    conv_bn,
    truncated_normal,
)

SIZES = {
    "8-384": {"depth": 8, "dim": 384, "heads": 8, "shortcut": "add"},
    "8-512": {"depth": 8, "dim": 512, "heads": 8, "shortcut": "add"},
    "8-512-iand": {"depth": 8, "dim": 512, "heads": 8, "shortcut": "iand"},
    "12-512": {"depth": 12, "dim": 512, "heads": 8, "shortcut": "add"},
    "12-768": {"depth": 12, "dim": 768, "heads": 8, "shortcut": "add"},
    "16-768": {"depth": 16, "dim": 768, "heads": 8, "shortcut": "add"},
    "4-128": {"depth": 4, "dim": 128, "heads": 4, "shortcut": "add", "scale": 1.0},  # ours, for a reference run; scale as a twin's
}
TWIN = {  # scale of attention: so few spikes meet that one has to be enough; patches of 8: 4 x 4 of a small image, some seen, some hidden
    "divide": {"depth": 4, "dim": 8, "heads": 4}, "set": {"scale": 1.0, "patch": 8},
}  # fmt: skip
MINI = {"divide": {"depth": 4, "dim": 4, "heads": 4}, "set": {"patch": 4}}  # as many channels to a head as printed; 8 x 8 patches
OPTIONS = {"stem": ["linear", "conv-1", "conv-2", "conv-3"]}  # conv-2 if a row says none
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {
    "imagenet": {"scale": 0.125, "order": "q_kv", "attention_threshold": 0.5},
    "cifar": {"scale": 0.125, "order": "q_kv", "attention_threshold": 0.5},
}

INNER = {"linear": ([4], 1), "conv-1": ([], 3), "conv-2": ([4], 3), "conv-3": ([2, 2], 3)}  # stem: widths inside by the outer, kernel
SHORTCUTS = {"add": Residual, "iand": InverseAndResidual}


def build(size, layout, fire, classes, shape, steps):
    """A Spikformer V2 for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    dim, shortcut = size["dim"], SHORTCUTS[size["shortcut"]]
    layout = {**layout, "scale": size.get("scale", layout["scale"])}
    blocks = [block(dim, size["heads"], shortcut, layout, fire) for _ in range(size["depth"])]
    halvings, kind = int(log2(size.get("patch", 16))), size.get("stem", "conv-2")
    front = stem(shape[0], [*(dim // 8, dim // 4, dim // 2)[: halvings - 1], dim], kind, shortcut, fire, steps)
    model = SpikingBackbone(front, blocks, [dim] * len(blocks), Head(dim, classes), steps)
    truncated_normal(model.head, nn.Linear)  # as Spikformer's ImageNet model
    return model


def stem(channels, widths, kind, shortcut, fire, steps):
    """For each width: halve the image by a 2x2 convolution of stride 2, then two 3x3 convolutions like an MLP block (`kind`: or others)."""
    layers, before = [], channels
    for index, width in enumerate(widths):
        halve = conv_bn(before, width, 2, 2, padding=0)
        layers += [First(steps, *halve) if index == 0 else halve, fire()]
        inner, kernel = INNER[kind]
        passed = pairwise([width, *(ratio * width for ratio in inner), width])
        layers.append(shortcut(*(part for ends in passed for part in (conv_bn(*ends, kernel), fire()))))
        before = width
    return nn.Sequential(*layers)


def block(dim, heads, shortcut, layout, fire):
    """Spikformer's: attention, then MLP, both ending in a neuron."""
    low = fire(v_threshold=layout["attention_threshold"])
    project = nn.Sequential(low, conv_bn(dim, dim, bias=True), fire())
    attention = SelfAttention(partial(conv_bn, dim, dim), fire, AttentionProduct(heads, layout["scale"], layout["order"]), project)
    mlp = shortcut(conv_bn(dim, 4 * dim, bias=True), fire(), conv_bn(4 * dim, dim, bias=True), fire())
    return nn.Sequential(shortcut(attention), mlp)
