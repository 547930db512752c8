"""Training by the squared error of firing rates; with PLIF's networks, whose output neurons vote (Fang et al., ICCV 2021).

Paper: the rows PLIF of spikformer_v2, Table V, which quotes them.
Equations: L = MSE(mean_t o(t), y), the mean over images and classes, with o(t) the votes of step t, from 0 to 1, and y one-hot.
Expected: spikformer_v2 Table V, CIFAR10-DVS, T=20: 74.8; DVS128 Gesture, T=20: 97.6.
Command: snakemake --cores 8 --profile profiles/paper -- results/table5_spikformer_v2.csv

Source: fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron@f644ff6, codes/train.py; no quoting paper prints the loss.
Parity: of the network, see benchmark/backbones/plif_net.py; the loss is PyTorch's own.
"""

from torch.nn import functional

from benchmark.method import Method


def fits(student):
    """Votes are what plif-net gives; logits of other networks have no bounds."""
    return "" if student.name.startswith("plif-net-") else f"{student.name} gives logits, and PLIF's loss is of votes: take a plif-net"


class PLIF(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": functional.mse_loss(student.logits.float().mean(0), target)}
