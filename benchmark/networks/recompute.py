"""Blocks that keep their input alone for the backward pass, which computes the rest again: less memory for one more forward pass.

The second pass is the first one's repetition, bit for bit: it starts from the membranes that the block had, draws the same random numbers,
and leaves membranes, running statistics and every other buffer as they are. Hooks on a block see the first pass alone.
"""

from contextlib import contextmanager, nullcontext
from functools import partial

from spikingjelly.activation_based.base import MemoryModule
from torch import nn
from torch.utils.checkpoint import checkpoint

from benchmark.neurons._origin import not_followed


@contextmanager
def recomputed(blocks: nn.Sequential):
    """Inside, the blocks forget what they compute; the backward pass may come later."""
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=partial(contexts, block))
    try:
        with not_followed():
            yield
    finally:
        for block in blocks:
            del block.forward


def contexts(block: nn.Module) -> tuple:
    """Of the first pass, and of the second; asked for when the first begins."""
    return nullcontext(), again(block, memories(block))


@contextmanager
def again(block: nn.Module, start: list[dict]):
    """Inside, the block has these membranes, and copies of its buffers; afterwards those that it had."""
    left, holders = memories(block), [module for module in block.modules() if module._buffers]
    buffers = [module._buffers for module in holders]  # put back as they are: the backward pass may hold them
    remember(block, start)
    for module in holders:
        module._buffers = {name: value if value is None else value.clone() for name, value in module._buffers.items()}
    try:
        with not_followed():
            yield
    finally:
        remember(block, left)
        for module, kept in zip(holders, buffers, strict=True):
            module._buffers = kept


def memories(block: nn.Module) -> list[dict]:
    """The membranes of every neuron in it."""
    return [dict(module.named_memories()) for module in neurons(block)]


def remember(block: nn.Module, membranes: list[dict]) -> None:
    """The opposite of `memories`."""
    for module, values in zip(neurons(block), membranes, strict=True):
        for name, value in values.items():
            setattr(module, name, value)


def neurons(block: nn.Module) -> list[MemoryModule]:
    return [module for module in block.modules() if isinstance(module, MemoryModule)]
