"""What every form does, and the randomness that its batches follow from."""

import random
from functools import cached_property

import numpy as np
import torch

from benchmark.datasets import Data
from benchmark.shared.errors import UserError


def seed_everything(seed: int, epoch: int, step: int) -> None:
    """Seed torch, numpy and Python for one training step."""
    value = int(np.random.SeedSequence((seed, epoch, step + 2)).generate_state(1)[0])  # + 2: building (-2) and workers (-1) seed too
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)


class Form:
    """A data set in one form under one recipe, on one device.

    A raw batch is what `train`, `test` and `plain` give, images [B, channels, H, W] as they are stored, with labels [B] on the device;
    `augment` takes and gives one; `normalise` makes floats of it; `arranged` gives them the axes that networks expect, the image's being
    `axis`. count, test_count: images of both splits. fixed: the recipe never changes an image, so that what is computed of it can be kept.
    """

    axis = 0
    fixed = False
    count: int
    test_count: int
    refuses: tuple = ()  # recipe keys that do nothing for images of this form
    crops: type = int  # what the recipe's crop is: padding in pixels, or a list of the smallest and the largest share

    def __init__(self, data: Data, recipe: dict, entry: dict, steps: int, device: torch.device, seed: int, threads: int):
        self.data, self.recipe, self.entry, self.steps = data, recipe, entry, steps
        self.device, self.seed, self.threads = device, seed, threads
        wrong = [key for key in self.refuses if recipe.get(key)]
        if not isinstance(recipe.get("crop", self.crops()), self.crops):
            wrong.append("crop")
        for key in wrong:
            raise UserError(f"recipe key '{key}' cannot be {recipe[key]!r} for {entry['name']}, whose form is {entry['form']}")

    def train(self, order: torch.Tensor, epoch: int):
        """Raw batches of the training images that each row of `order` names, augmented already where workers do it."""
        raise NotImplementedError

    def plain(self, order: torch.Tensor):
        """The same, never augmented."""
        raise NotImplementedError

    def test(self, size: int):
        """Raw batches of the test set in order; the last one may be smaller."""
        raise NotImplementedError

    def close(self) -> None:
        """End what works in the background."""

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """0..255 -> zero mean and unit deviation per channel, channels last."""
        mean, std = self.statistics
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        return (images / 255 - mean) / std

    @cached_property
    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation per channel: the recipe's, or the data set's own."""
        chosen = self.recipe.get("statistics") or (self.data.mean, self.data.std)
        return tuple(torch.tensor(values, device=self.device).view(1, -1, 1, 1) for values in chosen)

    def arranged(self, images: torch.Tensor) -> torch.Tensor:
        return images
