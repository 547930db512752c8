"""STBP (Wu et al., 2018, 2019): back-propagation through layers and steps, by the squared error of the output neurons' rates.

Paper: the row STBP of spikformer_v2, Table IV, which quotes it; the digits are those of CIFARNet without NeuNorm.
Equations: L = mean over images and classes of (mean_t o(t) - y)^2, with o(t) the votes of step t, from 0 to 1, and y one-hot. Neurons and
surrogate are the network's: u <- 0.25 u (1 - s) + x, s = [u >= 0.75], gradient 1 within 0.5 of the threshold, through the reset too.
Expected: spikformer_v2 Table IV, CIFARNet, CIFAR10, T=12: 89.83.
Command: snakemake --cores 8 --profile profiles/paper -- results/table4_spikformer_v2.csv

Source: yjwu17/BP-for-SpikingNN@8453086, spiking_model.py, main.py: neuron, surrogate and loss, on MNIST.
Parity: neuron, surrogate and loss against a slow loop of the official equations (tests/test_cited_small.py); no official CIFAR network.
Deviations: the official neuron fires above its threshold, this one at it too. Decay and threshold are those of the CIFAR networks.
"""

from torch.nn import functional

from benchmark.method import Method


def fits(student):
    """Rates are what these networks give; logits of other networks have no bounds."""
    known = student.name.startswith("cifarnet-stbp")
    return "" if known else f"{student.name} is not the network of spiking output neurons that STBP trains: take cifarnet-stbp"


class STBP(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": functional.mse_loss(student.logits.float().mean(0), target)}
