"""Spikeformer (Li et al., 2022): a convolutional tokenizer of analog neurons, then attention over time and over positions with a softmax.

Four stages of two SEW blocks halve the image, [neuron BN conv3x3] twice plus the identity or a pooled 1x1 branch with a neuron. Tokens get a
position and a step. A block: x + W A_time(LN x), then + A_space(LN x), then + W2 neuron(W1 LN x); its W starts at zero. All tokens of all
steps are weighed by one softmax and classified; so that each step has an answer here, T times its share is classified, and the mean of the
steps is the official answer. No step's is known before the last (`causal`). "7l-3x2x4": 7 blocks; kernel 3, stride 2, 4 stages.
Only the neurons see time in the tokenizer and the MLP; they send real numbers, so that almost everything multiplies.

Source: Loydian/Spikeformer@cacc58d, imagenet/spikeformer.py (PLIAF_spikeformer_7_3x2x4), imagenet/neuron.py, logs/ImageNet/*/args.txt.
Parity: with the official network, 2 blocks, widths of 4 to 32, 64x64 pictures, all parameters scattered and copied, training mode, double
precision, T=3: logits to 3e-15, every gradient to 1e-13 of its tensor's largest; parameters equal, 39,320,836.
Deviations: none known.
"""

import math

import torch
from timm.layers import DropPath
from torch import nn

from benchmark.networks.attention import MatMul, Product, SoftmaxProduct
from benchmark.networks.layers import First, Residual, SpikingBackbone, Sum, conv_bn, truncated_normal

SIZES = {  # drop_path: stochastic depth's largest rate, at the last block
    "7l-3x2x4": {"widths": [64, 128, 256, 512], "depth": 7, "heads": 8, "ratio": 3, "drop_path": 0.1},
}
TWIN = {"divide": {"widths": 8, "depth": 4}, "set": {"drop_path": 0.0}}
NEURON = {"name": "pliaf", "tau": 2.0, "v_threshold": 1.0}
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A Spikeformer for images of shape (channels, height, width); see `SpikingBackbone`, but that features are [T, B, N, C]."""
    dim, depth, stages, before = size["widths"][-1], size["depth"], [], shape[0]
    for width in size["widths"]:
        stages += [
            halving(before, width, fire, steps if not stages else None),
            Residual(*spiking(width, width, fire), *spiking(width, width, fire)),
        ]
        before = width
    positions = math.prod(side // 2 ** len(size["widths"]) for side in shape[1:])
    rates = torch.linspace(0, size["drop_path"], depth, device="cpu").tolist()
    blocks = [block(dim, size["heads"], size["ratio"], rate, fire) for rate in rates]
    model = Spikeformer(nn.Sequential(*stages, Placed(positions, steps, dim)), blocks, depth * [dim], WeighedHead(dim, classes), steps)
    for module in model.stem.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    truncated_normal(model, nn.Linear)
    for each in blocks:
        nn.init.zeros_(each[0].mix.weight)
    return model


class Spikeformer(SpikingBackbone):
    causal = False

    @staticmethod
    def token(feature):
        """Block output [T, B, N, C] -> [T, B, C], the mean over positions."""
        return feature.mean(2)


# ---- tokenizer


def spiking(before, width, fire, stride=1, kernel=3):
    """Convolution, normalisation, neuron, as a list."""
    return [conv_bn(before, width, kernel, stride), fire()]


def halving(before, width, fire, steps=None):
    """The SEW block that halves a map; of `steps`, the first of all, which sees pictures: both of its convolutions once."""
    branch, shortcut = spiking(before, width, fire, 2), [Pooled(), *spiking(before, width, fire, kernel=1)]
    if steps:
        branch[0] = First(steps, *branch[0])
        shortcut[:2] = [First(steps, nn.AvgPool2d(2), *shortcut[1])]
    return Sum(nn.Sequential(*branch, *spiking(width, width, fire)), nn.Sequential(*shortcut))


class Pooled(nn.AvgPool2d):
    """Means of 2x2 at every step."""

    def __init__(self):
        super().__init__(2)

    def forward(self, x):
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Placed(nn.Module):
    """Maps [T, B, C, H, W] -> tokens [T, B, N, C] that know their position and their step."""

    def __init__(self, positions, steps, dim):
        super().__init__()
        self.position, self.step = nn.Parameter(torch.empty(positions, dim)), nn.Parameter(torch.zeros(steps, 1, 1, dim))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, x):
        return x.flatten(3).transpose(2, 3) + self.position + self.step


# ---- blocks


def block(dim, heads, ratio, rate, fire):
    """Attention over steps, over positions, MLP: each added to what it got."""
    mlp = [nn.LayerNorm(dim, 1e-6), nn.Linear(dim, ratio * dim), fire(), nn.Linear(ratio * dim, dim), dropped(rate)]
    return nn.Sequential(OverTime(dim, heads, rate), OverSpace(dim, heads, rate), Residual(*mlp))


def dropped(rate):
    """Stochastic depth over the first dimension: of the MLP, whole steps."""
    return DropPath(rate) if rate else nn.Identity()


class Attention(nn.Module):
    """Softmax attention of sequences [B, N, C]."""

    def __init__(self, dim, heads):
        super().__init__()
        self.qkv, self.product, self.project = nn.Linear(dim, 3 * dim, bias=False), SoftmaxProduct(heads), nn.Linear(dim, dim)

    def forward(self, x):
        q, k, v = self.qkv(x).transpose(1, 2)[None, ..., None].chunk(3, 2)
        return self.project(self.product(q, k, v)[0, ..., 0].transpose(1, 2))


class OverTime(nn.Module):
    """x + W attention(LN x) of the steps of each position."""

    def __init__(self, dim, heads, rate):
        super().__init__()
        self.norm, self.attention, self.drop, self.mix = nn.LayerNorm(dim, 1e-6), Attention(dim, heads), dropped(rate), nn.Linear(dim, dim)

    def forward(self, x):
        sequences = x.permute(1, 2, 0, 3)  # [B, N, T, C]
        found = self.drop(self.attention(self.norm(sequences).flatten(0, 1))).view(sequences.shape)
        return x + self.mix(found).permute(2, 0, 1, 3)


class OverSpace(nn.Module):
    """x + attention(LN x) of the positions of each step."""

    def __init__(self, dim, heads, rate):
        super().__init__()
        self.norm, self.attention, self.drop = nn.LayerNorm(dim, 1e-6), Attention(dim, heads), dropped(rate)

    def forward(self, x):
        return x + self.drop(self.attention(self.norm(x).flatten(0, 1))).view(x.shape)


class WeighedHead(Product):
    """Tokens [T, B, N, C] -> [T, B, classes]: T times each step's share of the sum that one softmax weighs, classified."""

    spiking = False

    def __init__(self, dim, classes):
        super().__init__()
        self.norm, self.weigh, self.sum, self.classifier = nn.LayerNorm(dim, 1e-6), nn.Linear(dim, 1), MatMul(), nn.Linear(dim, classes)

    def forward(self, x):
        x = self.norm(x)
        weights = self.weigh(x).transpose(0, 1).flatten(1).softmax(1)  # [B, T N]
        weights = weights.unflatten(1, (x.shape[0], 1, -1)).transpose(0, 1)  # [T, B, 1, N]
        return self.classifier(len(x) * self.sum(weights, x).squeeze(2))
