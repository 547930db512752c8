"""Diet-SNN (Rathi and Roy, TNNLS 2021): an artificial network's weights, then training of weights, thresholds and leaks over few steps.

Paper: Diet-SNN (cited by Spikformer V2). The spiking network starts from the weights of the same network with ReLUs. Thresholds are set
layer by layer to a percentile of the currents that come to each, with the layers before already spiking, then all are scaled by `factor`;
leaks start at 1. The image is the first layer's current at every step, and the classifier's currents are added up.
Equations: neurons as in benchmark/neurons/trained_threshold.py; L = CE(sum_t z(t), y).
Expected: Spikformer V2 Table 4: CIFAR10, T=10: 92.54; CIFAR100, T=5: 64.07.
Command: snakemake --cores 8 --profile profiles/paper -- results/table4_spikformer_v2.csv

Source: nitin-rathi/DIET-SNN@4c7527b, snn.py, ann.py, self_models/resnet_spiking.py, self_models/resnet.py, script.sh, README.md.
Parity: of the neuron alone, see there.
Deviations: its networks have no batch normalisation and dropout instead, its ResNet-20 a stem of three convolutions and 64 channels (11 M
parameters); ours is He's of 0.27 M, which the quoting table's size fits, with batch normalisation, whose statistics are taken anew from
spikes while thresholds are looked for. It looks for thresholds of a ResNet's stem alone (of all layers of a VGG) and starts the others at
`--default_threshold`; here every layer's is looked for. It looks at 512 images, here at `images`.
"""

import torch

from benchmark.method import Method, cross_entropy
from benchmark.networks.balancing import balance, first, searching
from benchmark.neurons.trained_threshold import TrainedThreshold


class DietSNN(Method):
    """Conversion at the start, then training."""

    params = {"factor": 0.2, "percent": 99.7, "search_steps": 100, "images": 64}
    ranges = {"factor": [0.01, 10.0], "percent": [50.0, 100.0], "search_steps": [1, 10000], "images": [2, 100000]}
    needs = {"ann": {"method": "direct"}}
    neuron = {"name": "trained-threshold", "threshold": 1.0, "leak": 1.0, "gamma": 0.3}

    def start(self, network, above, calibration):
        network.load_state_dict(above["ann"].state_dict(), strict=False)
        images = first(calibration, self.images).to(next(network.parameters()).device)
        neurons = [module for module in network.modules() if isinstance(module, TrainedThreshold)]
        with searching(network, self.search_steps, training=True):
            balance(network, neurons, images, lambda currents: percentile(currents, self.percent))
        for module in neurons:
            module.threshold.data.mul_(self.factor)
        return network

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.sum(0), target)}


def percentile(x: torch.Tensor, percent: float) -> float:
    """The public code's: of n values in order the 1 + round(percent (n - 1) / 100)-th."""
    return x.flatten().float().kthvalue(1 + round(percent / 100 * (x.numel() - 1))).values.item()


def fits(student, ann):
    """The same residual network, with neurons and with ReLUs."""
    same = student.name.startswith("resnet-") and ann.name == f"ann-{student.name}" and student.size == ann.size
    return "" if same else f"diet-snn starts {student.name} from the same residual network with ReLUs, and {ann.name} is another"
