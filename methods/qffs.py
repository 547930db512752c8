"""QFFS (Li, Ma and Furber, Frontiers in Neuroscience 2022): a network with few-level activations becomes spiking, wrong spikes taken back.

Paper: QFFS (cited by ECMT). The time that a spiking neuron needs is the precision of the activation that it stands for: an artificial network
is trained with activations of as many levels as there are to be steps. What is left is "occasional noise", spikes sent for currents that
later ones cancel: neurons send a negative spike for one that was too many.
Equations: methods/qcfs_ann.py's activation; the neuron of benchmark/neurons/integrate_and_fire.py, from half a threshold.
Expected: ECMT Table 2, VGG-16, ImageNet, T=4: 72.10, T=8: 74.36.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv
Source: no public code found (searched: the paper's title, its name and its DOI in public repositories); its abstract, and what works that
cite it say of it (negative spikes).
Parity: none possible.
Deviations: not known.
Guessed: the quantised activation, QCFS's with a learned clip for each layer; that both printed accuracies are of one network that runs
longer, as "4(8)" is written, with 8 levels: the accuracy rises to T=8 then, and does not with 4 (small random networks: the logits are
nearest to the artificial network's where T is the number of levels). Two networks, of 4 and 8 levels, would be another reading. Also:
membranes from half a threshold; when a spike is taken back: the membrane is negative and one was sent before, as in Fast-SNN (`back`, in
thresholds).
"""

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.integrate_and_fire import neuron


class QFFS(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"back": -1e-3}
    ranges = {"back": [-100.0, 0.0]}
    needs = {"ann": {"method": "qcfs-ann", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, _ = surveyed(above["ann"], calibration)
        clips = {place.name: ann.get_submodule(place.name).clip.item() for place in places if place.kind == "activation"}
        neurons = {name: neuron(theta=clip, start=0.5, lower=self.back * clip) for name, clip in clips.items()}
        return convert(ann, places, neurons, network.steps)


def fits(student, ann):
    """As of its artificial network."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
