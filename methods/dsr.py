"""Training by differentiation on spike representation (DSR, Meng et al., CVPR 2022): plain training of its own network.

Paper: the row DSR of spikformer_v2, Table V, which quotes it.
Equations: the neuron's, benchmark/neurons/dsr.py, whose gradient is that of a clipped mean; L = CE(sum_t w(t) o(t) / sum_t w(t), y) with o what
  the class neurons send and w the neuron's weights.
Expected: spikformer_v2 Table V, CIFAR10-DVS, T=10: 77.3.
Command: snakemake --cores 8 --profile profiles/paper -- results/table5_spikformer_v2.csv

Source: qymeng94/DSR@876c8d1, cifar/main_single_gpu.py, README.md.
Parity: of the network and its gradients, see benchmark/backbones/dsr_vgg.py; the loss is PyTorch's own.
Deviations: the public code has 20 steps, the quoting table prints 10.
"""

from benchmark.method import Method, cross_entropy


def fits(student):
    """The gradient is a part of the network's neurons."""
    return "" if student.name.startswith("dsr-vgg-") else f"{student.name} has no neurons that send their threshold: take a dsr-vgg"


class DSR(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
