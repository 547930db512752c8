"""T2T-ViT (Yuan et al., ICCV 2021), an artificial network that Spikformer V2 quotes; timm does not have it.

Overlapping patches (7x7 by 4, then twice 3x3 by 2) become tokens, with a narrow Performer layer between the cuts; then a deep, narrow
Vision Transformer with fixed sine positions and a class token.
    Performer: y = v + proj(phi(q) (phi(k)^T v) / (phi(q) sum_n phi(k_n) + 1e-8)), phi(x) = exp(W x - |x|^2 / 2) / sqrt(m), W fixed
Images [B, C, H, W], features [B, tokens, C], logits [1, B, classes].
Source: yitu-opensource/T2T-ViT@0f63dc9, models/t2t_vit.py, models/token_performer.py and models/transformer_block.py.
Parity: logits and multiply-accumulates as the official module's with the same weights (see tests/test_quoted_networks.py); 64,000,974
parameters learn; with 104,960 fixed values (positions and W), as the official count has them, they are the printed 64.10 M.
Deviations: none known.
"""

import math

import torch
from timm.models.vision_transformer import Block
from torch import nn

from benchmark.networks.attention import MatMul
from benchmark.networks.layers import truncated_normal

SIZES = {  # token: width between the cuts; drop_path: stochastic depth's largest rate, at the last block
    "24": {"dim": 512, "depth": 24, "heads": 8, "hidden": 1536, "token": 64, "drop_path": 0.0},
}
TWIN = {"set": {"dim": 64, "depth": 2, "heads": 4, "hidden": 128, "token": 16, "drop_path": 0.0}}
NEURON = {}
LAYOUTS = {"imagenet": {"cuts": [[7, 4, 2], [3, 2, 1], [3, 2, 1]]}}  # window, stride, padding
DROPOUT = 0.1  # of the Performer layers


def build(size, layout, fire, classes, shape, steps):
    """A T2T-ViT for images of shape (channels, height, width); see `TokensToToken` for inputs and outputs."""
    return TokensToToken(size, layout["cuts"], classes, shape)


class TokensToToken(nn.Module):
    """Images [B, C, H, W] in, logits [1, B, classes] out. A block gives tokens [B, N, C], the class token first; `token` is that one."""

    steps = 1

    def __init__(self, size, cuts, classes, shape):
        super().__init__()
        dim, depth, side, before, narrow = size["dim"], size["depth"], shape[1], shape[0], []
        for index, (window, stride, padding) in enumerate(cuts):
            cut, seen = nn.Unfold(window, stride=stride, padding=padding), before * window**2
            side = (side + 2 * padding - window) // stride + 1
            last = index == len(cuts) - 1
            narrow.append(nn.Sequential(Cut(cut), nn.Linear(seen, dim) if last else Performer(seen, size["token"], side)))
            before = size["token"]
        self.cuts = nn.Sequential(*narrow)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
        self.register_buffer("position", sines(side * side + 1, dim))
        rates = [size["drop_path"] * index / max(depth - 1, 1) for index in range(depth)]
        options = {"mlp_ratio": size["hidden"] / dim, "norm_layer": nn.LayerNorm}
        self.blocks = nn.Sequential(*(Block(dim, size["heads"], drop_path=rate, **options) for rate in rates))
        self.norm, self.head, self.widths = nn.LayerNorm(dim), nn.Linear(dim, classes), [dim] * depth
        truncated_normal(self, nn.Linear)

    def forward(self, x):
        x = self.cuts(x)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0]).unsqueeze(0)

    @staticmethod
    def token(feature):
        """Block output [B, tokens, C] -> class token [1, B, C]."""
        return feature[:, 0].unsqueeze(0)


class Cut(nn.Module):
    """Overlapping windows of a map [B, C, H, W] as tokens [B, N, C * window^2]."""

    def __init__(self, unfold: nn.Module):
        super().__init__()
        self.unfold = unfold

    def forward(self, x):
        return self.unfold(x).transpose(1, 2)


class Performer(nn.Module):
    """Linear attention by positive random features, then an MLP: tokens [B, N, seen] in, a map [B, dim, side, side] out."""

    def __init__(self, seen: int, dim: int, side: int):
        super().__init__()
        self.side = side
        self.norm1, self.norm2 = nn.LayerNorm(seen), nn.LayerNorm(dim)
        self.kqv, self.proj = nn.Linear(seen, 3 * dim), nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.Dropout(DROPOUT))
        self.drop = nn.Dropout(DROPOUT)
        features = dim // 2
        self.register_buffer("random", nn.init.orthogonal_(torch.randn(features, dim)) * math.sqrt(features))
        self.of_keys, self.of_queries, self.summed, self.mix, self.normaliser = (MatMul() for _ in range(5))

    def forward(self, x):
        x = self.attention(*self.kqv(self.norm1(x)).chunk(3, -1))
        x = x + self.mlp(self.norm2(x))
        return x.transpose(1, 2).unflatten(2, (self.side, self.side))

    def attention(self, k, q, v):
        """The shortcut is v: what comes in is wider."""
        k, q = self.features(k, self.of_keys), self.features(q, self.of_queries)
        weight = self.normaliser(q, k.sum(1).unsqueeze(2))
        mixed = self.mix(q, self.summed(k.transpose(1, 2), v)) / (weight + 1e-8)
        return v + self.drop(self.proj(mixed))

    def features(self, x, product):
        """exp(W x - |x|^2 / 2) / sqrt(m), [B, N, m]."""
        return torch.exp(product(x, self.random.T) - x.square().sum(-1, keepdim=True) / 2) / math.sqrt(len(self.random))


def sines(count: int, dim: int) -> torch.Tensor:
    """Fixed positions [1, count, dim]: sines and cosines in turn, of wavelengths from 2 pi to 10000 times that."""
    angle = torch.arange(count).double()[:, None] / 10000 ** (torch.arange(dim).double() // 2 * 2 / dim)
    return torch.where(torch.arange(dim) % 2 == 0, angle.sin(), angle.cos()).float().unsqueeze(0)
