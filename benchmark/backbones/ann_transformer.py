"""Transformer-4-384, the artificial network that Spikformer and Spikformer V2 compare with on CIFAR.

Source: the papers print its name, its 9.32 M parameters and one time step, and no more.
Decisions: Spikformer's layers to the parameter (9,324,730 on CIFAR10, which rounds down to the printed number; LayerNorms in place of the
batch normalisations would give 9.30 M), with ReLU for the stem's neurons, softmax attention scaled by the head's width, GELU inside
the MLP, and no activation at the end of a branch.
"""

from functools import partial

from torch import nn

from benchmark.networks.attention import SelfAttention, SoftmaxProduct
from benchmark.networks.layers import (
    Head,
    Residual,
    SpikingBackbone,
    conv_bn,
    spiking_stages,
    truncated_normal,
)

SIZES = {"4-384": {"depth": 4, "dim": 384, "heads": 12}}
TWIN = {"divide": {"depth": 2, "dim": 8, "heads": 4}}
MINI = {"divide": {"depth": 2, "dim": 4, "heads": 4}}
NEURON = {}
LAYOUTS = {"cifar": {"pools": [0, 0, 1, 1]}}


def build(size, layout, fire, classes, shape, steps):
    """A Transformer for images of shape (channels, height, width); logits [1, B, classes]."""
    dim = size["dim"]
    stages = spiking_stages(shape[0], (dim // 8, dim // 4, dim // 2, dim), layout["pools"], nn.ReLU, 1)
    stem = nn.Sequential(*stages, Residual(conv_bn(dim, dim, 3), nn.ReLU()))
    blocks = [block(dim, size["heads"]) for _ in range(size["depth"])]
    model = SpikingBackbone(stem, blocks, [dim] * len(blocks), Head(dim, classes), 1)
    truncated_normal(model.head, nn.Linear)
    truncated_normal(model.blocks, nn.Conv2d)
    return model


def block(dim, heads):
    """x + attention(x), then x + MLP(x), a batch normalisation behind each linear layer."""
    linear = partial(conv_bn, dim, dim, bias=True)
    attention = SelfAttention(linear, nn.Identity, SoftmaxProduct(heads), linear())
    return nn.Sequential(Residual(attention), Residual(conv_bn(dim, 4 * dim, bias=True), nn.GELU(), conv_bn(4 * dim, dim, bias=True)))
