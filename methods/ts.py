"""Threshold and shift (Deng and Gu, ICLR 2021): thresholds at each layer's largest activation, half a threshold more over all T steps.

Paper: TS (cited by ECMT). The network of methods/ts_ann.py gets integrating neurons with soft reset in place of its activations. The
image is presented unchanged at every step, and the answer at t is the mean of what the first t steps sent.
Equations: m(t) = v(t-1) + W x(t) + theta / 2T, s = m >= theta, v(t) = m(t) - theta s(t), v(0) = 0, in benchmark/neurons/threshold_shift.py;
theta = the largest activation of the layer over the training images. The logits go through such neurons too.
Expected: ECMT Table 2, VGG-16, ImageNet, T=64: 70.97.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv

T in the shift is the run's number of steps, as in the public code, which reads smaller numbers of steps off the same run.

Source: Jackn0/snn_optimal_conversion_pipeline@735bdb7, main_simulation.py, models/spiking_layer.py, models/VGG16.py, models/settings.py.
Parity: its VGG-16 with random weights, T=16, in double precision (its layer makes spikes single ones; that was widened): all 9,109,824
values that the sixteen layers sent, thresholds and answers equal to the bit.
Deviations: the code looks at all training images, augmented, of CIFAR; here at `images` of them as they are.
Guessed: that it did on ImageNet what its code does on CIFAR.
"""

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.maxima import LOGITS, maxima, threshold
from benchmark.neurons.threshold_shift import neuron


class TS(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"images": 50000}
    ranges = {"images": [1, 10000000]}
    needs = {"ann": {"method": "ts-ann", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        largest = {name: x.max() for name, x in maxima(ann, places, images, self.images).items()}
        for name in largest.keys() - {LOGITS}:
            largest[name] = largest[name].clamp(max=ann.get_submodule(name).max_val)
        neurons = {name: neuron(theta=threshold(x), shift=0.5 / network.steps) for name, x in largest.items()}
        answers = neurons.pop(LOGITS)
        return convert(ann, places, neurons, network.steps, answers=answers)


def fits(student, ann):
    """As of its artificial network."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
