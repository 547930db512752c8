"""Batch normalisation that leaves the arithmetic to the neuron behind it, if that is one with a pass of its own on a CPU."""

import torch
from torch import nn

from benchmark.neurons._normalised import Norm, defers, moments, normalised


class BatchNorm2d(nn.BatchNorm2d):
    """torch's in values, gradients and running statistics, to single precision's last digits; see `neurons/_normalised.py`.

    x: [T*B, C, H, W], so that mean and variance are over time too. Statistics of a batch are computed in one pass, torch's own in two.
    """

    def forward(self, x):
        """[N, C, H, W], normalised; in another precision, memory format or on a device it is torch's own. ValueError as torch's."""
        if not defers(x) or any(each is not None and each.dtype != torch.float32 for each in (self.weight, self.running_mean)):
            return super().forward(x)
        of_batch = self.training or self.running_mean is None
        if of_batch and x.numel() == x.shape[1]:
            return super().forward(x)  # which says what is wrong
        mean, variance = self.statistics(x) if of_batch else (self.running_mean, self.running_var)
        return normalised(x, self.weight, self.bias, Norm(mean, variance, self.eps, of_batch))

    def statistics(self, x):
        """Of the batch; the running ones follow, the variance there without its bias."""
        mean, variance = moments(x)
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
            count = x.numel() // x.shape[1]
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), momentum)
        return mean, variance
