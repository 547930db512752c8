"""Attention over time, channels or positions by squeeze and excitation: statistics of a tensor [T, B, C, H, W] become factors of it.

Time and channels: mean and maximum over all other axes but the batch, each through the same two linear layers without bias, their sum
through a sigmoid. They look at all steps at once, so that a network with them says `causal = False`: its first step is not that of fewer.
"""

import torch
from torch import nn
from torch.nn import functional


class Excitation(nn.Module):
    """Factors along `axis`, 0 (steps, whose number is then fixed) or 2 (channels), of [T, B, C, H, W] or [T, B, C]."""

    def __init__(self, axis: int, size: int, ratio: int):
        super().__init__()
        self.axis, hidden = axis, max(1, size // ratio)
        self.first, self.second = nn.Linear(size, hidden, bias=False), nn.Linear(hidden, size, bias=False)

    def forward(self, x):
        flat = (x if self.axis == 0 else x.transpose(0, 2)).flatten(2)  # [size, B, all others]
        factors = (self.excited(flat.mean(2)) + self.excited(flat.max(2).values)).sigmoid()
        factors = factors.reshape(*factors.shape, *[1] * (x.dim() - 2))
        return factors if self.axis == 0 else factors.transpose(0, 2)

    def excited(self, statistic):
        """[size, B] -> [size, B]."""
        return self.second(functional.relu(self.first(statistic.T))).T


class Positions(nn.Module):
    """Factors of positions [1, B, 1, H, W]: mean and maximum over steps and channels through a 3x3 convolution and a sigmoid."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x):
        over = x.transpose(0, 1).flatten(1, 2)
        statistics = torch.stack([over.mean(1), over.max(1).values], 1)
        return self.convolution(statistics).sigmoid()[None]


class Attended(nn.Module):
    """x times the factors of each attention in turn, rectified."""

    def __init__(self, *attentions: nn.Module):
        super().__init__()
        self.attentions = nn.ModuleList(attentions)

    def forward(self, x):
        for attention in self.attentions:
            x = attention(x) * x
        return x.relu()
