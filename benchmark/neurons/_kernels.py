"""The numba kernels behind `_fused.py`: a leaky neuron over all steps, forwards and backwards, and the normalisation before it.

Everything that is compiled stands in this file: numba's cache does not notice a change in another one. Currents are [T, n], in the storage
order of their tensor; bfloat16 comes as its bits.
"""

import math

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

BLOCK = 4096  # elements whose membrane stays in the first-level cache over all T steps
TOGETHER = 16  # blocks of a part, which is one thread's


kernel = numba.njit(cache=True, error_model="numpy", parallel=True)
inline = numba.njit(cache=True, error_model="numpy")
fused = numba.njit(cache=True, error_model="numpy", fastmath={"contract"})  # where a product and a sum may be rounded as one


@intrinsic
def _fma(typing, a, b, c):
    """a b + c, rounded once."""
    one = types.float32
    return one(one, one, one), lambda context, builder, signature, values: builder.fma(*values)


@intrinsic
def _bits(typing, value):
    return types.uint32(types.float32), lambda context, builder, signature, values: builder.bitcast(values[0], ir.IntType(32))


@intrinsic
def _from_bits(typing, value):
    return types.float32(types.uint32), lambda context, builder, signature, values: builder.bitcast(values[0], ir.FloatType())


def parts(n, length):
    """How many there are of n elements."""
    return (n + TOGETHER * length - 1) // (TOGETHER * length)


@overload(parts, inline="always")
def _(n, length):
    return lambda n, length: (n + TOGETHER * length - 1) // (TOGETHER * length)


def _get(values, i):
    """An element as float32; uint16 are the bits of a bfloat16."""


def _put(values, i, value):
    """Write a float32, rounded half up to what `values` holds."""


def _rounded(values, value):
    """A float32 as `values` would hold it, ties to even as torch does."""


@overload(_get, inline="always")
def _(values, i):
    if values.dtype == types.uint16:
        return lambda values, i: _from_bits(np.uint32(values[i]) << np.uint32(16))
    return lambda values, i: values[i]


@overload(_put, inline="always")
def _(values, i, value):
    if values.dtype == types.uint16:

        def narrow(values, i, value):
            values[i] = np.uint16((_bits(value) + np.uint32(0x8000)) >> np.uint32(16))

        return narrow

    def put(values, i, value):
        values[i] = value

    return put


@overload(_rounded, inline="always")
def _(values, value):
    if values.dtype == types.uint16:

        def to_even(values, value):
            bits = _bits(value)
            odd = (bits >> np.uint32(16)) & np.uint32(1)
            return _from_bits((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000))

        return to_even
    return lambda values, value: value


def _current(x, scale, shift, added, i):
    """What comes in: x itself, or normalised and, if there is something, with it added, rounded as x is."""


@overload(_current, inline="always")
def _(x, scale, shift, added, i):
    if isinstance(scale, types.NoneType):
        return lambda x, scale, shift, added, i: _get(x, i)
    if isinstance(added, types.NoneType):
        return lambda x, scale, shift, added, i: _rounded(x, _fma(_get(x, i), scale[i], shift[i]))
    return lambda x, scale, shift, added, i: _rounded(x, _rounded(x, _fma(_get(x, i), scale[i], shift[i])) + _get(added, i))


def _part(values, given, lo, hi):
    """A block of one step's row, None of None."""


@overload(_part, inline="always")
def _(values, given, lo, hi):
    if isinstance(values, types.NoneType):
        return lambda values, given, lo, hi: None
    return lambda values, given, lo, hi: values[given, lo:hi]


def _block(scale):
    """Elements of a block."""


@overload(_block)
def _(scale):
    return (lambda scale: BLOCK) if isinstance(scale, types.NoneType) else (lambda scale: scale.size)


@inline
def _charge(x, scale, shift, added, v, h, leak, multiplies, decay_input, rest):
    """h from v and what comes in as spikingjelly computes it: a LIF divides by leak = tau, which a product is for a power of two."""
    if multiplies and decay_input:
        for i in range(v.size):
            h[i] = v[i] + (_current(x, scale, shift, added, i) - (v[i] - rest)) * leak
    elif multiplies:
        for i in range(v.size):
            h[i] = v[i] - (v[i] - rest) * leak + _current(x, scale, shift, added, i)
    elif decay_input:
        for i in range(v.size):
            h[i] = v[i] + (_current(x, scale, shift, added, i) - (v[i] - rest)) / leak
    else:
        for i in range(v.size):
            h[i] = v[i] - (v[i] - rest) / leak + _current(x, scale, shift, added, i)


