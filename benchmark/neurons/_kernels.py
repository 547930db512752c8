"""The loops of the leaky neuron on a CPU, compiled by numba: forwards, backwards, and what stands beside a normalisation in a sum.

Values are [T, n] in storage order, float32 or the bits of bfloat16. Everything that is compiled together stands in this file: numba's cache
does not notice a change in another one.
"""

import math

import numba
import numpy as np
from numba.extending import overload

BLOCK = 4096  # elements whose membrane stays in the first-level cache over all T steps


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
def _charge(x, v, h, leak, learned, decay_input, rest):
    """h from v and x as spikingjelly computes it: a LIF divides by leak = tau, a parametric LIF multiplies by leak = 1 / tau."""
    if learned and decay_input:
        for i in range(v.size):
            h[i] = v[i] + (x[i] - (v[i] - rest)) * leak
    elif learned:
        for i in range(v.size):
            h[i] = v[i] - (v[i] - rest) * leak + x[i]
    elif decay_input:
        for i in range(v.size):
            h[i] = v[i] + (x[i] - (v[i] - rest)) / leak
    else:
        for i in range(v.size):
            h[i] = v[i] - (v[i] - rest) / leak + x[i]


@inline
def _fire(h, s, v, threshold, reset):
    """Spikes s of the charged membrane h and what they leave of it, v; a reset of nan takes the threshold away instead."""
    rest, one, zero = np.float32(reset), np.float32(1), np.float32(0)
    if reset != reset:
        for i in range(v.size):
            s[i] = one if h[i] - threshold >= zero else zero
            v[i] = h[i] - threshold * s[i]
    else:
        for i in range(v.size):
            fires = h[i] - threshold >= zero
            s[i] = one if fires else zero
            v[i] = rest if fires else h[i]


@kernel
def _forward(x, spikes, charged, last, leak, learned, decay_input, threshold, reset):
    steps, n = spikes.shape
    leak, threshold, rest = np.float32(leak), np.float32(threshold), np.float32(0 if reset != reset else reset)
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(n, (block + 1) * BLOCK)
        v = last[0, lo:hi]
        v[:] = rest
        x_buffer, s_buffer, h_buffer = np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32)
        for t in range(steps):
            current = _read(x[t if x.shape[0] > 1 else 0, lo:hi], x_buffer)
            h = charged[t, lo:hi] if charged.size > 0 else h_buffer
            out = spikes[t, lo:hi]
            _charge(current, v, h, leak, learned, decay_input, rest)
            _fire(h, _write(out, s_buffer), v, threshold, reset)
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


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _normalise(x, scale, shift, y, half):
    """scale x + shift in one rounding, as torch does, and in half precision another. y is not x, or the loop would not be vectorised."""
    for i in range(y.size):
        y[i] = x[i] * scale[i] + shift[i]
    _round(y, half)


@inline
def _round(y, half):
    """To bfloat16's nearest, the even one of two."""
    if half:
        bits, one = y.view(np.uint32), np.uint32(1)
        for i in range(y.size):
            bits[i] = (bits[i] + np.uint32(0x7FFF) + (bits[i] >> np.uint32(16) & one)) & np.uint32(0xFFFF0000)


@inline
def _add(y, added, half):
    for i in range(y.size):
        y[i] += np.float32(added[i])
    _round(y, half)


@inline
def _whole(y, sums, found, half):
    """Whole numbers with which y makes the sums; the largest, or -1 if one is made otherwise."""
    for i in range(y.size):
        found[i] = np.uint8(np.int32(np.rint(sums[i] - y[i])))
    _add(y, found, half)
    other, yes, no, largest = np.uint32(0), np.uint32(1), np.uint32(0), np.uint8(0)
    for i in range(y.size):
        other |= yes if y[i] != sums[i] else no
        largest = max(largest, found[i])
    return -1 if other else largest


@kernel
def _rest(x, sums, scale, shift, found):
    """What was added to scale x + shift, as whole numbers; the largest, or -1 if one sum does not come out to the bit."""
    steps, n = sums.shape
    blocks = (n + BLOCK - 1) // BLOCK
    least, largest = np.zeros(blocks, np.int64), np.zeros(blocks, np.int64)
    for block in numba.prange(blocks):
        lo, hi = block * BLOCK, min(n, (block + 1) * BLOCK)
        at, half = lo % (scale.size - BLOCK), x.itemsize == 2
        y, x_buffer, s_buffer = np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32)
        for t in range(steps):
            _normalise(_read(x[t, lo:hi], x_buffer), scale[at : at + hi - lo], shift[at : at + hi - lo], y, half)
            top = _whole(y, _read(sums[t, lo:hi], s_buffer), found[t, lo:hi], half)
            least[block], largest[block] = min(least[block], top), max(largest[block], top)
    return -1 if least.min() < 0 else largest.max()


@inline
def _charge_all(x, lo, hi, charged, v, x_buffer, scale, shift, added, leak, learned, decay_input, threshold, reset):
    """Every step's charged membrane [T, hi - lo] once more, to the bit, from that part of the input [T or 1, n] and a membrane v at rest.

    scale, shift, added: what made the input of x; empty if nothing did. Parts are cut out here: numba knows that they are gapless.
    """
    leak, threshold, rest = np.float32(leak), np.float32(threshold), np.float32(0 if reset != reset else reset)
    v[:] = rest
    made = np.empty(v.size if scale.size > 0 else 0, np.float32)
    for t in range(len(charged)):
        current = _read(x[t if len(x) > 1 else 0, lo:hi], x_buffer)
        if scale.size > 0:
            _normalise(current, scale, shift, made, x.itemsize == 2)
            current = made
            if added.size > 0:
                _add(current, added[t if len(added) > 1 else 0, lo:hi], x.itemsize == 2)
        _charge(current, v, charged[t], leak, learned, decay_input, rest)
        _leave(charged[t], v, threshold, reset)


@kernel
def _backward(
    grad_spikes, x, charged, grad, rates, scale, shift, added, leak, learned, decay_input, threshold, reset, detach_reset, kind, alpha
):
    steps, n = grad_spikes.shape
    shared, again, rate = grad.shape[0] < steps, charged.size == 0, leak if learned else 1 / leak
    for block in numba.prange((n + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(n, (block + 1) * BLOCK)
        s_buffer, g_buffer, x_buffer = np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32), np.empty(hi - lo, np.float32)
        carry, total = np.zeros(hi - lo, np.float32), np.zeros(hi - lo, np.float32)
        anew = np.empty((steps if again else 0, hi - lo), np.float32)
        if again:
            at = lo % (scale.size - BLOCK) if scale.size > 0 else 0
            made = scale[at : at + hi - lo], shift[at : at + hi - lo], added
            _charge_all(x, lo, hi, anew, g_buffer, x_buffer, *made, leak, learned, decay_input, threshold, reset)
        for back in range(steps):
            t = steps - 1 - back
            h, incoming = anew[t] if again else charged[t, lo:hi], _read(grad_spikes[t, lo:hi], s_buffer)
            out = grad[0 if shared else t, lo:hi]
            g = g_buffer if shared else _write(out, g_buffer)
            _surrogate(h, g, threshold, kind, alpha)
            _step_back(incoming, h, g, carry, rate, decay_input, threshold, reset, detach_reset)
            if learned:
                before = anew[max(t - 1, 0)] if again else charged[max(t - 1, 0), lo:hi]
                rates[block] += _rate_gradient(g, h, before, t == 0, rate, decay_input, threshold, reset)
            if shared:
                _sum(g, total, _write(out, x_buffer))
                _finish(out, x_buffer)
            else:
                _finish(out, g_buffer)
