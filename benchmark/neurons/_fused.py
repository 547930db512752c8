"""A leaky neuron over all steps in one pass, forwards and backwards, on the CPU: numba kernels in the input's own storage order.

`Fused` makes a spikingjelly node run them, the T steps going over a block that stays in cache, or by name those of `_triton.py` on a CUDA
device, see `_back_ends.py`. Behind a batch normalisation the same pass normalises, see `_normalised.py`. In double precision (and in half
precision on a CPU), with a surrogate that a kernel does not know, or while a membrane is carried over from an earlier call, spikingjelly's
own implementation runs. Nothing but the input is kept for the way back: the membranes are charged anew from it, to the bit.
Spikes are equal to spikingjelly's, gradients agree to 1e-6 (tests/test_neurons.py).
"""

import math

import numba
import numpy as np
import torch
from spikingjelly.activation_based import surrogate

from benchmark.neurons import _back_ends
from benchmark.neurons._base import Neuron, single_precision
from benchmark.neurons._kernels import BLOCK, _backward, _forward, _straighten, parts
from benchmark.neurons._normalised import Normalised, computed, gapless, rows
from benchmark.neurons._packed import Like, pack, unpack
from benchmark.neurons._surrogates import surrogate_function
from benchmark.shared.errors import UserError

KERNELS = {surrogate.Sigmoid: 0, surrogate.ATan: 1, surrogate.Rect: 2, surrogate.PiecewiseQuadratic: 3}  # numbers of `_surrogate`
PLAIN = (None, None, None, None)  # no normalisation, nothing added


def leaky(tau, v_threshold, v_reset, detach_reset, decay_input, gradient, alpha) -> dict:
    """What spikingjelly's leaky nodes are made with, in the types that they insist on, for all steps in one call; tau under that name."""
    if not tau > 1:
        raise UserError(f"a leaky neuron's tau is {tau}; it must be more than 1 step")
    return {
        "tau": float(tau),
        "v_threshold": float(v_threshold),
        "v_reset": None if v_reset is None else float(v_reset),
        "detach_reset": bool(detach_reset),
        "decay_input": bool(decay_input),
        "surrogate_function": surrogate_function(gradient, alpha),
        "step_mode": "m",
    }


class Fused(Neuron):
    """Before a leaky spikingjelly node among the bases of a class: all steps in one kernel where it can, the node's own code elsewhere.

    A time axis of stride 0 (a static image, expanded) is read once and its gradient summed once. After a call `v` holds the last membrane,
    in single precision at least and without a gradient: truncate back-propagation there or reset.
    """

    def learned_leak(self):
        """1 / tau as a tensor with a gradient; None where tau is a constant of the node."""
        return None

    def multi_step_forward(self, x_seq, *args, **kwargs):
        name = self.implementation(x_seq)
        self.ran |= {name}
        if kernels := one_pass(name):
            return self.fused(x_seq, kernels)
        x = single_precision(computed(x_seq))
        spikes = self.loop(x) if name == "torch" else super().multi_step_forward(x, *args, **kwargs)
        self.v = self.v.detach()
        return spikes.to(x_seq.dtype)

    def implementation(self, x) -> str:
        """The name of what runs this input in the neuron's state."""
        name = _back_ends.chosen(x.device.type)
        plain = not self.store_v_seq and self._neuron_precision is None
        return name if plain and (name == "torch" or self.fits(x, one_pass(name))) else "spikingjelly"

    def fits(self, x, kernels) -> bool:
        """Whether these kernels, None for none, can run this input in the neuron's state."""
        fresh = not isinstance(self.v, torch.Tensor)
        return kernels is not None and fresh and type(self.surrogate_function) in kernels.surrogates and kernels.fits(x)

    def loop(self, x):
        """Spikes [T, ...] step by step in plain torch."""
        constants = self.v_threshold, self.v_reset, self.detach_reset, self.decay_input, self.surrogate_function
        rate = self.learned_leak()
        leak = (lambda value: value / self.tau) if rate is None else (lambda value: value * rate)
        spikes, self.v = loop(x, self.v, leak, *constants)
        return spikes

    def fused(self, x, kernels):
        rate, function = self.learned_leak(), self.surrogate_function
        reset = math.nan if self.v_reset is None else self.v_reset
        charge = (self.tau if rate is None else None, rate is not None, self.decay_input, self.v_threshold, reset)
        back = (self.detach_reset, kernels.surrogates[type(function)], function.alpha)
        if kernels is Pass and isinstance(x, Normalised) and x.waits and (layout := x.layout()):
            spikes, self.v = NormalisedPass.apply(*x.inputs(), rate, x.norm, layout, charge, back)
            return spikes
        x = computed(x)
        shared = x.stride(0) == 0 and x.shape[0] > 1
        spikes, self.v = kernels.apply(x[0] if shared else x, rate, x.shape[0], shared, charge, back)
        return spikes


def one_pass(name: str):
    """The kernels of a back end, as a torch function of all steps; None if it has none."""
    if name == "triton":
        from benchmark.neurons._triton import TritonPass

        return TritonPass
    return Pass if name == "numba" else None


