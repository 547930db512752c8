"""ECMT (Huang et al., ACM MM 2024): a trained vision Transformer becomes a spiking one; nothing is trained.

Paper: ECMT. Expectation compensation around everything that is not linear, multi-threshold neurons before every linear layer and at both
inputs of every product, their smallest thresholds percentiles of what the artificial network has there (Algorithm 1). The image is
presented unchanged at every step, biases and the residual stream are real numbers, and the answer at t is the mean of the first t outputs:
one run to the largest T answers for every smaller one.
Equations: o(t) = t F(S(t) / t) - (t-1) F(S(t-1) / (t-1))   (15; of a product 16 to 18), in benchmark/networks/converting/expectation.py;
  the neuron's (19 to 25) in benchmark/neurons/multi_threshold.py; parallel parameter normalisation (26 to 29), which rewrites weights
  and changes no number, in benchmark/networks/converting/parallel.py: tested, not used.
Expected: ECMT Table 1, ViT-S/16, ImageNet: T=4: 62.85, T=8: 76.03, T=12: 77.41; ANN 78.04.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_ecmt.csv

What the paper leaves open, or its public code does otherwise, and how it is read here (each a switch; defaults are the code's, which made
the printed numbers):
  attention_map  the percentile of a softmax is positive on both sides, so that the neuron behind it would misfire: `fixed` takes the code's
                 0.0125 for both signs; `calibrated` takes the upper percentile for both.
  mlp_input      thresholds of the second MLP layer: `vit` takes the code's 0.25 and 0.08 for networks of class VisionTransformer and
                 percentiles for others; `fixed` for all; `calibrated` for none, as the paper has it.
  head           Algorithm 1 puts a neuron before every linear layer: `spiking`; the code puts none before the classifier: `real`.
  images         Algorithm 1 goes through "dataset D", the code through the evaluation set, averaging the percentiles of its batches; here
                 percentiles are those of all values of this many training images.
  base           Figure 5 raises all smallest thresholds by factors that it does not print.
`levels` is n, 8 for the ViTs and 6 for EVA (section 5.1).

Source: h-z-h-cell/Transformer-to-SNN-ECMT@e449e91, trans_utils.py, model_vit.py, model_eva.py, engine_for_finetuning.py.
Deviations: `images`, above. Not the method's: the code normalises all images by CLIP's statistics, though the ViTs were trained with
mean and deviation 0.5 (a recipe's matter), and its energy counter uses S(t) where eq. 18 has S(t-1) (a convention's).
"""

from timm.models.vision_transformer import VisionTransformer

from benchmark.method import Method
from benchmark.networks.converting.calibration import bases, percentiles
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.places import SIDES
from benchmark.neurons.multi_threshold import neuron

ATTENTION_MAP, MLP_INPUT = (0.0125, 0.0125), (0.25, 0.08)  # theta1, theta2 of the public code


class ECMT(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {
        "levels": 8,
        "percentile": 99.0,
        "images": 1024,
        "attention_map": "fixed",
        "mlp_input": "vit",
        "head": "real",
        "base": 1.0,
    }
    choices = {"attention_map": ["fixed", "calibrated"], "mlp_input": ["vit", "fixed", "calibrated"], "head": ["real", "spiking"]}
    ranges = {"levels": [1, 16], "percentile": [50.0, 100.0], "images": [1, 1000000], "base": [0.001, 1000.0]}
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        thresholds = self.thresholds(ann, [place for place in places if self.fires(place)], images)
        neurons = {name: neuron(n=self.levels, theta1=self.base * one, theta2=self.base * two) for name, (one, two) in thresholds.items()}
        return convert(ann, places, neurons, network.steps)

    def thresholds(self, ann, places, images):
        """Name of a place -> its smallest thresholds (theta1, theta2), by measurement or by decree."""
        decreed = {place.name: self.decreed(place, ann) for place in places}
        measured = percentiles(ann, [place for place in places if not decreed[place.name]], images, self.images)
        return {name: bases_ or bases(measured[name], self.percentile) for name, bases_ in decreed.items()}

    def fires(self, place):
        """Before linear layers and products, not on the image."""
        return place.kind in SIDES and place.kind != "activation" and not place.first and (self.head == "spiking" or not place.head)

    def decreed(self, place, ann):
        """Thresholds that the code fixes; None for others."""
        if place.kind == "product" and place.after == "Softmax":
            return ATTENTION_MAP if self.attention_map == "fixed" else None
        if place.kind == "linear" and "GELU" in place.after:
            vit = any(isinstance(module, VisionTransformer) for module in ann.modules())
            return MLP_INPUT if self.mlp_input == "fixed" or (self.mlp_input == "vit" and vit) else None
        return None


def fits(student, ann):
    """A conversion starts from an artificial network."""
    return "" if student.ann else f"{student.name} has neurons already"
