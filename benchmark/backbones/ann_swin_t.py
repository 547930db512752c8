"""Swin-T with batch normalisation, the artificial network of the Masked Spiking Transformer (Wang et al., ICCV 2023), which ECMT quotes.

Swin-T's plan with a ReLU behind every linear layer and in front of every branch, so that a conversion can put neurons there:
    x <- x + relu(proj(relu(A relu(V))));  n = BN(x);  x <- n + relu(BN(W2 relu(BN(W1 relu(n)))))
    A = softmax(relu(relu(Q) relu(K)^T / sqrt(d)) + position + mask), Q, K, V from relu(BN(x)) in windows, every second block's moved
The second shortcut starts behind its norm. Of `M` (relu(Q), relu(K) and the relu around their product) a share may be masked, 0 here.
Images [B, C, H, W], features [B, H, W, C], logits [1, B, classes].
Source: bic-L/Masked-Spiking-Transformer@368c9a5, models/mst.py (form `imagenet`) and configs/mst/MST.yaml.
Parity: logits and parameters as the official module's with the same weights: no difference in double precision at 224x224.
Deviations: none known.
"""

import torch
from timm.layers import DropPath
from torch import nn

from benchmark.networks.attention import MatMul
from benchmark.networks.converting.activations import SpikeMask
from benchmark.networks.layers import truncated_normal

SIZES = {  # drop_path: stochastic depth's largest rate, at the last block
    "bn": {"patch": 4, "dim": 96, "depths": [2, 2, 6, 2], "heads": [3, 6, 12, 24], "window": 7, "drop_path": 0.0},
}
TWIN = {"set": {"patch": 8, "dim": 16, "depths": [1, 1], "heads": [2, 2], "window": 2, "drop_path": 0.0}}
NEURON = {}
LAYOUTS = {"imagenet": {}}
OUTSIDE = -100.0  # added to the scores of tokens that were not neighbours before windows moved


def build(size, layout, fire, classes, shape, steps):
    """Swin-T with batch normalisation for images of shape (channels, height, width); see `WindowNetwork`."""
    return WindowNetwork(size, classes, shape)


class TokenNorm(nn.BatchNorm1d):
    """Batch normalisation of [..., C] over all but the channels."""

    def forward(self, x):
        return super().forward(x.flatten(0, -2)).view_as(x)


class WindowNetwork(nn.Module):
    """Images [B, C, H, W] in, logits [1, B, classes] out; `blocks` give maps [B, H, W, C]."""

    steps = 1

    def __init__(self, size, classes, shape):
        super().__init__()
        dim, side = size["dim"], shape[1] // size["patch"]
        self.patches = nn.Conv2d(shape[0], dim, size["patch"], size["patch"])
        self.start = nn.Sequential(TokenNorm(dim), nn.ReLU())
        rates = iter(torch.linspace(0, size["drop_path"], sum(size["depths"]), device="cpu").tolist())
        stages, self.widths = [], []
        for index, (depth, heads) in enumerate(zip(size["depths"], size["heads"], strict=True)):
            if index:
                stages.append(Merge(dim))
                dim, side = 2 * dim, side // 2
            window = min(size["window"], side)
            moves = [window // 2 if block % 2 and side > window else 0 for block in range(depth)]
            stages += [Block(dim, heads, side, window, move, next(rates)) for move in moves]
            self.widths += depth * [dim]
        self.stages = nn.Sequential(*stages)
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, classes)
        truncated_normal(self, nn.Linear)

    @property
    def blocks(self):
        return [stage for stage in self.stages if isinstance(stage, Block)]

    def forward(self, x):
        x = self.stages(self.start(self.patches(x).permute(0, 2, 3, 1)))
        return self.head(self.norm(x).mean((1, 2))).unsqueeze(0)

    @staticmethod
    def token(feature):
        """Block output [B, H, W, C] -> mean over positions [1, B, C]."""
        return feature.mean((1, 2)).unsqueeze(0)


