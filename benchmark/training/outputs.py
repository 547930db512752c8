"""What a method sees of a network: its logits, and what its `sees` asks for."""

import torch
from torch import nn

from benchmark.method import Outputs


class Tapped:
    """A network that is asked for `Outputs`; with `blocks` its blocks' outputs are kept, with `images` what went in."""

    def __init__(self, module: nn.Module, sees: tuple):
        self.module, self.sees, self.features = module, sees, []
        if "blocks" in sees:
            for block in module.blocks:
                block.register_forward_hook(lambda _, __, output: self.features.append(output))

    def __call__(self, images: torch.Tensor) -> Outputs:
        self.features.clear()
        logits = self.module(images)
        features = list(self.features)
        self.features.clear()
        tokens = [self.module.token(feature) for feature in features]
        return Outputs(logits, features, tokens, images if "images" in self.sees else None)
