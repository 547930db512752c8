"""Spiking ResNet (Hu, Tang and Pan, TNNLS 2021): a trained residual network with integrating neurons in place of its ReLUs.

Paper: Spiking ResNet (cited by Spikformer V2), "Spiking Deep Residual Networks". Weights are normalised by the percentile of the
activations before and behind them, shortcuts by a factor of their own: that is every neuron with that percentile of its layer as its
threshold and as the worth of its spikes, without a factor anywhere. There are neurons behind the average pool (with the last threshold) and
behind the logits too. The image is presented unchanged at every step.
Equations: m(t) = v(t-1) + W x(t), s = m >= theta, v(t) = m(t) - theta s(t), v(0) = theta / 2; theta = the `percent` percentile of the
activation over training images; in benchmark/neurons/integrate_and_fire.py. The answer at t is, for each class, the spikes that its
neuron sent plus softmax(v / theta). The max pool sends what the greatest sum of its window grows by, in benchmark/networks/converting/spiking_pool.py.
Expected: Spikformer V2 Table 2, ImageNet, T=350: ResNet-34 71.61, ResNet-50 72.75.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_spikformer_v2.csv

Its code tests the last 10000 validation images alone; here all are. The weights that it converts are those of PyTorch (torchvision).

Source: yangfan-hu/spiking-deep-residual-networks@6283987, matlab/matconvnet/examples/imagenet/ann2snn_res34_centre_pt.m,
ann2snn_res50_centre_pt.m, find_activations_single_pt.m, matlab/matconvnet/matlab/+dagnn/If.m, SPooling.m.
Parity: its MATLAB code was not run; its max pool and its score are held against slow loops written from it, equal to the bit and to 1e-12.
Deviations: `images` random training images, not five of each class; the compensation that the paper's abstract names is not in its
ImageNet code, nor here.
"""

import math
from collections import OrderedDict
from dataclasses import replace

from torch import nn

from benchmark.method import Method
from benchmark.networks.converting.calibration import bases, percentiles
from benchmark.networks.converting.conversion import convert, surveyed
from benchmark.networks.converting.places import Place
from benchmark.networks.converting.spiking_pool import with_spiking_pools
from benchmark.neurons.integrate_and_fire import neuron


class SpikingResNet(Method):
    """Conversion alone: no loss, no training recipe."""

    params = {"percent": 99.99, "images": 5000}
    ranges = {"percent": [50.0, 100.0], "images": [1, 10000000]}
    needs = {"ann": {"method": "direct", "backbone": "same"}}
    recipe = ("evaluation",)
    any_time = True

    def start(self, network, above, calibration):
        ann, places, images = surveyed(above["ann"], calibration)
        thetas = self.thresholds(ann, [place for place in places if place.kind == "activation"], images)
        answers = Score(thetas.pop("logits"))
        head = next(place.name for place in places if place.head)
        thetas[head] = list(thetas.values())[-1]  # behind the average pool, where the last activation's spikes come in
        neurons = {name: neuron(theta=theta, start=0.5, lower=-math.inf) for name, theta in thetas.items()}
        return with_spiking_pools(convert(ann, places, neurons, network.steps, answers=answers))

    def thresholds(self, ann, places, images) -> dict[str, float]:
        """Name of an activation in the order that an image meets them, then `logits` -> percentile."""
        watched = nn.Sequential(OrderedDict(ann=ann, logits=nn.ReLU()))
        named = [replace(place, name=f"ann.{place.name}") for place in places] + [Place("logits", "activation", 0)]
        found = percentiles(watched, named, images, self.images)
        return {name.removeprefix("ann."): bases(of, self.percent)[0] for name, of in found.items()}


class Score(nn.Module):
    """Neurons behind the logits [T, B, classes]; what the number of their spikes plus softmax(membrane / theta) grows by at each step."""

    def __init__(self, theta: float):
        super().__init__()
        self.theta, self.neuron = theta, neuron(theta=theta, start=0.5, lower=-math.inf)
        self.sums = self.score = 0.0  # of the steps before

    def forward(self, x):
        sent = self.neuron(x)
        spikes, charge = sent.cumsum(0), (x - sent).cumsum(0)
        if self.sums:
            spikes, charge = spikes + self.sums[0], charge + self.sums[1]
        score = spikes / self.theta + (charge / self.theta).softmax(-1)  # half a threshold more in all of them changes no softmax
        grown = score.diff(dim=0, prepend=score.new_zeros(score[:1].shape) + self.score)
        self.sums, self.score = (spikes[-1], charge[-1]), score[-1:]
        return grown

    def reset(self):
        self.neuron.reset()
        self.sums = self.score = 0.0


def fits(student, ann):
    """A residual network with ReLUs and one linear layer behind them."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-sew-resnet")) and not student.size.get("hidden")
    return "" if known else f"{student.name} is no residual network with ReLUs and one linear layer"
