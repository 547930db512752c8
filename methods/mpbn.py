"""Direct training with neurons that normalise their membrane before they fire (MPBN, Guo et al., ICCV 2023).

Paper: the rows MPBN of tser, Tables 1 and 2, which quote it.
Equations: s = [BN(h) >= threshold], h = decay v + x, v = h (1 - s), one BN for each channel of each neuron layer beside those of the
convolutions; in inference a threshold for each channel. L = CE(mean_t z_t, y).
Expected: tser Table 1, ResNet-19, CIFAR100, T=2: 79.51; tser Table 2, ResNet-34, ImageNet, T=4: 64.71.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

Source: yfguo91/MPBN@149379d, models/spike_layer.py, models/spike_model.py, models/spike_block.py, models/resnet.py, models/vggcifar.py,
main_train.py
Parity: with that code on copied weights in double precision, ResNet-19 at T=2, VGG-16 at T=4 and ImageNet's ResNet-18 at T=2, 42 to 47 % of each
layer firing: logits in training and in inference equal to the last bit, every gradient to 5e-14 of its tensor's largest, running statistics
to 1e-14.
Deviations: a neuron fires at the threshold, the code's above it. The code has networks for ImageNet and no training of them.
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.layers import kaiming_normal
from benchmark.networks.replacing import with_neurons
from benchmark.neurons import maker


def fits(student):
    """Networks whose neurons stand behind the weights that say how many channels they have."""
    known = student.name.startswith(("resnet-", "vgg-"))
    return "" if known else f"MPBN's neurons know their channels in ResNets and VGGs, and {student.name} is none"


class MPBN(Method):
    """Nothing to choose."""

    params = {}
    neuron = {"name": "mpbn", "decay": 0.25, "v_threshold": 0.5, "surrogate": "tanh", "alpha": 3.0, "channels": 0}

    def start(self, network, above, calibration):
        kaiming_normal(network)
        make = maker(self.neuron)
        return with_neurons(network, lambda channels: make(channels=channels))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
