"""Batch normalisation in training and the leaky neuron behind it as one operation in Triton, forwards and backwards, for a CUDA device.

Forwards: each program's share of mean and squared distances, in single precision around the mean of what it holds; their sum by Chan's
formula in double precision (Chan, Golub and LeVeque 1983); then currents scale x + shift in one rounding and x's precision, charged and
fired at once: they are never written to memory. Backwards: currents and membranes are made again in registers, for g = dL/dcurrent and its
sums over each channel; then dL/dx = scale (g - mean g - xhat mean(g xhat)). What programs sum is added in order: results are the same each
time. Kept for the way back are the normalisation's input and five numbers of each channel; torch's normalisation and a neuron behind it
keep two tensors of that size.

The neuron is that of `_triton.py`, whose functions of a step these kernels call. Where statistics are torch's, so are currents to the bit on
a CPU, and spikes the slow loop's; on a GPU torch's own normalisation rounds otherwise.

So far these kernels ran in Triton's interpreter, and were compiled for two GPUs, by tests/test_triton_normalised.py. On a GPU they never
ran: nothing is known of their speed, and how values are shared out among programs is a guess.
"""

import math

import torch
import triton
import triton.language as tl

from benchmark.neurons._layout import laid_out, like
from benchmark.neurons._triton import EXACT, TritonPass, _add, _charge, _leave, _of_rate, _spikes, _through, block, constants

COLUMNS = 32  # channels of a program, where those are what lies side by side
PROGRAMS = 1024  # that share out what is summed
PARTS = 64  # programs whose sums are added at a time
MEAN, VARIANCE, DEVIATION, SCALE, SHIFT = (tl.constexpr(line) for line in range(5))  # lines of numbers, one for each channel
LINES = 5


class NormalisedPass(torch.autograd.Function):
    """x [T, B, C, H, W], or [B, C, H, W] shared by all steps -> spikes [T, B, C, H, W], the last membrane, and lines [LINES, C].

    x: each step contiguous or channels last, without gaps, time outermost. The variance is the biased one; DEVIATION is the root of variance
    + eps, inverse. rate, charge and back are those of `_fused.Pass`.
    """

    surrogates = TritonPass.surrogates

    @staticmethod
    def fits(x) -> bool:
        """Whether a normalisation's input [T*B, C, H, W] lies in memory as it has to, and has a variance."""
        in_order = x.dim() == 4 and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))
        return in_order and x.numel() > x.shape[1]

    @staticmethod
    def forward(ctx, x, rate, weight, bias, eps, steps, shared, charge, back):
        ctx.tiles, ctx.back, ctx.shared = tiles(x if shared else x[0], steps), back, shared
        ctx.constants = {key: value for key, value in constants(charge, steps, shared).items() if key != "BLOCK"}
        lines = statistics(x, weight, bias, eps, 1 if shared else steps, ctx.tiles)
        spikes = like(x, steps) if shared else torch.empty_like(x)
        last = torch.empty_like(spikes[0], dtype=torch.float32)
        launch(_forward, grid(ctx.tiles), x, lines, spikes, last, rate, **ctx.tiles, **ctx.constants)
        ctx.save_for_backward(x, rate, lines)
        ctx.mark_non_differentiable(last, lines)
        return spikes, last, lines

    @staticmethod
    def backward(ctx, grad_spikes, *_):
        x, rate, lines = ctx.saved_tensors
        (programs, blocks), channels = shared_out(ctx.tiles), ctx.tiles["channels"]
        grad = torch.empty_like(x)  # first dL/dcurrent
        sums = torch.empty(2, programs, channels, device=x.device)
        rates = None if rate is None else torch.empty(programs * blocks, device=x.device)
        detach, kind, alpha = ctx.back
        back = {"alpha": alpha, "norm": math.tanh(alpha / 2), "DETACH": detach, "KIND": kind}
        given = laid_out(grad_spikes, x, ctx.shared), x, lines, grad, sums, rates, rate
        launch(_gradient, (programs, blocks), *given, **ctx.tiles, **ctx.constants, **back)
        sums = sums.sum(1, dtype=torch.float64)  # in order
        steps = 1 if ctx.shared else ctx.constants["STEPS"]
        means = (sums / (steps * ctx.tiles["positions"])).float()
        launch(_input, grid(ctx.tiles), x, lines, means, grad, **ctx.tiles, STEPS=steps)
        bias, weight = sums.float()
        return grad, None if rates is None else rates.sum(dtype=torch.float64).to(rate), weight, bias, None, None, None, None, None


