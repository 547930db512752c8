"""The leaky neuron of `_fused.py` in Triton: all T steps in one kernel, forwards and backwards, for a CUDA device.

The operations stand in the order of spikingjelly's and are rounded one by one (no fused multiply-add, IEEE division), so that spikes are
equal to the slow loop's on a CPU to the bit; membranes are in single precision. Saved for the way back is the input alone, which is never
larger than the charged membranes: they are computed anew, in registers.

So far these kernels ran in Triton's interpreter, and were compiled for two GPUs, by tests/test_triton.py.
"""

import math

import torch
import triton
import triton.language as tl

from benchmark.neurons._fused import KERNELS
from benchmark.neurons._layout import dense, laid_out, like
from benchmark.neurons._surrogates import Tanh

TYPES = (torch.float32, torch.bfloat16, torch.float16)
LONGEST = 32  # steps whose membranes stay in registers
INTERPRETED = triton.knobs.runtime.interpret
DEVICES = ("cuda", "cpu") if INTERPRETED else ("cuda",)
EXACT = {"enable_fp_fusion": False}


class TritonPass(torch.autograd.Function):
    """`_fused.Pass` with its arguments; a learned leak is read from `rate` on the device."""

    surrogates = {**KERNELS, Tanh: 4}  # numbers of `_surrogate`

    @staticmethod
    def fits(x) -> bool:
        return 0 < len(x) <= LONGEST and x.numel() > 0 and x.device.type in DEVICES and x.dtype in TYPES

    @staticmethod
    def origin(currents, given) -> None:
        """Nothing: the input itself is kept."""

    @staticmethod
    def forward(ctx, x, rate, steps, shared, charge, back, _):
        x = dense(x, 0 if shared else 1)
        spikes = like(x, steps) if shared else torch.empty_like(x)
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        ctx.constants, ctx.back, ctx.shared = constants(charge, steps, shared), back, shared
        launch(_forward, last.numel(), x, spikes, last, last.numel(), rate, **ctx.constants)
        ctx.save_for_backward(x, rate)
        ctx.mark_non_differentiable(last)
        return spikes, last

    @staticmethod
    def backward(ctx, grad_spikes, _):
        x, rate = ctx.saved_tensors
        size, (detach, kind, alpha) = grad_spikes[0].numel(), ctx.back
        grad_spikes = laid_out(grad_spikes, x, ctx.shared)
        grad = torch.empty_like(x)
        programs = triton.cdiv(size, ctx.constants["BLOCK"])
        rates = None if rate is None else torch.empty(programs, device=x.device)  # of each program, added in order
        back = {"alpha": alpha, "norm": math.tanh(alpha / 2), "DETACH": detach, "KIND": kind}
        launch(_backward, size, grad_spikes, x, grad, rates, size, rate, **ctx.constants, **back)
        return grad, None if rates is None else rates.sum(dtype=torch.float64).to(rate), None, None, None, None, None


def constants(charge, steps, shared) -> dict:
    """What both kernels are told of the neuron and the shape; a reset of nan is a soft one, from rest at 0."""
    tau, learned, decay, threshold, reset = charge
    soft = reset != reset
    flags = {"STEPS": steps, "SHARED": shared, "LEARNED": learned, "DECAY": decay, "SOFT": soft, "BLOCK": block(steps)}
    return {"tau": 1.0 if learned else tau, "threshold": threshold, "rest": 0.0 if soft else reset, **flags}


def block(steps: int) -> int:
    """Elements of one program: as many as four warps of an H100 have registers for without a spill, as compiled."""
    return 512 if steps <= 4 else 256 if steps <= 8 else 128


def launch(kernel, size: int, *arguments, **constants) -> None:
    with torch.cuda.device_of(arguments[0]):
        kernel[(triton.cdiv(size, constants["BLOCK"]),)](*arguments, **constants, **EXACT)


@triton.jit
def _leak(value, leak, LEARNED: tl.constexpr):
    """The share of a value that one step takes: times 1 / tau where that is learned, else divided by tau."""
    return value * leak if LEARNED else tl.div_rn(value, leak)


@triton.jit
def _charge(x, v, leak, rest, LEARNED: tl.constexpr, DECAY: tl.constexpr):
    if DECAY:
        return v + _leak(x - (v - rest), leak, LEARNED)
    else:
        return v - _leak(v - rest, leak, LEARNED) + x


@triton.jit
def _spikes(h, threshold):
    return tl.where(h - threshold >= 0.0, 1.0, 0.0)


@triton.jit
def _leave(h, threshold, rest, SOFT: tl.constexpr):
    """The membrane after the spike of h, if there is one."""
    return h - threshold * _spikes(h, threshold) if SOFT else tl.where(h - threshold >= 0.0, rest, h)


