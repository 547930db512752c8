"""The multi-threshold neuron of ECMT (ACM MM 2024, section 4.3): a ladder of powers of two, at most one of its 2n spikes per step.

    lambda_p = 2^(p-1) theta1, lambda_(n+p) = -2^(p-1) theta2, p = 1..n                                  (19)
    m(t) = v(t-1) + I(t), v(0) = 0;  x(t) = sum_p s_p(t) lambda_p;  v(t) = m(t) - x(t)               (21 to 24)
    s_p = 1 for the largest lambda_p <= m + theta1 / 2, or, below -theta2 / 2, the lowest lambda_(n+p) > m - theta2 / 2   (25)

Every border is shifted by half of the base, so a membrane is rounded down to a power of two rather than to the nearest one. In closed
form, with y = |m| / theta + 1/2 and the theta of m's sign: nothing for y < 1, else +-theta 2^min(floor(log2 y), n - 1).
Equation 19 prints theta_n where lambda_n is meant.
A gradient passes each step's sum straight through, as through a quantiser, and so none from step to step.

Source: the paper's equations; h-z-h-cell/Transformer-to-SNN-ECMT@e449e91, trans_utils.py.
Deviations: a negative border itself is silent (the printed strict inequality), and fires in that code.
"""

import numba
import numpy as np
import torch

from benchmark.neurons import _back_ends
from benchmark.neurons._base import Stepwise
from benchmark.neurons._kernels import BLOCK
from benchmark.neurons._layout import dense, rows, use_torchs_threads
from benchmark.neurons._surrogates import StraightThrough
from benchmark.shared.errors import UserError

CONSTANTS = {
    "n": "thresholds of each sign",
    "theta1": "the smallest positive threshold",
    "theta2": "the smallest negative one, without its sign",
}
SENDS = "graded"
EXAMPLE = {"n": 4, "theta1": 0.5, "theta2": 0.375}


def neuron(*, n, theta1, theta2) -> "MultiThreshold":
    """A layer for all steps in one call. UserError for a constant without sense."""
    if not (n >= 1 and theta1 > 0 and theta2 > 0):
        raise UserError(f"a multi-threshold neuron needs n >= 1 and positive thresholds, not n {n}, theta1 {theta1}, theta2 {theta2}")
    return MultiThreshold(int(n), float(theta1), float(theta2))


class MultiThreshold(Stepwise):
    """On a CPU in single precision one pass over all steps; step by step elsewhere, and while a gradient is asked for."""

    sends = SENDS

    def __init__(self, n: int, theta1: float, theta2: float):
        super().__init__()
        self.n = n
        self.register_buffer("theta1", torch.tensor(theta1, dtype=torch.float64))  # rounded where they are used
        self.register_buffer("theta2", torch.tensor(theta2, dtype=torch.float64))
        self.register_memory("v", 0.0)

    @property
    def thresholds(self) -> torch.Tensor:
        """lambda_1 ... lambda_2n."""
        powers = 2 ** torch.arange(self.n, device=self.theta1.device)
        return torch.cat([powers * self.theta1, -powers * self.theta2])

    def forward(self, x):
        watched = torch.is_grad_enabled() and x.requires_grad
        one_pass = _back_ends.chosen("cpu") == "numba" and x.device.type == "cpu" and x.dtype == torch.float32
        return self.all_steps(x) if one_pass and not watched else super().forward(x)

    def step(self, x):
        charged = self.v + x
        sent = StraightThrough.apply(charged, self.fire)
        self.v = charged - sent
        return sent

    def fire(self, charged):
        return closed_form(charged, self.n, self.theta1.to(charged.dtype), self.theta2.to(charged.dtype))

    def all_steps(self, x):
        self.ran |= {"numba"}
        x = dense(x.detach(), 1)
        sent = torch.empty_like(x)
        v = torch.empty_like(sent[0]).copy_(torch.as_tensor(self.v))
        use_torchs_threads()
        _all_steps(rows(x, len(x)), rows(sent, len(x)), rows(v, 1)[0], self.n, self.theta1.item(), self.theta2.item())
        self.v = v
        return sent


def closed_form(m, n: int, theta1, theta2):
    """What a membrane m sends. Exact at every border: the power is that of a rounded quotient, and then compared with its two borders."""
    positive, size = m > 0, m.abs()
    theta = torch.where(positive, theta1, theta2)
    y = size / theta + 0.5
    power = (y / y.frexp().mantissa / 2).clamp(0.5, 2.0 ** (n - 1))  # 2^floor(log2 y), 1/2 for nothing

    def reached(multiple):
        border = multiple * theta
        return (size > border) | (positive & (size == border))

    more, less = reached(2 * power - 0.5) & (power < 2.0 ** (n - 1)), ~reached(power - 0.5)
    power = torch.where(more, 2 * power, torch.where(less, power / 2, power))
    return torch.where(power >= 1, (power * theta).copysign(m), 0)


def ladder(m, n: int, theta1, theta2):
    """Equation 25 as it is printed, threshold by threshold; theta1 and theta2 in m's precision."""
    sent = torch.zeros_like(m)
    for p in range(n):
        sent = torch.where(m >= 2**p * theta1 - theta1 / 2, 2**p * theta1, sent)
        sent = torch.where(m < theta2 / 2 - 2**p * theta2, -(2**p) * theta2, sent)
    return sent


def reference(x, *, n, theta1, theta2):
    """What is sent [T, ...], from the equations."""
    theta1, theta2 = (torch.tensor(theta, dtype=x.dtype) for theta in (theta1, theta2))
    v, sent = torch.zeros_like(x[0]), []
    for current in x:
        m = v + current
        sent.append(StraightThrough.apply(m, lambda m: ladder(m, n, theta1, theta2)))
        v = m - sent[-1]
    return torch.stack(sent)


@numba.njit(cache=True, error_model="numpy", parallel=True)
def _all_steps(x, sent, last, n, theta1, theta2):
    """`closed_form` for every step of x [T, size], with the membranes `last` [size] before and after; float32."""
    base1, base2 = np.float32(theta1), np.float32(theta2)
    zero, half, one, top = np.float32(0), np.float32(0.5), np.float32(1), np.float32(2.0 ** (n - 1))
    exponent, highest = np.uint32(0x7F800000), np.uint32((127 + n - 1) << 23)  # bits of a float's power of two, and of `top`
    for block in numba.prange((last.size + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(last.size, (block + 1) * BLOCK)
        v, power = last[lo:hi], np.empty(BLOCK, np.float32)
        bits = power.view(np.uint32)
        for t in range(len(x)):
            current, out = x[t, lo:hi], sent[t, lo:hi]
            for i in range(v.size):
                m = v[i] + current[i]
                v[i] = m
                power[i] = abs(m) / (base1 if m > zero else base2) + half
            for i in range(v.size):
                bits[i] = min(bits[i] & exponent, highest)
            for i in range(v.size):
                m = v[i]
                positive, size, base = m > zero, abs(m), base1 if m > zero else base2
                w = power[i] if power[i] >= one else half
                here, above = (w - half) * base, (w + w - half) * base
                more = ((size > above) | (positive & (size == above))) & (w < top)
                enough = (size > here) | (positive & (size == here))
                w = w + w if more else (w if enough else w * half)
                fired = w * base if w >= one else zero
                fired = fired if positive else -fired
                out[i] = fired
                v[i] = m - fired
