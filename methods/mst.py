"""MST (Wang et al., ICCV 2023): a Transformer trained with quantised activations becomes spiking; nothing is trained again.

Paper: MST (cited by ECMT). Integrating neurons with soft reset in place of the activations of methods/mst_ann.py, their threshold the
learned lambda, their membrane half of it at the beginning. The image is presented unchanged at every step, and the answer at t is the mean
of the first t outputs: one run answers for every smaller T. The residual stream, the softmax and the last norm are real numbers.
Equations: m(t) = v(t-1) + W x(t), s = m >= lambda, v(t) = m(t) - lambda s(t), v(0) = lambda / 2, in benchmark/neurons/integrate_and_fire.py;
  random spike masking: s'(t) = s(t) r(t), r = 0 with probability `mask`, for queries, keys and the spikes of their products.
Expected: ECMT Table 2, Swin-T(BN), ImageNet, T=128: 77.88, T=512: 78.51.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv
Source: bic-L/Masked-Spiking-Transformer@368c9a5, main.py, models/mst.py, modules_QCFS.py, utils_QCFS.py.
Parity: logits of six steps equal those of the official spiking network to the bit, same weights, double precision, a network of four
  blocks; a plain loop over time stands for it in tests/test_transformer_conversions.py.
Deviations: none known.

Switches:
  between  products of spikes, softmax and the last norm see each step's spikes alone: `step`, the public code; `expectation` gives them
           ECMT's compensation, so that the average is that of the artificial network if neurons are.
  mask     0 for the quoted numbers, which the official README gives checkpoints for without and with masking of 75 %.
"""

import math

from benchmark.method import Method
from benchmark.networks.converting.activations import ClipFloor, SpikeMask
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.neurons.integrate_and_fire import neuron


class MST(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"between": "step", "mask": 0.0, "membrane": 0.5}
    choices = {"between": ["step", "expectation"]}
    ranges = {"mask": [0.0, 0.99], "membrane": [-1.0, 0.99]}
    needs = {"ann": {"method": "mst-ann", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        masked(above["ann"], 0.0)  # what is looked at before has to answer alike twice
        ann, places, _ = surveyed(above["ann"], calibration)
        found = {place.name: ann.get_submodule(place.name) for place in places if place.kind == "activation"}
        clips = {name: module.clip.item() for name, module in found.items() if isinstance(module, ClipFloor)}
        neurons = {name: neuron(theta=clip, start=self.membrane, lower=-math.inf) for name, clip in clips.items()}
        return masked(convert(ann, places, neurons, network.steps, compensated=self.between == "expectation"), self.mask)


def masked(network, share):
    """The network with this share of its maskable values set to 0."""
    for module in network.modules():
        if isinstance(module, SpikeMask):
            module.p = share
    return network


def fits(student, ann):
    """As of its artificial network."""
    return "" if student.ann and student.name.startswith("ann-swin-t-") else f"{student.name} has more than ReLUs behind its layers"
