"""Leaky integrate and analog fire (Wu et al., TNNLS 2021): the membrane is reset by spikes, but what is sent is its value, rectified.

u(t) = h(t-1) + x(t);  s = [u >= threshold];  h(t) = decay (s v_reset + (1 - s) u);  max(u, 0) is sent.
The spike's gradient goes through the reset, by the surrogate. EXAMPLE is the public code's: it resets to the threshold, where the text has
0 (`v_reset` is the switch).

Source: BICLab/Attention-SNN@ad80e7b, MA_SNN/module/LIF.py (its mode `mem`), MA_SNN/DVSGestures/CNN/Config.py
Parity: inside the official networks, see benchmark/backbones/liaf_net.py.
Deviations: none known.
"""

import torch

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import surrogate_function

CONSTANTS = {
    "decay": "share of the membrane that is left at the next step",
    "v_threshold": "membrane from which on it fires, which resets it",
    "v_reset": "membrane after a spike, before it decays",
    "surrogate": "gradient of the step function, see _surrogates.py",
    "alpha": "its steepness",
}
SENDS = "graded"
EXAMPLE = {"decay": 0.3, "v_threshold": 0.3, "v_reset": 0.3, "surrogate": "rect", "alpha": 2.0}


def neuron(*, decay, v_threshold, v_reset, surrogate, alpha) -> "LIAF":
    """A new layer; no constant has a default here."""
    return LIAF(decay, v_threshold, v_reset, surrogate_function(surrogate, alpha))


class LIAF(Stepwise):
    """`h` is what is left of the membrane."""

    sends = SENDS
    leaks = True

    def __init__(self, decay, v_threshold, v_reset, fire):
        super().__init__()
        self.decay, self.v_threshold, self.v_reset, self.fire = decay, v_threshold, v_reset, fire
        self.register_memory("h", 0.0)

    def step(self, x):
        u = self.h + x
        spikes = self.fire(u - self.v_threshold)
        self.h = self.decay * (spikes * self.v_reset + (1 - spikes) * u)
        return u.relu()


def reference(x, *, decay, v_threshold, v_reset, surrogate, alpha):
    """What is sent [T, ...], from the equations."""
    fire, h, sent = surrogate_function(surrogate, alpha), 0.0, []
    for current in x:
        u = h + current
        spikes = fire(u - v_threshold)
        sent.append(u.clamp(min=0))
        h = decay * (spikes * v_reset + (1 - spikes) * u)
    return torch.stack(sent)
