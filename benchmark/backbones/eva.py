"""EVA-g/14 at 336x336 (Fang et al., CVPR 2023), the largest network that ECMT converts: timm's.

`pretrained` as in vit.py. Always with the tag: the bare timm name means other weights (fine-tuned from EVA-CLIP). Averages the tokens
before its classifier.
1,013.01 M parameters; ECMT prints 1,074 M. Built on the meta device it costs nothing, which is enough for all counts.

Source: timm, timm/models/eva.py, which is wrapped, not written again.
Parity: parameters as timm's, 1,013,005,672.
Deviations: none known.
"""

from timm.models.eva import Eva

from benchmark.backbones.vit import TokenTransformer, load_pretrained, resizing

__all__ = ["build", "load_pretrained"]

SIZES = {
    "g-14": {
        "patch": 14, "dim": 1408, "depth": 40, "heads": 16, "hidden": 6144, "resolution": 336,
        "pretrained": {
            "tag": "eva_giant_patch14_336.m30m_ft_in22k_in1k",
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic",
            "top1": {"ImageNet": 89.566},
        },
    },
}  # fmt: skip
TWIN = {"set": {"depth": 2, "dim": 64, "heads": 4, "hidden": 256, "patch": 16, "resolution": None, "pretrained": None}}
NEURON = {}
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """An EVA for images of shape (channels, height, width); see `TokenTransformer` for inputs and outputs."""
    options = {"patch_size": size["patch"], "embed_dim": size["dim"], "depth": size["depth"], "num_heads": size["heads"]}
    options["mlp_ratio"] = size["hidden"] / size["dim"]
    resolution = size["resolution"] or shape[1]
    return TokenTransformer(Eva(img_size=resolution, in_chans=shape[0], num_classes=classes, **options), resolution, resizing(size))
