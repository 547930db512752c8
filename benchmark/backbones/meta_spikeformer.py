"""Meta-SpikeFormer (Yao et al., ICLR 2024; Spike-driven Transformer V2).

In training form (re-parameterisable convolutions not merged). Convolutional stages make up the stem; `blocks` are the attention blocks,
the first one of the last stage preceded by that stage's channel change. 8-360 is the 15 M model of the paper, absent from the official
code: its widths follow from its printed size.
Decisions: the authors publish no CIFAR form. Ours is the ImageNet model with the strides 1, 2, 2, 1, 1 in place of
2, 2, 2, 2, 1 and nothing else changed, so that a 32x32 image gives 8x8 = 64 tokens, as LDD prints; 4-384 has the widths of 8-384 and 3 + 1
attention blocks in place of 6 + 2.

Source: BICLab/Spike-Driven-Transformer-V2@35f245f, classification/models.py.
Parity: the ImageNet form with that model on copied weights, a third of 8-384's widths, spikingjelly 2.0.0's LIF in place of its older
one, in training mode and double precision, T=4, all layers firing: logits equal to the bit, gradients to 5e-11 of the largest.
Deviations: none known.
"""

from functools import partial

from spikingjelly.activation_based import layer
from torch import nn
from torch.nn.functional import batch_norm

from benchmark.networks.attention import AttentionProduct, SelfAttention
from benchmark.networks.layers import (
    First,
    Head,
    Residual,
    SpikingBackbone,
    conv_bn,
    membrane_mlp,
    truncated_normal,
)

SIZES = {  # dims: of the stages, the first one reached in two steps; depths: attention blocks of the last two
    "4-384": {"dims": [96, 192, 384, 480], "depths": [3, 1], "heads": 8},
    "8-360": {"dims": [64, 128, 256, 360], "depths": [6, 2], "heads": 8},
    "8-384": {"dims": [96, 192, 384, 480], "depths": [6, 2], "heads": 8},
    "8-512": {"dims": [128, 256, 512, 640], "depths": [6, 2], "heads": 8},
    "8-768": {"dims": [192, 384, 768, 960], "depths": [6, 2], "heads": 8},
}
TWIN = {
    "set": {"dims": [8, 16, 64, 96], "depths": [1, 1], "heads": 1, "scale": 0.5}
}  # narrower, or with the paper's scale, it hardly fires
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {  # strides of the five downsampling layers; imagenet is official, cifar ours
    "cifar": {"strides": [1, 2, 2, 1, 1], "scale": 0.125, "order": "q_kv", "attention_threshold": 0.5},
    "imagenet": {"strides": [2, 2, 2, 2, 1], "scale": 0.125, "order": "q_kv", "attention_threshold": 0.5},
}


def build(size, layout, fire, classes, shape, steps):
    """A Meta-SpikeFormer for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    dims, depths, layout = size["dims"], size["depths"], {**layout, "scale": size.get("scale", layout["scale"])}
    widths = [dims[2]] * depths[0] + [dims[3]] * depths[1]
    blocks = [attention_block(width, size["heads"], layout, fire) for width in widths]
    change = [fire(), conv_bn(dims[2], dims[3], 3, layout["strides"][4], bias=True)]
    blocks[depths[0]] = nn.Sequential(*change, *blocks[depths[0]])
    head = Head(dims[3], classes, before=fire())
    model = SpikingBackbone(stem(shape[0], dims, layout["strides"], fire, steps), blocks, widths, head, steps)
    truncated_normal(model.head, nn.Linear)  # as the official model; its convolutions keep PyTorch's own
    return model


def stem(channels, dims, strides, fire, steps):
    """Four times a strided convolution with bias and BN, followed by 1, 1, 2 and no convolutional blocks."""
    half = dims[0] // 2
    return nn.Sequential(
        First(steps, *conv_bn(channels, half, 7, strides[0], bias=True)), *conv_block(half, fire),
        fire(), conv_bn(half, dims[0], 3, strides[1], bias=True), *conv_block(dims[0], fire),
        fire(), conv_bn(dims[0], dims[1], 3, strides[2], bias=True), *conv_block(dims[1], fire), *conv_block(dims[1], fire),
        fire(), conv_bn(dims[1], dims[2], 3, strides[3], bias=True),
    )  # fmt: skip


def conv_block(dim, fire):
    """x + separable convolution (1x1 to twice the width, then depthwise 7x7 and 1x1 back without a neuron between), x + two 3x3."""
    depthwise = nn.Conv2d(2 * dim, 2 * dim, 7, padding=3, groups=2 * dim, bias=False)
    back = layer.SeqToANNContainer(depthwise, *conv_bn(2 * dim, dim))
    yield Residual(fire(), conv_bn(dim, 2 * dim), fire(), back)
    yield Residual(fire(), conv_bn(dim, 4 * dim, 3), fire(), conv_bn(4 * dim, dim, 3))


def attention_block(dim, heads, layout, fire):
    """x + SSA(LIF(x)) with re-parameterisable convolutions, then x + MLP(LIF(x))."""
    synapse = partial(reparameterisable, dim)
    project = nn.Sequential(fire(v_threshold=layout["attention_threshold"]), synapse())
    attention = SelfAttention(synapse, fire, AttentionProduct(heads, layout["scale"], layout["order"]), project)
    return nn.Sequential(Residual(fire(), attention), membrane_mlp(dim, fire))


def reparameterisable(dim):
    """1x1, BN, depthwise 3x3, 1x1, BN, BN, all linear in evaluation, where they equal one 3x3 convolution."""
    return layer.SeqToANNContainer(
        nn.Conv2d(dim, dim, 1, bias=False), PaddedBatchNorm(dim), nn.Conv2d(dim, dim, 3, groups=dim, bias=False),
        nn.Conv2d(dim, dim, 1, bias=False), nn.BatchNorm2d(dim), nn.BatchNorm2d(dim),
    )  # fmt: skip


class PaddedBatchNorm(nn.BatchNorm2d):
    """BN, then a border one wide with what BN makes of zero (running statistics, no gradient): the same as padding before it."""

    def forward(self, x):
        inside = super().forward(x)
        nothing = x.new_zeros(1, self.num_features, 1, 1)
        zero = batch_norm(nothing, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        height, width = x.shape[2:]
        padded = zero.detach().to(inside.dtype).expand(len(x), -1, height + 2, width + 2).clone()
        padded[:, :, 1:-1, 1:-1] = inside
        return padded
