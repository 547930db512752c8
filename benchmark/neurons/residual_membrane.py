"""The neuron of SRP (Hao et al., AAAI 2023): after probing steps those whose membrane is not positive stay silent for good.

    m(t) = v(t-1) + x(t), v(0) = theta / 2; sends theta where m >= theta; v(t) = m(t) - what was sent
After `probe` such steps v starts anew, and where the membrane left was at most theta / 1000 (the public code's margin: what arrived was not
worth what was sent) nothing is sent any more.
A gradient passes each step's membrane straight through, and none from step to step.

Source: hzc1208/ANN2SNN_SRP@c31b44c, modules.py (MPLayer).
Parity: what is sent for 1,000 random inputs of 4 probing and 16 more steps is equal to the bit, theta 3, in double precision, 46 % of the
neurons silenced.
"""

import torch

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import StraightThrough
from benchmark.shared.errors import UserError

CONSTANTS = {"theta": "threshold, and what a spike is worth", "probe": "steps before it is decided who stays silent"}
SENDS = "graded"  # 0 and the threshold
EXAMPLE = {"theta": 1.0, "probe": 2}
MARGIN = 1e-3  # of a threshold


def neuron(*, theta, probe) -> "ResidualMembrane":
    """A new layer. UserError for a constant without sense."""
    if not (theta > 0 and probe >= 1):
        raise UserError(f"a neuron that probes needs theta > 0 and at least one step for it, not theta {theta} and {probe} steps")
    return ResidualMembrane(float(theta), int(probe))


class ResidualMembrane(Stepwise):
    """Membranes are kept from where they start."""

    sends = SENDS

    def __init__(self, theta: float, probe: int):
        super().__init__()
        self.theta, self.probe = theta, probe
        self.register_memory("v", 0.0)
        self.register_memory("stays", 1.0)  # 0 for a neuron that is silenced
        self.register_memory("t", 0.0)

    def step(self, x):
        charged = self.v + x
        spikes = self.theta * (charged >= self.theta / 2).to(charged)
        stays, t = (torch.as_tensor(value, dtype=charged.dtype, device=charged.device) for value in (self.stays, self.t))
        sent = StraightThrough.apply(charged, lambda m: spikes * stays)
        self.v, self.stays, self.t = (charged - spikes).detach(), stays, t + 1
        if self.t == self.probe:
            self.stays = (self.v + self.theta / 2 > MARGIN * self.theta).to(self.v)
            self.v = torch.zeros_like(self.v)
        return sent


def reference(x, *, theta, probe):
    """What is sent [T, ...], from the equations."""
    v, stays, sent = torch.full_like(x[0], theta / 2), torch.ones_like(x[0]), []
    for t, current in enumerate(x, 1):
        m = v + current
        spike = theta * (m >= theta).to(x)
        sent.append(m + (spike * stays - m).detach())
        v = (m - spike).detach()
        if t == probe:
            stays, v = (v > MARGIN * theta).to(x), torch.full_like(v, theta / 2)
    return torch.stack(sent)
