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


@dataclass
class Sums:
    """nonzero: int [rows, positions], summed over channels. values: float64, sums of values; None if binary. kind: index into KINDS."""

    nonzero: torch.Tensor
    values: torch.Tensor | None
    kind: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """Sum of all values."""
        return self.nonzero.sum() if self.values is None else self.values.sum()

    def weighted(self, weight) -> torch.Tensor:
        """Sum of values, each times the weight of its position."""
        return self.weighted_nonzero(weight) if self.values is None else (self.values.sum(0) * weight).sum()

    def weighted_nonzero(self, weight) -> torch.Tensor:
        """The same with every nonzero value as 1."""
        return (self.nonzero.sum(0) * weight).sum()


class Remembered:
    """`sums` that remembers the last few tensors: Q, K and V read the same input, and a convolution what a neuron has just written.

    It holds these tensors, so that no other can take their place in memory: `size` activations at most, of any model.
    """

    def __init__(self, size: int = 4):
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
    """One pass over x [..., channels, *spatial dimensions]; a second one if it is not binary."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return _with_torch(x, spatial)
    rows, last = _rows(x.detach(), spatial)
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    nonzero = np.zeros((rows.shape[0], rows.shape[2 if last else 1]), np.int32)
    odd = np.zeros(len(rows), np.int32)
    (_count_planes if last else _count_pixels)(rows, nonzero, odd)
    if not odd.any():
        return Sums(torch.from_numpy(nonzero), None, torch.tensor(0))
    values = np.zeros(nonzero.shape, np.float64)
    (_add_planes if last else _add_pixels)(rows, values, odd)
    return Sums(torch.from_numpy(nonzero), torch.from_numpy(values), torch.tensor(int(odd.max())))


def _rows(x, spatial):
    """x as numpy [rows, channels, positions] and True, or [rows, positions, channels] and False, whichever needs no copy."""
    channel = x.dim() - spatial - 1
    outer, channels = x.shape[:channel].numel(), x.shape[channel]
    pixels = x.movedim(channel, -1)
    if pixels.is_contiguous():  # also one position, or one channel
        return pixels.numpy().reshape(outer, -1, channels), False
    return x.contiguous().numpy().reshape(outer, channels, -1), True


def _with_torch(x, spatial) -> Sums:
    channel = x.dim() - spatial - 1
    nonzero, values = (y.reshape(x.shape[:channel].numel(), -1) for y in ((x != 0).sum(channel), x.sum(channel, dtype=torch.float64)))
    broken = torch.stack([((x != 0) & (x != 1)).any(), (x != x.round()).any(), (x < 0).any()])
    return Sums(nonzero, values, (broken * torch.arange(1, 4, device=x.device)).max())


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


@numba.njit(inline="always")
def _kind(value):
    """Index into KINDS, of a value that is neither 0 nor 1 at least."""
    return np.int32(3) if value < 0 else np.int32(2) if value != np.floor(value) else np.int32(0 if value <= 1 else 1)


@_kernel
def _add_planes(x, values, odd):
    """Sums of values per position, and the kind of each row."""
    for row in numba.prange(x.shape[0]):
        kind = np.int32(0)
        for channel in range(x.shape[1]):
            for position in range(x.shape[2]):
                value = x[row, channel, position]
                values[row, position] += value
                kind = max(kind, _kind(value))
        odd[row] = kind


@_kernel
def _add_pixels(x, values, odd):
    for row in numba.prange(x.shape[0]):
        kind = np.int32(0)
        for position in range(x.shape[1]):
            total = 0.0
            for channel in range(x.shape[2]):
                value = x[row, position, channel]
                total += value
                kind = max(kind, _kind(value))
            values[row, position] = total
        odd[row] = kind
