"""Spikes as they are kept for a backward pass: a bit each, or a byte where they are small whole numbers; anything else as it is."""

from typing import NamedTuple

import numba
import numpy as np
import torch

from benchmark.neurons._kernels import _get  # numba's cache does not notice a change there
from benchmark.neurons._normalised import gapless, rows

FEW = 2**17  # values up to which what is kept does not matter, and the time to look at them does
BLOCK = 8192  # values that are looked at before the first that is no whole number ends it
TYPES = (torch.float32, torch.bfloat16)


class Whole(NamedTuple):
    """Values 0 to 255 in storage order, as bytes; whether they are 0 and 1 alone; the share that is not 0."""

    values: np.ndarray
    binary: bool
    share: float

    def kept(self) -> torch.Tensor:
        return torch.from_numpy(np.packbits(self.values) if self.binary else self.values)


def whole_numbers(x: torch.Tensor) -> Whole | None:
    """None if one is something else, or there are too few to matter."""
    if x.device.type != "cpu" or x.dtype not in TYPES or x.numel() <= FEW or not gapless(x):
        return None
    found = np.empty(x.numel(), np.uint8)
    largest, count = _whole(rows(x, 1)[0], found)
    return None if largest < 0 else Whole(found, largest <= 1, count / len(found))


class Like(NamedTuple):
    """What a tensor is when it is whole again."""

    shape: torch.Size
    stride: tuple
    dtype: torch.dtype

    @classmethod
    def of(cls, x):
        return cls(x.shape, x.stride(), x.dtype)

    def values(self, kept: torch.Tensor) -> np.ndarray:
        """As they were packed, bytes in storage order."""
        size = self.shape.numel()
        return np.unpackbits(kept.numpy(), count=size) if kept.numel() < size else kept.numpy()

    def tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(self.dtype).as_strided(self.shape, self.stride)


def pack(x) -> torch.Tensor | None:
    """What to keep of a tensor or None, see `unpack`."""
    whole = None if x is None else whole_numbers(x)
    return x if whole is None else whole.kept()


def unpack(kept, like: Like | None) -> torch.Tensor | None:
    return kept if kept is None or kept.dtype != torch.uint8 else like.tensor(like.values(kept))


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc"})
def _whole(x, found):
    """x as bytes; the largest, of which all above 1 are alike, and how many are not 0; (-1, 0) if one is no whole number from 0 to 255."""
    largest, count = 1, 0
    zero, one = np.float32(0), np.float32(1)
    for start in range(0, x.size, BLOCK):
        others, above, ones = zero, zero, zero  # all in float32, so that the loop is vectorised
        for i in range(start, min(x.size, start + BLOCK)):
            value = _get(x, i)
            number = np.uint8(np.int32(value))
            found[i] = number
            others += one if np.float32(number) != value else zero
            above += one if value > one else zero
            ones += one if value != zero else zero
        if others > zero:
            return -1, 0
        largest, count = 2 if above > zero else largest, count + int(ones)
    return largest, count
