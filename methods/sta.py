"""STA (Jiang et al., ICLR 2024): a trained vision Transformer becomes a spiking one; nothing is trained.

Paper: STA (cited by ECMT). "Universal group operators": GELU and the root of a norm become small networks of ReLUs (groups), and so do the
two functions that a softmax is made of; integrating neurons then stand for the ReLUs of GELU and root, for the attention map, and, one for each
sign, for what goes into layers with weights ("encoders"). "Temporal-corrective self-attention": products of what was sent so far replace those
of one step, so that their averages are right. The patches are presented unchanged at every step, and the residual stream is real numbers;
the last norm and the classifier see the average of what the last block made in t steps.
Equations: groups in benchmark/networks/converting/groups.py; thresholds, by least squared error of T rounded steps for each neuron of a
token, in benchmark/networks/converting/tried.py; the neuron in benchmark/neurons/burst.py; the correction is expectation compensation,
o(t) = t F(S(t) / t) - (t-1) F(S(t-1) / (t-1)), in benchmark/networks/converting/expectation.py.
Expected: ECMT Table 2, ViT-B/32, ImageNet, T=32: 78.72, T=256: 82.79.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv
Source: ViviaHu/STA@0d3ef07, main.py, model.py; of its published weights of groups where their knots lie.
Parity: its network (CLIP's visual one, two blocks 32 wide with random weights, attention drawn so that no sum exceeds 50) with its published
  groups here too, 6 batches of 4 images for thresholds, 3 to compare, T=8, double precision: thresholds and the artificial network equal to
  1e-15, 3 of 2,020,800 values that neurons sent differ (all in GELU, memories that rounding leaves a little above 0 there), the averages of
  the first five steps equal to 1e-15.
Deviations: groups are fitted here, by least squares on knots evenly or by ratio spread over a range: exp from `exp_low` to 3, an activation
  from -`reach` to `reach`, 1 / sum over all sums that there can be, 1 / sqrt from a `margin`-th of the least mean square of a norm's
  training images to `margin` times the greatest. There they are networks that were trained once, one for all norms, and are published;
  its 1 / sum stays as it is from 50 on, and a softmax whose sum is more than 1.5 for that is divided once more. gamma and beta of a norm are
  in the layer behind it here, which changes no number. It looks at augmented images of any order; here at the first training images, as the
  test images are.
Guessed: that the quoted numbers are of this code's defaults.

Switches:
  reference  what exponents are held against: `first`, the public code, the first key (the class token), and what exceeds it by more than 2 is
             cut off there; `largest` the largest one, so that nothing is cut off.
"""

from benchmark.method import Method
from benchmark.networks.converting import layerwise, tried
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.explicit import explicit
from benchmark.networks.converting.groups import Units, approximated
from benchmark.networks.converting.maxima import threshold
from benchmark.neurons.burst import neuron


class STA(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {
        "exponential": 32, "inverse": 64, "root": 8, "activation": 64,  # units
        "exp_low": -8.0, "reach": 4.0, "margin": 2.0,
        "images": 50, "batches": 6, "momentum": 0.9,  # of thresholds
        "bursts": 2,
        "reference": "first",
    }  # fmt: skip
    choices = {"reference": ["first", "largest"]}
    ranges = {
        "exponential": [1, 1000], "inverse": [1, 1000], "root": [1, 1000], "activation": [2, 1000],
        "exp_low": [-20.0, 0.0], "reach": [0.1, 1000.0], "margin": [1.0, 1000.0],
        "images": [2, 100000], "batches": [1, 1000], "momentum": [0.0, 1.0], "bursts": [0, 100],
    }  # fmt: skip
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)

    def start(self, network, above, calibration):
        batches = layerwise.batches(calibration, self.images, self.batches)
        sizes = (self.exponential, self.inverse, self.root, self.activation)
        units = Units(*sizes, self.exp_low, self.reach, self.margin, self.reference == "largest")
        ann, places, _ = surveyed(approximated(explicit(above["ann"]), batches, units), batches)
        found = layerwise.thresholds(ann, places, batches, self.momentum, lambda unit, x: least_error(unit, x, network.steps))
        neurons = {name: neuron(theta=threshold(theta), bursts=self.bursts, corrected="softmax" in name) for name, theta in found.items()}
        return convert(ann, places, neurons, network.steps)


def least_error(unit, x, steps):
    """A threshold for each index of the unit's last axes."""
    return tried.least_error(x.flatten(0, -unit.axes - 1).flatten(1), steps).view(x.shape[-unit.axes :])


def fits(student, ann):
    """A vision Transformer of timm's."""
    return "" if student.ann and student.name.startswith("vit-") else f"{student.name} is no vision Transformer whose blocks are known here"
