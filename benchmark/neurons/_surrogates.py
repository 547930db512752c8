"""Gradients that stand in for the derivative of the step function, x = v - threshold; alpha has no default.

All have an area of 1. TET's triangle max(0, gamma - |x|) / gamma^2 is `triangle` with
alpha = 1 / gamma. Another one is a line here; `_fused.py` may have a fast form of it. `StraightThrough` is for neurons of conversions,
whose membranes pass a gradient on as it is.
"""

import math

import torch
from spikingjelly.activation_based import surrogate

from benchmark.shared.errors import UserError, unknown


class TanhFunction(torch.autograd.Function):
    """The step function with `Tanh`'s gradient."""

    @staticmethod
    def forward(ctx, x, alpha):
        ctx.save_for_backward(x)
        ctx.alpha = alpha
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        slope = ctx.alpha * (1 - torch.tanh(ctx.alpha * x).square()) / (2 * math.tanh(ctx.alpha / 2))
        return grad * slope * (x.abs() <= 0.5), None


class Tanh(surrogate.SurrogateFunctionBase):
    """Dspike's family (Li et al., NeurIPS 2021): (tanh(alpha x) / tanh(alpha / 2) + 1) / 2 from -1/2 to 1/2; a rectangle for a small alpha."""

    def __init__(self, alpha):
        super().__init__(spiking=True, alpha=alpha)

    @staticmethod
    def spiking_function(x, alpha):
        return TanhFunction.apply(x, alpha)

    @staticmethod
    def primitive_function(x, alpha):
        return (torch.tanh(alpha * x.clamp(-0.5, 0.5)) / math.tanh(alpha / 2) + 1) / 2


SURROGATES = {
    "sigmoid": surrogate.Sigmoid,  # alpha s(1 - s), s = sigmoid(alpha x): height alpha / 4
    "atan": surrogate.ATan,  # alpha / 2 / (1 + (pi / 2 alpha x)^2): height alpha / 2
    "rect": surrogate.Rect,  # alpha inside |x| < 1 / (2 alpha)
    "triangle": surrogate.PiecewiseQuadratic,  # alpha (1 - alpha |x|) inside |x| < 1 / alpha
    "tanh": Tanh,  # alpha (1 - tanh(alpha x)^2) / (2 tanh(alpha / 2)) inside |x| <= 1 / 2
}


def surrogate_function(name: str, alpha: float) -> surrogate.SurrogateFunctionBase:
    """The step function 1 for x >= 0, with this gradient. UserError for a name or an alpha that makes none."""
    if name not in SURROGATES:
        raise unknown("surrogate", str(name), SURROGATES)
    if not alpha > 0:
        raise UserError(f"the surrogate's alpha is {alpha}; it must be positive")
    return SURROGATES[name](alpha=float(alpha))


class StraightThrough(torch.autograd.Function):
    """What `fire` sends for a membrane, with the derivative 1."""

    @staticmethod
    def forward(ctx, charged, fire):
        return fire(charged)

    @staticmethod
    def backward(ctx, grad):
        return grad, None
