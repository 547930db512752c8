"""A recipe's optimiser, schedule and precision, all timm's or torch's own."""

import contextlib

import torch
from torch import nn

from benchmark.shared.errors import UserError

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def optimiser(recipe: dict, module: nn.Module) -> torch.optim.Optimizer:
    """timm's optimiser; biases and one-dimensional parameters (normalisation) are decayed only if the recipe says `decay: all`.

    With `layer_decay`, layers as the module's `group_matcher` names them have smaller rates the lower they lie. UserError: with `decay: all`,
    which timm does not combine.
    """
    from timm.optim import create_optimizer_v2

    options = {"lr": recipe["lr"], "weight_decay": recipe["weight_decay"], "filter_bias_and_bn": recipe.get("decay") != "all"}
    if recipe["momentum"] is not None:
        options["momentum"] = recipe["momentum"]
    if recipe.get("layer_decay", 1.0) != 1.0:
        if not options["filter_bias_and_bn"]:
            raise UserError("recipe: layer_decay decays no biases and normalisations, and decay: all says that they are decayed")
        options["layer_decay"] = recipe["layer_decay"]
    return create_optimizer_v2(module, recipe["optimizer"], **options)


def schedule(recipe: dict, optimizer: torch.optim.Optimizer):
    """timm's schedule, stepped once per epoch, and the number of epochs it runs (cool-down included)."""
    from timm.scheduler import create_scheduler_v2

    return create_scheduler_v2(
        optimizer,
        recipe["schedule"],
        num_epochs=max(1, recipe["epochs"]),
        min_lr=recipe["min_lr"],
        warmup_epochs=recipe["warmup_epochs"],
        warmup_lr=recipe["warmup_lr"],
        cooldown_epochs=recipe["cooldown_epochs"],
        decay_milestones=[epoch + 1 for epoch in recipe["milestones"] or ()],  # timm decays one epoch before torch does
        decay_rate=recipe["decay_rate"] or 0.1,
    )[0]


class Precision:
    """Automatic mixed precision as the recipe says; the loss is scaled only in fp16 on a GPU."""

    def __init__(self, name: str, device: torch.device):
        self.dtype, self.device = PRECISIONS[name], device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16" and device.type == "cuda")

    def autocast(self):
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def backward(self, loss: torch.Tensor) -> None:
        """Add a loss's gradients, scaled if need be, to those that are there."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer, parameters, clip: float | None) -> None:
        """Clip what `backward` gathered by norm if the recipe says so, and update."""
        if clip is not None:
            self.scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(parameters, clip)
        self.scaler.step(optimizer)
        self.scaler.update()
