"""Threshold balancing: the neurons of a network that starts from an artificial one's weights get thresholds from the currents that come."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from benchmark.networks.build import reset


def first(batches: Iterable[torch.Tensor], count: int) -> torch.Tensor:
    """So many images, or all that there are."""
    found = []
    for batch in batches:
        found.append(batch)
        if sum(map(len, found)) >= count:
            break
    return torch.cat(found)[:count]


@torch.no_grad()
def balance(network: nn.Module, neurons: list[nn.Module], images: torch.Tensor, of: Callable[[torch.Tensor], float]) -> None:
    """Set the thresholds of these neurons to what `of` says of one step's currents, the largest over all steps.

    One pass: a layer gets all steps before the next one gets any, so that its threshold is set just before it runs. A largest value that
    is not positive leaves the threshold as it is.
    """

    def look(neuron, inputs):
        largest = max(of(step) for step in inputs[0])
        if largest > 0:
            neuron.threshold.fill_(largest)

    handles = [neuron.register_forward_pre_hook(look) for neuron in neurons]
    network(images)
    reset(network)
    for handle in handles:
        handle.remove()


class searching:
    """Inside the block the network runs so many steps, in training mode or not: normalisations take their statistics from what comes then."""

    def __init__(self, network: nn.Module, steps: int, training: bool):
        self.network, self.steps, self.training, self.mode = network, steps, training, network.training
        self.timed = [module for module in network.modules() if isinstance(getattr(module, "steps", None), int)]
        self.before = network.steps

    def __enter__(self):
        self.set(self.steps)
        self.network.train(self.training)

    def __exit__(self, *_):
        self.set(self.before)
        self.network.train(self.mode)

    def set(self, steps):
        for module in self.timed:
            module.steps = steps
