"""SNN Calibration (Li et al., ICML 2021): a trained network becomes spiking, each layer corrected by what it sends less than before.

Paper: SNN Calibration (cited by IDSNN). Integrating neurons with soft reset in place of ReLUs, one threshold for each layer: the one that
changes the artificial network's activations least when T steps round them down. Half a threshold comes in over all steps. Then, layer by
layer from the image on, some training images show what its neurons send less or more than the artificial network (see `calibration`).
Equations: floor(clip(x T / theta, 0, T)) theta / T, and the corrections, in benchmark/networks/converting/layerwise.py; the neuron's in
benchmark/neurons/calibrated.py. A threshold is that of the first batch, then 0.9 of it and 0.1 of the next one's, for each batch.
Expected: IDSNN Table 2, ResNet-20 (11.3 M), CIFAR100, T=16: 72.33.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_idsnn.csv
Source: yhhhli/SNN_Calibration@0305353, the last one before its code was changed for the second paper: CIFAR/main_calibration.py,
CIFAR/models/spiking_layer.py, calibration.py, fold_bn.py, resnet.py, utils.py.
Parity: thresholds within 1e-15 and spikes of every layer and step, and logits, equal to the later code's (4aece7c: ResNet with random
weights, 7 batches of 6 images of 8x8 to calibrate by, 4 to compare, T=4, float64): 0 of 753,664 spikes differ, with biases corrected and with
membranes corrected. Not compared: thresholds for each channel, weights.
Deviations: its network has one more layer of neurons, on the mean over positions before the classifier; here the classifier gets the mean
of the last block's spikes, as in its later code. Its script fixes the T of thresholds and runs at 32 whatever is asked for; here it is the
row's. It looks at augmented training images; here they are as the test images are.

What is a choice:
  calibration  `light` corrects biases, channel by channel; `advanced` (default: the better one of its README's) weights, then membranes.
  threshold    `layer`, as its script calls it; its function can do each `channel`.
"""

import torch

from benchmark.method import Method
from benchmark.networks.converting import layerwise
from benchmark.networks.converting.conversion import convert, surveyed


class SNNCalibration(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {
        "calibration": "advanced",
        "threshold": "layer",
        "images": 128,  # of a batch: of thresholds and of what corrects biases or membranes
        "batches": 7,  # of thresholds
        "momentum": 0.9,
        "samples": 1024,  # images that correct weights
        "iterations": 10000,  # for each layer
        "rate": 1e-5,
    }
    choices = {"calibration": ["light", "advanced"], "threshold": ["layer", "channel"]}
    ranges = {
        "images": [2, 100000], "batches": [1, 1000], "momentum": [0.0, 1.0], "samples": [2, 100000], "iterations": [1, 10000000],
        "rate": [0.0, 1.0],
    }  # fmt: skip
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        batches = layerwise.batches(images, self.images, max(self.batches, -(-self.samples // self.images)))
        find = layerwise.rounding(network.steps, self.threshold == "channel")
        found = layerwise.thresholds(ann, places, batches[: self.batches], self.momentum, find)
        neurons = {name: layerwise.halved(theta, network.steps) for name, theta in found.items()}
        spiking = convert(ann, places, neurons, network.steps)
        if self.calibration == "light":
            layerwise.calibrate(spiking, ann, batches[0], layerwise.bias)
        else:
            layerwise.calibrate(spiking, ann, torch.cat(batches)[: self.samples], layerwise.weights(self.iterations, self.rate, 32))
            layerwise.calibrate(spiking, ann, batches[0], layerwise.potential)
        return spiking


def fits(student, ann):
    """Only what has ReLUs."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
