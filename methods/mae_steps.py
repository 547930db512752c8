"""More time steps from a network that was fine-tuned at one (Zhou et al., 2024, Spikformer V2, section 5.2.1).

Paper: Spikformer V2. "To reduce training overhead" networks of 2, 4 and 6 steps are not trained but go on from the one-step network: 20
epochs at a base rate of 1e-5. Neurons and normalisations have no weights per step, so every weight and statistic is taken as it is.
Equations: L = CE(mean_t z(t), y).
Expected: Spikformer V2, Table III, ImageNet, T=4: V2-12-512 81.17, V2-12-768 81.94, V2-16-768 82.35.
Command: snakemake --cores 8 --profile profiles/paper -- results/table3_spikformer_v2.csv

What the paper leaves open, and how it is read here: whether layers below keep smaller rates. They do not here (recipe key `layer_decay`,
1), as in the multi-step fine-tuning of the closest spiking code, and nothing is re-initialised.

Source: the paper, whose authors published no code of it; BICLab/Spike-Driven-Transformer-V3@00fcd1f, SDT_V3/Classification/Model_Large
(E-SpikeFormer).
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.masking import take


class MAESteps(Method):
    """Nothing to choose."""

    params = {}
    needs = {"start": {"method": "mae", "backbone": "same", "time_steps": 1, "options": ["finetune", "mask", "pretrain"]}}
    recipe = ("training", "augmentation", "evaluation", "fine-tuning")

    def start(self, network, above, calibration):
        return take(network, above["start"])

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
