"""COS (Hao et al., ICLR 2023): QCFS's spiking network, each neuron's membrane moved by the one spike that it would send too many or too few.

Paper: COS (cited by IDSNN and Spikformer V2). Layer by layer, a neuron runs `probe` steps of its own input. If its rest is negative though it
fired, or at least a threshold, it missed QCFS's activation by a spike, and its membrane starts lower or higher, by about a threshold, in
the run that counts, which begins with the same inputs.
Equations: as methods/qcfs.py, from other membranes, in benchmark/neurons/offset_spikes.py.
Expected: Spikformer V2 Table 2, ResNet-34, ImageNet, T=8: 74.17; IDSNN Table 2, ResNet-20, CIFAR100, T=32: 70.29.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_idsnn.csv
Source: hzc1208/ANN2SNN_COS@ecb3587, main.py, modules.py, utils.py, NetworkFunction.py, Models/ResNet.py, README.md.
Parity: spikes of every layer and step, and logits, equal to its whole code's (its ResNet-20 with QCFS's activation, random weights and clips,
4 images, float64): 0 of 6,029,312 differ with T=8 and 4 probing steps; logits equal with T=16 and 8 too.
Deviations: its ResNet-34 has the stem for small images (3x3, stride 1) on ImageNet too; here it is torchvision's:
the printed power seems to leave no room for the many times larger maps. The code can repeat its correction, and does it once.

The printed T leaves the looks ahead out: each layer waits `probe` steps for the first ones of the layer before, 8 on ImageNet, 4 on CIFAR.
Operations and rates of a run are those of its T steps, of `probe` where T is less: a look ahead sums inputs that arrive anyhow. One run
answers for every smaller T.
"""

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.offset_spikes import neuron


class COS(Method):
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
        return convert(ann, places, neurons, network.steps, together=self.probe)


def fits(student, ann):
    """As of its artificial network."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
