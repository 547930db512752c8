"""How values lie in memory, and how many threads go over them."""

import numba
import numpy as np
import torch


def use_torchs_threads() -> None:
    """For the kernels that follow."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))


def gapless(x: torch.Tensor, first: int = 0) -> bool:
    """Whether the storage of the axes from the first on is one block without a hole, in whatever order."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride()[first:], x.shape[first:], strict=True) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def dense(x, time_dims):
    """x itself if its storage is one gapless block with time outermost, else a contiguous copy."""
    outermost = not time_dims or x.shape[0] == 1 or x.stride(0) == x[0].numel()
    return x if gapless(x, int(time_dims)) and outermost else x.contiguous()


def like(x, steps):
    """An empty [steps, *x.shape] whose every step has x's memory layout."""
    return torch.empty_strided((steps, *x.shape), (x.numel(), *x.stride()), dtype=x.dtype, device=x.device)


def laid_out(grad_spikes, saved, shared):
    """The gradient [T, ...] in the storage order of what was saved, [T, ...] or, shared by all steps, [...]."""
    layout = (saved.numel(), *saved.stride()) if shared else saved.stride()
    if grad_spikes.stride() == layout:
        return grad_spikes
    return torch.empty_strided(grad_spikes.shape, layout, dtype=saved.dtype, device=saved.device).copy_(grad_spikes)


def rows(x, rows):
    """A gapless tensor as a [rows, n] numpy view in storage order; bfloat16 as its bits. None gives an empty array."""
    if x is None:
        return np.empty((0, 0), np.float32)
    x = x.detach().as_strided((rows, x.numel() // rows), (x.numel() // rows, 1))
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()
