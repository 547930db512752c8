"""An image as random spikes: at each step a pixel sends its sign with a probability of its magnitude."""

import torch
from torch import nn


class RandomSpikes(nn.Module):
    """Images [B, C, H, W], or [T, B, C, H, W] that change, -> spikes [T, B, C, H, W] of -1, 0 and 1.

    A pixel x sends sign(x) where a number drawn from 0 to 1 is at most rate |x|. In training each image's numbers are drawn from torch's
    generator. In inference they are the same ones for every image and call, new at every step, so that what a network answers to an image
    depends on that image alone.
    """

    def __init__(self, steps: int, rate: float = 1.0):
        super().__init__()
        self.steps, self.rate = steps, rate

    def forward(self, x):
        moments = x if x.dim() == 5 else x.expand(self.steps, *x.shape)
        drawn, spikes = torch.Generator().manual_seed(0), []
        for now in moments:
            numbers = torch.rand_like(now) if self.training else torch.rand(now.shape[1:], generator=drawn).to(now)
            spikes.append(now.sign() * (numbers <= self.rate * now.abs()))
        return torch.stack(spikes)

    def extra_repr(self):
        return f"rate={self.rate}"
