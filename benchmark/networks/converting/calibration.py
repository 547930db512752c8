"""Percentiles of what the layers of an artificial network receive, for the thresholds of the neurons that will stand there.

Values are counted in 65536 bins, one for each bfloat16: memory is the same for any number of images, the result depends neither on their
order nor on batches, and a percentile is exact up to where in its bin it lies (interpolated; a bin is 0.4 to 0.8 % wide).
"""

from collections.abc import Iterable

import torch
from torch import nn

from benchmark.networks.converting.places import SIDES, Place, hooks, kind_of
from benchmark.shared.errors import UserError

HALF = 2**15  # bins of one sign
TINY = 1e-38  # less is 0


class Percentiles:
    """Of all values that were added."""

    def __init__(self):
        self.counts: torch.Tensor | None = None
        self.greatest = 0.0  # of all magnitudes

    def add(self, x: torch.Tensor) -> None:
        bins = (x.float().contiguous().view(torch.int32).flatten() >> 16) + HALF  # -0 ... -inf, then 0 ... inf
        counts = torch.bincount(bins, minlength=2 * HALF)
        self.counts = counts if self.counts is None else self.counts + counts
        self.greatest = max(self.greatest, x.abs().max().item())

    def __call__(self, percent: float) -> float:
        """The value that `percent` of all do not exceed."""
        negative, positive = self.counts.cpu().double().chunk(2)
        counts = torch.cat([negative.flip(0), positive])
        size = (torch.arange(HALF, dtype=torch.int32) << 16).view(torch.float32).double()
        edges = torch.cat([-size.flip(0), size[1:]])  # of the bins but the first and the last, which hold no number
        wanted, below = percent / 100 * counts.sum(), counts.cumsum(0)
        index = min(int(torch.searchsorted(below, wanted)), len(counts) - 2)
        share = 1 - (below[index] - wanted).item() / max(counts[index].item(), 1)
        low, high = edges[index - 1].item(), edges[index].item()
        value = low + share * (high - low)
        return value if abs(value) > TINY else 0.0


@torch.no_grad()
def percentiles(network: nn.Module, places: list[Place], images: Iterable[torch.Tensor], count: int) -> dict[str, Percentiles]:
    """Name of a place -> percentiles of its input over the first `count` images of these batches [B, C, H, W]. UserError: no image."""
    found = {place.name: Percentiles() for place in places}
    seen = 0

    def look(name, module, inputs):
        for side, x in zip(SIDES.get(kind_of(module), ()), inputs, strict=False):
            if name + side in found:
                found[name + side].add(x)

    with hooks(network, before=look):
        for batch in images:
            batch = batch[: count - seen]
            network(batch)
            seen += len(batch)
            if seen >= count:
                break
    if not seen:
        raise UserError("a conversion needs at least one training image to set its thresholds by")
    return found


def bases(of: Percentiles, percent: float) -> tuple[float, float]:
    """theta1 and theta2: the percentiles `percent` and 100 - `percent`, the second without its sign (ECMT, section 4.3).

    One on the wrong side of 0 (the lower one behind a softmax or ReLU) takes the other's size; if both are, both are the greatest value.
    """
    theta1, theta2 = of(percent), -of(100 - percent)
    last = of.greatest or 1.0
    return next(x for x in (theta1, theta2, last) if x > 0), next(x for x in (theta2, theta1, last) if x > 0)
