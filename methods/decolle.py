"""DECOLLE (Kaiser et al., Frontiers in Neuroscience 2020): every layer learns by itself, from what a random readout makes of its spikes.

Paper: the row DECOLLE of spikformer_v2, Table V, which quotes it.
Equations: L = sum_l mean_(t > t0) SmoothL1(G_l S_l(t), y), the mean over images and classes too, with G_l the readout of layer l, random and
  never trained, and y one-hot. No gradient passes from a layer to the one before, nor from a step to the one before.
Expected: spikformer_v2 Table V, DVS128 Gesture, T=500: 95.5.
Command: snakemake --cores 8 --profile profiles/paper -- results/table5_spikformer_v2.csv
Source: nmi-lab/decolle-public@28f33a8, scripts/train_lenet_decolle.py, decolle/utils.py, base_model.py, init_functions.py.
Parity: the loss of the official network to single precision, its gradients to 2e-8, see benchmark/backbones/decolle_net.py.
Deviations: official weights change after every step of 1 ms, 400 times a batch; here once a batch by the mean over its steps, which is that
  code's `online_update: False`. Official samples are 500 ms from anywhere in a recording, 1,800 ms at the test; here a recording is cut into
  500 steps. The most frequent answer of the last layer is taken where the code prints every layer's.
"""

import torch
from spikingjelly.activation_based.functional import reset_net as reset
from torch import nn
from torch.nn import functional

from benchmark.backbones.decolle_net import Readout
from benchmark.method import Method

ROUNDS = 50  # of scaling, at most


class DECOLLE(Method):
    """The readouts of all layers but the last are parts."""

    params = {"skipped": 0.2}
    ranges = {"skipped": [0.0, 0.99]}
    sees = ("blocks",)

    def start(self, network, above, calibration):
        images = next(calibration, None)
        return network if images is None else settled(network, images)

    def parts(self, student, teacher):
        classes = student.head[0].layer.out_features
        return nn.ModuleList(Readout(size, classes, student.amplitude, student.dropout) for size in student.maps[:-1])

    def loss(self, student, teacher, target, parts):
        first = int(self.skipped * len(student.logits))
        values = [*(readout(spikes) for readout, spikes in zip(parts, student.features, strict=False)), student.logits]
        return {f"layer{index}": self.distance(each[first:], target) for index, each in enumerate(values, 1)}

    @staticmethod
    def distance(values, target):
        return functional.smooth_l1_loss(values.float(), target.expand_as(values))


@torch.no_grad()
def settled(network, images):
    """The network with orthogonal weights, scaled layer by layer until its pooled membranes at the last step have a variance of 1 and a mean of
    0, up to 0.1 and 0.2 (LSUV; Mishkin and Matas, ICLR 2016). images: [T, B, C, H, W]."""
    x = network.stem(images)
    for block in network.blocks:
        nn.init.orthogonal_(block.conv.weight)
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
