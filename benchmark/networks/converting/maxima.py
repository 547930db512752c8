"""The largest value that comes to each activation of an artificial network, for thresholds: of each neuron, and so of a whole layer."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from benchmark.networks.converting.places import Place, hooks
from benchmark.shared.errors import UserError

LOGITS = ""  # in place of a place's name: what the network answers
SILENT = 1e30  # a threshold that nothing reaches, in place of a largest value that is not positive: single precision holds it


@torch.no_grad()
def maxima(network: nn.Module, places: list[Place], images: Iterable[torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """Name of an activation, or LOGITS -> the largest that comes to each of its neurons [...], the logits' too, over `count` images.

    images: batches [B, C, H, W]; places: all of the network's. What does not grow, like a ReLU, lets the largest through. UserError: no image.
    """
    found, seen = {}, 0
    sizes = {place.name: place.size for place in places if place.kind == "activation"}

    def add(name, x, size):
        """x: a value for each image and neuron, whatever dimensions of size 1 are in front."""
        axes = next(axes for axes in range(1, x.dim() + 1) if math.prod(x.shape[-axes:]) == size)
        now = x.reshape(-1, *x.shape[-axes:]).amax(0)
        found[name] = torch.maximum(found[name], now) if name in found else now

    def look(name, module, inputs):
        if name in sizes:
            add(name, inputs[0], sizes[name])

    with hooks(network, before=look):
        for batch in images:
            batch = batch[: count - seen]
            logits = network(batch)
            add(LOGITS, logits, logits.shape[-1])
            seen += len(batch)
            if seen >= count:
                break
    if not seen:
        raise UserError("a conversion needs at least one training image to set its thresholds by")
    return found


def threshold(largest: torch.Tensor) -> torch.Tensor:
    """A largest value as a threshold: one that is not positive is never reached."""
    return torch.where(largest > 0, largest.double(), torch.full_like(largest, SILENT, dtype=torch.float64))
