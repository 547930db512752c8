"""Fast-SNN (Hu et al., TPAMI 2023): a network with quantised activations becomes spiking, then each layer is tuned against it.

Paper: Fast-SNN (cited by Spikformer V2). Integrating neurons with soft reset that take a spike back when their membrane is negative and
they have sent one, as many steps as the activation of methods/fast_snn_ann.py has levels, from half a threshold, the learned clip. Then,
from the second layer on, the weights before each layer of neurons are trained so that its average comes near the artificial network's.
Equations: the neuron's in benchmark/neurons/integrate_and_fire.py; the tuning in benchmark/networks/converting/layerwise.py (Tuning).
Expected: Spikformer V2 Table 2, VGG-16, ImageNet, T=7: 72.95.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_spikformer_v2.csv
Source: yangfan-hu/Fast-SNN@e4315cd, image classification/ImageNet: models/spiking.py, models/vgg.py, snn_ft.py, README.md.
Parity: spikes equal to its neurons' (Spiking, signed) on random currents, thresholds 0.7, 1 and 6, T=7, float64: 0 of 645,120 differ, 63,650 of
them taken back. Its fine-tuning was not run (several GPUs); a step of it is computed by hand in tests.
Deviations: there each layer is tuned on all training images, augmented, eight times, and what is worse on them is undone; here on `images`
of them, `epochs` times (memory), as the test images are, and kept, as its `--force` does. And those of methods/fast_snn_ann.py.

`back` is the membrane at or below which a spike is taken back, in activations, as in the code.
"""

import copy

from benchmark.method import Method
from benchmark.networks.converting import layerwise
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.integrate_and_fire import neuron


class FastSNN(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"tuning": "layers", "images": 4096, "size": 128, "epochs": 8, "rate": 1e-3, "back": -1e-3}
    choices = {"tuning": ["layers", "none"]}
    ranges = {"images": [2, 10000000], "size": [2, 10000], "epochs": [1, 1000], "rate": [0.0, 1.0], "back": [-100.0, 0.0]}
    needs = {"ann": {"method": "fast-snn-ann", "backbone": "same"}}
    recipe = ("evaluation",)

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        activations = {place.name: ann.get_submodule(place.name) for place in places if place.kind == "activation"}
        neurons = {name: neuron(theta=each.clip.item(), start=0.5, lower=self.back) for name, each in activations.items()}
        spiking = copy.deepcopy(convert(ann, places, neurons, network.steps))  # weights of its own
        if self.tuning == "layers":
            batches = layerwise.batches(images, self.size, -(-self.images // self.size))
            for place in spiking.places[1:]:
                tuning = layerwise.Tuning(activations[place], self.rate)
                for batch in self.epochs * batches:
                    layerwise.calibrate(spiking, ann, batch, tuning, place)
        return spiking


def fits(student, ann):
    """As of its artificial network."""
    return "" if student.ann and student.name.startswith("ann-vgg") else f"{student.name} is no VGG with ReLUs"
