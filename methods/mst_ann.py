"""The artificial network of the Masked Spiking Transformer (Wang et al., ICCV 2023): trained with QCFS's quantised activation.

Paper: MST (cited by ECMT). Every ReLU of a Transformer becomes h(x) = lambda clip(floor(x L / lambda + 1/2) / L, 0, 1), lambda learned for
each layer; random spike masking sets a share `mask` of queries, keys and their products to zero, in training and in inference.
Equations: L = CE(z, y), gradients straight through the floor.
Expected: of ECMT Table 2's MST the network that is converted; the quoting paper does not print its accuracy.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_ecmt.csv
Source: bic-L/Masked-Spiking-Transformer@368c9a5, main.py (16 levels, lambda 2 before training), models/mst.py, modules_QCFS.py.
Parity: as of methods/qcfs_ann.py's activation, which tests/test_conversions_cited.py has by hand.
Deviations: the official gradient also passes half a level below 0 and above lambda.
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.converting.activations import ClipFloor, SpikeMask, replaced


class MSTANN(Method):
    """An ANN with another activation; trained like any."""

    params = {"levels": 16, "clip": 2.0, "mask": 0.0}
    ranges = {"levels": [1, 256], "clip": [0.01, 1000.0], "mask": [0.0, 0.99]}

    def start(self, network, above, calibration):
        for module in network.modules():
            if isinstance(module, SpikeMask):
                module.p = self.mask
        return replaced(network, lambda: ClipFloor(self.levels, self.clip))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def fits(student):
    """Only what has ReLUs behind its linear layers."""
    return "" if student.ann and student.name.startswith("ann-swin-t-") else f"{student.name} has more than ReLUs behind its layers"
