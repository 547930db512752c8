"""The artificial network of QCFS (Bu et al., ICLR 2022): trained with a quantised activation, so that integrating neurons can take its place.

Paper: QCFS (cited by ECMT, IDSNN and Spikformer V2). Every ReLU becomes clip(floor(x L / lambda + 1/2) / L, 0, 1) lambda with a learned
lambda for each layer, every max pool an average pool.
Equations: h(x) = lambda clip(floor(x L / lambda + 1/2) / L, 0, 1), gradients straight through the floor; L = CE(z, y).
Expected: IDSNN Table 1 quotes 96.04 for ResNet-18 on CIFAR10.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_idsnn.csv

What is a choice: `levels` is the paper's L, 4 on CIFAR and 8 on ImageNet (its public code has 8 as its default for all); `clip`, lambda
before training, is that code's.

Source: putshua/ANN_SNN_QCFS@eca136b, Models/layer.py (IF), main_train.py.
Parity: value of the activation, its gradient and lambda's as that file's, equal to the bit for 10,000 numbers at lambda 3, L = 4, in
double precision.
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.converting.activations import ClipFloor, replaced


class QCFSANN(Method):
    """An ANN with another activation; trained like any."""

    params = {"levels": 4, "clip": 8.0}
    params_for = {"ImageNet": {"levels": 8}}
    ranges = {"levels": [1, 256], "clip": [0.01, 1000.0]}

    def start(self, network, above, calibration):
        return replaced(network, lambda: ClipFloor(self.levels, self.clip))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def fits(student):
    """Only what has ReLUs."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
