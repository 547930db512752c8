"""Max pooling of spikes over time (Hu et al., TNNLS 2021): a window sends what the greatest sum of spikes in it grows by.

    o(t) = max(S(t)) - max(S(t-1)), S(t) = x(1) + ... + x(t)
That is what expectation compensation gives for a maximum, but here it is a spike or nothing to the bit: the greatest of what came in now,
where the greatest sum grew by it. Its inputs are 0 and one threshold.
"""

import torch
from torch import nn

from benchmark.networks.converting.conversion import Converted
from benchmark.networks.converting.expectation import Clock, Expectation


class SpikingMaxPool(nn.Module):
    """A max pool of a network that runs over time."""

    def __init__(self, pool: nn.MaxPool2d, clock: Clock):
        super().__init__()
        self.pool, self.clock = pool, clock
        self.sums = self.greatest = None  # of the steps before this window

    def forward(self, x):
        clock = self.clock
        sums = clock.by_step(x).cumsum(0)
        sums = sums if self.sums is None else sums + self.sums
        now, greatest = clock.by_step(self.pool(x)), clock.by_step(self.pool.forward(sums.flatten(0, 1)))  # only the first is counted
        before = torch.zeros_like(greatest[:1]) if self.greatest is None else self.greatest
        grown = greatest.diff(dim=0, prepend=before) > 0.5 * now
        self.sums, self.greatest = (None, None) if clock.last else (sums[-1].clone(), greatest[-1:].clone())
        return torch.where(grown, now, torch.zeros_like(now)).flatten(0, 1)

    def reset(self):
        self.sums = self.greatest = None


def with_spiking_pools(network: Converted) -> Converted:
    """The network with every max pool a spiking one."""
    for name, module in list(network.network.named_modules()):
        if isinstance(module, Expectation) and isinstance(module.function, nn.MaxPool2d):
            network.network.set_submodule(name, SpikingMaxPool(module.function, network.clock))
    return network
