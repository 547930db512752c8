"""What an operation counter asks of a tensor, in one pass over it: how many channels are not zero at each position, and which values occur.

On a CPU a numba kernel reads the tensor once in its storage order (either memory layout); elsewhere, and for other types than
float32, torch does the same.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numba
import numpy as np
import torch

KINDS = ("binary", "integer", "fraction", "real")  # 0 and 1; whole, not negative; not negative, as averages of spikes; anything
NARROW = 32  # channels


@dataclass
class Sums:
    """How many values are not zero, int64: rows [rows or steps], positions [positions].

    values: float64 [positions], their sums; None where they are binary or real. kind: index into KINDS, as a tensor.
    """

    rows: torch.Tensor
    positions: torch.Tensor
    values: torch.Tensor | None
    kind: torch.Tensor

    @property
    def nonzero(self) -> torch.Tensor:
        return self.rows.sum()

    @property
    def total(self) -> torch.Tensor:
        """Sum of all values; of real ones, how many are not zero."""
        return self.nonzero if self.values is None else self.values.sum()


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
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    steps = x.shape[0] if x.dim() - spatial > 2 else 1  # [T, B, channels, ...], or [rows, channels, ...]
    nonzero, odd = _counts(rows, last) if last or rows.shape[2] >= NARROW else _counts_narrow(rows, steps)
    counts = [torch.from_numpy(found) for found in _fold(nonzero)]
    if not odd.any() or (rows[0] < 0).any():
        return Sums(*counts, None, torch.tensor(3 if odd.any() else 0))
    values, broken = np.zeros((len(rows), len(counts[1])), np.float64), np.zeros(len(rows), np.int32)
    (_add_planes if last else _add_pixels)(rows, values, broken)
    return Sums(*counts, torch.from_numpy(values.sum(0)), torch.tensor(1 + int(broken.max())))


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
    if x.transpose(2, 3).is_contiguous():
        return nonzero_over(x.transpose(2, 3), 5 - dim)
    rows, heads, tokens, channels = x.shape
    if x.transpose(1, 2).is_contiguous() and dim == 3:
        return _counted(x.transpose(1, 2), (rows * tokens, heads, channels), False, (rows, tokens, heads)).transpose(1, 2)
    if x.transpose(1, 2).is_contiguous():
        return _counted(x.transpose(1, 2), (rows, tokens, heads * channels), True, (rows, heads, channels))
    shape = (rows, heads, channels if dim == 2 else tokens)
    return _counted(x.contiguous(), (rows * heads, tokens, channels), dim == 2, shape)


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


def _with_torch(x, spatial) -> Sums:
    channel = x.dim() - spatial - 1
    nonzero, values = (y.reshape(x.shape[:channel].numel(), -1) for y in ((x != 0).sum(channel), x.sum(channel, dtype=torch.float64)))
    broken = torch.stack([((x != 0) & (x != 1)).any(), (x != x.round()).any(), (x < 0).any()])
    kind = (broken * torch.arange(1, 4, device=x.device)).max()
    return Sums(nonzero.sum(1), nonzero.sum(0), torch.where(kind == 3, nonzero.sum(0), values.sum(0)), kind)


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


@_add
def _add_planes(x, values, broken):
    """x [rows, channels, positions]: sums of values per row and position; a row is broken by 1 for a fraction, 2 for a negative value."""
    for row in numba.prange(x.shape[0]):
        total, fraction, negative = values[row], np.int32(0), np.int32(0)
        for channel in range(x.shape[1]):
            plane = x[row, channel]
            for position in range(plane.size):
                value = plane[position]
                total[position] += value
                fraction |= np.int32(np.float32(np.int32(value)) != value)
                negative |= np.int32(value < np.float32(0))
        broken[row] = 2 if negative else fraction


@_add
def _add_pixels(x, values, broken):
    """x [rows, positions, channels]."""
    for row in numba.prange(x.shape[0]):
        fraction, negative = np.int32(0), np.int32(0)
        for position in range(x.shape[1]):
            pixel, total = x[row, position], 0.0
            for channel in range(pixel.size):
                value = pixel[channel]
                total += value
                fraction |= np.int32(np.float32(np.int32(value)) != value)
                negative |= np.int32(value < np.float32(0))
            values[row, position] = total
        broken[row] = 2 if negative else fraction
