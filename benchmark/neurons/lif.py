"""The leaky integrate-and-fire neuron of all backbones: a spikingjelly node whose CPU step is one fused pass.

`LIF` is `spikingjelly.activation_based.neuron.LIFNode` with every constant written out. On a GPU, in double precision, with a
surrogate that the kernel does not know, or while a membrane is carried over from an earlier call, spikingjelly's own
implementation runs; otherwise a numba kernel goes once over the input, the T steps inside a block that stays in cache.
Spikes are equal to spikingjelly's, gradients agree to 1e-6 (tests/test_neurons.py).
"""

import math

import numba
import numpy as np
import torch
from numba.extending import overload
from spikingjelly.activation_based import neuron, surrogate

from benchmark.neurons._base import Neuron

SURROGATES = {"sigmoid": surrogate.Sigmoid, "atan": surrogate.ATan, "rect": surrogate.Rect}
KERNEL_SURROGATES = {surrogate.Sigmoid: 0, surrogate.ATan: 1, surrogate.Rect: 2}
BLOCK = 4096  # elements whose membrane stays in the first-level cache over all T steps


def lif(*, tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha) -> "LIF":
    """A multi-step LIF layer; no constant has a default, because library defaults drift.

    tau: membrane time constant in steps (> 1). v_threshold, v_reset: membrane units; v_reset None subtracts the threshold instead.
    detach_reset: no gradient through the reset. decay_input: the input is divided by tau as well (spikingjelly's eq. 1).
    surrogate, alpha: gradient of the step function, `sigmoid` or `atan` and its slope, or `rect` and its height (width 1 / alpha).
    """
    return LIF(
        tau=float(tau),
        v_threshold=float(v_threshold),
        v_reset=None if v_reset is None else float(v_reset),
        detach_reset=bool(detach_reset),
        decay_input=bool(decay_input),
        surrogate_function=SURROGATES[surrogate](alpha=float(alpha)),
        step_mode="m",
    )


class LIF(Neuron, neuron.LIFNode):
    """[T, B, ...] currents -> spikes of the same shape and memory layout.

    A time axis of stride 0 (a static image, expanded) is read once and its gradient summed once. After a fused call
    `v` holds the last membrane without a gradient: truncate back-propagation there or reset.
    """

    def multi_step_forward(self, x_seq, *args, **kwargs):
        if not self._fused(x_seq):
            return super().multi_step_forward(x_seq, *args, **kwargs)
        reset = math.nan if self.v_reset is None else self.v_reset
        function = self.surrogate_function
        constants = (
            self.tau,
            self.decay_input,
            self.v_threshold,
            reset,
            self.detach_reset,
            KERNEL_SURROGATES[type(function)],
            function.alpha,
        )
        shared = x_seq.stride(0) == 0 and x_seq.shape[0] > 1
        spikes, self.v = FusedLIF.apply(x_seq[0] if shared else x_seq, x_seq.shape[0], shared, constants)
        return spikes

    def _fused(self, x) -> bool:
        fresh = not isinstance(self.v, torch.Tensor) and not self.store_v_seq
        supported = (
            x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and type(self.surrogate_function) in KERNEL_SURROGATES
        )
        return fresh and supported and self._neuron_precision is None


