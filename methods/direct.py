"""Plain training with the cross-entropy of the time-averaged logits; the baseline rows of all papers, and every ANN teacher.

Paper: the rows without distillation (LDD, Table 1: Spikformer, Spike-driven Transformer, Meta-SpikeFormer).
Equations: L = CE(mean_t z(t), y), with the label smoothing and mixup of the recipe in y.
Expected: LDD Table 1, Spikformer-4-384, CIFAR10, T=2: 93.5.
Command: snakemake --cores 8 --profile profiles/paper -- results/table1_ldd.csv

Source: the papers; what was read of the official code of a network stands in its file, and of its training in the recipes.
"""

from benchmark.method import Method, cross_entropy


class Direct(Method):
    """Nothing to choose."""

    params = {}

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