@inline
def _fire(h, s, v, threshold, reset):
    """Spikes s of the charged membrane h and what they leave of it, v; a reset of nan takes the threshold away instead."""
    rest, one, zero = np.float32(reset), np.float32(1), np.float32(0)
    if reset != reset:
        for i in range(v.size):
            spike = one if h[i] - threshold >= zero else zero
            _put(s, i, spike)
            v[i] = h[i] - threshold * spike
    else:
        for i in range(v.size):
            fires = h[i] - threshold >= zero
            _put(s, i, one if fires else zero)
            v[i] = rest if fires else h[i]


@kernel
def _forward(x, scale, shift, mean, added, spikes, last, leak, multiplies, decay_input, threshold, reset):
    """x [T or 1, n] -> spikes [T, n] and the last membranes [1, n]; scale, shift, added: None or see `_current`."""
    steps, n = spikes.shape
    leak, threshold, rest = np.float32(leak), np.float32(threshold), np.float32(0 if reset != reset else reset)
    length = _block(scale)
    for part in numba.prange(parts(n, length)):
        charged = np.empty(length, np.float32)
        for lo in range(part * TOGETHER * length, min(n, (part + 1) * TOGETHER * length), length):
            hi = min(n, lo + length)
            v, h = last[0, lo:hi], charged[: hi - lo]
            v[:] = rest
            for t in range(steps):
                given = t if x.shape[0] > 1 else 0
                plus = _part(added, given, lo, hi)
                _charge(x[given, lo:hi], scale, shift, plus, v, h, leak, multiplies, decay_input, rest)
                _fire(h, spikes[t, lo:hi], v, threshold, reset)


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
    """Surrogate gradient at h into g, by its number in KERNELS; the sigmoid's as alpha / 4 (1 - tanh^2(alpha x / 2))."""
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
    elif kind == 2:
        for i in range(h.size):
            g[i] = height if abs(h[i] - threshold) < edge else np.float32(0)
    else:
        for i in range(h.size):
            g[i] = height * max(np.float32(0), one - height * abs(h[i] - threshold))


@numba.njit(cache=True, error_model="numpy", fastmath={"contract", "arcp"})
def _step_back(grad_s, h, g, carry, rate, decay_input, threshold, reset, detach_reset):
    """One step backwards: g (surrogate gradient in, dL/dx out), carry (dL/dv after the step in, before the step out)."""
    rest, soft = (np.float32(0) if reset != reset else np.float32(reset)), reset != reset
    threshold, keep, zero = np.float32(threshold), np.float32(1 - rate), np.float32(0)
    gain, through = np.float32(rate if decay_input else 1), np.float32(0 if detach_reset else 1)
    if soft:
        for i in range(h.size):
            d = (_get(grad_s, i) - through * carry[i] * threshold) * g[i] + carry[i]
            g[i] = gain * d
            carry[i] = keep * d
    else:
        for i in range(h.size):
            d = (_get(grad_s, i) + through * carry[i] * (rest - h[i])) * g[i] + (zero if h[i] - threshold >= zero else carry[i])
            g[i] = gain * d
            carry[i] = keep * d


@inline
def _copy(g, out):
    for i in range(g.size):
        _put(out, i, g[i])


@numba.njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _rate_gradient(g, h, before, first, rate, decay_input, threshold, reset):
    """One step's share of dL/d(1/tau): dL/dh times dh/d(1/tau), which is x - (v - rest), or -(v - rest) for an input that does not decay.

    g: dL/dx; h: the charged membrane; before: the one a step earlier, which left v, or anything at the `first` step, where v was at rest.
    """
    rest, soft, total, zero = np.float32(0 if reset != reset else reset), reset != reset, np.float32(0), np.float32(0)
    threshold = np.float32(threshold)
    for i in range(h.size):
        fired = before[i] - threshold >= zero
        left = (before[i] - threshold if soft else rest) if fired else before[i]
        v = rest if first else left
        total += g[i] * (h[i] - v if decay_input else rest - v)
    return total / rate**2 if decay_input else total


@inline
def _leave(h, v, threshold, reset):
    """`_fire` for the membrane alone."""
    rest, one, zero = np.float32(reset), np.float32(1), np.float32(0)
    if reset != reset:
        for i in range(v.size):
            v[i] = h[i] - threshold * (one if h[i] - threshold >= zero else zero)
    else:
        for i in range(v.size):
            v[i] = rest if h[i] - threshold >= zero else h[i]


@inline
def _add(x, out):
    for i in range(x.size):
        out[i] += x[i]


@inline
def _by_channel(values, out):
    """[n] -> [channels], sums over positions."""
    out[:] = 0
    for start in range(0, values.size, out.size):
        _add(values[start : start + out.size], out)


@fused
def _add_products(g, x, mean, first, second):
    for i in range(g.size):
        first[i] += g[i]
        second[i] += g[i] * (_get(x, i) - mean[i])


