"""Gated LIF (Yao et al., NeurIPS 2022): three learned gates blend two leaks, two weights of the input and two resets.

With a, b, g the gates, k the leaks, w_t the input's weight at step t, r the reset and s the spike of the step before,
    h = (1 - a (1 - decay)) v (1 - g s) - (1 - a) leak + (1 - b (1 - w_t)) x - (1 - g) r s;    a spike where h >= threshold; v = h
so that a = 1 decays exponentially and a = 0 linearly, b = 1 weighs the input, g = 1 resets to rest and g = 0 takes r away. Everything is
learned, one value for each channel, as the sigmoid of a parameter, and the reset passes its gradient.
Source: Ikarosy/Gated-LIF@60638b2, layers.py (LIFSpike_CW in its soft mode). It fires above the threshold.
"""

import math

import torch
from torch import nn

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import surrogate_function

CONSTANTS = {
    "decay": "share of the membrane that an exponential leak leaves of it in a step, at the start; 0 to 1, as all that follow",
    "v_threshold": "membrane from which on it fires, at the start; what the linear reset takes away starts there too",
    "leak": "what a linear leak takes away in a step, at the start",
    "weight": "of the input where it has one, at the start",
    "gate_leak": "a at the start: 1 exponential, 0 linear",
    "gate_input": "b at the start: 1 weighed, 0 not",
    "gate_reset": "g at the start: 1 to rest, 0 by subtraction",
    "surrogate": "gradient of the step function, see _surrogates.py",
    "alpha": "its steepness",
    "channels": "channels with values of their own; 0: a layer has one value of each",
    "steps": "steps with an input weight of their own; later ones share the last one",
}
SENDS = "binary"
EXAMPLE = {
    "decay": 0.25, "v_threshold": 0.5, "leak": 0.0625, "weight": 0.5, "gate_leak": 0.55, "gate_input": 0.65, "gate_reset": 0.55,
    "surrogate": "rect", "alpha": 1.0, "channels": 0, "steps": 4,
}  # fmt: skip


def neuron(*, decay, v_threshold, leak, weight, gate_leak, gate_input, gate_reset, surrogate, alpha, channels, steps) -> "GLIF":
    """A layer for all steps in one call."""
    learned = {"decay": decay, "v_threshold": v_threshold, "leak": leak, "fall": v_threshold}
    gates = {"gate_leak": gate_leak, "gate_input": gate_input, "gate_reset": gate_reset}
    return GLIF({**learned, **gates}, [weight] * steps, surrogate_function(surrogate, alpha), channels or 1)


def parameter(share: float, count: int) -> nn.Parameter:
    """What the sigmoid makes this share of, `count` times."""
    return nn.Parameter(torch.full((count,), math.log(share / (1 - share))))


class GLIF(Stepwise):
    """[T, B, C, ...] currents -> spikes; every value of `learned` is a parameter of its name, `fall` the r of above."""

    sends = SENDS
    leaks = True

    def __init__(self, learned, weights, fire, channels):
        super().__init__()
        self.fire, self.count = fire, 0  # steps since the reset
        for name, share in learned.items():
            setattr(self, name, parameter(share, channels))
        self.weight = nn.ParameterList(parameter(share, channels) for share in weights)
        self.register_memory("v", 0.0)
        self.register_memory("spike", 0.0)

    def reset(self):
        super().reset()
        self.count = 0

    def step(self, x):
        def share(parameter):
            return parameter.sigmoid().reshape(-1, *[1] * (x.dim() - 2))

        a, b, g = (share(getattr(self, name)) for name in ("gate_leak", "gate_input", "gate_reset"))
        w = share(self.weight[min(self.count, len(self.weight) - 1)])
        current = (1 - b * (1 - w)) * x - (1 - a) * share(self.leak)
        left = current + (1 - a * (1 - share(self.decay))) * self.v * (1 - g * self.spike)
        self.v = left - (1 - g) * share(self.fall) * self.spike
        self.spike = self.fire(self.v - share(self.v_threshold))
        self.count += 1
        return self.spike
