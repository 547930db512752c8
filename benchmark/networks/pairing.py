"""Which batch normalisations of a network send to one leaky neuron alone: with Triton both are one operation, see `neurons/_pair.py`."""

from collections import Counter
from itertools import pairwise

from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.networks.layers import First, InverseAndResidual, Residual
from benchmark.neurons import _back_ends
from benchmark.neurons._fused import Fused
from benchmark.neurons._pair import Pair

CHAINS = (nn.Sequential, Residual, InverseAndResidual)  # whose layers send to the next one alone
SENDING = (nn.Sequential, SeqToANNContainer, First)  # which send what their last layer sends, seen in another shape


def paired(network: nn.Module) -> nn.Module:
    """The network that will train, with its pairs made where the back end by name is Triton; of it nothing may be replaced,
    copied or called alone afterwards.

    Layers that stand in more than one place are left alone, and so are normalisations of a class of their own.
    """
    if _back_ends.chosen("cuda") != "triton":
        return network
    places = Counter(module for _, module in network.named_modules(remove_duplicate=False))
    for chain in network.modules():
        for before, after in pairwise(chain) if type(chain) in CHAINS else ():
            *between, last = ends(before)
            if type(last) is nn.BatchNorm2d and isinstance(after, Fused) and places[last] == places[after] == 1:
                Pair(last, after, between)
    return network


def ends(module: nn.Module) -> list[nn.Module]:
    """The module, its last layer if it sends what that one sends, that one's, and so on."""
    found = [module]
    while type(found[-1]) in SENDING and len(found[-1]):
        found.append(found[-1][-1])
    return found
