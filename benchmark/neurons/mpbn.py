"""A LIF that fires on its normalised membrane (MPBN, Guo et al., ICCV 2023); the membrane that it carries on is not normalised.

h = decay v + x; n = weight (h - mean) / sqrt(variance + eps) + bias; a spike where n >= threshold; v = h (1 - spike), and the reset passes
its gradient. Mean and variance are of one step's batch and positions, in training; the running ones in inference, where the spike is that
of a neuron with a threshold of its own in each channel, `folded_threshold`, so that nothing is normalised and no operation is added.
Running statistics move once at each step, towards that step's.
Source: yfguo91/MPBN@149379d, models/spike_layer.py (decay 0.25, threshold 0.5, surrogate of steepness 3). It fires above the threshold.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import surrogate_function

CONSTANTS = {
    "decay": "share of the membrane that is left after a step, 0 to 1",
    "v_threshold": "normalised membrane from which on it fires",
    "surrogate": "gradient of the step function, see _surrogates.py",
    "alpha": "its steepness",
    "channels": "channels that are normalised each by itself; 0: all values of a layer together",
}
SENDS = "binary"
EXAMPLE = {"decay": 0.25, "v_threshold": 0.5, "surrogate": "tanh", "alpha": 3.0, "channels": 0}
MOMENTUM, EPS = 0.1, 1e-5  # torch's


def neuron(*, decay, v_threshold, surrogate, alpha, channels) -> "MPBN":
    """A layer for all steps in one call."""
    return MPBN(decay, v_threshold, surrogate_function(surrogate, alpha), channels)


class MPBN(Stepwise):
    """[T, B, C, ...] currents -> spikes; weight and bias are learned, one for each of `channels`."""

    sends = SENDS
    leaks = True

    def __init__(self, decay, v_threshold, fire, channels):
        super().__init__()
        self.decay, self.v_threshold, self.fire, self.channels = decay, v_threshold, fire, channels
        count = channels or 1
        self.weight, self.bias = nn.Parameter(torch.ones(count)), nn.Parameter(torch.zeros(count))
        self.register_buffer("running_mean", torch.zeros(count))
        self.register_buffer("running_var", torch.ones(count))
        self.register_memory("v", 0.0)

    def step(self, x):
        charged = self.decay * self.v + x
        spike = self.fire(self.normalised(charged) - self.v_threshold)
        self.v = charged * (1 - spike)
        return spike

    def normalised(self, h):
        """h [B, C, ...] with mean `bias` and deviation `weight`, as batch normalisation has it."""
        constants = (self.running_mean, self.running_var, self.weight, self.bias, self.training, MOMENTUM, EPS)
        if self.channels:
            return functional.batch_norm(h, *constants)
        return torch.empty_like(h).copy_(functional.batch_norm(h.unsqueeze(1), *constants).squeeze(1))  # in the memory layout of h

    def folded_threshold(self):
        """The membrane of each channel from which on it fires in inference; with a negative weight it fires up to there instead."""
        return (self.v_threshold - self.bias) * torch.sqrt(self.running_var + EPS) / self.weight + self.running_mean
