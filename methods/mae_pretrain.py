"""Masked pre-training of a spiking Transformer (Zhou et al., 2024, Spikformer V2, section 4.2): hidden patches are filled in from the others.

Paper: Spikformer V2. A random part of the patches is hidden; the spiking encoder computes the visible ones alone, at T = 1; an artificial
Transformer, thrown away afterwards, gets its tokens, one learned token for every hidden patch and the positions, and gives the pixels.
Equations: none printed; L = mean over hidden patches of |D(E(visible)) - target|^2 / values of a patch, as MAE, which the paper follows.
Expected: no number of its own; fine-tuned (methods/mae.py), Spikformer V2-12-512 reaches 79.64 on ImageNet at T=1 (Table III).
Command: snakemake --cores 8 --profile profiles/paper -- results/table3_spikformer_v2.csv

What the paper leaves open, and how it is read here (each a switch, where it is one):
  target   "the normalized input image": each patch with its own mean and deviation (`patch`, default: MAE's best target, and the only one
           of the closest spiking code, E-SpikeFormer's), or the image normalised as it enters the network (`image`, the literal print).
  loss     on hidden patches only, as MAE and that code; no switch.
  decoder  what its printed 3.41 M parameters cover, and its positions: see benchmark/networks/reconstruction.py. No normalisation between
           encoder and decoder: the sizes of V2 fit without one (that code has one).
The classifier takes no part: it stays as it was drawn, and the accuracy of such a run is that of guessing.

Source: the paper, whose authors published no code of it; facebookresearch/mae@efb2a80, which it follows; the closest spiking code,
BICLab/Spike-Driven-Transformer-V3@00fcd1f, SDT_V3/Classification/Model_Large (E-SpikeFormer).
Deviations: of the closest code two things are not taken over: its encoder's blocks run over all tokens, hidden ones as zeros that later
normalisations shift, and its decoder never sees a mask token, since the encoder already gives as many tokens as there are patches.
"""

import torch

from benchmark.method import Method
from benchmark.networks.masking import MaskedEncoder, draw, grid_of
from benchmark.networks.reconstruction import Decoder, error, errors, normalised, patches, triplet


class MAEPretrain(Method):
    """`hidden` percent of the patches; the decoder's depth, width and heads."""

    params = {"mask": 75, "target": "patch", "depth": 4, "width": 256, "heads": 4}
    choices = {"target": ["patch", "image"], "width": [32, 64, 128, 256, 512], "heads": [1, 2, 4, 8]}
    ranges = {"mask": [1, 99], "depth": [1, 24]}
    sees = ("images",)
    recipe = ("training", "augmentation")  # no "evaluation": there are no classes to be right about
    keeps = True

    def start(self, network, above, calibration):
        return MaskedEncoder(network, self.mask)

    def parts(self, student, teacher):
        return Decoder(student.widths[-1], student.side**2 * student.channels, self.depth, self.width, self.heads)

    def loss(self, student, teacher, target, parts):
        seen = student.logits  # of a network that has no classes: what it gives
        return {"reconstruction": error(parts(seen), self.wanted(student.images, seen.visible), seen.visible)}

    def wanted(self, images, visible):
        """What the decoder is to give, [B, patches, values]."""
        values = patches(images, visible.shape[1:])
        return normalised(values) if self.target == "patch" else values

    def pictures(self, student, parts, images):
        """Figure 8, and of each image the error on its hidden patches, beside that of predicting their mean."""
        visible = draw(len(images), grid_of(*images.shape[2:], student.side), self.mask).to(images.device)
        predicted, wanted = parts(student.encode(images, visible)).float(), self.wanted(images, visible)
        found = {"error": errors(predicted, wanted, visible), "error_of_mean": errors(torch.zeros_like(wanted), wanted, visible)}
        return triplet(images, predicted, visible, self.target == "patch"), found


def fits(student):
    if student.ann or not student.name.startswith("spikformer-"):
        return f"masked pre-training hides patches of Spikformer's stems, and {student.name} has none of them"
    return ""
