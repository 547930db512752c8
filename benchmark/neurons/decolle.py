"""DECOLLE's neuron (Kaiser et al., 2020): a synapse with two traces of what comes in, and a refractory trace of what was sent.

    Q(t) = beta Q(t-1) + (1 - beta) s(t);  P(t) = alpha P(t-1) + (1 - alpha) Q(t-1)                 `Traces`, before the layer with weights
    R(t) = rho R(t-1) - (1 - rho) weight S(t-1);  U(t) = x(t) + R(t), x = W P + b;  S(t) = [U(t) > 0]
Between steps no gradient passes: neither through S to R, nor through the refractory trace itself; the step function's is
1 / (steepness |U| + 1)^2, whose area is not 1. With a `pool` each window sends what its largest membrane does, and the gradient goes there.

Source: nmi-lab/decolle-public@28f33a8, decolle/base_model.py (LIFLayer, FastSigmoid).
Parity: inside the official network, see benchmark/backbones/decolle_net.py.
Deviations: none known.
"""

import torch
from spikingjelly.activation_based.base import MemoryModule
from torch import nn

from benchmark.neurons._base import Neuron, single_precision

CONSTANTS = {
    "rho": "share of the refractory trace that is left at the next step",
    "weight": "what a spike adds to it, without its sign, times 1 - rho",
    "steepness": "of the step function's gradient",
}
SENDS = "binary"
DELAY = 1  # steps from a spike to what its trace adds to a membrane
EXAMPLE = {"rho": 0.65, "weight": 1.0, "steepness": 10.0}


def neuron(*, rho, weight, steepness) -> "Refractory":
    """A layer for all steps in one call."""
    return Refractory(float(rho), float(weight), float(steepness))


class Step(torch.autograd.Function):
    """1 above 0, with the gradient 1 / (steepness |u| + 1)^2."""

    @staticmethod
    def forward(ctx, u, steepness):
        ctx.save_for_backward(u)
        ctx.steepness = steepness
        return (u > 0).to(u)

    @staticmethod
    def backward(ctx, grad):
        (u,) = ctx.saved_tensors
        return grad / (ctx.steepness * u.abs() + 1).square(), None


class Refractory(Neuron, MemoryModule):
    """pool: a module [B, C, H, W] -> [B, C, h, w] for the membranes, if there is one."""

    sends = SENDS
    leaks = True

    def __init__(self, rho: float, weight: float, steepness: float, pool: nn.Module | None = None):
        super().__init__()
        self.rho, self.weight, self.steepness, self.pool = rho, weight, steepness, pool
        self.register_memory("r", 0.0)
        self.register_memory("s", 0.0)

    def forward(self, x):
        self.ran |= {"torch"}
        return Step.apply(self.membranes(single_precision(x)), self.steepness).to(x.dtype)

    def membranes(self, x):
        """U of every step, pooled."""
        u = x + self.refractory(x.detach())
        return u if self.pool is None else self.pool(u.flatten(0, 1)).unflatten(0, u.shape[:2])

    @torch.no_grad()
    def refractory(self, x):
        """R of every step, [T, ...]."""
        traces = torch.empty_like(x)
        for current, trace in zip(x, traces, strict=True):
            trace.copy_(self.rho * self.r - (1 - self.rho) * self.weight * torch.as_tensor(self.s))
            self.r, self.s = trace, (current + trace > 0).to(x)
        self.r = self.r.clone()
        return traces


class Traces(MemoryModule):
    """P of spikes s, [T, B, ...] -> the same."""

    def __init__(self, alpha: float, beta: float):
        super().__init__()
        self.alpha, self.beta = alpha, beta
        self.register_memory("p", 0.0)
        self.register_memory("q", 0.0)

    def forward(self, s):
        traces = []
        for now in s:
            self.p = self.alpha * self.p + (1 - self.alpha) * (now * 0 + self.q)
            self.q = self.beta * self.q + (1 - self.beta) * now
            traces.append(self.p)
        self.p, self.q = self.p.detach(), self.q.detach()
        return torch.stack(traces)


def reference(x, *, rho, weight, steepness):
    """What is sent [T, ...], from the equations."""
    r, s, sent = torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    for current in x:
        r = rho * r - (1 - rho) * weight * s
        u = current + r
        slope = (1 / (steepness * u.abs() + 1) ** 2).detach()
        s = (u > 0).to(x)
        sent.append(s + slope * (u - u.detach()))
    return torch.stack(sent)
