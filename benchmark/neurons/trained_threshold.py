"""The neuron of Diet-SNN (Rathi and Roy, TNNLS 2021): a leaky one that learns its threshold and its leak, one of each for a layer.

    m(t) = leak v(t-1) + x(t), v(0) = 0;   s(t) = m(t) / threshold - 1 > 0;   v(t) = m(t) - threshold s(t)
The derivative of s is gamma max(0, 1 - |m / threshold - 1|), for the membrane and for the threshold; the reset passes none to the membrane,
and takes the threshold's own. A leak above 1 is brought back to 1 before it is used.

Source: nitin-rathi/DIET-SNN@4c7527b, self_models/resnet_spiking.py, snn.py (the leak's bound, after each update there).
Parity: with that file's residual block, two such layers, T=10, in double precision (its reset is in single; that was widened): all 4,320
spikes, and the gradients of input, weights, thresholds and leaks to 1e-14.
Deviations: none known.
"""

import math

import torch
from torch import nn

from benchmark.neurons._base import Stepwise
from benchmark.shared.errors import UserError

CONSTANTS = {
    "threshold": "membrane above which it fires at the start, learned",
    "leak": "share of a membrane that is left after a step at the start, at most 1, learned",
    "gamma": "height of the triangle in place of the step function's derivative",
}
SENDS = "binary"
EXAMPLE = {"threshold": 1.0, "leak": 0.9, "gamma": 0.3}


def neuron(*, threshold, leak, gamma) -> "TrainedThreshold":
    """A new layer. UserError for a constant without sense."""
    if not (0 < threshold < math.inf and 0 < leak <= 1 and 0 < gamma < math.inf):
        raise UserError(
            "a neuron that learns its threshold needs threshold > 0, a leak above 0 and up to 1, and gamma > 0, "
            f"not threshold {threshold}, leak {leak}, gamma {gamma}"
        )
    return TrainedThreshold(threshold, leak, float(gamma))


class TrainedThreshold(Stepwise):
    """`threshold` and `leak` are parameters."""

    sends = SENDS
    leaks = True

    def __init__(self, threshold: float, leak: float, gamma: float):
        super().__init__()
        self.threshold, self.leak = (nn.Parameter(torch.tensor(float(value))) for value in (threshold, leak))
        self.gamma = gamma
        self.register_memory("v", 0.0)

    def forward(self, x):
        with torch.no_grad():
            self.leak.clamp_(max=1.0)
        return super().forward(x)

    def step(self, x):
        leak, threshold = Spread.apply(self.leak, x), Spread.apply(self.threshold, x)
        charged = x + leak * self.v  # x first: its memory layout stays
        spike = Step.apply(charged / threshold - 1, self.gamma)
        self.v = charged - threshold * spike.detach()
        return spike


class Spread(torch.autograd.Function):
    """One value for all of x; gradients are added in double precision, so that their order does not show."""

    @staticmethod
    def forward(ctx, value, x):
        return value.expand(x.shape)

    @staticmethod
    def backward(ctx, grad):
        return grad.sum(dtype=torch.float64).to(grad), None


class Step(torch.autograd.Function):
    """1 above 0; its gradient is a triangle."""

    @staticmethod
    def forward(ctx, over, gamma):
        ctx.save_for_backward(over)
        ctx.gamma = gamma
        return (over > 0).to(over)

    @staticmethod
    def backward(ctx, grad):
        (over,) = ctx.saved_tensors
        return grad * ctx.gamma * (1 - over.abs()).clamp(min=0), None


def reference(x, *, threshold, leak, gamma):
    """What is sent [T, ...], from the equations; a straight line of the surrogate's slope stands for the step."""
    v, sent = torch.zeros_like(x[0]), []
    for current in x:
        m = leak * v + current
        over = m / threshold - 1
        fired = (over > 0).to(x)
        slope = (gamma * (1 - over.abs()).clamp(min=0)).detach()
        sent.append(fired + slope * (over - over.detach()))
        v = m - threshold * fired
    return torch.stack(sent)
