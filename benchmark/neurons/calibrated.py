"""The integrating neuron of SNN Calibration (Li et al., ICML 2021): with a current of its own and a membrane that starts where it is told.

    m(t) = v(t-1) + x(t) + bias, v(0) = start theta;   sends theta where m >= theta;   v(t) = m(t) - what was sent
As that of QCFS but for the bias: theta / (2 T), so that half a threshold has come in after T steps, and what calibration adds to it.
A gradient passes each step's sum straight through, and none from step to step.
Source: yhhhli/SNN_Calibration@0305353 and @4aece7c, spiking_layer.py (SpikeModule), calibration.py.
Parity: in methods/snn_calibration.py.
Deviations: none known.
"""

import math

import torch

from benchmark.neurons._base import single_precision
from benchmark.neurons.integrate_and_fire import IntegrateAndFire
from benchmark.neurons.integrate_and_fire import reference as integrated
from benchmark.shared.errors import UserError

CONSTANTS = {
    "theta": "threshold, and what a spike is worth: one for the layer, or a tensor that spreads over [B, C, H, W]",
    "bias": "current at every step, in the unit of theta: one for the layer, or such a tensor",
    "start": "membrane before the first step, in thresholds: one for the layer, or such a tensor",
}
SENDS = "graded"  # 0 and the threshold
EXAMPLE = {"theta": 1.0, "bias": 0.125, "start": 0.25}


def neuron(*, theta, bias, start) -> "Calibrated":
    """A layer for all steps in one call. UserError for a constant without sense."""
    theta, bias, start = (torch.as_tensor(value, dtype=torch.float64) for value in (theta, bias, start))
    if not ((theta > 0).all() and bias.isfinite().all() and start.isfinite().all()):
        raise UserError("a calibrated neuron needs theta > 0, and numbers for what comes in and where it starts")
    return Calibrated(theta, bias, start)


class Calibrated(IntegrateAndFire):
    """What `neuron` was given stays readable as `theta`, `bias` and `start`."""

    def __init__(self, theta, bias, start):
        super().__init__(theta, start, -math.inf)
        self.sends = SENDS
        self.register_buffer("bias", bias)
        self.register_buffer("start", start)

    def forward(self, x):
        wide = single_precision(x)
        return super().forward(wide + self.bias.to(wide.dtype)).to(x.dtype)


def reference(x, *, theta, bias, start):
    """What is sent [T, ...], from the equations."""
    return integrated(x + bias, theta=theta, start=start, lower=-math.inf)
