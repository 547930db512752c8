"""From a data set to training and test batches: images float on the device, targets as class probabilities.

What is stored how, and what the recipe does to an image, is the form's (benchmark/training/forms); here are order, mixing and targets.
All randomness of a batch follows from (seed, epoch, step), so that a resumed run repeats the uninterrupted one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmark.datasets import Data
from benchmark.networks.build import module_of
from benchmark.shared.errors import UserError
from benchmark.training.forms import FORMS
from benchmark.training.forms._base import Form, seed_everything

AT_ONCE = 64  # images of a run without training; its results do not depend on it


def load(entry: dict, root: Path) -> Data:
    """The data set of a specification's `data`; `root` holds the real ones. UserError: not there, or damaged."""
    return module_of(entry["file"]).load(entry["name"], Path(root))


class Batches:
    """Batches of one data set under one recipe; `entry` is a specification's `data`.

    published: what networks.build.published says of the network, which may want other images than the recipe or the data set say.
    `train(epoch, start)` yields (images, targets, which training images they are), `test()` yields (images, labels); images are
    [B, C, H, W], or events [T, B, C, H, W].
    """

    def __init__(self, data: Data, recipe: dict, entry: dict, steps: int, device: torch.device, seed: int, threads=1, published=None):
        self.recipe, self.classes, self.device, self.seed = recipe, entry["classes"], device, seed
        self.form: Form = FORMS[entry["form"]](data, recipe, entry, steps, device, seed, threads, published or {})
        self.trained = min(recipe.get("train_images") or self.form.count, self.form.count)
        self.size = min(recipe.get("batch_size", AT_ONCE), self.trained)
        self.steps = self.trained // self.size
        self.tested = min(recipe.get("test_images") or self.form.test_count, self.form.test_count)
        self._load_mixing()

    def _load_mixing(self):
        from timm.data import Mixup
        from timm.data.random_erasing import RandomErasing

        recipe = self.recipe
        mixes = recipe["mixup"] > 0 or recipe["cutmix"] > 0
        if mixes and self.size % 2:
            raise UserError(f"recipe: mixup needs an even batch size, not {self.size}")
        self.mixup = mixes and Mixup(
            recipe["mixup"],
            recipe["cutmix"],
            prob=recipe["mixup_prob"],
            label_smoothing=recipe["label_smoothing"],
            num_classes=self.classes,
        )
        self.erase = recipe["erasing"] > 0 and RandomErasing(recipe["erasing"], mode="const", device=str(self.device))

    def close(self) -> None:
        self.form.close()

    def order(self, epoch: int, start: int = 0) -> torch.Tensor:
        """Which training images the batches start.. of an epoch hold, [batches, B]; the incomplete last one is dropped."""
        order = torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(self.trained))
        return order[start * self.size : self.steps * self.size].view(-1, self.size)  # none left: split() would give an empty batch

    def train(self, epoch: int, start: int = 0):
        """Batches start.. of one epoch in an order that follows from seed and epoch."""
        chosen = self.order(epoch, start)
        for step, (images, labels) in enumerate(self.form.train(chosen, epoch), start):
            seed_everything(self.seed, epoch, step)
            images, targets = self.finish(self.form.augment(images), labels, epoch)
            yield self.form.arranged(images), targets, chosen[step - start]

    def finish(self, images, labels, epoch):
        """Normalise, mix, then erase, as timm's loaders do; labels become probabilities."""
        images, off = self.form.normalise(images), self.recipe["mixup_off_epoch"]
        if self.mixup and not (off and epoch >= off):
            images, targets = self.mixup(images, labels)
        else:
            smoothing = self.recipe["label_smoothing"]
            targets = torch.nn.functional.one_hot(labels, self.classes).float() * (1 - smoothing) + smoothing / self.classes
        return (self.erase(images) if self.erase else images), targets

    def calibration(self) -> Iterator[torch.Tensor]:
        """Training images as the test images are shown, in the order of the first epoch."""
        for images, _ in self.form.plain(self.order(0)):
            yield self.form.arranged(self.form.normalise(images))

    def test(self):
        """The first `tested` images of the test set in order, without augmentation; the last batch may be smaller."""
        left = self.tested
        for images, labels in self.form.test(self.size):
            images, labels = images[:left], labels[:left]
            yield self.form.arranged(self.form.normalise(images)), labels
            left -= len(labels)
            if not left:
                break
