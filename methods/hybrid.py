"""Hybrid conversion (Rathi et al., ICLR 2020): an artificial network's weights, balanced thresholds, then a few epochs of training in time.

Paper: Hybrid training (cited by Spikformer V2). The spiking network starts from the weights of the same network with ReLUs; thresholds are
set layer by layer to the largest current that comes, with the layers before already spiking, then scaled by `factor`; of a residual
network those of the stem alone, the others staying at 1. The image arrives as random spikes, and the classifier's currents are added up.
Equations: neurons as in benchmark/neurons/delayed_if.py; L = CE(sum_t z(t), y), through all steps.
Expected: Spikformer V2 Table 4: ResNet-20, CIFAR10, T=125: 92.22; VGG-11, CIFAR100, T=125: 67.87; Table 2: ResNet-34, ImageNet, T=250: 61.48.
Command: snakemake --cores 8 --profile profiles/paper -- results/table4_spikformer_v2.csv

Switches:
  gradient   `stdb`, by the time since a neuron's last spike, is the paper's; its code's own default is `linear`, a triangle over the
             membrane, which its README advises where the other one becomes unstable.

Source: nitin-rathi/hybrid-snn-conversion@3f6832c, snn.py, ann.py, snn_script.py, ann_script.py, self_models/, README.md.
Parity: with its networks, narrower, on the same weights, thresholds (0.4 to 0.9) and input spikes, leak 0.99, dropout off, double precision:
VGG-11 at T=30 and ResNet-20 at T=26, no layer silent, logits equal to 3e-14 of 34, every gradient to 2e-14 of its tensor's largest with
`stdb` and 4e-7 with `linear` (its reset is in single precision).
Deviations: thresholds are looked for over `search_steps` steps of `images` images, 1000 and 512 there (memory); in inference the random
numbers behind the spikes are the same for all images. Adam without AMSGrad.
"""

import torch

from benchmark.method import Method, cross_entropy
from benchmark.networks.balancing import balance, first, searching
from benchmark.networks.layers import Residual, Sum
from benchmark.neurons.delayed_if import DelayedIF


class Hybrid(Method):
    """Conversion at the start, then training."""

    params = {"factor": 0.7, "search_steps": 100, "images": 64, "gradient": "stdb"}
    params_for = {"ImageNet": {"images": 8}}
    choices = {"gradient": ["stdb", "linear"]}
    ranges = {"factor": [0.01, 10.0], "search_steps": [2, 10000], "images": [2, 100000]}
    needs = {"ann": {"method": "direct"}}
    neuron = {"name": "delayed-if", "threshold": 1.0, "leak": 1.0, "gradient": "stdb", "height": 0.3, "fall": 0.01}

    def start(self, network, above, calibration):
        wrong = network.load_state_dict(above["ann"].state_dict(), strict=False)
        assert not wrong.unexpected_keys and all(name.endswith(".threshold") for name in wrong.missing_keys), wrong
        for module in neurons(network):
            module.gradient = self.gradient
        residual = any(isinstance(module, (Residual, Sum)) for module in network.modules())
        balanced = neurons(network.stem if residual else network)
        images = first(calibration, self.images).to(next(network.parameters()).device)
        with searching(network, self.search_steps, training=False):
            balance(network, balanced, images, lambda currents: currents.max().item())
        for module in balanced:
            module.threshold.mul_(self.factor)
        return network

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.sum(0), target)}


def neurons(module: torch.nn.Module) -> list[DelayedIF]:
    """In the order in which the layers stand."""
    return [part for part in module.modules() if isinstance(part, DelayedIF)]


def fits(student, ann):
    """The same of its networks, with neurons and with ReLUs."""
    same = student.name.startswith("hybrid-") and ann.name == f"ann-{student.name}" and student.size == ann.size
    return "" if same else f"hybrid starts one of its own networks from the same with ReLUs; {student.name} and {ann.name} are no such pair"
