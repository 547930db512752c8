"""The neuron of TSSL-BP (Zhang and Li, NeurIPS 2020): sends the trace of its spikes, and learns by how its spikes' times would move.

Forward, with u and a from 0:  d(t) = x(t) - u / tau;  u <- u + d;  s = [u > threshold];  u <- u (1 - s) for the next step;
a(t) = a(t-1) + (s(t) - a(t-1)) / tau_s, which is what is sent.
Backward, from the last step to the first, g the gradient of what was sent and u the membrane before its reset:
    e(t) = g(t) / tau_s + (1 - 1 / tau_s) e(t+1)                                       the trace's gradient, for a spike at t
    p(t) = s(t) min(8, max(0, 1 / d(t)))                                            how much earlier a spike comes for more input
    i(t) = p(t) e(t) + c(t+1) (p(t) u(t) / tau + (1 - 1 / tau) (1 - s(t)))        and what it does to later spikes of this neuron
    c(t) = s(t) i(t) + (1 - 1 / tau) (1 - s(t)) c(t+1)
    gradient of x(t): i(t); where the trace a(t) is below 1 / (4 tau_s), so that there is no spike to move, e(t) f((threshold - u) / 0.2),
    with f(z) = exp(z) / (1 + exp(z))^2 / 0.2 and z kept within 8 on both sides.

Source: stonezwr/TSSL-BP@ffaac71, functions/tsslbp.py, global_v.py
Parity: with the official function, five steps, a third of the traces not zero: traces equal to 6e-8, gradients to 1.5e-6 of 6.4.
Deviations: the official sums over all later steps are the one recursion e; equal but for rounding.
"""

import torch
from spikingjelly.activation_based.base import MemoryModule

from benchmark.neurons._base import Neuron, single_precision
from benchmark.shared.errors import UserError

CONSTANTS = {
    "tau": "membrane time constant in steps",
    "tau_s": "time constant of the trace in steps",
    "v_threshold": "membrane above which it fires",
}
SENDS = "graded"  # traces
EXAMPLE = {"tau": 5.0, "tau_s": 3.0, "v_threshold": 1.0}
STEEPEST = 8.0  # bound of a spike time's derivative, and of the small window's exponent
WINDOW = 0.2  # width of the window, in membrane


def neuron(*, tau, tau_s, v_threshold) -> "TSSLBP":
    """A new layer. UserError for a constant without sense."""
    if not (tau >= 1 and tau_s >= 1):
        raise UserError(f"a TSSL-BP neuron's time constants are at least one step, not tau {tau} and tau_s {tau_s}")
    return TSSLBP(float(tau), float(tau_s), float(v_threshold))


class TSSLBP(Neuron, MemoryModule):
    """[T, B, ...] currents -> traces."""

    sends = SENDS
    leaks = True

    def __init__(self, tau: float, tau_s: float, v_threshold: float):
        super().__init__()
        self.constants = (tau, tau_s, v_threshold)
        self.register_memory("v", 0.0)
        self.register_memory("a", 0.0)

    def forward(self, x):
        self.ran |= {"torch"}
        traces, v, a = Pass.apply(single_precision(x), self.v, self.a, *self.constants)
        self.v, self.a = v.detach(), a.detach()
        return traces.to(x.dtype)


class Pass(torch.autograd.Function):
    """All steps, and the gradient that the file's head gives."""

    @staticmethod
    def forward(ctx, x, v, a, tau, tau_s, threshold):
        traces, changes, membranes = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x)
        for t, current in enumerate(x):
            torch.sub(current, v / tau, out=changes[t])
            torch.add(changes[t], v, out=membranes[t])
            spikes = (membranes[t] > threshold).to(x.dtype)
            v, a = membranes[t] * (1 - spikes), a + (spikes - a) / tau_s
            traces[t] = a
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(changes, membranes, traces)
        ctx.constants = (tau, tau_s, threshold)
        ctx.mark_non_differentiable(v, a)
        return traces, v, a

    @staticmethod
    def backward(ctx, given, *_):
        (changes, membranes, traces), (tau, tau_s, threshold) = ctx.saved_tensors, ctx.constants
        grad, e, c = torch.empty_like(changes), torch.zeros_like(given[0]), torch.zeros_like(given[0])
        for t in reversed(range(len(given))):
            u = membranes[t]
            spikes = (u > threshold).to(u.dtype)
            e = given[t] / tau_s + (1 - 1 / tau_s) * e
            p = spikes * (1 / changes[t]).clamp(0, STEEPEST)
            i = p * e + c * (p * u / tau + (1 - 1 / tau) * (1 - spikes))
            c = spikes * i + (1 - 1 / tau) * (1 - spikes) * c
            z = ((threshold - u) / WINDOW).clamp(-STEEPEST, STEEPEST).exp()
            grad[t] = torch.where(traces[t] < 1 / (4 * tau_s), e * z / ((1 + z).square() * WINDOW), i)
        return grad, None, None, None, None, None
