"""The neuron of Deng and Gu (ICLR 2021): it integrates, resets softly, and gets a small current of its own at every step.

    m(t) = v(t-1) + x(t) + shift theta, v(0) = 0;   sends theta where m >= theta;   v(t) = m(t) - what was sent
With shift = 1 / 2T the own currents of T steps are half a threshold, so that the average is rounded to the nearest of T levels, not down.
A gradient passes each step's sum straight through, and none from step to step.

Source: Jackn0/snn_optimal_conversion_pipeline@735bdb7, models/spiking_layer.py (its `shift_snn` is T).
Parity: with methods/ts.py's conversion, see there.
Deviations: none known.
"""

import math

import torch

from benchmark.neurons._base import single_precision
from benchmark.neurons.integrate_and_fire import IntegrateAndFire
from benchmark.shared.errors import UserError

CONSTANTS = {
    "theta": "threshold, and what a spike is worth: one for the layer, or a tensor that spreads over [B, C, H, W]",
    "shift": "current that is added at every step, in thresholds",
}
SENDS = "graded"  # 0 and the threshold
EXAMPLE = {"theta": 1.0, "shift": 0.125}


def neuron(*, theta, shift) -> "ThresholdShift":
    """A layer for all steps in one call. UserError for a constant without sense."""
    theta = torch.as_tensor(theta, dtype=torch.float64)
    if not (theta > 0).all() or not math.isfinite(shift):
        raise UserError(f"a neuron with a shift needs theta > 0 and a finite shift, not theta {theta.min()}, shift {shift}")
    return ThresholdShift(theta, float(shift))


class ThresholdShift(IntegrateAndFire):
    """Integrates what comes in and its own current."""

    def __init__(self, theta: torch.Tensor, shift: float):
        super().__init__(theta, 0.0, torch.tensor(-math.inf, dtype=torch.float64))
        self.sends = SENDS
        self.register_buffer("own", shift * theta)

    def forward(self, x):
        wide = single_precision(x)
        return super().forward(wide + self.own.to(wide.dtype)).to(x.dtype)


def reference(x, *, theta, shift):
    """What is sent [T, ...], from the equations."""
    v, sent = torch.zeros_like(x[0]), []
    for current in x:
        m = v + current + shift * theta
        spike = theta * (m >= theta).to(x)
        sent.append(m + (spike - m).detach())
        v = (m - spike).detach()
    return torch.stack(sent)