def _add_up(g, x, mean, first, second):
    """What a normalisation's gradient needs: sums of the gradient, and of it times the distance from the mean."""


@overload(_add_up)
def _(g, x, mean, first, second):
    if isinstance(mean, types.NoneType):
        return lambda g, x, mean, first, second: None
    return lambda g, x, mean, first, second: _add_products(g, x, mean, first, second)


def _keep(first, second, sums, part):
    """A part's sums, by channel; nothing where there is no normalisation."""


@overload(_keep)
def _(first, second, sums, part):
    if isinstance(sums, types.NoneType):
        return lambda first, second, sums, part: None

    def keep(first, second, sums, part):
        _by_channel(first, sums[part, 0])
        _by_channel(second, sums[part, 1])

    return keep


@kernel
def _backward(
    grad_spikes, x, scale, shift, mean, added, grad, rates, sums, leak, multiplies, decay_input, threshold, reset, detach_reset, kind, alpha
):
    """dL/dspikes [T, n] -> grad [T or 1, n], dL/d of what came in; of each part the share of dL/d(1/tau), and `_add_up` by channel.

    Every step's charged membrane is computed once more, to the bit.
    """
    steps, n = grad_spikes.shape
    shared, rate, rest = grad.shape[0] < steps, leak if multiplies else 1 / leak, np.float32(0 if reset != reset else reset)
    length = _block(scale)
    for part in numba.prange(parts(n, length)):
        membranes, work = np.empty((steps, length), np.float32), np.zeros((5, length), np.float32)
        first, second = work[3], work[4]
        for lo in range(part * TOGETHER * length, min(n, (part + 1) * TOGETHER * length), length):
            hi = min(n, lo + length)
            charged, v, carry, total = membranes[:, : hi - lo], work[0, : hi - lo], work[1, : hi - lo], work[2, : hi - lo]
            v[:], carry[:], total[:] = rest, 0, 0
            for t in range(steps):
                given = t if x.shape[0] > 1 else 0
                plus = _part(added, given, lo, hi)
                _charge(x[given, lo:hi], scale, shift, plus, v, charged[t], np.float32(leak), multiplies, decay_input, rest)
                _leave(charged[t], v, np.float32(threshold), reset)
            g = v
            for back in range(steps):
                t = steps - 1 - back
                h = charged[t]
                _surrogate(h, g, threshold, kind, alpha)
                _step_back(grad_spikes[t, lo:hi], h, g, carry, rate, decay_input, threshold, reset, detach_reset)
                if rates.size > 0:
                    rates[part] += _rate_gradient(g, h, charged[max(t - 1, 0)], t == 0, rate, decay_input, threshold, reset)
                if shared:
                    _add(g, total)
                else:
                    _copy(g, grad[t, lo:hi])
                    _add_up(g, x[t, lo:hi], mean, first, second)
            if shared:
                _copy(total, grad[0, lo:hi])
                _add_up(total, x[0, lo:hi], mean, first, second)
        _keep(first, second, sums, part)


# ---- a normalisation of channels; `scale`, `mean` and so on are lines, its values for each channel repeated over a block of positions


@fused
def _straight(grad, x, factor, slope, mean, shift, out):
    for i in range(grad.size):
        _put(out, i, factor[i] * _get(grad, i) - slope[i] * (_get(x, i) - mean[i]) - shift[i])


@kernel
def _straighten(grad, x, out, factor, slope, mean, shift):
    """dL/dx of a normalisation, [1, n]: factor dL/dy - slope (x - mean) - shift."""
    n, length = x.shape[1], factor.size
    for part in numba.prange(parts(n, length)):
        for lo in range(part * TOGETHER * length, min(n, (part + 1) * TOGETHER * length), length):
            hi = min(n, lo + length)
            _straight(grad[0, lo:hi], x[0, lo:hi], factor, slope, mean, shift, out[0, lo:hi])


@fused
def _moments(x, pivot, first, second):
    for i in range(x.size):
        d = _get(x, i) - pivot[i]
        first[i] += d
        second[i] += d * d


@kernel
def _moments_of(x, pivot, sums):
    """Of a row x [1, n] the sums of x - pivot and of its square, [parts, 2, channels]: each of so many blocks."""
    parts, n, length = len(sums), x.shape[1], pivot.size
    blocks = (n + length - 1) // length
    for part in numba.prange(parts):
        found = np.zeros((2, length), np.float32)
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            lo, hi = block * length, min(n, (block + 1) * length)
            _moments(x[0, lo:hi], pivot, found[0], found[1])
        _by_channel(found[0], sums[part, 0])
        _by_channel(found[1], sums[part, 1])
