"""The leaky neuron of DSR (Meng et al., CVPR 2022), which sends its learned threshold and learns by its mean input.

    m(t) = beta v(t-1) + (1 - beta) x(t), beta = exp(-step / tau);   s = V [m >= share V], V the threshold;   v = m - s;   s / step is sent
With weights w(t) = beta^(T - t) and a weighted mean a = sum w x / sum w, what is sent has the weighted mean clip(a / tau, 0, V / step), to
within what is left in the membrane; the gradient is that of this representation, the same for all steps:
    dL/dx(t) = [0 < a < tau V / step] / tau  sum_t w g / sum w;   dL/dV = step T sum over neurons of [a > tau V / step] sum_t w g / sum w
V, one for each layer, is kept at `bound` or above.

Source: qymeng94/DSR@876c8d1, cifar/modules/neuron.py (LIFNeuron, LIFFunction, lif_grad), main_single_gpu.py for the constants.
Parity: inside the official network, see benchmark/backbones/dsr_vgg.py.
Deviations: none known; the factor T in the threshold's gradient is the code's.
"""

import math

import torch
from spikingjelly.activation_based.base import MemoryModule
from torch import nn

from benchmark.neurons._base import Neuron, single_precision
from benchmark.shared.errors import UserError

CONSTANTS = {
    "tau": "membrane time constant, in the unit of step",
    "step": "length of a step",
    "threshold": "V at the start, learned: what a spike takes from the membrane",
    "share": "of V, the membrane from which on it fires",
    "bound": "least V",
}
SENDS = "graded"  # 0 and the threshold, by the length of a step
EXAMPLE = {"tau": 1.0, "step": 0.05, "threshold": 0.1, "share": 0.3, "bound": 0.0005}


def neuron(*, tau, step, threshold, share, bound) -> "DSR":
    """A new layer. UserError for a constant without sense."""
    if not all(0 < value < math.inf for value in (tau, step, threshold, share, bound)):
        raise UserError(
            f"DSR's constants must be positive, not tau {tau}, step {step}, threshold {threshold}, share {share}, bound {bound}"
        )
    return DSR(tau, step, threshold, share, bound)


class DSR(Neuron, MemoryModule):
    """[T, B, ...] currents -> spikes of V / step; `threshold` is a parameter."""

    sends = SENDS
    leaks = True
    at_times = ("threshold",)

    def __init__(self, tau, step, threshold, share, bound):
        super().__init__()
        self.tau, self.length, self.share, self.bound = tau, step, share, bound
        self.threshold = nn.Parameter(torch.tensor(float(threshold)))
        self.register_memory("v", 0.0)

    def forward(self, x):
        self.ran |= {"torch"}
        with torch.no_grad():
            self.threshold.clamp_(min=self.bound)
        sent, self.v = Represented.apply(single_precision(x), self.v, self.threshold, self.tau, self.length, self.share)
        return sent.to(x.dtype)


def weights(x, tau, step):
    """w(t) / sum w, [T, 1, ...] for currents [T, ...]."""
    w = torch.exp(torch.arange(1 - len(x), 1, dtype=x.dtype, device=x.device) * (step / tau))
    return (w / w.sum()).view(-1, *[1] * (x.dim() - 1))


class Represented(torch.autograd.Function):
    """The steps forwards, the representation backwards."""

    @staticmethod
    def forward(ctx, x, v, threshold, tau, step, share):
        beta, sent = math.exp(-step / tau), []
        for current in x:
            charged = beta * v + (1 - beta) * current
            spike = threshold * (charged >= share * threshold)
            v = charged - spike
            sent.append(spike / step)
        mean = (weights(x, tau, step) * x).sum(0)
        ctx.save_for_backward(mean > 0, mean < tau * threshold / step, mean > tau * threshold / step)
        ctx.constants = tau, step
        ctx.mark_non_differentiable(v)
        return torch.stack(sent), v

    @staticmethod
    def backward(ctx, grad, _):
        (above, below, clipped), (tau, step) = ctx.saved_tensors, ctx.constants
        mean = (weights(grad, tau, step) * grad).sum(0)
        of_threshold = step * len(grad) * (mean * clipped).sum(dtype=torch.float64).to(grad)
        return (mean * (above & below) / tau).expand(grad.shape), None, of_threshold, None, None, None


def reference(x, *, threshold, tau, step, share, bound):
    """What is sent [T, ...]: its values from the equations in a loop, its gradient from the clipped mean."""
    v, sent = torch.zeros_like(x[0]), []
    w = torch.tensor([math.exp(-step * (len(x) - t) / tau) for t in range(1, len(x) + 1)], dtype=x.dtype)
    a = sum(weight * current for weight, current in zip(w, x, strict=True)) / w.sum()
    kept, clipped = ((a > 0) & (a < tau * threshold / step)).to(x), (a > tau * threshold / step).to(x)
    learns = (kept / tau).detach() * (x - x.detach()).sum(0) + (clipped * step * len(x)).detach() * (threshold - threshold.detach())  # 0
    for weight, current in zip(w, x, strict=True):
        beta = math.exp(-step / tau)
        m = beta * v + (1 - beta) * current
        s = threshold * (m >= share * threshold)
        v = m - s
        sent.append((s / step).detach() + weight / w.sum() * learns)
    return torch.stack(sent)
