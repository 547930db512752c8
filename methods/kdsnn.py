"""KDSNN (Xu et al., CVPR 2023): distillation of logits and of the last feature.

Paper: a baseline that TSER ran again (Tables 1, 2 and 4, weights not printed); quoted in IDSNN Table 1.
Equations: L = (1 - alpha) CE(z_s, y) + alpha tau^2 CE(softmax(z_s / tau), softmax(z_t / tau)) + weight |r(f_s) - f_t|^2
  z_s: student's logits, mean over time. f: last block's output, mean over positions (and time), summed squares per image; r: identity, or
  a trained linear layer where the widths differ. A KL in place of the second CE has the same gradient (TSER, section 2).
Expected: TSER Table 1, ResNet-18 from ResNet-34, CIFAR100, T=2: 77.16; T=4: 78.46.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

What TSER's print of it leaves open, and how it is read here (each a switch):
  alpha, temperature  TSER's own temperature, 5, and for alpha 0.2 as in `tser`.
  weight       of the feature term: 0.002 for CIFAR and 0.00007 for ImageNet, BKDSNN's public re-implementation; 0 leaves logits alone.

Source: no public code found (searched: its title, KDSNN, Pyramidnet18); TSER's text; for the feature
Intelligent-Computing-Research-Group/BKDSNN@dd6bd53, Spike-Element-Wise-ResNet/cifar10dvs/loss.py (KDSNNLoss).
Deviations: the paper aligns features of stage ends before the activation with a margin ReLU; as in BKDSNN's code, it is the last one
here.
"""

from torch import nn

from benchmark.method import Method, distance, label_loss, log_probabilities


class KDSNN(Method):
    """Response and feature distillation together."""

    params = {"alpha": 0.2, "temperature": 5.0, "weight": 0.002}
    params_for = {"ImageNet": {"weight": 7.0e-5}}
    ranges = {"alpha": [0.0, 1.0], "temperature": [0.1, 100.0], "weight": [0.0, 1000.0]}
    needs = {"teacher": {"method": "direct"}}
    sees = ("blocks",)

    def parts(self, student, teacher):
        before, after = student.widths[-1], teacher.widths[-1]
        return nn.Identity() if before == after else nn.Linear(before, after)

    def loss(self, student, teacher, target, parts):
        tau = self.temperature
        soft = log_probabilities(teacher.logits, tau, "logits")[0].exp().detach()
        task = label_loss(log_probabilities(student.logits, over="logits"), target)
        guide = tau**2 * label_loss(log_probabilities(student.logits, tau, "logits"), soft)
        feature = distance(parts(student.tokens[-1].mean(0)), teacher.tokens[-1].mean(0))
        return {"task": (1 - self.alpha) * task, "teacher": self.alpha * guide, "feature": self.weight * feature}
