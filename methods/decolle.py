"""DECOLLE (Kaiser et al., Frontiers in Neuroscience 2020): every layer learns by itself, from what a random readout makes of its spikes.

Paper: the row DECOLLE of spikformer_v2, Table V, which quotes it.
Equations: L = sum_l mean_(t > t0) SmoothL1(G_l S_l(t), y), the mean over images and classes too, with G_l the readout of layer l, random and
  never trained, and y one-hot. No gradient passes from a layer to the one before, nor from a step to the one before.
Expected: spikformer_v2 Table V, DVS128 Gesture, T=500: 95.5.
Command: snakemake --cores 8 --profile profiles/paper -- results/table5_spikformer_v2.csv
Source: nmi-lab/decolle-public@28f33a8, scripts/train_lenet_decolle.py, decolle/utils.py, base_model.py, init_functions.py.
Parity: the loss of the official network to single precision, its gradients to 6e-7, see benchmark/backbones/decolle_net.py.
Deviations: official weights change after every step of 1 ms, 400 times a batch; here once a batch by the mean over its steps, which is that
  code's `online_update: False`. Official samples are 500 ms from anywhere in a recording, 1,800 ms at the test; here a recording is cut into
  500 steps of equally many events. The most frequent answer of the last layer is taken where the code prints every layer's.
  Official readouts see half of the spikes while they train; here the last one does. Those of the layers before are the same for every seed.
"""

from functools import cache

import torch
from spikingjelly.activation_based.functional import reset_net as reset
from torch import nn
from torch.nn import functional

from benchmark.method import Method

AMPLITUDE = 2.0  # of readouts, which are drawn evenly up to it over the root of their inputs' number
ROUNDS = 50  # of scaling, at most


class DECOLLE(Method):
    """The share of the steps that has no say at first. The last layer's readout is the network's own."""

    params = {"skipped": 0.2}
    ranges = {"skipped": [0.0, 0.99]}
    sees = ("blocks",)

    def start(self, network, above, calibration):
        for block in network.blocks:
            block.local = True
        images = next(calibration, None)
        return network if images is None else settled(network, images)

    def loss(self, student, teacher, target, parts):
        first = int(self.skipped * len(student.logits))
        values = [read(spikes, index, target.shape[1]) for index, spikes in enumerate(student.features[:-1])]
        return {f"layer_{NAMES[index]}": distance(each[first:], target) for index, each in enumerate([*values, student.logits])}


NAMES = "abcdefgh"


def read(spikes: torch.Tensor, layer: int, classes: int) -> torch.Tensor:
    """What a layer's random readout makes of its spikes [T, B, ...] -> [T, B, classes]."""
    flat = spikes.flatten(2).float()
    weight, bias = (value.to(flat) for value in readout(layer, flat.shape[2], classes))
    return functional.linear(flat, weight, bias)


@cache
def readout(layer: int, inputs: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights and biases of a layer's readout: random, the same in every run, never trained."""
    draw = torch.Generator().manual_seed(layer)
    return tuple((2 * torch.rand(shape, generator=draw) - 1) * AMPLITUDE / inputs**0.5 for shape in ((classes, inputs), (classes,)))


def distance(values: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return functional.smooth_l1_loss(values.float(), target.expand_as(values))


@torch.no_grad()
def settled(network, images):
    """The network with orthogonal weights, scaled layer by layer until its pooled membranes at the last step have a variance of 1 and a mean of
    0, up to 0.1 and 0.2 (LSUV; Mishkin and Matas, ICLR 2016). images: [T, B, C, H, W]."""
    x = network.stem(images)
    for block in network.blocks:
        block.conv.weight.copy_(nn.init.orthogonal_(torch.empty(block.conv.weight.shape)))  # of any memory layout
        nn.init.zeros_(block.conv.bias)
        for _ in range(ROUNDS):
            membranes = block.neurons.membranes(block.currents(x))[-1]
            reset(block)
            variance, mean = membranes.var(), membranes.mean()
            if (variance - 1).abs() <= 0.1 and mean.abs() <= 0.2:
                break
            if (variance - 1).abs() > 0.1:
                block.conv.weight /= variance.clamp(min=1e-3).sqrt()
            if mean.abs() > 0.2:
                block.conv.bias -= mean / 2
        x = block(x)
        reset(block)
    return network


def fits(student):
    """Readouts are of its layers."""
    return "" if student.name.startswith("decolle-net-") else f"{student.name} is not the network of this work: take a decolle-net"
