"""Gradients that stand in for the derivative of the step function, x = v - threshold; alpha has no default.

All have an area of 1. TET's triangle max(0, gamma - |x|) / gamma^2 is `triangle` with
alpha = 1 / gamma. Another one is a line here; `_fused.py` may have a fast form of it. `StraightThrough` is for neurons of conversions,
whose membranes pass a gradient on as it is.
"""

import torch
from spikingjelly.activation_based import surrogate

from benchmark.shared.errors import UserError, unknown

SURROGATES = {
    "sigmoid": surrogate.Sigmoid,  # alpha s(1 - s), s = sigmoid(alpha x): height alpha / 4
    "atan": surrogate.ATan,  # alpha / 2 / (1 + (pi / 2 alpha x)^2): height alpha / 2
    "rect": surrogate.Rect,  # alpha inside |x| < 1 / (2 alpha)
    "triangle": surrogate.PiecewiseQuadratic,  # alpha (1 - alpha |x|) inside |x| < 1 / alpha
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
