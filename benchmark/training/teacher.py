"""The teacher of a run: asked without gradient, and only once per training image where augmentation never changes one."""

from dataclasses import replace

import torch
from torch import nn

from benchmark.method import Outputs
from benchmark.networks.build import reset
from benchmark.training.batches import Batches
from benchmark.training.forms._base import by_channel
from benchmark.training.outputs import Tapped

LIMIT = 2**30  # bytes of answers worth keeping


class Teacher:
    """Answers to batches of training images; `sees` as a method has it."""

    def __init__(self, module: nn.Module, sees: tuple, batches: Batches):
        self.module, self.tapped, self.sees = module, Tapped(module, tuple(set(sees) - {"images"})), sees
        self.device = batches.device
        self.count, self.keeps = batches.form.count, batches.form.fixed
        self.kept: list[torch.Tensor] = []  # logits, features, tokens, `count` images long
        self.axes: list[int] = []  # which axis of each is the image's
        self.seen = torch.zeros(self.count, dtype=torch.bool, device=self.device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor, chosen: torch.Tensor) -> Outputs:
        """The answer to a batch as the student gets it; `chosen` [B] says which training images they are."""
        answer = self.answer(images, chosen.to(self.device)) if self.keeps else self.ask(images)
        return replace(answer, images=images if "images" in self.sees else None)

    def ask(self, images: torch.Tensor) -> Outputs:
        """What the network says, which forgets it."""
        answer = self.tapped(images)
        reset(self.module)
        return answer

    def answer(self, images: torch.Tensor, chosen: torch.Tensor) -> Outputs:
        """What was put away, the network being asked if an image of the batch is new.

        For the whole batch: the last bits of an answer depend on how many are asked for at once, and which are new on where a run was stopped.
        """
        if not self.seen[chosen].all():
            self.keep(self.ask(images), chosen)
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


def renormalising(module: nn.Module, given: list | None, own: list | None) -> None:
    """Let a network whose images were normalised by `own`, [means, deviations], take images that are normalised by `given`.

    Whether the network resizes them before or after makes no difference: both are linear, and the weights of a resized pixel sum to one.
    """
    if given == own:
        return
    device = next(module.parameters()).device
    (mean, std), (own_mean, own_std) = by_channel(given, device), by_channel(own, device)
    module.register_forward_pre_hook(lambda _, arguments: ((arguments[0] * std + mean - own_mean) / own_std,))


def reserved(value: torch.Tensor, axis: int, count: int) -> torch.Tensor:
    """Room for `count` images of what `value` holds for a batch."""
    return value.new_empty(*value.shape[:axis], count, *value.shape[axis + 1 :])