@triton.jit
def _forward(
    x, spikes, last, n, rate, tau, threshold, rest,
    STEPS: tl.constexpr, SHARED: tl.constexpr, LEARNED: tl.constexpr, DECAY: tl.constexpr, SOFT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """x [STEPS, n], or [n] for all steps, -> spikes [STEPS, n] and the last membrane [n]."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    leak = tl.load(rate) if LEARNED else tau
    v = tl.full((BLOCK,), 0.0, tl.float32) + rest
    for _ in tl.static_range(STEPS):
        h = _charge(tl.load(x + at, inside, 0.0).to(tl.float32), v, leak, rest, LEARNED, DECAY)
        tl.store(spikes + at, _spikes(h, threshold).to(spikes.dtype.element_ty), inside)
        v = _leave(h, threshold, rest, SOFT)
        x += 0 if SHARED else n  # a step at a time: T n may not fit 32 bits
        spikes += n
    tl.store(last + at, v, inside)


@triton.jit
def _bell(y):
    """s (1 - s) of the logistic function s(y), which is exact in its tails."""
    e = tl.exp(-tl.abs(y))
    return e / ((1.0 + e) * (1.0 + e))


@triton.jit
def _surrogate(x, alpha, norm, KIND: tl.constexpr):
    """Surrogate gradient at x = h - threshold by its number in `surrogates`; norm: tanh(alpha / 2)."""
    if KIND == 0:
        return alpha * _bell(alpha * x)
    elif KIND == 1:
        y = 1.5707963267948966 * alpha * x
        return alpha / 2 / (1.0 + y * y)
    elif KIND == 2:
        return tl.where(tl.abs(x) < 0.5 / alpha, alpha, 0.0)
    elif KIND == 3:
        return alpha * tl.maximum(1.0 - alpha * tl.abs(x), 0.0)
    else:
        return tl.where(tl.abs(x) <= 0.5, alpha * 2.0 * _bell(2.0 * alpha * x) / norm, 0.0)


@triton.jit
def _add(one, other):
    return one + other


@triton.jit
def _through(h, into, carry, threshold, rest, alpha, norm, DETACH: tl.constexpr, KIND: tl.constexpr, SOFT: tl.constexpr):
    """dL/dh from dL/dspike and from dL/d(membrane after it), the carry."""
    if not DETACH:
        into -= carry * (threshold if SOFT else h - rest)
    kept = carry if SOFT else tl.where(h - threshold >= 0.0, 0.0, carry)
    return into * _surrogate(h - threshold, alpha, norm, KIND) + kept


@triton.jit
def _of_rate(d, h, v, share, rest, DECAY: tl.constexpr):
    """What d = dL/dh of a step adds to dL/d(1/tau)."""
    return d * ((h - v) / share if DECAY else rest - v)


@triton.jit
def _backward(
    grad_spikes, x, grad, rates, n, rate, tau, threshold, rest, alpha, norm,
    STEPS: tl.constexpr, SHARED: tl.constexpr, LEARNED: tl.constexpr, DECAY: tl.constexpr, SOFT: tl.constexpr, BLOCK: tl.constexpr,
    DETACH: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """dL/dspikes [STEPS, n] and x -> dL/dx, and of each program the sum of dL/d(1/tau) where that is learned."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < n
    leak = tl.load(rate) if LEARNED else tau
    share = leak if LEARNED else 1.0 / tau
    v = tl.full((BLOCK,), 0.0, tl.float32) + rest
    before, charged = (), ()
    for step in tl.static_range(STEPS):
        before = before + (v,)
        h = _charge(tl.load(x + at, inside, 0.0).to(tl.float32), v, leak, rest, LEARNED, DECAY)
        charged = charged + (h,)
        v = _leave(h, threshold, rest, SOFT)
        x += 0 if SHARED else n
        grad_spikes += 0 if step == 0 else n
        grad += 0 if SHARED or step == 0 else n
    carry = tl.full((BLOCK,), 0.0, tl.float32)
    total, given = carry, carry
    for back in tl.static_range(STEPS):
        h, v = charged[STEPS - 1 - back], before[STEPS - 1 - back]
        into = tl.load(grad_spikes + at, inside, 0.0).to(tl.float32)
        d = _through(h, into, carry, threshold, rest, alpha, norm, DETACH, KIND, SOFT)
        if LEARNED:
            total += _of_rate(d, h, v, share, rest, DECAY)
        g = share * d if DECAY else d
        given = given + g if SHARED else g
        if not SHARED or back == STEPS - 1:
            tl.store(grad + at, given.to(grad.dtype.element_ty), inside)
        carry = (1.0 - share) * d
        grad_spikes -= n
        grad -= 0 if SHARED else n
    if LEARNED:
        tl.store(rates + tl.program_id(0), tl.reduce(total, 0, _add))
