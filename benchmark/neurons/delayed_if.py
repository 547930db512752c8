"""The neuron of hybrid conversion (Rathi et al., ICLR 2020): it fires a step after its membrane has come above the threshold.

    s(t) = v(t-1) / threshold - 1 > 0;   v(t) = leak v(t-1) + x(t) - threshold s(t), v(0) = 0
The derivative of s, which the reset does not pass on, is by `gradient`
    linear   height max(0, 1 - |v(t-1) / threshold - 1|)
    stdb     height exp(-fall d), d the steps since the neuron fired last; 0 where it never did ("spike timing dependent")
The threshold is not learned; it is kept with the weights.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, self_models/vgg_spiking.py, self_models/resnet_spiking.py (the same neuron in both).
Parity: see methods/hybrid.py.
Deviations: exp(-fall d) where the code has exp(-d)^fall, which is 0 in single precision from 104 steps on.
"""

import math

import torch
from spikingjelly.activation_based.base import MemoryModule

from benchmark.neurons._base import Neuron, single_precision
from benchmark.shared.errors import UserError, unknown

CONSTANTS = {
    "threshold": "membrane above which it fires a step later",
    "leak": "share of a membrane that is left after a step, at most 1",
    "gradient": "what stands in for the step function's derivative: linear or stdb",
    "height": "the largest value of it",
    "fall": "of stdb, by how much its logarithm falls in a step",
}
SENDS = "binary"
DELAY = 1  # steps from a membrane above its threshold to the spike
EXAMPLE = {"threshold": 1.0, "leak": 0.9, "gradient": "linear", "height": 0.3, "fall": 0.01}
GRADIENTS = ("linear", "stdb")


def neuron(*, threshold, leak, gradient, height, fall) -> "DelayedIF":
    """A new layer. UserError for a constant without sense."""
    if gradient not in GRADIENTS:
        raise unknown("gradient of a neuron that fires a step late", str(gradient), GRADIENTS)
    if not (0 < threshold < math.inf and 0 < leak <= 1 and 0 < height < math.inf and 0 <= fall < math.inf):
        raise UserError(
            "a neuron that fires a step late needs threshold > 0, a leak above 0 and up to 1, height > 0 and fall >= 0, "
            f"not threshold {threshold}, leak {leak}, height {height}, fall {fall}"
        )
    return DelayedIF(float(threshold), float(leak), gradient, float(height), float(fall))


class DelayedIF(Neuron, MemoryModule):
    """[T, B, ...] currents -> spikes; `threshold` is a buffer."""

    sends = SENDS

    def __init__(self, threshold: float, leak: float, gradient: str, height: float, fall: float):
        super().__init__()
        self.register_buffer("threshold", torch.tensor(threshold))
        self.leak, self.gradient, self.height, self.fall = leak, gradient, height, fall
        self.leaks = leak < 1
        self.register_memory("v", 0.0)
        self.register_memory("since", math.inf)  # steps since it fired last

    def forward(self, x):
        self.ran |= {"torch"}
        wide = single_precision(x)
        before = (torch.as_tensor(value, dtype=wide.dtype, device=x.device).expand(x.shape[1:]) for value in (self.v, self.since))
        constants = (self.threshold.to(wide.dtype), self.leak, self.gradient, self.height, self.fall)
        spikes, self.v, self.since = Pass.apply(wide, *before, *constants)
        return spikes.to(x.dtype)


class Pass(torch.autograd.Function):
    """All steps, and the gradient that the file's head gives."""

    @staticmethod
    def forward(ctx, x, v, since, threshold, leak, gradient, height, fall):
        spikes, slopes = torch.empty_like(x), torch.empty_like(x) if ctx.needs_input_grad[0] else None
        for t, current in enumerate(x):
            over = v / threshold - 1
            fired = (over > 0).to(x.dtype)
            spikes[t] = fired
            if slopes is not None:
                slope = (1 - over.abs()).clamp(min=0) if gradient == "linear" else (-fall * since).exp()
                slopes[t] = height * slope / threshold
            v = torch.add(current, v, alpha=leak) - threshold * fired  # the current first: its memory layout stays
            since = torch.where(fired > 0, 1.0, since + 1)
        ctx.save_for_backward(slopes)
        ctx.leak = leak
        ctx.mark_non_differentiable(v, since)
        return spikes, v, since

    @staticmethod
    def backward(ctx, given, *_):
        (slopes,) = ctx.saved_tensors
        grad, behind = torch.empty_like(slopes), torch.zeros_like(slopes[0])
        for t in reversed(range(len(given))):
            grad[t] = behind
            behind = torch.addcmul(ctx.leak * behind, given[t], slopes[t])
        return grad, *[None] * 7


def reference(x, *, threshold, leak, gradient, height, fall):
    """What is sent [T, ...], from the equations; a straight line of the surrogate's slope stands for the step."""
    v, last, sent = torch.zeros_like(x[0]), torch.full_like(x[0], -math.inf), []
    for t, current in enumerate(x):
        over = v / threshold - 1
        slope = height * ((1 - over.abs()).clamp(min=0) if gradient == "linear" else torch.exp(-fall * (t - last)))
        fired = (over > 0).to(x)
        sent.append(fired + slope.detach() * (over - over.detach()))
        last = torch.where(fired > 0, torch.full_like(last, t), last)
        v = leak * v + current - threshold * fired
    return torch.stack(sent)
