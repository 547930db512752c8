"""Real Spike (Guo et al., ECCV 2022): a spike is worth a learned real number, one for each channel, that folds into the weights behind it.

Paper: the row Real Spike of idsnn, Table 2, which quotes it.
Equations: what arrives is a_c s, s = 0 or 1 of channel c, a_c learned from 1; W (a s) = (W a) s, so that spikes stay binary. Here the
network has the folded form from the start: a factor stands in the weights of every layer that its neurons reach, and as a 1x1 convolution
of each channel alone in a shortcut that was the identity. It computes and learns what the unfolded network does; nothing is left to fold,
and what is counted are binary spikes. L = CE(mean_t z_t, y).
Expected: idsnn Table 2, ResNet-20, CIFAR100, T=4: 64.87.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_idsnn.csv

Source: yfguo91/Real-Spike@2884175, sew_resnet.py (one factor a channel behind every neuron of a SEW-ResNet for ImageNet, from 1), README.md;
for the neuron and the recipe yfguo91/MPBN@149379d, by the same first author.
Deviations: that file's integrating neurons and element-wise sums of spikes are of its ImageNet network; neurons behind the weights of a
shortcut have no factor there, and there are none here.
Guessed: this is one reading. The ResNet-20 (He's, of 0.27 M, which an accuracy of 64.87 fits; that author's other code has one of 11 M), its
neuron (decay 0.25, threshold 0.5, tanh surrogate of 3) and how it is trained: the code for CIFAR is not public.
"""

import torch
from torch import nn
from torch.nn.utils import parametrize

from benchmark.method import Method, cross_entropy
from benchmark.networks.layers import Residual, Sum, kaiming_normal


def fits(student):
    """Residual networks of two convolutions a block with neurons behind the sums, and one linear layer on them."""
    plain = student.name in ("resnet-18", "resnet-20", "resnet-34") and not student.ann
    return (
        "" if plain else f"Real Spike is read for ResNet-18, -20 and -34 with a neuron behind each sum, and {student.name} is none of them"
    )


class RealSpike(Method):
    """Nothing to choose."""

    params = {}
    neuron = {
        "name": "lif", "tau": 1.3333333333333333, "v_threshold": 0.5, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
        "surrogate": "tanh", "alpha": 3.0,
    }  # fmt: skip

    def start(self, network, above, calibration):
        kaiming_normal(network)
        return with_factors(network)

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


class Factors(nn.Module):
    """A layer's weights [out, in, ...] times the factors [in, 1, 1, 1] of what comes in."""

    def __init__(self, factors: nn.Parameter):
        super().__init__()
        self.factors = factors

    def forward(self, weight):
        return weight * self.factors.view(1, -1, *[1] * (weight.dim() - 2))


def with_factors(network: nn.Module) -> nn.Module:
    """The network with the factors of each neuron layer in whatever stands behind it."""
    (convolution,) = convolutions(network.stem)
    factors = ones(convolution)
    for block in network.blocks:
        branch = block[0].branch if isinstance(block[0], Sum) else block[0]
        first, second = convolutions(branch)
        fold(first, factors)
        if isinstance(branch, Residual):
            block[0] = Sum(nn.Sequential(*branch), Alone(factors))
        else:
            fold(*convolutions(block[0].shortcut), factors)
        fold(second, ones(first))
        factors = ones(second)
    fold(network.head.classifier, factors)
    return network


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [part for part in module.modules() if isinstance(part, nn.Conv2d)]


def ones(convolution: nn.Conv2d) -> nn.Parameter:
    """Factors of the neurons behind a convolution: one for each of its maps."""
    return nn.Parameter(torch.ones(convolution.out_channels, 1, 1, 1, device=convolution.weight.device))


def fold(layer: nn.Module, factors: nn.Parameter) -> None:
    parametrize.register_parametrization(layer, "weight", Factors(factors))


class Alone(nn.Module):
    """Spikes [T, B, C, H, W] times their channels' factors, as the convolution that this is."""

    def __init__(self, factors: nn.Parameter):
        super().__init__()
        channels = len(factors)
        self.convolution = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.convolution.weight = factors

    def forward(self, x):
        return self.convolution(x.flatten(0, 1)).unflatten(0, x.shape[:2])
