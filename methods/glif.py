"""Direct training of gated LIF neurons (GLIF, Yao et al., NeurIPS 2022).

Paper: the rows GLIF of tser, Tables 1 and 2, which quote it.
Equations: those of the neuron, benchmark/neurons/glif.py, each value of it learned for each channel; normalisations are tdBN's (see tdbn),
and so is one on every shortcut, the identity too. L = CE(mean_t z_t, y).
Expected: tser Table 1, ResNet-19, CIFAR100, T=2: 75.48; tser Table 2, ResNet-34, ImageNet, T=4: 67.52.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

Source: Ikarosy/Gated-LIF@60638b2, layers.py, blocks.py, networks_for_CIFAR.py, networks_for_ImageNet.py, utils.py, train.py, README's commands
Parity: with that code on copied weights in double precision (its surrogate's saved tensor unpacked, without which its way back stops), ResNet-18
for CIFAR100 at T=2, ResNet-19 for CIFAR10 at T=2 and CIFAR100 at T=4, all values scattered, 23 to 38 % of each layer firing: logits equal to
the last bit, every gradient to 2e-14 of its tensor's largest, the neurons' values at the start to single precision.
Deviations: a neuron fires at the threshold, the code's above it. The gates learn at the rate of everything else, the code's at a tenth of it
(on ImageNet at the same). The code's ResNet-34 has no max pool, its first stage halves the image instead, and its first convolution pads
by 1; here it is the usual one. Linear layers start as PyTorch has them, the code's from a deviation of 0.01, which in a tiny twin is nothing.
strides: the code's ResNet-18 halves the image in its last two stages alone, four times the usual cost: `official` (default); `usual` is
what the quoting table's other ResNet-18 do.
gates: README's commands start them at random around a half, `random` (default); `fixed` are the code's 0.6, 0.8 and 0.6 of half a range.
"""

from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.method import Method, cross_entropy
from benchmark.networks.layers import Residual, Sum, kaiming_normal
from benchmark.networks.replacing import with_neurons, with_threshold_norms
from benchmark.neurons import maker

SPREAD = 0.1  # of a gate's parameter around 0, to both sides
STAGES = 4  # of ResNet-18, the only one with other strides
FEW = 50  # classes up to which there are two linear layers
HIDDEN = 256  # between them


def fits(student):
    """ResNets with a neuron behind each sum."""
    return (
        "" if student.name.startswith("resnet-") else f"GLIF is said for ResNets with a neuron behind each sum, and {student.name} is none"
    )


class GLIF(Method):
    """See above."""

    params = {"strides": "official", "gates": "random"}
    choices = {"strides": ["official", "usual"], "gates": ["random", "fixed"]}
    neuron = {
        "name": "glif", "decay": 0.25, "v_threshold": 0.5, "leak": 0.0625, "weight": 0.5, "gate_leak": 0.55, "gate_input": 0.65,
        "gate_reset": 0.55, "surrogate": "rect", "alpha": 1.0, "channels": 0, "steps": 1,
    }  # fmt: skip

    def start(self, network, above, calibration):
        if self.strides == "official":
            widen(network)
        network.head.before = None
        network.head.classifier = classifier(network.widths[-1], network.head.classifier.out_features)
        normalise_identities(network)
        with_threshold_norms(network, self.neuron["v_threshold"])
        kaiming_normal(network)
        make = maker(self.neuron)
        with_neurons(network, lambda channels: make(channels=channels, steps=network.steps))
        if self.gates == "random":
            scatter(network)
        return network

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}


def widen(network: nn.Module) -> None:
    """The second of four stages does not halve the image, where the first convolution does not either (ResNet-18 for small images)."""
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    starts = [index for index in range(1, len(network.widths)) if network.widths[index] != network.widths[index - 1]]
    if len(starts) == STAGES - 1 and first.stride == (1, 1):
        for module in network.blocks[starts[0]].modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)


def classifier(width: int, classes: int) -> nn.Module:
    """One linear layer without bias, of few classes two."""
    if classes > FEW:
        return nn.Linear(width, classes, bias=False)
    return nn.Sequential(nn.Linear(width, HIDDEN, bias=False), nn.Linear(HIDDEN, classes, bias=False))


def normalise_identities(network: nn.Module) -> None:
    """x + f(x) becomes BN(x) + f(x)."""
    for name, module in list(network.named_modules()):
        if isinstance(module, Residual):
            width = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)][-1].num_features
            network.set_submodule(name, Sum(nn.Sequential(*module), SeqToANNContainer(nn.BatchNorm2d(width))))


def scatter(network: nn.Module) -> None:
    """Every gate at random around a half."""
    for name, parameter in network.named_parameters():
        if name.rpartition(".")[2].startswith("gate_"):
            nn.init.uniform_(parameter, -SPREAD, SPREAD)
