"""Parameter calibration (Li et al., 2022, arXiv 2205.10121): SNN Calibration once more, with membranes alone corrected on small images.

Paper: parameter calibration (cited by IDSNN). As methods/snn_calibration.py: thresholds with the least error, half a threshold over all
steps, corrections layer by layer.
Equations: in benchmark/networks/converting/layerwise.py and benchmark/neurons/calibrated.py.
Expected: IDSNN Table 1, ResNet-20, CIFAR10, T=8: 92.98; Table 2, ResNet-20, CIFAR100, T=8: 71.86.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_idsnn.csv
Source: yhhhli/SNN_Calibration@4aece7c: main_cal_cifar.py, models/spiking_layer.py, calibration.py, fold_bn.py, CIFAR/models/resnet.py. Its
README announced in May 2022 that the code would be changed to match this paper, and in August it was (3b8759b): read as the paper's.
Parity: thresholds within 1e-15 and spikes of every layer and step, and logits, equal to the later code's (4aece7c: ResNet with random
weights, 7 batches of 6 images of 8x8 to calibrate by, 4 to compare, T=4, float64): 0 of 753,664 spikes differ, with biases corrected and with
membranes corrected. Not compared: thresholds for each channel.
Deviations: its script fixes T at 32 whatever is asked for; here it is the row's. It looks at augmented training images; here they are as
the test images are.
Guessed: that the printed rows are of `advanced`, the better one of its README's. The network of this code, 64 to 256 channels in nine blocks
behind one convolution, has 4.3 M parameters, not the 11.3 M that the row was read as: the recipe has the code's.

What is a choice:
  calibration  `light` corrects biases, channel by channel; `advanced` (default) membranes, which the code says is best on these images.
  threshold    `layer`, as its script calls it, or for each `channel`.
"""

from benchmark.method import Method
from benchmark.networks.converting import layerwise
from benchmark.networks.converting.conversion import convert, surveyed


class ParameterCalibration(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"calibration": "advanced", "threshold": "layer", "images": 128, "batches": 7, "momentum": 0.9}
    choices = {"calibration": ["light", "advanced"], "threshold": ["layer", "channel"]}
    ranges = {"images": [2, 100000], "batches": [1, 1000], "momentum": [0.0, 1.0]}
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        batches = layerwise.batches(images, self.images, self.batches)
        find = layerwise.rounding(network.steps, self.threshold == "channel")
        found = layerwise.thresholds(ann, places, batches, self.momentum, find)
        neurons = {name: layerwise.halved(theta, network.steps) for name, theta in found.items()}
        spiking = convert(ann, places, neurons, network.steps)
        layerwise.calibrate(spiking, ann, batches[0], layerwise.bias if self.calibration == "light" else layerwise.potential)
        return spiking


def fits(student, ann):
    """Only what has ReLUs."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
