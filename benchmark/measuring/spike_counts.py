"""What the counter asks of a tensor, in one pass over it: how many channels are not zero at each position, and which values occur.

On a CPU a numba kernel reads the tensor once in its storage order (either memory layout); elsewhere, and for other types than
float32, torch does the same.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import torch

from benchmark.neurons._layout import use_torchs_threads

NARROW = 32  # channels


class Range(NamedTuple):
    """Which values occurred: any negative, any not whole, the least and the greatest magnitude of those that are not 0."""

    negative: bool = False
    fraction: bool = False
    least: float = math.inf
    most: float = 0.0

    def __or__(self, other: "Range") -> "Range":
        """What occurred in either."""
        least, most = min(self.least, other.least), max(self.most, other.most)
        return Range(bool(self.negative or other.negative), bool(self.fraction or other.fraction), least, most)

    @property
    def kind(self) -> str:
        """One of conventions' KINDS."""
        single = self.least >= self.most  # one magnitude, or only zeros
        if single and not self.negative and self.most in (0, 1):
            return "binary"
        if not self.fraction:
            return "integer"
        return "unit" if single else "real" if self.negative else "fraction"


REAL = Range(True, True, 0.0, math.inf)


@dataclass
class Sums:
    """How many values are not zero, int64: rows [rows or steps], positions [positions].

    values: float64 [positions], sums of magnitudes; None where they are binary or real. range: a Range as float64 [4].
    """

    rows: torch.Tensor
    positions: torch.Tensor
    values: torch.Tensor | None
    range: torch.Tensor

    @property
    def nonzero(self) -> torch.Tensor:
        return self.rows.sum()

    @property
    def total(self) -> torch.Tensor:
        """Sum of all magnitudes; of real values, how many are not zero."""
        return self.nonzero if self.values is None else self.values.sum()

    @property
    def kind(self) -> str:
        return Range(*self.range.tolist()).kind


class Remembered:
    """`sums` that remembers the last two tensors: a convolution reads what a neuron has just written, Q, K and V the same input.

    It holds these tensors, so that no other can take their place in memory: `size` activations at most, of any model.
    """

    def __init__(self, size: int = 2):
        self.size, self.found = size, OrderedDict()

    def __call__(self, x: torch.Tensor, spatial: int) -> Sums:
        """x [..., channels, *spatial dimensions]; Linear layers and tokens have none."""
        image = x.dim() - spatial - 1
        version = 0 if x.is_inference() else x._version
        key = (x.data_ptr(), x.numel(), x.shape[image:], x.stride()[image:], version, x.dtype)
        if key in self.found:
            self.found.move_to_end(key)
        else:
            self.found[key] = x, sums(x, spatial)
            if len(self.found) > self.size:
                self.found.popitem(last=False)
        return self.found[key][1]

    def clear(self) -> None:
        self.found.clear()


