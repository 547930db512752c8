"""Vision Transformers (Dosovitskiy et al., ICLR 2021), the teachers of LDD and the networks that ECMT converts: timm's.

`pretrained` says which weights timm publishes and what they are fed: `tag` is the name with its tag, since bare names have changed their
weights between timm versions; mean, std, crop_pct, crop_mode and interpolation are timm's configuration of them, by its names; `top1` is
the accuracy by data set that timm states (results/results-imagenet.csv), which a run of them as they are has to reach.
Decisions: b-16 has the tag that was timm's default when ECMT was written, since the augreg2 weights of its download script are two
points better than the baseline that it prints. b-32 is CLIP's, with a norm before its blocks, and of timm's ImageNet classifiers on it the
one that is better than the 82.79 % that STA prints for its converted network (83.30; the others have 82.58, 81.93 and less). l-32 exists
for 384x384 images only, whatever its student sees. An image of another size than `resolution` (CIFAR, or a student's 224x224) is resized
inside the model, as timm resizes pictures for these weights. `drop_path` is stochastic depth's largest rate, at the last block: 0 but
where a recipe trains a network from the beginning.

Source: timm, timm/models/vision_transformer.py, which is wrapped, not written again.
Parity: parameters as timm's; a small one with saved weights answers as timm's does, to 1e-4, its pictures prepared here
(tests/test_pretrained.py).
"""

from pathlib import Path

import timm
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.functional import interpolate

# fmt: off
SIZES = {
    "s-16": {
        "patch": 16, "dim": 384, "depth": 12, "heads": 6, "resolution": 224,
        "pretrained": {
            "tag": "vit_small_patch16_224.augreg_in21k_ft_in1k",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 81.384},
        },
    },
    "b-16": {
        "patch": 16, "dim": 768, "depth": 12, "heads": 12, "resolution": 224, "drop_path": 0.0,
        "pretrained": {
            "tag": "vit_base_patch16_224.augreg_in21k_ft_in1k",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 84.532},
        },
    },
    "b-32": {
        "patch": 32, "dim": 768, "depth": 12, "heads": 12, "resolution": 224, "norm_first": True,
        "pretrained": {
            "tag": "vit_base_patch32_clip_224.laion2b_ft_in12k_in1k",
            "mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711],
            "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 83.296},
        },
    },
    "l-16": {
        "patch": 16, "dim": 1024, "depth": 24, "heads": 16, "resolution": 224, "drop_path": 0.0,
        "pretrained": {
            "tag": "vit_large_patch16_224.augreg_in21k_ft_in1k",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 85.834},
        },
    },
    "l-32": {
        "patch": 32, "dim": 1024, "depth": 24, "heads": 16, "resolution": 384,
        "pretrained": {
            "tag": "vit_large_patch32_384.orig_in21k_ft_in1k",
            "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "crop_pct": 1.0, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 81.51},
        },
    },
}
# fmt: on
TWIN = {"set": {"depth": 2, "dim": 64, "heads": 4, "patch": 16, "resolution": None, "pretrained": None}}  # resolution None: the image's own
MINI = {"set": {"depth": 4, "dim": 96, "heads": 3, "patch": 4, "resolution": None, "pretrained": None}}  # for small images
NEURON = {}
LAYOUTS = {"cifar": {}, "imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A Vision Transformer for images of shape (channels, height, width); see `TokenTransformer` for inputs and outputs."""
    options = {"patch_size": size["patch"], "embed_dim": size["dim"], "depth": size["depth"], "num_heads": size["heads"]}
    options["drop_path_rate"] = size.get("drop_path", 0.0)
    if size.get("norm_first"):
        options |= {"pre_norm": True, "norm_layer": nn.LayerNorm}
    resolution = size["resolution"] or shape[1]
    return TokenTransformer(
        VisionTransformer(img_size=resolution, in_chans=shape[0], num_classes=classes, **options), resolution, resizing(size)
    )


def resizing(size) -> str:
    """How images of another size are brought to the network's."""
    return size["pretrained"]["interpolation"] if size["pretrained"] else "bicubic"


def load_pretrained(model, size, folder: Path):
    """timm's published weights into `model`: from folder/<tag>.safetensors if it is there, else timm's download.

    A classifier of another number of classes starts afresh.
    """
    tag, network = size["pretrained"]["tag"], model.transformer
    file = folder / f"{tag}.safetensors"
    options = {"num_classes": network.num_classes, "in_chans": network.patch_embed.proj.in_channels, "img_size": model.resolution}
    overlay = {"file": str(file)} if file.exists() else None
    network.load_state_dict(timm.create_model(tag, pretrained=True, pretrained_cfg_overlay=overlay, **options).state_dict())


class TokenTransformer(nn.Module):
    """A timm transformer as a teacher: images [B, C, H, W] in, logits [1, B, classes] out, one time step.

    Images that are not `resolution` wide are resized to it first, by `mode` of torch's interpolate.
    `blocks` gives [B, tokens, C], the class token first; `token` is that one.
    """

    steps = 1

    def __init__(self, transformer: nn.Module, resolution: int, mode: str = "bicubic"):
        super().__init__()
        self.transformer, self.resolution, self.mode = transformer, resolution, mode
        self.widths = [transformer.embed_dim] * len(transformer.blocks)

    @property
    def blocks(self):
        return self.transformer.blocks

    def forward(self, x):
        if x.shape[-1] != self.resolution:
            # with antialias the kernel is that of PIL, which timm resizes with
            x = interpolate(x, (self.resolution, self.resolution), mode=self.mode, antialias=True)
        return self.transformer(x).unsqueeze(0)

    @staticmethod
    def token(feature):
        """Block output [B, tokens, C] -> class token [1, B, C]."""
        return feature[:, 0].unsqueeze(0)
