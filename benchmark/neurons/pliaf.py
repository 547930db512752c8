"""Parametric leaky integrate and analog fire (Spikeformer, Li et al., 2022): PLIF's membrane, which is sent itself, rectified.

    h(t) = v(t-1) + (x(t) - v(t-1)) / tau;   s = [h >= threshold];   v = h (1 - s);   max(h, 0) is sent
1 / tau = sigmoid(w), w = -log(tau - 1) at the start, one for each layer. A spike resets, and passes no gradient: there is no surrogate.

Source: Loydian/Spikeformer@cacc58d, imagenet/neuron.py (MultiStepParametricLIAFNode), as imagenet/spikeformer.py makes it.
Parity: inside the official network, see benchmark/backbones/spikeformer.py.
Deviations: none known.
"""

import math

import torch
from torch import nn

from benchmark.neurons._base import Stepwise
from benchmark.shared.errors import UserError

CONSTANTS = {
    "tau": "membrane time constant in steps at the start, more than 1, learned",
    "v_threshold": "membrane from which on it fires, which resets it to 0",
}
SENDS = "graded"
EXAMPLE = {"tau": 2.0, "v_threshold": 1.0}


def neuron(*, tau, v_threshold) -> "PLIAF":
    """A new layer. UserError for a constant without sense."""
    if not 1 < tau < math.inf:
        raise UserError(f"PLIAF's tau is {tau}; it must be more than 1 step")
    return PLIAF(float(tau), v_threshold)


class PLIAF(Stepwise):
    """[T, B, ...] currents -> membranes, rectified; `w` is a parameter."""

    sends = SENDS
    leaks = True

    def __init__(self, tau, v_threshold):
        super().__init__()
        self.w, self.v_threshold = nn.Parameter(torch.tensor(-math.log(tau - 1))), v_threshold
        self.register_memory("v", 0.0)

    def step(self, x):
        h = self.v + (x - self.v) * self.w.sigmoid()
        self.v = h * (h < self.v_threshold)
        return h.relu()


def reference(x, *, w, tau, v_threshold):
    """What is sent [T, ...], from the equations."""
    v, sent = torch.zeros_like(x[0]), []
    for current in x:
        h = v + w.sigmoid() * (current - v)
        sent.append(h.clamp(min=0))
        v = torch.where(h >= v_threshold, 0.0, h)
    return torch.stack(sent)
