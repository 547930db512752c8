"""The integrating neuron of conversions, which means its average: a soft reset keeps what a spike leaves over.

    m(t) = v(t-1) + x(t), v(0) = start theta;   sends theta where m >= theta, and -theta where m <= lower and the sum sent is positive;
    v(t) = m(t) - what was sent
Without spikes taken back, which correct what arrived too early, (`lower` -inf) it sends 0 and theta only. A gradient passes each step's
sum straight through, and none from step to step. Membranes are kept from where they start.

Source: RMP (Han et al., CVPR 2020) for the soft reset; QCFS (Bu et al., ICLR 2022; putshua/ANN_SNN_QCFS@eca136b, Models/layer.py) for
start = 1/2, which makes the average of T steps QCFS's quantised activation if the input is even; SNM (Wang et al., IJCAI 2022) and
Fast-SNN (Hu et al., TPAMI 2023) for spikes taken back, whose code methods/snm.py and methods/fast_snn.py name.
Parity: what is sent for 1,000 random inputs of 16 steps is equal to the bit to QCFS's neuron, theta 3, in double precision, 34 % of them
spikes.
"""

import math

import numba
import torch

from benchmark.neurons import _back_ends
from benchmark.neurons._base import Stepwise
from benchmark.neurons._kernels import BLOCK
from benchmark.neurons._layout import dense, rows, use_torchs_threads
from benchmark.neurons._surrogates import StraightThrough
from benchmark.shared.errors import UserError

CONSTANTS = {
    "theta": "threshold, and what a spike is worth: one for the layer, or a tensor that spreads over [B, C, H, W]",
    "start": "membrane before the first step, in thresholds",
    "lower": "membrane at or below which a spike is taken back, -inf for none; one for the layer, or a tensor like theta",
}
SENDS = "signed"
EXAMPLE = {"theta": 1.0, "start": 0.5, "lower": -0.25}


def neuron(*, theta, start, lower) -> "IntegrateAndFire":
    """A layer for all steps in one call. UserError for a constant without sense."""
    theta, lower = (torch.as_tensor(value, dtype=torch.float64) for value in (theta, lower))
    if not (theta > 0).all() or math.isnan(start) or not (lower < theta * start).all():
        raise UserError(
            f"an integrating neuron needs theta > 0 and lower < start theta, not theta {theta.min()}, start {start}, lower {lower.max()}"
        )
    return IntegrateAndFire(theta, float(start), lower)


class IntegrateAndFire(Stepwise):
    """On a CPU one pass over all steps; step by step elsewhere, and while a gradient is asked for."""

    def __init__(self, theta: torch.Tensor, start: float, lower: torch.Tensor):
        super().__init__()
        self.sends = SENDS if theta.numel() == 1 else "graded"
        self.register_buffer("theta", theta)
        self.register_buffer("upper", (1 - start) * theta)  # from where the membrane starts
        self.register_buffer("lower", lower - start * theta)
        self.register_memory("v", 0.0)
        self.register_memory("sum", 0.0)  # of what was sent

    def forward(self, x):
        watched = torch.is_grad_enabled() and x.requires_grad
        one_pass = _back_ends.chosen("cpu") == "numba" and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
        return self.all_steps(x) if one_pass and not watched else super().forward(x)

    def step(self, x):
        charged = self.v + x
        sent = StraightThrough.apply(charged, self.fire)
        self.v, self.sum = charged - sent, self.sum + sent.detach()
        return sent

    def fire(self, charged):
        theta, upper, lower = (value.to(charged.dtype) for value in (self.theta, self.upper, self.lower))
        back = (charged <= lower) & (torch.as_tensor(self.sum, device=charged.device) > 0.5 * theta)  # whole spikes, up to rounding
        return torch.where(charged >= upper, theta, torch.where(back, -theta, torch.zeros_like(theta)))

    def all_steps(self, x):
        self.ran |= {"numba"}
        x = dense(x.detach(), 1)
        sent = torch.empty_like(x)
        values = [
            torch.empty_like(sent[0]).copy_(torch.as_tensor(value)) for value in (self.v, self.sum, self.theta, self.upper, self.lower)
        ]
        use_torchs_threads()
        _all_steps(rows(x, len(x)), rows(sent, len(x)), *(rows(value, 1)[0] for value in values))
        self.v, self.sum = values[:2]
        return sent


def reference(x, *, theta, start, lower):
    """What is sent [T, ...], from the equations, the sum as a number of spikes."""
    v, count, sent = torch.full_like(x[0], start * theta), torch.zeros_like(x[0]), []
    for current in x:
        m = v + current
        spike = (m >= theta).to(x) - ((m <= lower) & (count > 0)).to(x)
        sent.append(m + (theta * spike - m).detach())
        v, count = m - sent[-1], count + spike
    return torch.stack(sent)


@numba.njit(cache=True, error_model="numpy", parallel=True)
def _all_steps(x, sent, v, total, theta, upper, lower):
    """All steps of x [T, size]; membranes v and sums total [size] before and after."""
    for block in numba.prange((v.size + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(v.size, (block + 1) * BLOCK)
        for t in range(len(x)):
            for i in range(lo, hi):
                m = v[i] + x[t, i]
                fired = (
                    theta[i]
                    if m >= upper[i]
                    else (-theta[i] if (m <= lower[i]) & (total[i] + total[i] > theta[i]) else theta[i] - theta[i])
                )
                sent[t, i] = fired
                v[i] = m - fired
                total[i] += fired