def sums(x: torch.Tensor, spatial: int) -> Sums:
    """One pass over x [..., channels, *spatial dimensions]; a second one if it is neither binary nor real."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return _with_torch(x, spatial)
    rows, last = _rows(x.detach(), spatial)
    use_torchs_threads()
    steps = x.shape[0] if x.dim() - spatial > 2 else 1  # [T, B, channels, ...], or [rows, channels, ...]
    nonzero, odd = _counts(rows, last) if last or rows.shape[2] >= NARROW else _counts_narrow(rows, steps)
    counts = [torch.from_numpy(found) for found in _fold(nonzero)]
    if not odd.any():
        return Sums(*counts, None, _tensor(Range(False, False, 1.0, 1.0) if counts[0].any() else Range()))
    if _added(rows[:1], last)[1].kind == "real":  # as an image is: the first row tells
        return Sums(*counts, None, _tensor(REAL))
    values, found = _added(rows, last)
    return Sums(*counts, None if found.kind == "real" else torch.from_numpy(values), _tensor(found))


def _rows(x, spatial):
    """x as numpy [rows, channels, positions] and True, or [rows, positions, channels] and False, whichever needs no copy."""
    channel = x.dim() - spatial - 1
    outer, channels = x.shape[:channel].numel(), x.shape[channel]
    pixels = x.movedim(channel, -1)
    if pixels.is_contiguous():  # also one position, or one channel
        return pixels.numpy().reshape(outer, -1, channels), False
    return x.contiguous().numpy().reshape(outer, channels, -1), True


def nonzero_over(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Nonzero values of x [rows, heads, tokens, channels] along its tokens (dim 2) or channels (dim 3)."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return (x != 0).sum(dim)
    turned = not x.is_contiguous() and not x.transpose(1, 2).is_contiguous()
    if turned:  # as stored by a convolution, heads and channels outside; then along the other of the two
        x, dim = x.transpose(2, 3), 5 - dim
    rows, heads, tokens, channels = x.shape
    beside = x.transpose(1, 2)  # heads and channels side by side for each token
    if x.is_contiguous() or not beside.is_contiguous():
        shape = (rows, heads, channels if dim == 2 else tokens)
        return _counted(x.contiguous(), (rows * heads, tokens, channels), dim == 2, shape)
    if dim == 3:
        return _counted(beside, (rows * tokens, heads, channels), False, (rows, tokens, heads)).transpose(1, 2)
    return _counted(beside, (rows, tokens, heads * channels), True, (rows, heads, channels))


def _counted(x, shape, last, result) -> torch.Tensor:
    return torch.from_numpy(_counts(x.detach().numpy().reshape(shape), last)[0]).reshape(result).long()


def _counts(rows, last):
    """Nonzero values per row and position, and which rows have others than 0 and 1."""
    nonzero, odd = np.zeros((rows.shape[0], rows.shape[2 if last else 1]), np.int32), np.zeros(len(rows), np.int32)
    (_count_planes if last else _count_pixels)(rows, nonzero, odd)
    return nonzero, odd


def _counts_narrow(rows, steps):
    """The same for few channels, per step rather than row: loops as short as that would take ten times as long."""
    images, positions, channels = rows.shape
    nonzero, odd = _counts(rows.reshape(steps, images // steps, positions * channels), True)
    return nonzero.reshape(steps, positions, channels).sum(2, dtype=np.int32), odd


def _added(rows, last):
    """Sums of magnitudes per position, and which values occur."""
    positions = rows.shape[2 if last else 1]
    values, broken, magnitude = np.zeros((len(rows), positions)), np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float32)
    (_add_planes if last else _add_pixels)(rows, values, broken, magnitude)
    flags, found = np.bitwise_or.reduce(broken), magnitude[magnitude > 0]
    single = not flags & SEVERAL
    least, most = (found.min(), found.max()) if single and found.size else (math.inf, 0.0) if single else (0.0, math.inf)
    return values.sum(0), Range(bool(flags & NEGATIVE), bool(flags & FRACTION), float(least), float(most))


def _tensor(found: Range) -> torch.Tensor:
    return torch.tensor(found, dtype=torch.float64)


def _with_torch(x, spatial) -> Sums:
    """The same without looking at a value, so that a GPU need not be waited for."""
    channel, magnitude = x.dim() - spatial - 1, x.abs()
    outer = x.shape[:channel].numel()
    nonzero = (x != 0).sum(channel).reshape(outer, -1)
    values = magnitude.sum(channel, dtype=torch.float64).reshape(outer, -1).sum(0)
    most = magnitude.amax()
    several = ((x != 0) & (magnitude != most)).any()
    least = torch.where(several, 0.0, torch.where(most > 0, most, math.inf))
    negative, fraction = (x < 0).any(), (x != x.round()).any()
    found = torch.stack([each.double() for each in (negative, fraction, least, torch.where(several, math.inf, most))])
    return Sums(nonzero.sum(1), nonzero.sum(0), torch.where(negative & fraction & several, nonzero.sum(0), values), found)


_kernel = numba.njit(cache=True, error_model="numpy", parallel=True)


@_kernel
def _count_planes(x, nonzero, odd):
    """x [rows, channels, positions]: nonzero values per position, and whether a row has others than 0 and 1."""
    for row in numba.prange(x.shape[0]):
        count, other = nonzero[row], np.int32(0)
        for channel in range(x.shape[1]):
            plane = x[row, channel]
            for position in range(plane.size):
                value = plane[position]
                count[position] += np.int32(value != np.float32(0))
                other |= np.int32((value != np.float32(0)) & (value != np.float32(1)))
        odd[row] = other


@_kernel
def _count_pixels(x, nonzero, odd):
    """x [rows, positions, channels]."""
    for row in numba.prange(x.shape[0]):
        other = np.int32(0)
        for position in range(x.shape[1]):
            pixel, count = x[row, position], np.int32(0)
            for channel in range(pixel.size):
                value = pixel[channel]
                count += np.int32(value != np.float32(0))
                other |= np.int32((value != np.float32(0)) & (value != np.float32(1)))
            nonzero[row, position] = count
        odd[row] = other


@numba.njit(cache=True, error_model="numpy")
def _fold(nonzero):
    """Sums of [rows, positions] per row and per position."""
    rows, positions = np.zeros(nonzero.shape[0], np.int64), np.zeros(nonzero.shape[1], np.int64)
    for row in range(nonzero.shape[0]):
        counts, total = nonzero[row], 0
        for position in range(counts.size):
            total += counts[position]
            positions[position] += counts[position]
        rows[row] = total
    return rows, positions


_add = numba.njit(cache=True, error_model="numpy", parallel=True, fastmath={"reassoc"})
FRACTION, NEGATIVE, SEVERAL = 1, 2, 4  # how a row is not binary


@numba.njit(cache=True, error_model="numpy")
def _first(values):
    """The first magnitude that is not 0."""
    for value in values.flat:
        if value != np.float32(0):
            return abs(value)
    return np.float32(0)


@_add
def _add_planes(x, values, broken, magnitude):
    """x [rows, channels, positions]: sums of magnitudes per row and position, how each row is not binary, and its first magnitude."""
    for row in numba.prange(x.shape[0]):
        total, flags, one = values[row], np.int32(0), _first(x[row])
        for channel in range(x.shape[1]):
            plane = x[row, channel]
            for position in range(plane.size):
                value = plane[position]
                size = abs(value)
                total[position] += size
                flags |= np.int32(np.float32(np.int32(value)) != value)
                flags |= np.int32(value < np.float32(0)) << 1
                flags |= np.int32((size != np.float32(0)) & (size != one)) << 2
        broken[row], magnitude[row] = flags, one


@_add
def _add_pixels(x, values, broken, magnitude):
    """x [rows, positions, channels]."""
    for row in numba.prange(x.shape[0]):
        flags, one = np.int32(0), _first(x[row])
        for position in range(x.shape[1]):
            pixel, total = x[row, position], 0.0
            for channel in range(pixel.size):
                value = pixel[channel]
                size = abs(value)
                total += size
                flags |= np.int32(np.float32(np.int32(value)) != value)
                flags |= np.int32(value < np.float32(0)) << 1
                flags |= np.int32((size != np.float32(0)) & (size != one)) << 2
            values[row, position] = total
        broken[row], magnitude[row] = flags, one
