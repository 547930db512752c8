"""TSSL-BP (Zhang and Li, NeurIPS 2020): the traces of the output spikes have to be those of a wanted spike train.

Paper: the row TSSL-BP of spikformer_v2, Table IV, which quotes it; the public code's README gives 91.41 as the best of one network.
Equations: L = 1/2 sum over classes and steps of (a(t) - y b(t))^2, mean over images, with a the output neurons' traces and b the wanted
train 0, 1, 1, 1, 1 (0, 1, 0, 1, ... from ten steps on) put through the trace twice, as the public code does; y one-hot, so that the other
classes' neurons are to be silent. The gradient through the neurons is theirs, benchmark/neurons/tssl_bp.py.
`filtered=once` puts it through once, which is what the paper's definition of the loss asks for.
Expected: spikformer_v2 Table IV, CIFARNet, CIFAR10, T=5: 91.41.
Command: snakemake --cores 8 --profile profiles/paper -- results/table4_spikformer_v2.csv

Source: stonezwr/TSSL-BP@ffaac71, main.py, functions/loss_f.py, functions/tsslbp.py, Networks/CIFAR10.yaml
Parity: with the official network, loss and gradients of an eighth of the widths, dropout off, all layers firing: loss equal to 2e-7,
gradients to 4e-6 of the largest of each layer.
Deviations: the official code keeps weights within 4 on both sides after each update; no weight comes near at the start, and this is left out.
It adds up the loss over a batch and cuts the gradient at a norm of 1; the mean's is cut at 1 / batch size (recipe).
"""

import torch

from benchmark.method import Method


def fits(student):
    """One output neuron for each class, and no normalisation that would move membranes."""
    return "" if student.name.startswith("cifarnet-tssl") else f"{student.name} is not a network of TSSL-BP's: take cifarnet-tssl"


class TSSLBP(Method):
    """How often the wanted train is filtered; the neurons are the method's."""

    params = {"filtered": "twice"}
    choices = {"filtered": ["once", "twice"]}
    neuron = {"name": "tssl-bp", "tau": 5.0, "tau_s": 3.0, "v_threshold": 1.0}

    def loss(self, student, teacher, target, parts):
        traces = student.logits.float()
        wanted = self.wanted(len(traces)).to(traces)[:, None, None] * target
        return {"task": (traces - wanted).square().sum((0, 2)).mean() / 2}

    def wanted(self, steps: int) -> torch.Tensor:
        """b, [T]."""
        pattern = [0, 1, 1, 1, 1] if steps < 10 else [0, 1]
        train = torch.tensor((pattern * steps)[:steps], dtype=torch.float32)
        for _ in range(2 if self.filtered == "twice" else 1):
            train = trace(train, self.neuron["tau_s"])
        return train


def trace(train: torch.Tensor, tau: float) -> torch.Tensor:
    """a(t) = a(t-1) + (s(t) - a(t-1)) / tau of [T], from 0."""
    found = [train[0] / tau]
    for spike in train[1:]:
        found.append(found[-1] + (spike - found[-1]) / tau)
    return torch.stack(found)
