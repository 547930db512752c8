"""Activations of artificial networks that are trained to be converted; `replaced` puts them into a network."""

from collections.abc import Callable

import torch
from torch import nn


class ClipFloor(nn.Module):
    """QCFS (Bu et al., ICLR 2022): y = clip h(x / clip), h(z) = floor(levels z + 1/2) / levels between 0 and 1, the clip learned.

    The gradient passes through the floor as if it were not there, so that the clip learns from rounding and from what it cuts off.
    """

    def __init__(self, levels: int, clip: float):
        super().__init__()
        self.levels, self.clip = levels, nn.Parameter(torch.tensor(float(clip)))

    def forward(self, x):
        raised = (x / self.clip).clamp(0, 1) * self.levels + 0.5
        return self.clip * (raised + (raised.floor() - raised).detach()) / self.levels

    def extra_repr(self):
        return f"levels={self.levels}"


class Unit(nn.ReLU):
    """A ReLU in whose stead stand neurons with a threshold for each index of its last `axes` axes, wherever else they are."""

    def __init__(self, axes: int):
        super().__init__()
        self.axes = axes


class SpikeMask(nn.Dropout):
    """Random spike masking (MST, ICCV 2023): a share `p` of what passes becomes 0, drawn anew at every call, in inference too; nothing is
    scaled. 0 passes everything on."""

    def forward(self, x):
        return x * (torch.rand_like(x) > self.p) if self.p else x


def replaced(network: nn.Module, activation: Callable[[], nn.Module]) -> nn.Module:
    """The network with another activation in place of every ReLU, and an average pool of the same windows in place of every max pool."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU):
            network.set_submodule(name, activation())
        elif isinstance(module, nn.MaxPool2d):
            network.set_submodule(name, nn.AvgPool2d(module.kernel_size, module.stride, module.padding))
    return network
