"""A leaky neuron over all steps in one pass, forwards and backwards, on the CPU: the kernels of `_kernels.py` in the input's own storage order.

`Fused` makes a spikingjelly node run them, the T steps going over a block that stays in cache, or by name those of `_triton.py` on a CUDA
device, see `_back_ends.py`. In double precision (and in half precision on a CPU), with a surrogate that a kernel does not know, or while a
membrane is carried over from an earlier call, spikingjelly's own implementation runs.
Spikes are equal to spikingjelly's, gradients agree to 1e-6 (tests/test_neurons.py).
"""

import math

import numpy as np
import torch
from spikingjelly.activation_based import surrogate

from benchmark.neurons import _back_ends
from benchmark.neurons._base import Neuron, single_precision
from benchmark.neurons._kernels import BLOCK, _backward, _forward, _rest
from benchmark.neurons._layout import dense, laid_out, like, rows, use_torchs_threads
from benchmark.neurons._origin import Normalised, normalised
from benchmark.neurons._surrogates import surrogate_function
from benchmark.shared.errors import UserError

LITTLE = 2**18  # values up to which memory does not matter and time does: a small network's step would take a twentieth longer
KERNELS = {surrogate.Sigmoid: 0, surrogate.ATan: 1, surrogate.Rect: 2, surrogate.PiecewiseQuadratic: 3}  # numbers of `_surrogate`


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

    leaks = True
    pair = None  # with the batch normalisation before it, which may leave its work to the neuron: `_pair.py`

    def learned_leak(self):
        """1 / tau as a tensor with a gradient; None where tau is a constant of the node."""
        return None

    def multi_step_forward(self, x_seq, *args, **kwargs):
        name = self.implementation(x_seq)
        kernels = one_pass(name)
        if self.pair is not None:
            name, kernels, x_seq = self.pair.take(name, kernels, x_seq)
        self.ran |= {name}
        if kernels:
            return self.fused(x_seq, kernels)
        x = single_precision(x_seq)
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
        shared = x.stride(0) == 0 and x.shape[0] > 1
        back = (self.detach_reset, kernels.surrogates[type(function)], function.alpha)
        given = x[0] if shared else x
        spikes, self.v = kernels.apply(given, rate, x.shape[0], shared, charge, back, kernels.origin(x, given))
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
    """All T steps in one pass over the input in its own storage order.

    Saves what a batch normalisation made the input from, which is kept anyway; else the input where it is smaller than the charged membranes
    (in half precision, or the same at every step): the way back charges them anew, to the bit. Else those.
    """

    surrogates = KERNELS

    @staticmethod
    def fits(x) -> bool:
        return x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)

    @staticmethod
    def origin(currents, given) -> Normalised | None:
        """What the currents, given once or at every step, can be computed from again."""
        gapless = dense(given, given.dim() == currents.dim()) is given
        steps = len(given) if given.dim() == currents.dim() else 1
        return normalised(currents, given.numel(), steps, BLOCK) if gapless and given.numel() > LITTLE else None

    @staticmethod
    def forward(ctx, x, rate, steps, shared, charge, back, origin):
        charge = charge if rate is None else (rate.item(), *charge[1:])
        x = dense(x, 0 if shared else 1)
        spikes = like(x, steps) if shared else torch.empty_like(x)
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        added = _added(x, 1 if shared else steps, origin) if origin else None
        origin = None if added is None else origin  # it cannot be made again
        again = origin is not None or x.nbytes < last.element_size() * spikes.numel()
        charged = torch.empty_like(spikes, dtype=torch.float32) if any(ctx.needs_input_grad) and not again else None
        use_torchs_threads()
        _forward(rows(x, 1 if shared else steps), rows(spikes, steps), rows(charged, steps), rows(last, 1), *charge)
        made = (origin.scale, origin.shift, added) if origin else NOT_MADE
        ctx.save_for_backward(origin.x if origin else x if again else charged, *map(torch.from_numpy, made))
        ctx.layout, ctx.again = (x.shape, x.stride()), again
        ctx.constants, ctx.steps, ctx.shared, ctx.learned = (*charge, *back), steps, shared, rate is not None
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    def backward(ctx, grad_spikes, _):
        saved, *made = ctx.saved_tensors
        saved, (scale, shift, added) = saved.as_strided(*ctx.layout), (each.numpy() for each in made)
        x, charged = (saved, None) if ctx.again else (None, saved)
        given, grad_spikes = 1 if ctx.shared else ctx.steps, laid_out(grad_spikes, saved, ctx.shared)
        grad = torch.empty_like(saved)
        rates = np.zeros(-(-saved.numel() // given // BLOCK) if ctx.learned else 0)  # of each block, added in order whatever the threads
        values = rows(grad_spikes, ctx.steps), rows(x, given), rows(charged, given), rows(grad, given)
        _backward(*values, rates, scale, shift, _spread(added, given, saved.numel()), *ctx.constants)
        return grad, torch.tensor(rates.sum(), dtype=torch.float32) if ctx.learned else None, None, None, None, None, None


NOT_MADE = np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, np.uint8)  # currents that are kept themselves


def _added(x, steps, origin) -> np.ndarray | None:
    """What stands beside the normalisation in a sum x, if it is whole numbers: a byte each, [T, n], or a bit; nothing where there is no sum.

    None: x cannot be made again so. Of a sum every value is looked at, else the first of each step.
    """
    made, sums = rows(origin.x, steps), rows(x, steps)
    for part in (slice(0, BLOCK), slice(None)) if origin.added else (slice(0, BLOCK),):  # most that is not whole ends it at once
        some = [np.ascontiguousarray(each[:, part]) for each in (made, sums)]
        found = np.empty(some[1].shape, np.uint8)
        if (largest := _rest(*some, origin.scale, origin.shift, found)) < 0:
            return None
    if origin.added:
        return np.packbits(found) if largest < 2 else found
    return None if largest else NOT_MADE[2]  # torch rounds otherwise, or something was done to it in between


def _spread(added, steps, size):
    """Bits or bytes as bytes [T, n]; of nothing [0, 0]."""
    if added.ndim == 2:
        return added
    return np.unpackbits(added, count=size).reshape(steps, -1) if added.size else added.reshape(0, 0)
