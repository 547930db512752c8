"""The bursting neuron of STA (Jiang et al., ICLR 2024): spikes that can be taken back, then a burst of half spikes for what they leave.

    m = v(t-1) + x(t); a = theta where m >= theta, -theta where m <= -theta and M > 0, else 0; m' = m - a, M' = M + a
    b = k theta / 2, k = max(-M', m') / (theta / 2 + 1e-5) without its fraction, at most `bursts` of either sign
    sends a + b; v(t) = m' - b, M = M' + b is the sum of all that was sent, v(0) = M(0) = 0
Of an attention map (`corrected`) what came in so far less what was sent is what charges the membrane: x(t) is x(1) + ... + x(t) - M there.
What is sent is a whole number of half thresholds; so M is counted, and never a little above or below 0. A gradient passes each step's sum
straight through, and none from step to step.

Source: ViviaHu/STA@0d3ef07, model.py (SpikeLinear_ReLU; SpikeAttention for `corrected`).
Parity: inside the official network, see methods/sta.py.
Deviations: M is counted, see above; there it is a sum of rounded numbers. There a membrane above 1e5 sends nothing.
"""

import numba
import torch

from benchmark.neurons import _back_ends
from benchmark.neurons._base import Stepwise
from benchmark.neurons._kernels import BLOCK
from benchmark.neurons._layout import dense, rows, use_torchs_threads
from benchmark.neurons._surrogates import StraightThrough
from benchmark.shared.errors import UserError

CONSTANTS = {
    "theta": "threshold: one for the layer, or a tensor that spreads over [B, ...]",
    "bursts": "half spikes of a burst, at most",
    "corrected": "True where sums of what comes in, less what was sent, charge the membrane",
}
SENDS = "graded"
EXAMPLE = {"theta": 1.0, "bursts": 2, "corrected": False}
GUARD = 1e-5  # what the code adds to half a threshold before it divides by it


def neuron(*, theta, bursts, corrected) -> "Burst":
    """A layer for all steps in one call. UserError for a constant without sense."""
    theta = torch.as_tensor(theta, dtype=torch.float64)
    if not (theta > 0).all() or bursts < 0:
        raise UserError(f"a bursting neuron needs theta > 0 and bursts >= 0, not theta {theta.min()}, bursts {bursts}")
    return Burst(theta, int(bursts), bool(corrected))


class Burst(Stepwise):
    """On a CPU one pass over all steps; step by step elsewhere, and while a gradient is asked for."""

    sends = SENDS

    def __init__(self, theta: torch.Tensor, bursts: int, corrected: bool):
        super().__init__()
        self.bursts, self.corrected = bursts, corrected
        self.register_buffer("theta", theta)
        self.register_memory("v", 0.0)
        self.register_memory("count", 0.0)  # half thresholds sent so far
        self.register_memory("total", 0.0)  # of what came in

    def forward(self, x):
        watched = torch.is_grad_enabled() and x.requires_grad
        one_pass = _back_ends.chosen("cpu") == "numba" and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
        return self.all_steps(x) if one_pass and not watched else super().forward(x)

    def step(self, x):
        half = self.theta.to(x.dtype) / 2
        total = self.total + x
        charged = self.v + (total - self.count * half if self.corrected else x)
        sent = StraightThrough.apply(charged, lambda charged: self.halves(charged, half) * half)
        self.v, self.count, self.total = charged - sent, self.count + (sent.detach() / half).round(), total.detach()
        return sent

    def halves(self, charged, half):
        """How many half thresholds these membranes send."""
        spike = 2 * ((charged >= 2 * half).to(charged) - ((charged <= -2 * half) & (torch.as_tensor(self.count) > 0)).to(charged))
        rest = torch.maximum(-(self.count + spike) * half, charged - spike * half)
        return spike + (rest / (half + GUARD)).trunc().clamp(-self.bursts, self.bursts)

    def all_steps(self, x):
        self.ran |= {"numba"}
        x = dense(x.detach(), 1)
        sent = torch.empty_like(x)
        values = [torch.empty_like(sent[0]).copy_(torch.as_tensor(value)) for value in (self.v, self.count, self.total, self.theta / 2)]
        use_torchs_threads()
        _all_steps(rows(x, len(x)), rows(sent, len(x)), *(rows(value, 1)[0] for value in values), self.bursts, self.corrected)
        self.v, self.count, self.total = values[:3]
        return sent


def reference(x, *, theta, bursts, corrected):
    """What is sent [T, ...], from the equations, the sum as a number of half spikes."""
    half = theta / 2
    v, count, total, sent = torch.zeros_like(x[0]), torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for current in x:
        total = total.detach() + current
        m = v + (total - count * half if corrected else current)
        a = 2 * (m >= theta).to(x) - 2 * ((m <= -theta) & (count > 0)).to(x)
        rest = torch.maximum(-(count + a) * half, m - a * half)
        halves = (a + (rest / (half + GUARD)).trunc().clamp(-bursts, bursts)).detach()
        sent.append(m + (halves * half - m).detach())
        v, count = (m - halves * half).detach(), count + halves
    return torch.stack(sent)


@numba.njit(cache=True, error_model="numpy", parallel=True)
def _all_steps(x, sent, v, count, total, halves, bursts, corrected):
    """All steps of x [T, size]; membranes v, counts and totals [size] before and after."""
    for block in numba.prange((v.size + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(v.size, (block + 1) * BLOCK)
        guard, zero = halves.dtype.type(GUARD), halves.dtype.type(0)
        for t in range(len(x)):
            for i in range(lo, hi):
                half, now = halves[i], x[t, i]
                total[i] += now
                m = v[i] + (total[i] - count[i] * half if corrected else now)
                spike = half - half
                if m >= half + half:
                    spike += 2
                elif (m <= -half - half) & (count[i] > zero):
                    spike -= 2
                rest = max(-(count[i] + spike) * half, m - spike * half)
                whole = min(max(int(rest / (half + guard)), -bursts), bursts)
                spike += whole
                sent[t, i] = spike * half
                v[i] = m - spike * half
                count[i] += spike
