"""Plain training of a ResNet whose stages weigh what they get by projections (PFA, Deng et al., Knowledge-Based Systems 2024).

Paper: the rows PFA of tser, Table 1, which quote it.
Equations: those of the attention, benchmark/networks/projection.py, in front of each stage; L = CE(mean_t z_t, y).
Expected: tser Table 1, ResNet-19, CIFAR100, T=2: 76.70; CIFAR10, T=4: 95.71.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

Source: RisingEntropy/PFA@21191c0, CIFAR/TCSAttention.py, VGG.py, main.py, FMNIST/TCSAttention.py, run.py: networks for event recordings and for
Fashion-MNIST; that of CIFAR is not in it.
Parity: of the attention with that code's, on copied weights in double precision, T=4, rank 8: outputs and all gradients to 6e-16 of the largest.
Deviations: the code weighs the ranks by a softmax, in place, of a parameter of ones that gets no gradient: equal weights, which is what is here.
Guessed: this is one reading. Where the attention stands: in front of each stage, as in the code's VGG for events, where it also weighs the frames
(a picture has no steps to weigh) and what the classifier gets; in its network for Fashion-MNIST it stands once, in front of a neuron, and is
added. The rank (8: the code's example; its default is 64), the ResNet-19 (tdBN's, with plain normalisation) and the loss (squared errors of
spikes in the code's networks, which end in neurons).
"""

from torch import nn

from benchmark.method import Method, cross_entropy, stage_ends
from benchmark.networks.projection import Projected


def fits(student):
    """Stages of blocks with a neuron behind each sum."""
    known = student.name.startswith("resnet-")
    return "" if known else f"PFA is read for ResNets with a neuron behind each sum, and {student.name} is none"


class PFA(Method):
    """The number of outer products that the factors are the mean of."""

    params = {"rank": 8}
    ranges = {"rank": [1, 1024]}
    neuron = {
        "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "atan", "alpha": 2.0,
    }  # fmt: skip

    def start(self, network, above, calibration):
        first = next(module for module in network.stem.modules() if isinstance(module, nn.Conv2d))
        network.stem = nn.Sequential(*network.stem, Projected(network.steps, first.out_channels, self.rank))
        for end in stage_ends(network.widths)[:-1]:
            network.blocks[end].append(Projected(network.steps, network.widths[end], self.rank))
        network.causal = False
        return network

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
