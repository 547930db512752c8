"""Direct training with threshold-dependent batch normalisation (STBP-tdBN, Zheng et al., AAAI 2021).

Paper: the rows STBP-tdBN of idsnn, Table 1, and of spikformer_v2, Tables II, IV and V, which quote it.
Equations: y = gamma alpha threshold (x - mean) / sqrt(variance + eps) + beta, mean and variance over steps, images and positions;
alpha = 1, or 1 / sqrt(2) for what is summed at the end of a block. L = CE(mean_t z_t, y).
Expected: idsnn Table 1, ResNet-19, CIFAR10, T=4: 92.92; spikformer_v2 Table II, ResNet-34, ImageNet, T=6: 63.72.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_idsnn.csv

Source: no code of its authors found; thiswinex/STBP-simple@a15de7c (a third party's; its users say that it does not reach the printed
numbers), layers.py, model.py, setting.py; Ikarosy/Gated-LIF@60638b2, layers.py, has the same normalisation
Parity: with STBP-simple on copied weights, ResNet-19 without the neurons behind its classifier, training mode and double precision, T=2 and 4,
its threshold and decay, 43 % or more of each layer firing: logits equal to the last bit, the loss (in single precision here) to 3e-7, every
gradient to 2e-7 of its tensor's largest. The running variance of the first normalisation is that of one copy of a static image instead of T.
Deviations: a neuron fires at the threshold, STBP-simple's above it; STBP-simple has neurons behind the classifier too, which the paper's
decoding by a weighted sum of rates does not need.
Guessed: threshold 0.5, as IDSNN and GLIF have it with the same decay (STBP-simple: 0.2); the decay of 0.25 and the rectangle of width and
height 1 are STBP-simple's.
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.layers import kaiming_normal
from benchmark.networks.replacing import with_threshold_norms


def fits(student):
    """Convolutions with batch normalisation and a neuron behind each sum."""
    known = student.name.startswith(("resnet-", "vgg-"))
    return "" if known else f"tdBN is said for ResNets with a neuron behind each sum, and {student.name} is none"


class TDBN(Method):
    """Nothing to choose."""

    params = {}
    neuron = {  # tau 4 / 3 leaves a quarter of the membrane
        "name": "lif", "tau": 1.3333333333333333, "v_threshold": 0.5, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
        "surrogate": "rect", "alpha": 1.0,
    }  # fmt: skip

    def start(self, network, above, calibration):
        kaiming_normal(network)
        return with_threshold_norms(network, self.neuron["v_threshold"])

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
