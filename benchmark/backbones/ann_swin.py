"""Swin Transformer (Liu et al., ICCV 2021), an artificial network that Spikformer V2 quotes: timm's.

Attention inside windows of 7x7 tokens, every second block's windows moved by half of one; four stages, each but the last followed by a
merging of 2x2 tokens. Images [B, C, H, W], features [B, H, W, C], logits [1, B, classes]; `token` is the mean over positions.
Source: timm, timm/models/swin_transformer.py; microsoft/Swin-Transformer@00f2800, config.py, and configs/swin/swin_base_patch4_window7_224.yaml.
Parity: names and shapes of all weights are those of the tag below; 87,768,224 parameters are printed as 88.00 M, 15.4 G
multiply-accumulates as 15.40 G.
Deviations: none known. Position biases of windows larger than an image (twins) are as timm makes them.
`pretrained` as in vit.py; `drop_path` is stochastic depth's largest rate, at the last block.
"""

from timm.models.swin_transformer import SwinTransformer
from torch import nn

from benchmark.backbones.vit import TokenTransformer, load_pretrained, resizing

__all__ = ["build", "load_pretrained"]

SIZES = {
    "base": {
        "patch": 4, "dim": 128, "depths": [2, 2, 18, 2], "heads": [4, 8, 16, 32], "window": 7, "drop_path": 0.0, "resolution": 224,
        "pretrained": {
            "tag": "swin_base_patch4_window7_224.ms_in1k",
            "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic",
            "top1": {"ImageNet": 83.606},
        },
    },
}  # fmt: skip
TWIN = {"set": {"dim": 24, "depths": [2, 1], "heads": [2, 4], "window": 4, "drop_path": 0.0, "resolution": None, "pretrained": None}}
NEURON = {}
LAYOUTS = {"imagenet": {}}


def build(size, layout, fire, classes, shape, steps):
    """A Swin Transformer for images of shape (channels, height, width); see `WindowTransformer` for inputs and outputs."""
    resolution = size["resolution"] or shape[1]
    options = {"patch_size": size["patch"], "embed_dim": size["dim"], "depths": size["depths"], "num_heads": size["heads"]}
    options |= {"window_size": size["window"], "drop_path_rate": size["drop_path"]}
    network = SwinTransformer(img_size=resolution, in_chans=shape[0], num_classes=classes, **options)
    network.head = MeanHead(network.head.fc)
    return WindowTransformer(network, resolution, resizing(size))


class MeanHead(nn.Module):
    """timm's head with its names: without its `reset`, which is called for the state of neurons."""

    def __init__(self, fc: nn.Module):
        super().__init__()
        self.fc = fc

    def forward(self, x):
        """[B, H, W, C] -> [B, classes]."""
        return self.fc(x.mean((1, 2)))


class WindowTransformer(TokenTransformer):
    """As `TokenTransformer`, of stages: `blocks` are those of all stages, and a feature is a map [B, H, W, C]."""

    def __init__(self, transformer: nn.Module, resolution: int, mode: str = "bicubic"):
        nn.Module.__init__(self)
        self.transformer, self.resolution, self.mode = transformer, resolution, mode
        self.widths = [block.dim for stage in transformer.layers for block in stage.blocks]

    @property
    def blocks(self):
        return [block for stage in self.transformer.layers for block in stage.blocks]

    @staticmethod
    def token(feature):
        """Block output [B, H, W, C] -> mean over positions [1, B, C]."""
        return feature.mean((1, 2)).unsqueeze(0)
