"""RMP-SNN (Han, Srinivasan and Roy, CVPR 2020): neurons that keep what their membrane holds above the threshold when they fire.

Paper: RMP (cited by ECMT). Integrating neurons with soft reset ("residual membrane potential") in place of the ReLUs of a network that was
trained as usual, thresholds balanced layer by layer. The image is presented unchanged at every step; the answer at t is the mean of the
first t logits.
Equations: m(t) = v(t-1) + W x(t), s = m >= theta, v(t) = m(t) - theta s(t), v(0) = 0; theta = factor times the layer's largest activation
over training images; in benchmark/neurons/integrate_and_fire.py.
Expected: ECMT Table 2, VGG-16, ImageNet, T=4096: 73.09.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv

Source: no public code found (searched: repositories and pages by the paper's title, its authors, RMP-SNN); the abstract alone was read:
soft reset in place of hard, "proper" thresholds, VGG-16, ResNet-20 and -34, 73.09 on ImageNet.
Parity: nothing to compare with.
Deviations: none known.
Guessed: `factor`, 1 being the balanced threshold; the largest activation of the artificial network, not of a run of spikes, as what
thresholds are balanced by; the image as a current, not as random spikes; how many images; batch normalisation in the network.
"""

import math

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.maxima import LOGITS, maxima, threshold
from benchmark.neurons.integrate_and_fire import neuron


class RMP(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"factor": 0.8, "images": 5000}
    ranges = {"factor": [0.01, 10.0], "images": [1, 10000000]}
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        largest = maxima(ann, places, images, self.images)
        del largest[LOGITS]
        thresholds = {name: self.factor * threshold(x.max()) for name, x in largest.items()}
        neurons = {name: neuron(theta=theta, start=0.0, lower=-math.inf) for name, theta in thresholds.items()}
        return convert(ann, places, neurons, network.steps)


def fits(student, ann):
    """Only what has ReLUs, and no max pools."""
    known = student.ann and student.name.startswith("ann-vgg")
    return "" if known else f"{student.name} is no VGG with average pools, as it is converted here"
