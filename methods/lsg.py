"""Direct training with neurons that learn their decay, and so the width of their surrogate (LSG, Lian et al., IJCAI 2023).

Paper: the rows LSG of tser, Table 1, which quote it.
Equations: the neuron's, benchmark/neurons/lsg.py, one decay for each layer; tdBN's normalisation (see tdbn); L = CE(mean_t z_t, y).
Expected: tser Table 1, ResNet-19, CIFAR100, T=2: 76.32 (the paper: +- 0.12); CIFAR10, T=4: 95.17 (+- 0.05).
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

Source: no code of its authors found (searched: title, LSG, authors' names; repositories, code and pages); a public report on the paper,
which restates its equations, starting values, networks and tables but not its supplement, was read, the paper not;
jqjiang1999/MPD-AGL@61abbf3, main.py, neuron.py, models/, by one of its authors later, has this ResNet-19's stages with other shortcuts.
Parity: of the neuron, see benchmark/neurons/lsg.py; the normalisation is tdbn's.
Deviations: none known.
Guessed: this is one reading. Its ResNet-19 is taken as tdBN's, which the report names; the recipe and the weights at the start are in the
supplement that nobody quotes: the recipe is MPD-AGL's.
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.layers import kaiming_normal
from benchmark.networks.replacing import with_threshold_norms


def fits(student):
    """Convolutions with batch normalisation and a neuron behind each sum."""
    known = student.name.startswith(("resnet-", "vgg-"))
    return "" if known else f"LSG is read for ResNets and VGGs, and {student.name} is none"


class LSG(Method):
    """Nothing to choose."""

    params = {}
    neuron = {"name": "lsg", "decay": 0.2, "v_threshold": 0.5}

    def start(self, network, above, calibration):
        kaiming_normal(network)
        return with_threshold_norms(network, self.neuron["v_threshold"])

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
