"""Attention by projections of a tensor [T, B, C, H, W] (PFA, Deng et al., KBS 2024): factors for every step, channel and position at once.

    A = 1/R sum_r p_r (over positions) x q_r (over steps) x k_r (over channels), an outer product;   y = relu(A x)
    p = sigmoid(3x3 convolution T -> R of the mean over channels);   with m the mean over positions [T, C]
    q = sigmoid(linear C -> R of each step of m);   k = sigmoid(linear T -> R of each channel of m)
It looks at all steps at once, whose number is fixed, so that a network with it says `causal = False`.
"""

import torch
from torch import nn


class Projected(nn.Module):
    """y of `channels` channels and `steps` steps, of the rank R."""

    def __init__(self, steps: int, channels: int, rank: int):
        super().__init__()
        self.positions = nn.Conv2d(steps, rank, 3, padding=1)
        self.steps, self.channels = nn.Linear(channels, rank), nn.Linear(steps, rank)

    def forward(self, x):
        mean = x.mean((3, 4)).transpose(0, 1)  # [B, T, C]
        p = self.positions(x.mean(2).transpose(0, 1)).sigmoid()
        q, k = self.steps(mean).sigmoid(), self.channels(mean.transpose(1, 2)).sigmoid()
        factors = torch.einsum("btr,bcr,brhw->tbchw", q, k, p) / p.shape[1]
        return (factors * x).relu()
