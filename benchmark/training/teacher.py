"""The teacher of a run: asked without gradient, and only once per training image where augmentation never changes one."""

import torch
from torch import nn

from benchmark.method import Outputs
from benchmark.networks.build import Tapped
from benchmark.training.batches import Batches

LIMIT = 2**30  # bytes of answers worth keeping


class Teacher:
    """Answers to batches of training images; `taps` asks for block outputs as well."""

    def __init__(self, module: nn.Module, taps: bool, batches: Batches):
        self.ask, self.device = Tapped(module, taps), batches.device
        self.count, self.keeps = batches.source.count, batches.fixed
        self.kept: list[torch.Tensor] = []  # logits, features, tokens, `count` images long
        self.axes: list[int] = []  # which axis of each is the image's
        self.seen = torch.zeros(self.count, dtype=torch.bool, device=self.device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, chosen: torch.Tensor) -> Outputs:
        """The answer to images [B, ...]; `chosen` [B] says which training images they are."""
        if not self.keeps:
            return self.ask(images)
        chosen = chosen.to(self.device)
        new = ~self.seen[chosen]
        if new.any():
            self.keep(self.ask(images[new]), chosen[new])
        return self.recall(chosen) if self.keeps else self.ask(images)

    def keep(self, answer: Outputs, chosen: torch.Tensor) -> None:
        """Put the answers to these images away; stop keeping if all of them would take too much room."""
        values = [answer.logits, *answer.features, *answer.tokens]
        self.keeps = sum(value.nbytes for value in values) * self.count // len(chosen) <= LIMIT
        if not self.keeps:
            return
        if not self.kept:
            self.axes = [int(value.shape[:2] == answer.logits.shape[:2]) for value in values]  # a ViT's features have no time axis
            self.kept = [reserved(value, axis, self.count) for value, axis in zip(values, self.axes, strict=True)]
        for store, value, axis in zip(self.kept, values, self.axes, strict=True):
            store.index_copy_(axis, chosen, value)
        self.seen[chosen] = True

    def recall(self, chosen: torch.Tensor) -> Outputs:
        """What was put away for these images."""
        logits, *others = (store.index_select(axis, chosen) for store, axis in zip(self.kept, self.axes, strict=True))
        half = len(others) // 2  # as many tokens as features
        return Outputs(logits, others[:half], others[half:])


def reserved(value: torch.Tensor, axis: int, count: int) -> torch.Tensor:
    """Room for `count` images of what `value` holds for a batch."""
    return value.new_empty(*value.shape[:axis], count, *value.shape[axis + 1 :])