def loop(x, v, leak, v_threshold, v_reset, detach_reset, decay_input, fire):
    """Currents x [T, ...] and a membrane -> (spikes [T, ...], membrane) from the equations; leak: the share of a value that a step takes."""
    rest, spikes = v_reset or 0.0, []
    for current in x:
        h = v + leak(current - (v - rest)) if decay_input else v - leak(v - rest) + current
        spikes.append(fire(h - v_threshold))
        spike = spikes[-1].detach() if detach_reset else spikes[-1]
        v = h - v_threshold * spike if v_reset is None else rest * spike + (1 - spike) * h
    return torch.stack(spikes), v


class Pass(torch.autograd.Function):
    """All T steps in one pass over the input in its own storage order."""

    surrogates = KERNELS

    @staticmethod
    def fits(x) -> bool:
        return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)

    @staticmethod
    def forward(ctx, x, rate, steps, shared, charge, back):
        charge = exact_leak(charge, rate)
        x = _dense(x, 0 if shared else 1)
        spikes = _like(x, steps) if shared else torch.empty_like(x)
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        _use_threads()
        _forward(rows(x, 1 if shared else steps), *PLAIN, rows(spikes, steps), rows(last, 1), *charge)
        ctx.save_for_backward(x)
        ctx.constants, ctx.steps, ctx.shared, ctx.learned = (*charge, *back), steps, shared, rate is not None
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    def backward(ctx, grad_spikes, _):
        (x,) = ctx.saved_tensors
        given, grad_spikes = 1 if ctx.shared else ctx.steps, _laid_out(grad_spikes, (x.numel(), *x.stride()) if ctx.shared else x.stride())
        grad = torch.empty_like(x)
        rates = np.zeros(parts(x.numel() // given, BLOCK) if ctx.learned else 0)  # added in order whatever the threads
        _use_threads()
        _backward(rows(grad_spikes, ctx.steps), rows(x, given), *PLAIN, rows(grad, given), rates, None, *ctx.constants)
        return grad, _summed(rates), None, None, None, None


class NormalisedPass(torch.autograd.Function):
    """What a convolution sends -> normalised, perhaps something added to it, and all T steps, in one pass; statistics are at hand.

    x: [N, C, H, W], channels last; added: [T, B, C, H, W] or None. The way back goes over x twice, as a normalisation's has to.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, added, rate, norm, layout, charge, back):
        charge = exact_leak(charge, rate)
        steps, given = layout.shape[0], layout.given
        spikes = torch.empty_strided(layout.shape, layout.stride, dtype=x.dtype)
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        _use_threads()
        _forward(rows(x, given), *norm.lines(weight, bias), rows(added, given), rows(spikes, steps), rows(last, 1), *charge)
        ctx.save_for_backward(x, weight, bias, pack(added))
        ctx.norm, ctx.layout, ctx.constants, ctx.learned = norm, layout, (*charge, *back), rate is not None
        ctx.added = None if added is None else Like.of(added)
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    def backward(ctx, grad_spikes, _):
        (x, weight, bias, added), norm, layout = ctx.saved_tensors, ctx.norm, ctx.layout
        added = unpack(added, ctx.added)
        steps, given, lines, grad = layout.shape[0], layout.given, norm.lines(weight, bias), torch.empty_like(x)
        count = parts(x.numel() // given, lines[0].size)
        rates, sums = np.zeros(count if ctx.learned else 0), np.empty((count, 2, x.shape[1]), np.float32)
        _use_threads()
        grad_spikes = rows(_laid_out(grad_spikes, layout.stride), steps)
        _backward(grad_spikes, rows(x, given), *lines, rows(added, given), rows(grad, given), rates, sums, *ctx.constants)
        sums = sums.sum(0, dtype=np.float64)
        to_x = grad if added is None else torch.empty_like(grad)
        _straighten(rows(grad, 1), rows(x, 1), rows(to_x, 1), *norm.back(weight, sums, x.numel() // x.shape[1]))
        to_added = None if added is None else grad.as_strided(layout.shape, layout.stride)
        return to_x, *norm.of_parameters(weight, bias, sums), to_added, _summed(rates), None, None, None, None


def exact_leak(charge: tuple, rate) -> tuple:
    """The charge with a number for its leak: 1 / tau to multiply by where that is learned, or as exact as dividing by tau."""
    if rate is not None:
        return rate.item(), *charge[1:]
    tau, _, *others = charge
    return (1 / tau, True, *others) if math.frexp(tau)[0] == 0.5 else (tau, False, *others)


def _use_threads() -> None:
    """As many as torch."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def _summed(rates):
    return torch.tensor(rates.sum(), dtype=torch.float32) if rates.size else None


def _dense(x, time_dims):
    """x itself if its storage is one gapless block with time outermost, else a contiguous copy."""
    step = x[0] if time_dims else x
    outermost = not time_dims or x.shape[0] == 1 or x.stride(0) == step.numel()
    return x if outermost and gapless(step) else x.contiguous()


def _like(x, steps):
    """An empty [steps, *x.shape] whose every step has x's memory layout."""
    return torch.empty_strided((steps, *x.shape), (x.numel(), *x.stride()), dtype=x.dtype, device=x.device)


def _laid_out(grad, stride):
    """A gradient in this memory layout."""
    return grad if grad.stride() == stride else torch.empty_strided(grad.shape, stride, dtype=grad.dtype, device=grad.device).copy_(grad)
