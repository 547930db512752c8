"""Spikes as a backward pass keeps them: a bit each, a byte where they are small whole numbers; anything else as it is.

Convolutions and products keep their inputs for the gradient of their weights, which takes up to 32 bits a spike. Values decide, not layers,
so that nothing which builds a network need know of it; what comes back is what was kept, to the bit.
"""

from contextlib import nullcontext
from functools import cache, partial
from typing import NamedTuple

import numba
import numpy as np
import torch

from benchmark.neurons._layout import gapless, use_torchs_threads

FEW = 2**21  # values up to which memory does not matter and time does: packing a small network's spikes would slow its step by a tenth
BLOCK = 4096  # values that stay in the first-level cache
FIRST = 32  # values that are looked at before a kernel is called: hardly an activation passes
WORDS = {torch.float32: (torch.int32, np.uint32), torch.bfloat16: (torch.int16, np.uint16)}
EIGHT = np.uint64(0x0102040810204080)  # moves the lowest bits of eight bytes into the highest byte
kernel = numba.njit(cache=True, error_model="numpy", parallel=True)
inline = numba.njit(cache=True, error_model="numpy")


def spikes_as_bits(device: str = "cpu", keep=None):
    """A context for a forward pass on such a device; on any but a CPU everything is kept as it is. keep: something else than `pack`."""
    return torch.autograd.graph.saved_tensors_hooks(keep or pack, unpack) if device == "cpu" else nullcontext()


class BitsWhereLarge:
    """`spikes_as_bits` for a training: where a batch keeps nothing large, further ones of its shape are not looked at, which takes time."""

    def __init__(self):
        self.large: dict[torch.Size, bool] = {}

    def __call__(self, images: torch.Tensor):
        """A context for the forward pass of these images."""
        if not self.large.get(images.shape, True):
            return nullcontext()
        self.large.setdefault(images.shape, False)
        return spikes_as_bits(images.device.type, partial(self.look, images.shape))

    def look(self, shape: torch.Size, x: torch.Tensor) -> "Itself | Packed":
        self.large[shape] |= x.numel() > FEW
        return pack(x)


class Itself(NamedTuple):
    """A tensor without its history, which would keep it alive, and its version: torch looks at neither where there are hooks."""

    x: torch.Tensor
    version: int


class Packed(NamedTuple):
    """Bits or bytes in storage order, and what tensor they are."""

    values: np.ndarray
    dtype: torch.dtype
    shape: torch.Size
    stride: tuple


def pack(x: torch.Tensor) -> Itself | Packed:
    """What to keep of a tensor."""
    return whole(x) or Itself(x.detach(), x._version)


def whole(x: torch.Tensor) -> Packed | None:
    """Whole numbers 0 to 255 as bits or bytes; None of anything else, and of what is small, on another device or has gaps."""
    if x.device.type != "cpu" or x.dtype not in WORDS or x.numel() <= FEW or not gapless(x):
        return None
    words, known = words_of(x), numbers(x.dtype)
    if not np.isin(words[:FIRST], known).all():
        return None
    for make, size in ((_to_bits, -(-len(words) // 8)), (_to_bytes, len(words))):
        values = np.empty(size, np.uint8)
        if make(words[:BLOCK], known, values) and make(words, known, values):
            return Packed(values, x.dtype, x.shape, x.stride())
    return None


def unpack(kept: Itself | Packed) -> torch.Tensor:
    """The tensor that `pack` was given. RuntimeError: it was changed since."""
    if isinstance(kept, Itself):
        if kept.x._version != kept.version:
            raise RuntimeError(f"a tensor {list(kept.x.shape)} that the backward pass needs was changed in place after it was kept")
        return kept.x
    x = torch.empty_strided(kept.shape, kept.stride, dtype=kept.dtype)
    words, known = words_of(x), numbers(x.dtype)
    (_from_bits if len(kept.values) < len(words) else _from_bytes)(kept.values, known, words)
    return x


def words_of(x: torch.Tensor) -> np.ndarray:
    """Its values in storage order as words of bits; sets the kernels' threads to torch's."""
    use_torchs_threads()
    signed, unsigned = WORDS[x.dtype]
    return x.detach().as_strided((x.numel(),), (1,)).view(signed).numpy().view(unsigned)


@cache
def numbers(dtype: torch.dtype) -> np.ndarray:
    """The words of 0.0 to 255.0."""
    return words_of(torch.arange(256, dtype=dtype))


@kernel
def _to_bits(words, known, bits):
    """False if there is anything but 0.0 and 1.0; -0.0 is something else."""
    others = np.zeros((words.size + BLOCK - 1) // BLOCK, np.uint8)
    for block in numba.prange(others.size):
        lo, hi = block * BLOCK, min(words.size, (block + 1) * BLOCK)
        fires = np.zeros(BLOCK, np.uint8)
        others[block] = _fires(words[lo:hi], known[1], fires)
        eights = fires.view(np.uint64)
        for i in range((hi - lo + 7) // 8):
            bits[lo // 8 + i] = np.uint8((eights[i] * EIGHT) >> np.uint64(56))
    return not others.any()


@inline
def _fires(words, one, fires):
    """Each word as 1 or 0; whether there are others."""
    other, yes, no = np.uint32(0), np.uint32(1), np.uint32(0)
    for i in range(words.size):
        fires[i] = words[i] != 0
        other |= yes if (words[i] != 0) & (words[i] != one) else no
    return other


@kernel
def _from_bits(bits, known, words):
    one = known[1]
    for block in numba.prange((words.size + BLOCK - 1) // BLOCK):
        lo, hi = block * BLOCK, min(words.size, (block + 1) * BLOCK)
        part, some = words[lo:hi], bits[lo // 8 : (hi + 7) // 8]
        whole = part.size // 8
        for i in range(whole):
            byte = np.uint32(some[i])
            for j in range(8):  # which LLVM makes one store of
                part[8 * i + j] = one * ((byte >> np.uint32(j)) & np.uint32(1))
        for i in range(8 * whole, part.size):
            part[i] = one * ((some[whole] >> (i - 8 * whole)) & 1)


@kernel
def _from_bytes(values, known, words):
    for block in numba.prange((words.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min(words.size, (block + 1) * BLOCK)):
            words[i] = known[values[i]]


@kernel
def _to_bytes(words, known, found):
    """False if there is anything but 0.0 to 255.0; known: the words of those."""
    others = np.zeros((words.size + BLOCK - 1) // BLOCK, np.uint8)
    shift = np.uint32(0 if known[1] > 0xFFFF else 16)  # bfloat16 is the upper half of float32
    for block in numba.prange(others.size):
        lo, hi = block * BLOCK, min(words.size, (block + 1) * BLOCK)
        wide = np.empty(hi - lo, np.uint32)
        for i in range(lo, hi):
            wide[i - lo] = np.uint32(words[i]) << shift
        others[block] = _bytes(wide, found[lo:hi])
    return not others.any()


@inline
def _bytes(wide, found):
    """The words of float32 as numbers; whether there are others."""
    values, whole = wide.view(np.float32), np.empty(wide.size, np.float32)
    for i in range(wide.size):
        found[i] = np.uint8(np.int32(values[i]))
        whole[i] = np.float32(found[i])
    other, yes, no, back = np.uint32(0), np.uint32(1), np.uint32(0), whole.view(np.uint32)
    for i in range(wide.size):
        other |= yes if back[i] != wide[i] else no
    return other
