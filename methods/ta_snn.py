"""Training by the squared error of what class neurons send, averaged over time; with TA-SNN (Yao et al., ICCV 2021).

Paper: the rows TA-SNN of spikformer_v2, Table V, which quotes them.
Equations: L = MSE(mean_t o(t), y), the mean over images and classes, with o(t) what the class neurons send at step t and y one-hot.
Expected: spikformer_v2 Table V, CIFAR10-DVS, T=10: 72.0; DVS128 Gesture, T=60: 98.6.
Command: snakemake --cores 8 --profile profiles/paper -- results/table5_spikformer_v2.csv

Source: BICLab/Attention-SNN@ad80e7b, MA_SNN/DVSGestures/DVS_Gesture_utils/train.py, CNN/Config.py
Parity: of the network, see benchmark/backbones/ta_snn.py; the loss is PyTorch's own.
Deviations: official samples are T steps of fixed length from anywhere in a recording, and ten of them vote at the test; here a recording is cut
into T steps. The official rate falls by ten when the training loss stays for five epochs, which no recipe key says.
"""

from torch.nn import functional

from benchmark.method import Method


def fits(student):
    """Values from 0 on are what its class neurons send; logits of other networks have no bounds."""
    return "" if student.name.startswith("ta-snn-") else f"{student.name} is not the network of this work: take a ta-snn"


class TASNN(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": functional.mse_loss(student.logits.float().mean(0), target)}
