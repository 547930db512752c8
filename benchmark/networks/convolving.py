"""Convolutions of spikes: what is kept for the weights' gradient is a bit a value, and where spikes are few each is added up by itself.

Values decide: an input of zeros and ones is kept as bits, one of small whole numbers as bytes; anything else is torch's own convolution.
On a CPU a spike costs one row of weights forwards, and one row of the output's gradient backwards (`_events.py`); torch pays for zeros too,
but is faster at each value, so it goes on from the share `SPARSE` of ones. The sums are the same but for the order of their terms.
"""

import numba
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmark.networks._events import _add_gradients, _add_weights, _list, _whole
from benchmark.neurons._normalised import computed, gapless, rows

SPARSE = {torch.float32: 0.12, torch.bfloat16: 0.06}  # up to this share of ones each is added by itself: docs/training_step.md
FEW = 2**17  # values up to which what is kept does not matter, and the time to look at them does


class Conv2d(nn.Conv2d):
    """torch's in values and gradients, to rounding."""

    def forward(self, x):
        """[N, C, H, W] -> [N, C', H', W']."""
        x = computed(x)
        if not (torch.is_grad_enabled() and self.weight.requires_grad and self.keeps(x)):
            return super().forward(x)
        whole, largest, share = whole_numbers(x)
        if whole is None:
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        x, weight, bias = (None if each is None else each.to(dtype) for each in (x, self.weight, self.bias))
        return Convolution.apply(x, weight, bias, whole, largest, share, (self.stride, self.padding, self.dilation, self.groups))

    def keeps(self, x) -> bool:
        fits = x.device.type == "cpu" and x.dtype in SPARSE and x.dim() == 4 and x.numel() > FEW and gapless(x)
        return fits and self.padding_mode == "zeros" and not isinstance(self.padding, str)


def whole_numbers(x: torch.Tensor) -> tuple:
    """Values 0 to 255 as bytes in storage order, the largest, and the share that is not 0; None for the first if there are others."""
    found = np.empty(x.numel(), np.uint8)
    largest, count = _whole(rows(x, 1)[0], found)
    return None if largest < 0 else found, largest, count / len(found)


class Convolution(torch.autograd.Function):
    """A convolution of `whole`, the values of x; geometry: stride, padding, dilation, groups."""

    @staticmethod
    def forward(ctx, x, weight, bias, whole, largest, share, geometry):
        stride, _, dilation, groups = geometry
        last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.sparse = last and largest <= 1 and share <= SPARSE[x.dtype] and dilation == (1, 1) and groups == 1
        ctx.binary, ctx.geometry, ctx.biased = largest <= 1, geometry, bias is not None
        ctx.like = x.shape, x.stride(), x.dtype
        ctx.save_for_backward(torch.from_numpy(np.packbits(whole) if ctx.binary else whole), weight)
        return event_driven(whole, weight, bias, geometry, x.shape) if ctx.sparse else functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx, grad):
        (kept, weight), (stride, padding, dilation, groups), (shape, order, dtype) = ctx.saved_tensors, ctx.geometry, ctx.like
        whole = np.unpackbits(kept.numpy(), count=shape.numel()) if ctx.binary else kept.numpy()
        x = torch.from_numpy(whole).to(dtype).as_strided(shape, order)
        wanted = [ctx.needs_input_grad[0], not ctx.sparse, False]  # asked for the bias's, it would compute the weights' as well
        back = torch.ops.aten.convolution_backward
        to_x, to_weight, _ = back(grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted)
        if ctx.sparse:
            to_weight = event_driven_gradient(whole, grad, weight, ctx.geometry, shape)
        return to_x, to_weight, grad.sum((0, 2, 3)) if ctx.biased else None, None, None, None, None


def event_driven(whole, weight, bias, geometry, shape) -> torch.Tensor:
    """The convolution [N, C', H', W'], channels last, of spikes in the order of channels-last memory."""
    starts, channels = spikes_of(whole, shape[1])
    size, of_rows = sizes(weight, geometry, shape), by_tap(weight)
    y = np.empty((shape[0] * size[2] * size[3], weight.shape[0]), np.float32)
    offset = np.zeros(weight.shape[0], np.float32) if bias is None else bias.detach().float().numpy()
    _use_threads()
    _add_weights(starts, channels, of_rows, offset, y, shape[0], *size)
    return torch.from_numpy(y).view(shape[0], size[2], size[3], -1).permute(0, 3, 1, 2).to(weight.dtype)


def event_driven_gradient(whole, grad, weight, geometry, shape) -> torch.Tensor:
    """The weights' gradient."""
    starts, channels = spikes_of(whole, shape[1])
    outputs, taken, high, wide = weight.shape
    grad = grad.float().permute(0, 2, 3, 1).contiguous().view(-1, outputs).numpy()
    found = np.zeros((high * wide * taken, outputs), np.float32)
    _use_threads()
    parts = min(numba.get_num_threads(), outputs)
    _add_gradients(starts, channels, grad, found, parts, shape[0], *sizes(weight, geometry, shape))
    return torch.from_numpy(found).view(high, wide, taken, outputs).permute(3, 2, 0, 1).to(weight.dtype)


def spikes_of(whole: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each position's spikes begin in a list, and the list of their channels."""
    table = whole.reshape(-1, channels)
    starts, found = np.empty(len(table) + 1, np.int64), np.empty(np.count_nonzero(whole), np.int32)
    _list(table, starts, found)
    return starts, found


def sizes(weight, geometry, shape) -> tuple:
    """Height and width of the input, the output, the window; stride and padding in both directions."""
    (down, right), (above, left) = geometry[:2]
    high, wide = weight.shape[2:]
    lines, columns = (shape[2] + 2 * above - high) // down + 1, (shape[3] + 2 * left - wide) // right + 1
    return *shape[2:], lines, columns, high, wide, down, right, above, left


def by_tap(weight) -> np.ndarray:
    """[C', C, h, w] -> a row of outputs for each place in the window and input channel."""
    return weight.detach().float().permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).contiguous().numpy()


def _use_threads() -> None:
    """As many as torch."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
