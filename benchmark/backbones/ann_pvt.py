"""Pyramid Vision Transformer (Wang et al., ICCV 2021), an artificial network that Spikformer V2 quotes; timm has its second version only.

Four stages; each cuts its input into patches (4x4 of the image, then 2x2), adds positions, and runs pre-norm blocks whose keys and values
see a map that a convolution shrinks by 8, 4, 2 and 1 (spatial-reduction attention). A class token joins in the last stage.
    x + proj(softmax(q(n) k(r)^T / sqrt(d)) v(r)), n = LN(x), r = LN(conv(n));  then x + W2 gelu(W1 LN(x))
Images [B, C, H, W], features [B, tokens, C], logits [1, B, classes].
Source: whai362/PVT@57e2dfa, classification/pvt.py and classification/configs/pvt/pvt_large.py.
Parity: logits, parameters and multiply-accumulates as the official module's with the same weights (see tests/test_quoted_networks.py);
61,369,320 parameters are printed as 61.40 M.
Deviations: images are as wide as the network was built for (the official code interpolates positions for others).
"""

import torch
from timm.layers import DropPath
from torch import nn

from benchmark.networks.attention import MatMul
from benchmark.networks.layers import truncated_normal

SIZES = {  # drop_path: stochastic depth's largest rate, at the last block
    "large": {
        "patch": 4, "dims": [64, 128, 320, 512], "depths": [3, 8, 27, 3], "heads": [1, 2, 5, 8], "hidden": [8, 8, 4, 4],
        "shrink": [8, 4, 2, 1], "drop_path": 0.0,
    },
}  # fmt: skip
TWIN = {"set": {"dims": [16, 32, 48], "depths": [1, 1, 1], "heads": [1, 2, 3], "hidden": [4, 4, 4], "shrink": [4, 2, 1], "drop_path": 0.0}}
NEURON = {}
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A PVT for images of shape (channels, height, width); see `Pyramid` for inputs and outputs."""
    return Pyramid(size, classes, shape)


class Pyramid(nn.Module):
    """Images [B, C, H, W] in, logits [1, B, classes] out. A block gives tokens [B, N, C], the class token first in the last stage."""

    steps = 1

    def __init__(self, size, classes, shape):
        super().__init__()
        before, side, stages = shape[0], shape[1], []
        rates = torch.linspace(0, size["drop_path"], sum(size["depths"]), device="cpu").split(size["depths"])
        plan = zip(size["dims"], size["heads"], size["hidden"], size["shrink"], rates, strict=True)
        for index, (dim, heads, hidden, shrink, drop) in enumerate(plan):
            patch, last = size["patch"] if index == 0 else 2, index == len(size["dims"]) - 1
            side //= patch
            stages.append(Stage(before, dim, patch, side, heads, hidden * dim, shrink, drop.tolist(), last))
            before = dim
        self.stages = nn.ModuleList(stages)
        self.norm, self.head = nn.LayerNorm(before, eps=1e-6), nn.Linear(before, classes)
        truncated_normal(self, nn.Linear)
        self.widths = [width for width, depth in zip(size["dims"], size["depths"], strict=True) for _ in range(depth)]

    @property
    def blocks(self):
        return [block for stage in self.stages for block in stage.blocks]

    def forward(self, x):
        for stage in self.stages:
            x = stage(x)
        return self.head(self.norm(x)[:, 0]).unsqueeze(0)

    @staticmethod
    def token(feature):
        """Block output [B, tokens, C] -> mean over tokens [1, B, C]."""
        return feature.mean(1).unsqueeze(0)


class Stage(nn.Module):
    """Map [B, C, H, W] in; a map again out, but of the last stage its tokens with a class token before them."""

    def __init__(self, before, dim, patch, side, heads, hidden, shrink, drop, last):
        super().__init__()
        self.side, self.last = side, last
        self.proj, self.norm = nn.Conv2d(before, dim, patch, patch), nn.LayerNorm(dim)
        self.position = nn.Parameter(torch.empty(1, side * side + last, dim))
        self.class_token = nn.Parameter(torch.empty(1, 1, dim)) if last else None
        for start in filter(lambda value: value is not None, (self.position, self.class_token)):
            nn.init.trunc_normal_(start, std=0.02)
        self.blocks = nn.Sequential(*(Block(dim, heads, hidden, shrink, side, rate) for rate in drop))

    def forward(self, x):
        x = self.norm(self.proj(x).flatten(2).transpose(1, 2))
        if self.last:
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1)
        x = self.blocks(x + self.position)
        return x if self.last else x.transpose(1, 2).unflatten(2, (self.side, self.side))


class Block(nn.Module):
    """Attention and MLP, each with its norm in front and its shortcut; `drop` is the probability that a branch is left out."""

    def __init__(self, dim, heads, hidden, shrink, side, drop):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attention = ReducingAttention(dim, heads, shrink, side)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))
        self.drop = DropPath(drop) if drop else nn.Identity()

    def forward(self, x):
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))


class ReducingAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V, keys and values of the map `shrink` times smaller. Tokens [B, N, C] in and out."""

    def __init__(self, dim, heads, shrink, side):
        super().__init__()
        self.heads, self.side = heads, side
        self.q, self.kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        self.scores, self.softmax, self.mix = MatMul(), nn.Softmax(-1), MatMul()
        self.reduce = nn.Conv2d(dim, dim, shrink, shrink) if shrink > 1 else None
        self.norm = nn.LayerNorm(dim) if shrink > 1 else None

    def forward(self, x):
        q, seen = self.q(x).unflatten(2, (self.heads, -1)).transpose(1, 2), x
        if self.reduce is not None:
            seen = self.norm(self.reduce(x.transpose(1, 2).unflatten(2, (self.side, self.side))).flatten(2).transpose(1, 2))
        k, v = self.kv(seen).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        weights = self.softmax(self.scores(q, k.transpose(2, 3)) * q.shape[3] ** -0.5)
        return self.proj(self.mix(weights, v).transpose(1, 2).flatten(2))
