"""What a batch normalisation sends, before it is computed: a leaky neuron that it goes to normalises in its own pass (`_fused.py`).

`Normalised` is a tensor to everybody: whatever else is asked of it than a shape, its sum with another tensor or a neuron's spikes computes
it, once, by torch's own normalisation with the same statistics; and its gradient is a normalisation's. So nothing that builds or watches a
network need know of it. Memory formats are channels last alone, which is what convolutions send in training.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional
from torch.utils._pytree import tree_map_only

from benchmark.neurons import _back_ends
from benchmark.neurons._kernels import _moments_of

BLOCK = 2048  # values whose currents, membranes and lines stay in the first-level cache, or one position's channels
VIEWS = {torch.ops.aten.view.default, torch.ops.aten.unsqueeze.default, torch.ops.aten.expand.default}
PARTS = 32  # blocks that are added up in single precision


def defers(x: torch.Tensor) -> bool:
    """Whether a batch [N, C, H, W] is left to be normalised by a neuron, with statistics of our own kernel."""
    plain = type(x) is torch.Tensor and x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16)
    return plain and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and _back_ends.chosen("cpu") == "numba"


def moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (divided by the number of values) of each channel of [N, C, H, W], in one pass, to single precision."""
    channels, count = x.shape[1], x.numel() // x.shape[1]
    pivot = x.detach()[0, :, 0, 0].float()  # a value that occurs, so that the sums stay small
    blocks = -(-x.numel() // length(channels))
    sums = np.empty((-(-blocks // PARTS), 2, channels), np.float32)
    _moments_of(rows(x, 1), line(pivot.numpy()), sums)
    first, second = torch.from_numpy(sums.sum(0, dtype=np.float64) / count)
    return (pivot + first).float(), (second - first.square()).clamp_(min=0).float()


def rows(x, count: int) -> np.ndarray:
    """A gapless tensor as a [count, n] numpy view in storage order; bfloat16 as its bits. None of None."""
    if x is None:
        return None
    x = x.detach().as_strided((count, x.numel() // count), (x.numel() // count, 1))
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def length(channels: int) -> int:
    """Values of a block: whole positions."""
    return channels * max(1, BLOCK // channels)


def line(values: np.ndarray) -> np.ndarray:
    """A value of each channel, repeated over a block."""
    return np.tile(values, max(1, BLOCK // values.size))


@dataclass(frozen=True)
class Norm:
    """Statistics of each channel, float32, and whether they are of the batch itself, so that a gradient goes through them."""

    mean: torch.Tensor
    variance: torch.Tensor
    eps: float
    of_batch: bool

    @cached_property
    def scale(self) -> np.ndarray:
        return np.float32(1) / np.sqrt(self.variance.numpy() + np.float32(self.eps))

    def lines(self, weight, bias) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """scale, shift and mean of `_kernels.py`: y = scale x + shift; torch's own may differ in the last bit."""
        scale = self.scale if weight is None else self.scale * weight.detach().numpy()
        shift = (0 if bias is None else bias.detach().numpy()) - self.mean.numpy() * scale
        return line(scale), line(shift), line(self.mean.numpy())

    def back(self, weight, sums: np.ndarray, count: int) -> list[np.ndarray]:
        """factor, slope, mean and shift of `_straighten`, from the sums of dL/dy and of dL/dy (x - mean) over `count` values a channel."""
        factor = self.scale if weight is None else self.scale * weight.detach().numpy()
        through = self.of_batch / count
        values = factor, factor * self.scale**2 * sums[1] * through, self.mean.numpy(), factor * sums[0] * through
        return [line(value.astype(np.float32)) for value in values]

    def of_parameters(self, weight, bias, sums: np.ndarray) -> tuple:
        """dL/dweight and dL/dbias."""
        to_weight = None if weight is None else torch.from_numpy(sums[1] * self.scale).to(weight)
        return to_weight, None if bias is None else torch.from_numpy(sums[0]).to(bias)

    def value(self, x, weight, bias) -> torch.Tensor:
        return functional.batch_norm(x, self.mean, self.variance, weight, bias, False, 0.0, self.eps)


class Layout(NamedTuple):
    """How currents [T, B, ...] lie in memory: gapless, time outermost; shared: the same at every step."""

    shape: tuple
    stride: tuple
    shared: bool

    @property
    def given(self) -> int:
        """Steps that are there."""
        return 1 if self.shared else self.shape[0]


class Normalised(torch.Tensor):
    """weight (x - mean) / sqrt(variance + eps) + bias + added, not yet computed; see `normalised`."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, like, parts, norm):
        return torch.Tensor._make_wrapper_subclass(cls, like.shape, strides=like.stride(), dtype=like.dtype, device=like.device)

    def __init__(self, like, parts, norm):
        """like: x, seen in this tensor's shape; parts: x as the convolution sent it, weight, bias, what is added or None."""
        self.like, self.parts, self.norm, self.value = like, parts, norm, None

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        if func in VIEWS and args[0].waits and args[0].parts[3] is None:
            return cls(func(args[0].like, *args[1:]), args[0].parts, args[0].norm)
        if func is torch.ops.aten.add.Tensor and not kwargs and (sum_ := waiting_sum(*args)) is not None:
            return sum_
        return func(*tree_map_only(cls, cls.compute, args), **tree_map_only(cls, cls.compute, kwargs or {}))

    @property
    def waits(self) -> bool:
        return self.value is None

    @torch.no_grad()
    def compute(self) -> torch.Tensor:
        """The values, as a tensor like any other."""
        if self.waits:
            x, weight, bias, added = (None if part is None else part.detach() for part in self.parts)
            y = self.norm.value(x, weight, bias).as_strided(self.like.shape, self.like.stride())
            self.value = y if added is None else y + added
        return self.value

    def layout(self) -> Layout | None:
        """None if a neuron's pass cannot go over the values as they lie."""
        like, x = self.like, self.parts[0]
        shared = like.stride(0) == 0 and len(like) > 1
        step = like[0]
        whole = step.numel() * (1 if shared else len(like)) == x.numel() and (shared or len(like) == 1 or like.stride(0) == step.numel())
        return Layout(tuple(like.shape), (step.numel(), *step.stride()), shared) if whole and gapless(step) else None

    def inputs(self) -> tuple:
        """The parts, for a pass that normalises; without a gradient if this tensor has none."""
        parts = (*self.parts[:3], computed(self.parts[3]))
        return parts if self.requires_grad else tuple(None if part is None else part.detach() for part in parts)


def waiting_sum(one, other) -> Normalised | None:
    """A sum whose first or second part is not yet computed, and the other lies in memory as it does."""
    for waits, added in ((one, other), (other, one)):
        if isinstance(waits, Normalised) and isinstance(added, torch.Tensor) and waits.waits and waits.parts[3] is None:
            alike = all(getattr(added, name) == getattr(waits, name) for name in ("shape", "dtype")) and added.stride() == waits.stride()
            return Normalised(waits.like, (*waits.parts[:3], added), waits.norm) if alike else None
    return None


def gapless(x: torch.Tensor) -> bool:
    """Whether its storage is one block without a hole, in whatever order."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def normalised(x: torch.Tensor, weight, bias, norm: Norm) -> Normalised:
    """[N, C, H, W] -> the same normalised, when somebody asks for it; weight and bias are [C] or None."""
    y = Normalise.apply(x, weight, bias, norm)
    y.parts = (x, weight, bias, None)
    return y


class Normalise(torch.autograd.Function):
    """The gradient for all but a neuron's pass, which goes around it."""

    @staticmethod
    def forward(ctx, x, weight, bias, norm):
        ctx.save_for_backward(x, weight)
        ctx.norm, ctx.biased = norm, bias is not None
        return Normalised(x, None, norm)

    @staticmethod
    def backward(ctx, grad):
        (x, weight), norm = ctx.saved_tensors, ctx.norm
        wanted = [True, weight is not None, ctx.biased]
        statistics = norm.mean, norm.variance, norm.mean, torch.from_numpy(norm.scale)
        return *torch.ops.aten.native_batch_norm_backward(grad, x, weight, *statistics, norm.of_batch, norm.eps, wanted), None


def computed(x):
    """x itself, or the values of what was not computed until now."""
    return Computed.apply(x) if isinstance(x, Normalised) else x


class Computed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.compute().detach()

    @staticmethod
    def backward(ctx, grad):
        return grad
