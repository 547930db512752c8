"""CML (Zhou et al., 2023): down-sampling by convolution, normalisation, max pooling, and only then the neuron.

Paper: the row CML of spikformer_v2, Table II, which quotes it: the same network as Spikingformer's row, trained alike.
Equations: s = LIF(MP(BN(W x))) in place of s = MP(LIF(BN(W x))): the maximum is one of real numbers, so that its gradient goes to the
position that caused it, not to the first of many equal spikes. Nothing else changes: no parameter, no operation of a convolution.
L = CE(mean_t z(t), y).
Expected: spikformer_v2 Table II, 8-768, ImageNet, T=4: 77.64.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_spikformer_v2.csv

Source: zhouchenlin2096/Spikingformer-CML@8e51213, imagenet/model.py, cifar10/CML_Spikformer.py, imagenet/imagenet.yml, README.md
Parity: with the official imagenet/model.py, twins of 64 channels, 2 blocks, 4 steps: logits equal to 1.2e-7 in training
and in evaluation, gradients to 5e-6 of the largest.
Deviations: the official model builds LayerNorms that it never calls; they are left out, as in Spikingformer.
"""

from torch import nn

from benchmark.method import Method, cross_entropy
from benchmark.networks.pooling import MaxPool2d
from benchmark.neurons._base import Neuron


class CML(Method):
    """Nothing to choose."""

    params = {}

    def start(self, network, above, calibration):
        network.stem = nn.Sequential(*pooled_first(list(network.stem)))
        return network

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def pooled_first(layers: list[nn.Module]) -> list[nn.Module]:
    """The layers with every neuron behind the pooling that followed it."""
    for index, (before, after) in enumerate(zip(layers, layers[1:], strict=False)):
        if isinstance(before, Neuron) and any(isinstance(part, MaxPool2d) for part in after.modules()):
            layers[index : index + 2] = [after, before]
    return layers


def fits(student):
    """Networks whose stem pools what neurons send."""
    known = student.name.startswith(("spikformer", "spikingformer")) and not student.name.startswith("spikformer-v2")
    return "" if known else f"{student.name} has no stem of convolutions, neurons and max pooling: take a spikformer or a spikingformer"
