"""Currents that a batch normalisation made: what that keeps for its own gradient is enough to compute them once more, to the bit.

So a neuron behind one keeps nothing of its own for the backward pass, and one behind its sum with spikes those alone, a bit each. The
normalisation is found in the graph of gradients: nothing that builds a network need know of it.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

VIEWS = {f"{name}Backward0" for name in ("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Expand")}  # values stay where they lie


class Normalised(NamedTuple):
    """currents = scale x + shift in one rounding, then in x's precision; `x` [N, C, H, W] and both lines [period + more] in storage order.

    added: they are the sum of that and something else.
    """

    x: torch.Tensor
    scale: np.ndarray
    shift: np.ndarray
    added: bool


_followed = True


@contextmanager
def not_followed():
    """Inside, every neuron keeps what it needs: where what is kept is computed again, asking for it would begin that."""
    global _followed
    before, _followed = _followed, False
    try:
        yield
    finally:
        _followed = before


def normalised(currents: torch.Tensor, count: int, steps: int, more: int) -> Normalised | None:
    """None unless `count` gapless values in so many steps are what a normalisation in training sent, or a sum of it and something else.

    The lines go on for `more` values after a period.
    """
    try:
        return found(currents, count, steps, more) if _followed and currents.grad_fn and not currents._version else None
    except RuntimeError:  # its graph was freed
        return None


def found(currents, count, steps, more):
    node = behind_views(currents.grad_fn)
    added = node is not None and node.name() == "AddBackward0" and node._saved_alpha == 1
    if added:
        terms = [behind_views(term) for term, _ in node.next_functions]
        node = next((term for term in terms if is_normalisation(term)), None)
    if not is_normalisation(node):
        return None
    x, weight, bias = node._saved_input, node._saved_weight, getattr(node.next_functions[2][0], "variable", None)
    alike = x.dim() == 4 and x.numel() == count and x.dtype == currents.dtype and (not added or currents.stride()[-4:] == x.stride())
    if not alike or any(each is None or each.dtype != torch.float32 for each in (weight, bias)):
        return None
    mean, deviation = node._saved_result1, node._saved_result2  # the second one inverse
    scale = deviation * weight.detach()
    shift = (bias.detach().double() - mean.double() * scale.double()).float()
    if x.is_contiguous(memory_format=torch.channels_last):
        lines = scale, shift
    elif x.is_contiguous():
        lines = (each.repeat_interleave(x[0, 0].numel()) for each in (scale, shift))
    else:
        return None
    lines = list(lines)
    if count // steps % len(lines[0]):  # a step begins within a period
        return None
    return Normalised(x, *(np.resize(line.numpy(), len(line) + more) for line in lines), added)


def behind_views(node):
    """The node of a graph that made what is only seen in another shape."""
    while node is not None and node.name() in VIEWS:
        node = node.next_functions[0][0]
    return node


def is_normalisation(node) -> bool:
    return node is not None and node.name() == "NativeBatchNormBackward0" and node._saved_training
