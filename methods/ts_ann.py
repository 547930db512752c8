"""The artificial network of threshold and shift (Deng and Gu, ICLR 2021): trained with a ReLU that is cut off at a threshold.

Paper: TS (cited by ECMT). Every ReLU becomes min(max(x, 0), clip), so that no neuron of the spiking network has to send more than one
spike a step; every max pool is an average pool.
Equations: h(x) = min(max(x, 0), clip), its gradient 1 from 0 to clip and 0 elsewhere; L = CE(z, y).
Expected: nothing quoted prints it; its spiking network is methods/ts.py.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv

Source: Jackn0/snn_optimal_conversion_pipeline@735bdb7, models/new_relu.py, models/settings.py, main_train.py.
Parity: value and gradient of the activation, equal to that file's for 10000 numbers at clip 1.
Deviations: its networks have no batch normalisation (CIFAR, dropout in ResNet-20); ours do, folded by the conversion.
Guessed: `clip` on ImageNet. The code's `thresh` is 0 (no clip) unless set; its author names 1 for CIFAR in an issue of the repository.
"""

from torch import nn

from benchmark.method import Method, cross_entropy
from benchmark.networks.converting.activations import replaced


class TSANN(Method):
    """An ANN with another activation; trained like any."""

    params = {"clip": 1.0}
    ranges = {"clip": [0.01, 1000.0]}

    def start(self, network, above, calibration):
        return replaced(network, lambda: nn.Hardtanh(0.0, self.clip))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def fits(student):
    """Only what has ReLUs."""
    known = student.ann and student.name.startswith(("ann-resnet", "ann-vgg", "ann-sew-resnet"))
    return "" if known else f"{student.name} does not have ReLUs alone between its layers"