class FusedLIF(torch.autograd.Function):
    """All T steps in one pass over the input in its own storage order; saves the charged membrane alone."""

    @staticmethod
    def forward(ctx, x, steps, shared, constants):
        x = _dense(x, 0 if shared else 1)
        spikes = _like(x, steps) if shared else torch.empty_like(x)
        charged = torch.empty_like(spikes, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
        _forward(_rows(x, 1 if shared else steps), _rows(spikes, steps), _rows(charged, steps), _rows(last, 1), *constants[:4])
        ctx.save_for_backward(charged)
        ctx.constants, ctx.steps, ctx.shared, ctx.dtype = constants, steps, shared, x.dtype
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    def backward(ctx, grad_spikes, _):
        (charged,) = ctx.saved_tensors
        grad_spikes = (
            torch.empty_like(charged, dtype=ctx.dtype).copy_(grad_spikes) if grad_spikes.stride() != charged.stride() else grad_spikes
        )
        grad = torch.empty_like(charged[0] if ctx.shared else charged, dtype=ctx.dtype)
        _backward(_rows(grad_spikes, ctx.steps), _rows(charged, ctx.steps), _rows(grad, 1 if ctx.shared else ctx.steps), *ctx.constants)
        return grad, None, None, None


def _dense(x, time_dims):
    """x itself if its storage is one gapless block with time outermost, else a contiguous copy."""
    expected = 1
    for stride, size in sorted(
        (stride, size) for stride, size in zip(x.stride()[time_dims:], x.shape[time_dims:], strict=True) if size > 1
    ):
        if stride != expected:
            return x.contiguous()
        expected *= size
    outermost = not time_dims or x.shape[0] == 1 or x.stride(0) == expected
    return x if outermost else x.contiguous()


def _like(x, steps):
    """An empty [steps, *x.shape] whose every step has x's memory layout."""
    return torch.empty_strided((steps, *x.shape), (x.numel(), *x.stride()), dtype=x.dtype)


def _rows(x, rows):
    """A gapless tensor as a [rows, n] numpy view in storage order; bfloat16 as its bits. None gives an empty array."""
    if x is None:
        return np.empty((0, 0), np.float32)
    x = x.detach().as_strided((rows, x.numel() // rows), (x.numel() // rows, 1))
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def _read(values, buffer):
    """`values` as float32: itself, or bfloat16 bits widened into `buffer`."""


def _write(values, buffer):
    """Where to put float32 results for `values`: itself, or `buffer` until `_finish`."""


def _finish(values, buffer):
    """Round `buffer` half up into bfloat16 bits; nothing to do for float32."""


@overload(_read)
def _(values, buffer):
    if values.dtype == numba.uint16:

        def widen(values, buffer):
            bits = buffer.view(np.uint32)
            for i in range(values.size):
                bits[i] = np.uint32(values[i]) << np.uint32(16)
            return buffer

        return widen
    return lambda values, buffer: values


@overload(_write)
def _(values, buffer):
    if values.dtype == numba.uint16:
        return lambda values, buffer: buffer
    return lambda values, buffer: values


@overload(_finish)
def _(values, buffer):
    if values.dtype == numba.uint16:

        def narrow(values, buffer):
            bits = buffer.view(np.uint32)
            for i in range(values.size):
                values[i] = np.uint16((bits[i] + np.uint32(0x8000)) >> np.uint32(16))

        return narrow
    return lambda values, buffer: None


kernel = numba.njit(cache=True, error_model="numpy", parallel=True)
inline = numba.njit(cache=True, error_model="numpy")


@inline
def _step(x, h, s, v, tau, decay_input, threshold, reset):
    """One step of spikingjelly's LIF on a block, the same operations in the same order: charge h, fire s, reset v."""
    rest, soft = (np.float32(0) if reset != reset else np.float32(reset)), reset != reset
    tau, threshold, one, zero = np.float32(tau), np.float32(threshold), np.float32(1), np.float32(0)
    if decay_input:
        for i in range(v.size):
            h[i] = v[i] + (x[i] - (v[i] - rest)) / tau
    else:
        for i in range(v.size):
            h[i] = v[i] - (v[i] - rest) / tau + x[i]
    if soft:
        for i in range(v.size):
            s[i] = one if h[i] - threshold >= zero else zero
            v[i] = h[i] - threshold * s[i]
    else:
        for i in range(v.size):
            fires = h[i] - threshold >= zero
            s[i] = one if fires else zero
            v[i] = rest if fires else h[i]


@kernel
def _forward(x, spikes, charged, last, tau, decay_input, threshold, reset):
    steps, n = spikes.shape
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(n, (block + 1) * BLOCK)
        v = last[0, lo:hi]
        v[:] = np.float32(0) if reset != reset else np.float32(reset)
        x_buffer, s_buffer, h_buffer = np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32)
        for t in range(steps):
            current = _read(x[t if x.shape[0] > 1 else 0, lo:hi], x_buffer)
            h = charged[t, lo:hi] if charged.size > 0 else h_buffer
            out = spikes[t, lo:hi]
            _step(current, h, _write(out, s_buffer), v, tau, decay_input, threshold, reset)
            _finish(out, s_buffer)


@inline
def _tanh(x):
    """Rational approximation on [-9, 9] (the 13/6 form of Eigen's float tanh): no exp, so that the loop vectorises."""
    x = min(np.float32(9), max(np.float32(-9), x))
    y = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * y + np.float32(2.00018790482477e-13)
    p = p * y + np.float32(-8.60467152213735e-11)
    p = p * y + np.float32(5.12229709037114e-08)
    p = p * y + np.float32(1.48572235717979e-05)
    p = p * y + np.float32(6.37261928875436e-04)
    p = p * y + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * y + np.float32(1.18534705686654e-04)
    q = q * y + np.float32(2.26843463243900e-03)
    q = q * y + np.float32(4.89352518554385e-03)
    return x * p / q


@numba.njit(cache=True, error_model="numpy", fastmath=True)
def _surrogate(h, g, threshold, kind, alpha):
    """Surrogate gradient at h into g: sigmoid alpha/4 (1 - tanh^2(alpha x / 2)), arc tangent, or alpha inside |x| < 1 / (2 alpha)."""
    threshold, half, quarter = np.float32(threshold), np.float32(alpha / 2), np.float32(alpha / 4)
    one, slope = np.float32(1), np.float32(math.pi / 2 * alpha)
    height, edge = np.float32(alpha), np.float32(0.5 / alpha)
    if kind == 0:
        for i in range(h.size):
            y = _tanh(half * (h[i] - threshold))
            g[i] = quarter * (one - y * y)
    elif kind == 1:
        for i in range(h.size):
            y = slope * (h[i] - threshold)
            g[i] = half / (one + y * y)
    else:
        for i in range(h.size):
            g[i] = height if abs(h[i] - threshold) < edge else np.float32(0)


@numba.njit(cache=True, error_model="numpy", fastmath={"contract", "arcp"})
def _step_back(grad_s, h, g, carry, tau, decay_input, threshold, reset, detach_reset):
    """One step backwards: g (surrogate gradient in, dL/dx out), carry (dL/dv after the step in, before the step out)."""
    rest, soft = (np.float32(0) if reset != reset else np.float32(reset)), reset != reset
    threshold, keep, zero = np.float32(threshold), np.float32(1 - 1 / tau), np.float32(0)
    gain, through = np.float32(1 / tau if decay_input else 1), np.float32(0 if detach_reset else 1)
    if soft:
        for i in range(h.size):
            d = (grad_s[i] - through * carry[i] * threshold) * g[i] + carry[i]
            g[i] = gain * d
            carry[i] = keep * d
    else:
        for i in range(h.size):
            d = (grad_s[i] + through * carry[i] * (rest - h[i])) * g[i] + (zero if h[i] - threshold >= zero else carry[i])
            g[i] = gain * d
            carry[i] = keep * d


@inline
def _sum(g, total, out):
    for i in range(g.size):
        total[i] += g[i]
        out[i] = total[i]


@kernel
def _backward(grad_spikes, charged, grad, tau, decay_input, threshold, reset, detach_reset, kind, alpha):
    steps, n = charged.shape
    shared = grad.shape[0] < steps
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(n, (block + 1) * BLOCK)
        s_buffer, g_buffer, x_buffer = np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32)
        carry, total = np.zeros(hi - lo, np.float32), np.zeros(hi - lo, np.float32)
        for back in range(steps):
            t = steps - 1 - back
            incoming = _read(grad_spikes[t, lo:hi], s_buffer)
            out = grad[0 if shared else t, lo:hi]
            g = g_buffer if shared else _write(out, g_buffer)
            _surrogate(charged[t, lo:hi], g, threshold, kind, alpha)
            _step_back(incoming, charged[t, lo:hi], g, carry, tau, decay_input, threshold, reset, detach_reset)
            if shared:
                _sum(g, total, _write(out, x_buffer))
                _finish(out, x_buffer)
            else:
                _finish(out, g_buffer)
