"""One pass over the test set: accuracies, answers, and with a counter the operations. A long one says how far it is and can be killed."""

import sys
import time
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.networks.build import reset
from benchmark.training.batches import Batches
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.forms._base import Form
from benchmark.training.optimiser import Precision
from benchmark.training.world import ALONE

PAUSE = 60.0  # seconds between two states that are kept of a pass


@dataclass
class Accuracy:
    """Top-1 in percent over the whole test set: by the mean of all steps' logits, by each step's alone, by the mean of the first 1..T.

    logits: that mean of every image, [images, classes]; labels: their classes.
    """

    mean: float
    by_step: list[float]
    up_to: list[float]
    logits: torch.Tensor
    labels: torch.Tensor


class Pass:
    """What has been answered so far. right: images answered right by the mean, by each step's logits, and by their sums up to it."""

    def __init__(self):
        self.right, self.logits, self.labels = 0, [], []

    @property
    def seen(self) -> int:
        return sum(map(len, self.labels))

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """One batch: logits [T, B, classes], labels [B]."""
        sums = logits.cumsum(0)[:-1]  # largest where their mean is
        answers = torch.cat([logits.mean(0, keepdim=True), logits, sums]).argmax(2)
        self.right = self.right + (answers == labels).sum(1)
        self.logits.append(logits.mean(0))
        self.labels.append(labels)

    def accuracy(self) -> Accuracy:
        mean, *others = (100 * self.right.double() / self.seen).tolist()
        steps = (len(others) + 1) // 2
        return Accuracy(mean, others[:steps], [*others[steps:], mean], torch.cat(self.logits), torch.cat(self.labels))

    def state(self) -> dict:
        return {"right": self.right, "logits": self.logits, "labels": self.labels}

    def put(self, state: dict, device: torch.device) -> None:
        """Go on from a state, on this device."""
        self.right = state["right"].to(device)
        self.logits, self.labels = ([value.to(device) for value in state[key]] for key in ("logits", "labels"))


@torch.no_grad()
def evaluate(module: nn.Module, batches: Batches, precision: Precision, counter=None, kept: Checkpoint | None = None) -> Accuracy:
    """The test set in fp32 or as `precision` says. A counter is told how many images it saw.

    kept: where a pass that takes longer than PAUSE leaves what it has, and from which it goes on after a kill.
    """
    module.eval()
    found, began = Pass(), time.monotonic()
    if kept:
        kept.resume(lambda state: restore(state, found, counter, batches.device))
    before, last, passed = found.seen, began, 0
    for images, labels in batches.test():
        passed += len(labels)
        if passed <= before:
            continue
        logits = answers(module, images, len(labels), batches.form, precision)
        found.add(logits, labels)
        if counter is not None:
            counter.seen(len(labels))
        if kept and time.monotonic() - last >= PAUSE:
            kept.save({"pass": found.state(), "counter": counter and counter.state()}, 0, found.seen)
            last = time.monotonic()
            left = (last - began) / (found.seen - before) * (batches.tested - found.seen)
            print(f"tested {found.seen} of {batches.tested} images, about {left:.0f} s left", file=sys.stderr, flush=True)
    return found.accuracy()


def answers(module: nn.Module, images: torch.Tensor, count: int, form: Form, precision: Precision) -> torch.Tensor:
    """Logits [T, B, classes] of a batch of `count` images, of which several processes answer a share each."""
    world = form.world if count >= form.world.size else ALONE
    share = world.share(count)
    with precision.autocast():
        logits = module(images.narrow(form.axis, share.start, share.stop - share.start)).float()
    reset(module)
    return world.gathered(logits, count, 1)


def restore(state: dict, found: Pass, counter, device: torch.device) -> None:
    """Put back what a pass had."""
    if counter is not None:
        counter.put(state["counter"])
    found.put(state["pass"], device)