class Merge(nn.Module):
    """2x2 neighbours side by side, columns first, then half as wide: [B, H, W, C] -> [B, H/2, W/2, 2C]."""

    def __init__(self, dim):
        super().__init__()
        self.norm, self.reduce, self.relu = TokenNorm(4 * dim), nn.Linear(4 * dim, 2 * dim, bias=False), nn.ReLU()

    def forward(self, x):
        four = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], -1)
        return self.relu(self.reduce(self.norm(four)))


class Block(nn.Module):
    """Attention in windows, then an MLP; `move`: by how many tokens the windows are moved."""

    def __init__(self, dim, heads, side, window, move, drop):
        super().__init__()
        self.window, self.move = window, move
        self.norm1, self.relu1, self.norm2, self.relu2 = TokenNorm(dim), nn.ReLU(), TokenNorm(dim), nn.ReLU()
        self.attention = WindowAttention(dim, heads, side, window, move)
        hidden = 4 * dim
        first, second = [nn.Linear(dim, hidden), TokenNorm(hidden), nn.ReLU()], [nn.Linear(hidden, dim), TokenNorm(dim), nn.ReLU()]
        self.mlp = nn.Sequential(*first, *second)
        self.drop = DropPath(drop) if drop else nn.Identity()

    def forward(self, x):
        x = x + self.drop(self.windowed(self.relu1(self.norm1(x))))
        x = self.norm2(x)
        return x + self.drop(self.mlp(self.relu2(x)))

    def windowed(self, x):
        """Attention inside each window [B * windows, N, C] of a map [B, H, W, C]."""
        shape, window = x.shape, self.window
        x = x.roll((-self.move, -self.move), (1, 2))
        x = x.unflatten(1, (-1, window)).unflatten(3, (-1, window)).transpose(2, 3)  # [B, rows, columns, window, window, C]
        mixed = self.attention(x.flatten(3, 4).flatten(0, 2)).view(x.shape)
        return mixed.transpose(2, 3).reshape(shape).roll((self.move, self.move), (1, 2))


class WindowAttention(nn.Module):
    """Windows [B * windows, N, C] in and out."""

    def __init__(self, dim, heads, side, window, move):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.q_relu, self.k_relu, self.v_relu, self.score_relu, self.mix_relu, self.proj_relu = (nn.ReLU() for _ in range(6))
        self.q_mask, self.k_mask, self.score_mask = (SpikeMask(0.0) for _ in range(3))
        self.scores, self.softmax, self.mix = MatMul(), nn.Softmax(-1), MatMul()
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * window - 1) ** 2, heads), std=0.02))
        self.register_buffer("offset", offsets(window), persistent=False)
        self.register_buffer("outside", outside(side, window, move) if move else None, persistent=False)

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.q_mask(self.q_relu(q)), self.k_mask(self.k_relu(k))
        scores = self.score_mask(self.score_relu(self.scores(q, k.transpose(2, 3)) * self.scale))
        scores = scores + self.position[self.offset].permute(2, 0, 1)
        if self.outside is not None:
            scores = (scores.unflatten(0, (-1, len(self.outside))) + self.outside[:, None]).flatten(0, 1)
        mixed = self.mix(self.softmax(scores), self.v_relu(v)).transpose(1, 2).flatten(2)
        return self.proj_relu(self.proj(self.mix_relu(mixed)))


def offsets(window: int) -> torch.Tensor:
    """Which of the (2 window - 1)^2 relative positions two tokens of a window have, [N, N]."""
    row, column = torch.arange(window * window) // window, torch.arange(window * window) % window
    return (row[:, None] - row + window - 1) * (2 * window - 1) + column[:, None] - column + window - 1


def outside(side: int, window: int, move: int) -> torch.Tensor:
    """What is added to scores once the map was rolled, [windows, N, N]: `OUTSIDE` between parts that come from its different ends."""
    part = (torch.arange(side) >= side - window).int() + (torch.arange(side) >= side - move).int()
    part = (3 * part[:, None] + part).unflatten(0, (-1, window)).unflatten(2, (-1, window)).transpose(1, 2).flatten(2).flatten(0, 1)
    return OUTSIDE * (part[:, :, None] != part[:, None]).float()
