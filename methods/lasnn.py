"""LaSNN (Hong et al., arXiv 2304.09101): the student's feature maps follow the teacher's at the end of every stage.

Paper: a baseline that TSER ran again (Tables 1, 2 and 4, weights not printed); quoted in IDSNN Table 1.
Equations: L = CE(z_s, y) + weight sum_k |r_k(mean_t F_s^k(t)) - F_t^k|^2, summed squares per image
  F^k: output of the last block of stage k, a stage being a run of blocks of equal width; r_k: identity, or a trained 1x1 convolution
  where the widths differ.
Expected: TSER Table 1, ResNet-18 from ResNet-34, CIFAR100, T=2: 76.17; T=4: 78.12.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_tser.csv

What TSER's print of it leaves open, and how it is read here (each a switch):
  weight       0.002 for CIFAR and 0.00007 for ImageNet, BKDSNN's public re-implementation.
  features     `map` (default) compares the maps, as TSER describes LaSNN ("optimizes the feature map directly") and BKDSNN's code does;
               `attention` compares attention maps, the sum over channels of squares scaled to length 1, which is LaSNN's own idea.
Networks with other numbers of stages are paired from the last one backwards; maps of other sizes are averaged to the smaller one.

Source: no public code of its authors found; TSER's text and Intelligent-Computing-Research-Group/BKDSNN@dd6bd53,
Spike-Element-Wise-ResNet/cifar10dvs/loss.py (LaSNNLoss).
Deviations: the first two phases (train the teacher, start from its converted weights) are left out: in TSER all start from scratch.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmark.method import Method, cross_entropy, distance, stage_ends


class LaSNN(Method):
    """Labels and feature maps; no teacher's logits."""

    params = {"weight": 0.002, "features": "map"}
    params_for = {"ImageNet": {"weight": 7.0e-5}}
    choices = {"features": ["map", "attention"]}
    ranges = {"weight": [0.0, 1000.0]}
    needs = {"teacher": {"method": "direct"}}
    sees = ("blocks",)

    def parts(self, student, teacher):
        ends = zip(stage_ends(student.widths)[::-1], stage_ends(teacher.widths)[::-1], strict=False)
        pairs = [(student.widths[s], teacher.widths[t]) for s, t in ends]
        return nn.ModuleList(nn.Identity() if s == t else nn.Conv2d(s, t, 1) for s, t in pairs)

    def loss(self, student, teacher, target, parts):
        ours, theirs = maps(student), maps(teacher)
        feature = sum(self.compare(part(ours[k]), theirs[k]) for k, part in enumerate(parts))
        return {"task": cross_entropy(student.logits.mean(0), target), "feature": self.weight * feature}

    def compare(self, ours, theirs):
        size = [min(sides) for sides in zip(ours.shape[2:], theirs.shape[2:], strict=True)]
        ours, theirs = (functional.adaptive_avg_pool2d(x.float(), size) for x in (ours, theirs))
        return distance(attention(ours), attention(theirs)) if self.features == "attention" else distance(ours, theirs)


def maps(outputs) -> list[torch.Tensor]:
    """Time-averaged maps [B, C, H, W] of the stage ends, the last one first; a token where a feature is no map."""
    ends = stage_ends([token.shape[2] for token in outputs.tokens])[::-1]
    features = [outputs.features[k] if outputs.features[k].dim() == 5 else outputs.tokens[k][..., None, None] for k in ends]
    return [feature.mean(0) for feature in features]


def attention(x):
    """Sum over channels of squares, as a vector of length 1 per image."""
    return functional.normalize(x.square().sum(1).flatten(1), dim=1)
