"""The neuron of COS (Hao et al., ICLR 2023): its membrane starts higher or lower by what a look at its own first inputs found missing.

    m(t) = v(t-1) + x(t), v(0) = theta / 2; sends theta where m >= theta; v(t) = m(t) - what was sent
So it first runs the first `probe` steps of its own input and sends nothing. Then all steps, from the first on, start from
    theta / 2 - max(theta, min m(t) of steps that fired - 0.999 theta)          if it fired though v(probe) < 0: a spike too many
    theta / 2 + max(theta, 1.001 theta - max m(t) of steps that did not fire)   if v(probe) >= theta: a spike too few
and from theta / 2 elsewhere. The first call has to hold these steps: with fewer, it looks at what there is.
A gradient passes each step's membrane straight through, and none from step to step.
Source: hzc1208/ANN2SNN_COS@ecb3587, modules.py (MPLayer).
Parity: spikes of all layers and steps of a network equal to its whole code's (see methods/cos.py).
Deviations: none known. A neuron that fired in every probing step has no step that did not: as there, max m is -1000 theta then, and the
neuron fires from then on whatever comes.
"""

import torch

from benchmark.neurons._base import Stepwise, single_precision
from benchmark.neurons._surrogates import StraightThrough
from benchmark.shared.errors import UserError

CONSTANTS = {"theta": "threshold, and what a spike is worth", "probe": "steps of its own input that it looks at first"}
SENDS = "graded"  # 0 and the threshold
EXAMPLE = {"theta": 1.0, "probe": 1}
MARGIN = 1e-3  # of a threshold, so that the step with the least excess falls silent, that with the least lack fires
NEVER = 1000.0  # thresholds: of a membrane that does not count


def neuron(*, theta, probe) -> "OffsetSpikes":
    """A new layer. UserError for a constant without sense."""
    if not (theta > 0 and probe >= 1):
        raise UserError(f"a neuron that looks ahead needs theta > 0 and at least one step for it, not theta {theta} and {probe} steps")
    return OffsetSpikes(float(theta), int(probe))


class OffsetSpikes(Stepwise):
    """Membranes in its own unit, from 0."""

    sends = SENDS

    def __init__(self, theta: float, probe: int):
        super().__init__()
        self.theta, self.probe = theta, probe
        self.register_memory("v", None)

    def forward(self, x):
        if self.v is None:
            self.v = self.start(single_precision(x[: self.probe].detach()))
        return super().forward(x)

    def step(self, x):
        charged = self.v + x
        sent = StraightThrough.apply(charged, self.fire)
        self.v = charged - sent
        return sent

    def fire(self, charged):
        return self.theta * (charged >= self.theta).to(charged)

    def start(self, x):
        """Where membranes start, from the first steps x [probe, ...]."""
        half, theta = torch.full_like(x[0], self.theta / 2), self.theta
        v, fired = half, torch.zeros_like(half, dtype=torch.bool)
        least, most = torch.full_like(half, NEVER * theta), torch.full_like(half, -NEVER * theta)
        for current in x:
            charged = v + current
            fires = charged >= theta
            v, fired = charged - self.fire(charged), fired | fires
            least = torch.where(fires, torch.minimum(least, charged), least)
            most = torch.where(fires, most, torch.maximum(most, charged))
        down = (least - (1 - MARGIN) * theta).clamp(min=theta)
        up = ((1 + MARGIN) * theta - most).clamp(min=theta)
        return torch.where(v >= theta, half + up, torch.where((v < 0) & fired, half - down, half))


def reference(x, *, theta, probe):
    """What is sent [T, ...], from the equations."""
    flat = x.flatten(1)
    start = torch.tensor([looked(column, theta) for column in flat[:probe].detach().T.tolist()], dtype=x.dtype)
    v, sent = start, []
    for current in flat:
        m = v + current
        spike = theta * (m >= theta).to(x)
        sent.append(m + (spike - m).detach())
        v = (m - spike).detach()
    return torch.stack(sent).view_as(x)


def looked(currents: list, theta: float) -> float:
    """Where one neuron's membrane starts."""
    v, fired, silent = 0.5 * theta, [], [-NEVER * theta]
    for current in currents:
        m = v + current
        (fired if m >= theta else silent).append(m)
        v = m - theta * (m >= theta)
    if v >= theta:
        return 0.5 * theta + max(theta, 1.001 * theta - max(silent))
    return 0.5 * theta - max(theta, min(fired) - 0.999 * theta) if v < 0 and fired else 0.5 * theta
