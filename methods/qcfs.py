"""QCFS (Bu et al., ICLR 2022): a network trained with quantised activations becomes spiking; nothing is trained again.

Paper: QCFS (cited by ECMT, IDSNN and Spikformer V2). Integrating neurons with soft reset in place of the activations of
methods/qcfs_ann.py, their threshold the learned lambda, their membrane half of it at the beginning. The image is presented unchanged at
every step, and the answer at t is the mean of the first t outputs: one run answers for every smaller T.
Equations: m(t) = v(t-1) + W x(t), s = m >= theta, v(t) = m(t) - theta s(t), v(0) = theta / 2, in benchmark/neurons/integrate_and_fire.py.
Expected: IDSNN Table 1, ResNet-18, CIFAR10, T=4: 90.43; ECMT Table 2, ResNet-34, ImageNet, T=64: 72.35.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_idsnn.csv

Source: putshua/ANN_SNN_QCFS@eca136b, Models/layer.py (IF).
Parity: of the neuron, see benchmark/neurons/integrate_and_fire.py.
"""

import math

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.integrate_and_fire import neuron


class QCFS(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"membrane": 0.5}
    ranges = {"membrane": [-1.0, 0.99]}
    needs = {"ann": {"method": "qcfs-ann", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, _ = surveyed(above["ann"], calibration)
        clips = {place.name: ann.get_submodule(place.name).clip.item() for place in places if place.kind == "activation"}
        neurons = {name: neuron(theta=clip, start=self.membrane, lower=-math.inf) for name, clip in clips.items()}
        return convert(ann, places, neurons, network.steps)


def fits(student, ann):
    """As of its artificial network."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