def statistics(x, weight, bias, eps, steps, tiles) -> torch.Tensor:
    """[LINES, C] of so many steps that lie one behind the other."""
    (programs, blocks), channels = shared_out(tiles), tiles["channels"]
    parts = torch.empty(3, programs, channels, dtype=torch.float64, device=x.device)
    launch(_statistics, (programs, blocks), x, parts, **tiles, STEPS=steps)
    lines = torch.empty(LINES, channels, device=x.device)
    launch(_merge, (blocks,), parts, weight, bias, lines, eps, programs, channels, COLUMNS=tiles["COLUMNS"], PARTS=PARTS)
    return lines


def tiles(step, steps) -> dict:
    """How one step's values are cut up. positions: of each channel; inner: how many of them lie side by side, 1 where channels come last."""
    channels, inner = step.shape[1], step[0, 0].numel() if step.is_contiguous() else 1
    columns = 1 if inner > 1 else min(COLUMNS, triton.next_power_of_2(channels))
    size = {"ROWS": block(steps) // columns, "COLUMNS": columns}
    return {"positions": step.numel() // channels, "channels": channels, "inner": inner, **size}


def grid(tiles) -> tuple[int, int]:
    """A program for each tile: along positions, along channels."""
    return triton.cdiv(tiles["positions"], tiles["ROWS"]), triton.cdiv(tiles["channels"], tiles["COLUMNS"])


def shared_out(tiles) -> tuple[int, int]:
    """Fewer programs, each of which takes several tiles along positions: what they sum is added up afterwards."""
    along, blocks = grid(tiles)
    return min(along, triton.cdiv(PROGRAMS, blocks)), blocks


def launch(kernel, grid, *arguments, **constants) -> None:
    with torch.cuda.device_of(arguments[0]):
        kernel[grid](*arguments, **constants, **EXACT)


@triton.jit
def _places(tile, positions, channels, inner, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Where the values [ROWS, COLUMNS] of a tile lie within a step, and which of them there are."""
    row = tile * ROWS + tl.arange(0, ROWS)[:, None]
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return row // inner * (channels * inner) + channel * inner + row % inner, (row < positions) & (channel < channels)


@triton.jit
def _line(lines, line, channels, COLUMNS: tl.constexpr):
    """A program's part [1, COLUMNS] of a line."""
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return tl.load(lines + line * channels + channel, channel < channels, 0.0)


@triton.jit
def _current(x, scale, shift):
    """In one rounding, then in x's precision."""
    return tl.fma(x.to(tl.float32), scale, shift).to(x.dtype).to(tl.float32)


@triton.jit
def _statistics(
    x, parts, positions, channels, inner,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """x -> count, mean and squared distances from it, of each program and channel: parts [3, programs, channels]."""
    count = tl.full((), 0.0, tl.float64)
    mean = tl.full((COLUMNS,), 0.0, tl.float64)
    squares = mean
    for tile in range(tl.program_id(0), (positions + ROWS - 1) // ROWS, tl.num_programs(0)):
        at, inside = _places(tile, positions, channels, inner, ROWS, COLUMNS)
        more = (STEPS * tl.minimum(positions - tile * ROWS, ROWS)).to(tl.float64)
        values, total, here = (), tl.full((ROWS, COLUMNS), 0.0, tl.float32), x
        for _ in tl.static_range(STEPS):
            value = tl.load(here + at, inside, 0.0).to(tl.float32)
            values = values + (value,)
            total += value
            here += positions * channels  # a step at a time: T n may not fit 32 bits
        near = tl.reduce(total, 0, _add) / more.to(tl.float32)  # the mean but for its rounding, of which the distances tell
        away = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
        squared = away
        for step in tl.static_range(STEPS):
            distance = tl.where(inside, values[step] - near[None, :], 0.0)
            away += distance
            squared += distance * distance
        off = tl.reduce(away, 0, _add).to(tl.float64)
        shift = near.to(tl.float64) + off / more - mean
        within = tl.maximum(tl.reduce(squared, 0, _add).to(tl.float64) - off * off / more, 0.0)
        squares += within + shift * shift * (count * more / (count + more))  # Chan's formula
        mean += shift * (more / (count + more))
        count += more
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    at, size, there = tl.program_id(0) * channels + channel, tl.num_programs(0) * channels, channel < channels
    tl.store(parts + at, tl.full((COLUMNS,), 0.0, tl.float64) + count, there)
    tl.store(parts + size + at, mean, there)
    tl.store(parts + 2 * size + at, squares, there)


@triton.jit
def _merge(parts, weight, bias, lines, eps, programs, channels, COLUMNS: tl.constexpr, PARTS: tl.constexpr):
    """parts [3, programs, channels] -> lines [LINES, channels]: Chan's formula again, for all programs at once."""
    channel = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    there, size = channel < channels, programs * channels
    count = tl.full((COLUMNS,), 0.0, tl.float64)
    mean = count
    for first in range(0, programs, PARTS):
        program = first + tl.arange(0, PARTS)[:, None]
        at, inside = program * channels + channel[None, :], (program < programs) & there[None, :]
        n = tl.load(parts + at, inside, 0.0)
        count += tl.reduce(n, 0, _add)
        mean += tl.reduce(n * tl.load(parts + size + at, inside, 0.0), 0, _add)
    count = tl.where(there, count, 1.0)
    mean = mean / count
    squares = tl.full((COLUMNS,), 0.0, tl.float64)
    for first in range(0, programs, PARTS):
        program = first + tl.arange(0, PARTS)[:, None]
        at, inside = program * channels + channel[None, :], (program < programs) & there[None, :]
        away = tl.load(parts + size + at, inside, 0.0) - mean[None, :]
        within = tl.load(parts + 2 * size + at, inside, 0.0)
        squares += tl.reduce(within + tl.load(parts + at, inside, 0.0) * away * away, 0, _add)
    variance = squares / count
    deviation = (1.0 / tl.sqrt(variance + eps)).to(tl.float32)
    scale = deviation * tl.load(weight + channel, there, 0.0)
    mean = mean.to(tl.float32)  # as torch keeps it
    shift = tl.load(bias + channel, there, 0.0).to(tl.float64) - mean.to(tl.float64) * scale.to(tl.float64)
    tl.store(lines + MEAN * channels + channel, mean, there)
    tl.store(lines + VARIANCE * channels + channel, variance.to(tl.float32), there)
    tl.store(lines + DEVIATION * channels + channel, deviation, there)
    tl.store(lines + SCALE * channels + channel, scale, there)
    tl.store(lines + SHIFT * channels + channel, shift.to(tl.float32), there)


@triton.jit
def _forward(
    x, lines, spikes, last, rate, positions, channels, inner, tau, threshold, rest,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STEPS: tl.constexpr, SHARED: tl.constexpr, LEARNED: tl.constexpr, DECAY: tl.constexpr, SOFT: tl.constexpr,
):  # fmt: skip
    """x and lines -> spikes of every step and the last membrane; a tile for each program."""
    at, inside = _places(tl.program_id(0), positions, channels, inner, ROWS, COLUMNS)
    scale, shift = _line(lines, SCALE, channels, COLUMNS), _line(lines, SHIFT, channels, COLUMNS)
    leak = tl.load(rate) if LEARNED else tau
    v = tl.full((ROWS, COLUMNS), 0.0, tl.float32) + rest
    for _ in tl.static_range(STEPS):
        h = _charge(_current(tl.load(x + at, inside, 0.0), scale, shift), v, leak, rest, LEARNED, DECAY)
        tl.store(spikes + at, _spikes(h, threshold).to(spikes.dtype.element_ty), inside)
        v = _leave(h, threshold, rest, SOFT)
        x += 0 if SHARED else positions * channels
        spikes += positions * channels
    tl.store(last + at, v, inside)


@triton.jit
def _gradient(
    grad_spikes, x, lines, grad, sums, rates, rate, positions, channels, inner, tau, threshold, rest, alpha, norm,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STEPS: tl.constexpr, SHARED: tl.constexpr, LEARNED: tl.constexpr, DECAY: tl.constexpr, SOFT: tl.constexpr,
    DETACH: tl.constexpr, KIND: tl.constexpr,
):  # fmt: skip
    """dL/dspikes and x -> g = dL/dcurrent; sums [2, programs, channels] of g and g xhat; of each program that of dL/d(1/tau), rates."""
    scale, shift = _line(lines, SCALE, channels, COLUMNS), _line(lines, SHIFT, channels, COLUMNS)
    mean, deviation = _line(lines, MEAN, channels, COLUMNS), _line(lines, DEVIATION, channels, COLUMNS)
    leak = tl.load(rate) if LEARNED else tau
    share = leak if LEARNED else 1.0 / tau
    size = positions * channels
    nothing = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    total, of_bias, of_weight = nothing, nothing, nothing
    for tile in range(tl.program_id(0), (positions + ROWS - 1) // ROWS, tl.num_programs(0)):
        at, inside = _places(tile, positions, channels, inner, ROWS, COLUMNS)
        v, before, charged = nothing + rest, (), ()
        given, into, out = x, grad_spikes, grad
        for step in tl.static_range(STEPS):
            before = before + (v,)
            h = _charge(_current(tl.load(given + at, inside, 0.0), scale, shift), v, leak, rest, LEARNED, DECAY)
            charged = charged + (h,)
            v = _leave(h, threshold, rest, SOFT)
            if step < STEPS - 1:
                given += 0 if SHARED else size
                into += size
                out += 0 if SHARED else size
        carry, g = nothing, nothing
        for back in tl.static_range(STEPS):
            h, v = charged[STEPS - 1 - back], before[STEPS - 1 - back]
            d = _through(h, tl.load(into + at, inside, 0.0).to(tl.float32), carry, threshold, rest, alpha, norm, DETACH, KIND, SOFT)
            if LEARNED:
                total += _of_rate(d, h, v, share, rest, DECAY)
            g = (g if SHARED else nothing) + (share * d if DECAY else d)
            if not SHARED or back == STEPS - 1:
                rounded = g.to(grad.dtype.element_ty)
                tl.store(out + at, rounded, inside)
                of_bias += rounded.to(tl.float32)
                of_weight += rounded.to(tl.float32) * ((tl.load(given + at, inside, 0.0).to(tl.float32) - mean) * deviation)
            carry = (1.0 - share) * d
            given -= 0 if SHARED else size
            into -= size
            out -= 0 if SHARED else size
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    at = tl.program_id(0) * channels + channel
    tl.store(sums + at, tl.reduce(of_bias, 0, _add), channel < channels)
    tl.store(sums + tl.num_programs(0) * channels + at, tl.reduce(of_weight, 0, _add), channel < channels)
    if LEARNED:
        tl.store(rates + tl.program_id(0) * tl.num_programs(1) + tl.program_id(1), tl.reduce(tl.reduce(total, 0, _add), 0, _add))


@triton.jit
def _input(
    x, lines, means, grad, positions, channels, inner,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """dL/dcurrent -> dL/dx, in its place. means [2, channels]: of g and of g xhat."""
    at, inside = _places(tl.program_id(0), positions, channels, inner, ROWS, COLUMNS)
    mean, deviation = _line(lines, MEAN, channels, COLUMNS), _line(lines, DEVIATION, channels, COLUMNS)
    scale, of_g, of_both = _line(lines, SCALE, channels, COLUMNS), _line(means, 0, channels, COLUMNS), _line(means, 1, channels, COLUMNS)
    for _ in tl.static_range(STEPS):
        away = (tl.load(x + at, inside, 0.0).to(tl.float32) - mean) * deviation
        g = tl.load(grad + at, inside, 0.0).to(tl.float32)
        tl.store(grad + at, (scale * (g - of_g - away * of_both)).to(grad.dtype.element_ty), inside)
        x += positions * channels
        grad += positions * channels
