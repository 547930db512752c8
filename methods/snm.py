"""SNM (Wang et al., IJCAI 2022): signed neurons with a memory of what they sent, each with a threshold of its own.

Paper: SNM (cited by ECMT). In place of the ReLUs of a network that was trained as usual stand integrating neurons that take a spike back
when their membrane falls to the negative threshold, as long as the sum of what they sent is positive. "NeuronNorm": every neuron's
threshold is its own largest activation over the training images, and its spikes are worth as much. The image is presented unchanged at
every step; the answer at t is the mean of what the first t steps sent, the logits going through such neurons too.
Equations: m(t) = v(t-1) + W x(t), v(0) = 0, M the sum of what was sent; sends theta where m >= theta, -theta where m <= -theta and M > 0;
v(t) = m(t) - what was sent; in benchmark/neurons/integrate_and_fire.py.
Expected: ECMT Table 2, VGG-16, ImageNet, T=64: 71.50.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv

A spike of a neuron with its own threshold is worth another number than its neighbour's, and a convolution has one weight for all of them:
these are graded values, and are counted so.

Source: ppppps/ANN2SNNConversion_SNM_NeuronNorm@4d051d6, models/spikeLayer.py, models/VGG.py, snnInference_VGG16_CIFAR10.py.
Parity: its VGG-16 with random weights, T=16, in double precision: all 4,554,912 values that the sixteen layers sent are equal (answers to
1e-16) once its memory is asked to be over half a threshold; as its code stands, over 0, 72,127 differ, since rounding leaves a little in
the memory of a neuron that has taken all its spikes back, and it takes one more.
Deviations: the memory counts whole spikes, see above. The code keeps its largest values for each place in a batch, so that a threshold
depends on which images share one; here it is one for all. A neuron that is never active has threshold 0 there and sends nothing; here its
threshold is out of reach. It looks at test and training images; here at `images` training images alone.
Guessed: that it did on ImageNet what its code does on CIFAR10.
"""

from benchmark.method import Method
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.maxima import LOGITS, maxima, threshold
from benchmark.neurons.integrate_and_fire import neuron


class SNM(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"images": 50000}
    ranges = {"images": [1, 10000000]}
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        thresholds = {name: threshold(x) for name, x in maxima(ann, places, images, self.images).items()}
        neurons = {name: neuron(theta=theta, start=0.0, lower=-theta) for name, theta in thresholds.items()}
        answers = neurons.pop(LOGITS)
        return convert(ann, places, neurons, network.steps, answers=answers)


def fits(student, ann):
    """Only what has ReLUs, and no max pools."""
    known = student.ann and student.name.startswith("ann-vgg")
    return "" if known else f"{student.name} is no VGG with average pools, as it is converted here"
