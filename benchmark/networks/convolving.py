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

from benchmark.networks._events import _add_gradients, _add_weights, _list
from benchmark.neurons._normalised import computed
from benchmark.neurons._packed import Like, whole_numbers

SPARSE = {torch.float32: 0.06, torch.bfloat16: 0.05}  # up to this share of ones each is added by itself: docs/training_step.md


class Conv2d(nn.Conv2d):
    """torch's in values and gradients, to rounding."""

    def forward(self, x):
        """[N, C, H, W] -> [N, C', H', W']."""
        x = computed(x)
        if not (torch.is_grad_enabled() and self.weight.requires_grad and self.fits(x) and (whole := whole_numbers(x))):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        x, weight, bias = (None if each is None else each.to(dtype) for each in (x, self.weight, self.bias))
        return Convolution.apply(x, weight, bias, whole, (self.stride, self.padding, self.dilation, self.groups))

    def fits(self, x) -> bool:
        return x.dim() == 4 and self.padding_mode == "zeros" and not isinstance(self.padding, str)


class Convolution(torch.autograd.Function):
    """A convolution of x, whose values are `whole`; geometry: stride, padding, dilation, groups."""

    @staticmethod
    def forward(ctx, x, weight, bias, whole, geometry):
        _, _, dilation, groups = geometry
        few = whole.binary and whole.share <= SPARSE[x.dtype]
        ctx.few = few and dilation == (1, 1) and groups == 1 and x.is_contiguous(memory_format=torch.channels_last)
        ctx.like, ctx.geometry, ctx.biased = Like.of(x), geometry, bias is not None
        ctx.save_for_backward(whole.kept(), weight)
        return event_driven(whole.values, weight, bias, geometry, x.shape) if ctx.few else functional.conv2d(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx, grad):
        (kept, weight), (stride, padding, dilation, groups) = ctx.saved_tensors, ctx.geometry
        values = ctx.like.values(kept)
        x = ctx.like.tensor(values)
        wanted = [ctx.needs_input_grad[0], not ctx.few, False]  # asked for the bias's, it would compute the weights' as well
        back = torch.ops.aten.convolution_backward
        to_x, to_weight, _ = back(grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, wanted)
        if ctx.few:
            to_weight = event_driven_gradient(values, grad, weight, ctx.geometry, x.shape)
        return to_x, to_weight, grad.sum((0, 2, 3)) if ctx.biased else None, None, None


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
