"""Fine-tuning of a masked pre-trained encoder (Zhou et al., 2024, Spikformer V2, section 5.2).

Paper: Spikformer V2. Stem and blocks start from what methods/mae_pretrain.py learned, batch normalisation's statistics included, the
classifier at random; then everything trains on labels, layers below with smaller rates (recipe key `layer_decay`, 0.7).
Equations: L = CE(mean_t z(t), y).
Expected: Spikformer V2, Table III, ImageNet, T=1: V2-12-512 79.64, V2-12-768 80.49, V2-16-768 81.10.
Command: snakemake --cores 8 --profile profiles/paper -- results/table3_spikformer_v2.csv

What the paper leaves open, and how it is read here:
  layers   of the decay: the classifier has the full rate, each block below 0.7 times the one above it, the whole stem one layer below the
           first block, as in the closest spiking code (MAE's own is the same with a patch embedding for a stem).
More time steps start from this run's weights: methods/mae_steps.py.

Source: the paper, whose authors published no code of it; facebookresearch/mae@efb2a80, which it follows; the closest spiking code,
BICLab/Spike-Driven-Transformer-V3@00fcd1f, SDT_V3/Classification/Model_Large (E-SpikeFormer).
"""

from benchmark.method import Method, cross_entropy
from benchmark.networks.masking import take


class MAE(Method):
    """Nothing to choose: how much was hidden is the pre-training's, how long and how fast the recipe's."""

    params = {}
    needs = {"encoder": {"method": "mae-pretrain", "backbone": "same", "time_steps": 1, "options": ["mask", "pretrain"]}}
    recipe = ("training", "augmentation", "evaluation", "fine-tuning")

    def start(self, network, above, calibration):
        return take(network, above["encoder"], but=("head.",))

    def loss(self, student, teacher, target, parts):
        return {"task": cross_entropy(student.logits.mean(0), target)}
