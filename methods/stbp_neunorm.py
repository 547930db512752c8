"""STBP with NeuNorm (Wu et al., AAAI 2019): spikes less a weighted trace of how many of a layer's maps fire at the same position.

Paper: the row STBP NeuNorm of spikformer_v2, Table IV, which quotes it.
Equations: L = mean over images and classes of (mean_t o(t) - y)^2 as in `stbp`; NeuNorm is a part of the network, backbones/cifarnet.py.
Expected: spikformer_v2 Table IV, CIFARNet, CIFAR10, T=12: 90.53.
Command: snakemake --cores 8 --profile profiles/paper -- results/table4_spikformer_v2.csv

Source: no public code of its authors found (searched: title, "NeuNorm", "CIFARNet"); NeuNorm as spikingjelly's layer of this name has it.
Parity: NeuNorm with spikingjelly's layer: values and gradients equal to the bit.
Deviations: none known.
"""

from torch.nn import functional

from benchmark.method import Method


def fits(student):
    """NeuNorm is a part of the network."""
    return "" if student.name.startswith("cifarnet-neunorm") else f"{student.name} has no NeuNorm: take cifarnet-neunorm"


class STBPNeuNorm(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": functional.mse_loss(student.logits.float().mean(0), target)}
