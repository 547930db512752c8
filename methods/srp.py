"""SRP (Hao et al., AAAI 2023): QCFS's spiking network, in which neurons that a few probing steps found wrong stay silent.

Paper: SRP (cited by ECMT). The network of methods/qcfs_ann.py runs `probe` steps; neurons whose membranes are not positive then, so that
what they sent was more than what they got, send nothing in the T steps that follow from new membranes.
Equations: as methods/qcfs.py, times the mask v(probe) > 0, in benchmark/neurons/residual_membrane.py.
Expected: ECMT Table 2, ResNet-34, ImageNet, T=4: 66.71, T=64: 68.61.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv

The printed T leaves the probing steps out, so the latency is `probe` + T. The paper's are 8 for ResNet-34 and 14 for VGG-16 on ImageNet, 4 on
CIFAR. Operations and rates of a run are those of all steps.

Source: hzc1208/ANN2SNN_SRP@c31b44c, modules.py (MPLayer), main.py.
Parity: of the neuron, see benchmark/neurons/residual_membrane.py.
"""

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.residual_membrane import neuron


class SRP(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"probe": 4}
    ranges = {"probe": [1, 1024]}
    needs = {"ann": {"method": "qcfs-ann", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, _ = surveyed(above["ann"], calibration)
        clips = {place.name: ann.get_submodule(place.name).clip.item() for place in places if place.kind == "activation"}
        neurons = {name: neuron(theta=clip, probe=self.probe) for name, clip in clips.items()}
        return convert(ann, places, neurons, network.steps, self.probe)


def fits(student, ann):
    """As of its artificial network."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
