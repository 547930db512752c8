"""What a method's `start` puts in place of a network's own layers: neurons that know their channels, normalisations that know the threshold."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from benchmark.networks.layers import Residual, Sum
from benchmark.networks.normalising import BatchNorm2d
from benchmark.neurons._base import Neuron

SUMMED = 1 / math.sqrt(2)  # alpha of a normalisation whose output another branch is added to


class ThresholdBatchNorm2d(nn.BatchNorm2d):
    """tdBN (Zheng et al., AAAI 2021): y = weight scale (x - mean) / sqrt(variance + eps) + bias, with scale = alpha threshold.

    x: [T*B, C, H, W], so that mean and variance are over time too. In inference it is an affine map of each channel, `folded` into the
    convolution before it.
    """

    def __init__(self, channels: int, scale: float):
        super().__init__(channels)
        self.scale = scale

    def forward(self, x):
        if self.training:
            self.num_batches_tracked.add_(1)
        weight = self.scale * self.weight
        return functional.batch_norm(x, self.running_mean, self.running_var, weight, self.bias, self.training, self.momentum, self.eps)

    def extra_repr(self):
        return f"{super().extra_repr()}, scale={self.scale}"


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the one convolution that does what a convolution and this normalisation behind it do in inference."""
    factor = getattr(norm, "scale", 1.0) * norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = 0.0 if convolution.bias is None else convolution.bias
    return convolution.weight * factor[:, None, None, None], (bias - norm.running_mean) * factor + norm.bias


def with_threshold_norms(network: nn.Module, threshold: float) -> nn.Module:
    """The network with tdBN, fresh, in place of every batch normalisation of maps."""
    ends = (last_of(branch) for part in network.modules() for branch in branches(part))
    summed = {id(last) for last in ends if isinstance(last, nn.BatchNorm2d)}
    for name, module in list(network.named_modules()):
        if type(module) in (nn.BatchNorm2d, BatchNorm2d):
            scale = threshold * (SUMMED if id(module) in summed else 1.0)
            network.set_submodule(name, ThresholdBatchNorm2d(module.num_features, scale).to(module.weight.device))
    return network


def branches(part: nn.Module) -> list[nn.Module]:
    """What a module adds up, but for the identity."""
    return [part.branch, part.shortcut] if isinstance(part, Sum) else [part] if isinstance(part, Residual) else []


def last_of(branch: nn.Module) -> nn.Module | None:
    """The last normalisation or neuron of a branch."""
    return next((module for module in reversed(list(branch.modules())) if isinstance(module, (Neuron, nn.BatchNorm2d))), None)


def with_neurons(network: nn.Module, make: Callable[[int], nn.Module]) -> nn.Module:
    """The network with `make(channels)` in place of every neuron layer: the channels are those of the layer with weights before it."""
    channels, device = 0, next(network.parameters()).device
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            channels = module.num_features
        elif isinstance(module, nn.Linear):
            channels = module.out_features
        elif isinstance(module, Neuron):
            network.set_submodule(name, make(channels).to(device))
    return network
