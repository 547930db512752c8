"""Plain training of an MS-ResNet with attention over channels and positions (Attention-SNN, Yao et al., TPAMI 2023).

Paper: the row Attention-SNN of spikformer_v2, Table II, which quotes it.
Equations: L = CE(mean_t z(t), y), with the label smoothing of the recipe in y.
Expected: spikformer_v2 Table II, ResNet-104, ImageNet, T=4: 77.08.
Command: snakemake --cores 8 --profile profiles/paper -- results/table2_spikformer_v2.csv

Source: BICLab/Attention-SNN@ad80e7b, Att_Res_SNN/train_amp.py, train_finetune.py, utils.py, conf/global_settings.py
Parity: of the network, see benchmark/backbones/ms_resnet.py; the loss is PyTorch's own.
Deviations: the official networks are trained at one step and then fine-tuned; here the printed steps are trained from the start, at 224 and
not at the 288 that spikformer_v2's text names.
"""

from benchmark.method import Method, cross_entropy


def fits(student):
    """The attention is a part of the network."""
    return (
        "" if student.name.startswith("ms-resnet-") else f"{student.name} has no attention over channels and positions: take an ms-resnet"
    )


class AttentionSNN(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
