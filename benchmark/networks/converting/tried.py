"""Thresholds of many neurons each, found by trying some shares of the largest activation (STA, Jiang et al., ICLR 2024).

Source: ViviaHu/STA@0d3ef07, model.py (find_threshold_mse with `neuron_wise`).
"""

import torch

SHARES = 1 - 0.005 * torch.arange(95, dtype=torch.float64)  # of the largest activation
AT_ONCE = 2**19  # activations, so that they stay in a cache


def least_error(x: torch.Tensor, steps: int) -> torch.Tensor:
    """For each column of activations x [rows, C] the theta for which floor(clip(x T / theta, 0, T)) theta / T differs least, in squares [C].

    0 where no activation is positive.
    """
    columns = max(1, AT_ONCE // len(x))
    return torch.cat([of_columns(part, steps) for part in x.split(columns, 1)])


def of_columns(x, steps):
    best = largest = x.amax(0).clamp(min=0)
    least = torch.full_like(largest, torch.inf)
    for share in SHARES.tolist():
        theta = largest * share
        step = torch.where(theta > 0, theta, torch.inf) / steps  # nothing is rounded where nothing comes
        sent = (x / step).clamp_(0, steps).floor_().mul_(theta / steps)
        error = sent.sub_(x).square_().sum(0)
        best, least = torch.where(error < least, theta, best), torch.minimum(error, least)
    return best
