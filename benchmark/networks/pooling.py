"""Max pooling that keeps two bytes per output for its backward pass; torch's own keeps its input and an index of eight bytes."""

import torch
from torch import nn
from torch.nn import functional


class MaxPool2d(nn.MaxPool2d):
    """The same values and gradients to the bit; ties, of which spikes are full, go to the same position. Square windows alone."""

    def forward(self, x):
        watched = torch.is_grad_enabled() and x.requires_grad and x.shape[3] * self.kernel_size < 2**15
        return Largest.apply(x, self.kernel_size, self.stride, self.padding) if watched else super().forward(x)


class Largest(torch.autograd.Function):
    """[N, C, H, W] -> the largest of each window; saves how far behind the window's corner it lies, row by row, [N, C, rows, columns]."""

    @staticmethod
    def forward(ctx, x, kernel, stride, padding):
        y, index = functional.max_pool2d(x, kernel, stride, padding, return_indices=True)
        ctx.window, ctx.shape = ([kernel] * 2, [stride] * 2, [padding] * 2), x.shape
        ctx.order = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        ctx.corners = corners(y.shape, x.shape[3], stride, padding, x.device)
        ctx.save_for_backward((index - ctx.corners).to(torch.int16))
        return y

    @staticmethod
    def backward(ctx, grad):
        (behind,) = ctx.saved_tensors
        like = torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device, memory_format=ctx.order)  # for its shape and layout alone
        back = torch.ops.aten.max_pool2d_with_indices_backward
        return back(grad, like, *ctx.window, [1, 1], False, behind.long() + ctx.corners), None, None, None


def corners(shape: torch.Size, width: int, stride: int, padding: int, device) -> torch.Tensor:
    """Where each output's window begins in an image so wide, [rows, columns]; before the image where it is padded."""
    rows, columns = (torch.arange(size, device=device) * stride - padding for size in shape[2:])
    return rows[:, None] * width + columns
