"""What every form does, and the randomness that its batches follow from."""

import random
from functools import cached_property

import numpy as np
import torch

from benchmark.datasets import Data
from benchmark.shared.errors import UserError
from benchmark.training.world import ALONE


def seed_everything(seed: int, epoch: int, step: int) -> None:
    """Seed torch, numpy and Python for one training step."""
    value = int(np.random.SeedSequence((seed, epoch, step + 2)).generate_state(1)[0])  # + 2: building (-2) and workers (-1) seed too
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)


def by_channel(normalisation: list, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """[means, deviations] as two tensors [1, channels, 1, 1]."""
    return tuple(torch.tensor(values, device=device).view(1, -1, 1, 1) for values in normalisation)


class Form:
    """A data set in one form under one recipe, on one device.

    A raw batch is what `train`, `test` and `plain` give, images [B, channels, H, W] as they are stored, with labels [B] on the device;
    `augment` takes and gives one; `normalise` makes floats of it; `arranged` gives them the axes that networks expect, the image's being
    `axis`. count, test_count: images of both splits. fixed: the recipe never changes an image, so that what is computed of it can be kept.
    published: what networks.build.published says of the network that is fed, empty for one without published weights.
    """

    axis = 0
    world = ALONE  # the processes that a run is shared by
    fixed = False
    count: int
    test_count: int
    refuses: tuple = ()  # recipe keys that do nothing for images of this form
    crops: type = int  # what the recipe's crop is: padding in pixels, or a list of the smallest and the largest share

    def __init__(self, data: Data, recipe: dict, entry: dict, steps: int, device: torch.device, seed: int, threads: int, published: dict):
        self.data, self.recipe, self.entry, self.steps, self.published = data, recipe, entry, steps, published
        self.device, self.seed, self.threads = device, seed, threads
        wrong = [key for key in self.refuses if recipe.get(key)]
        if recipe.get("epochs") and not isinstance(recipe.get("crop", self.crops()), self.crops):
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

    def shown(self, order: torch.Tensor):
        """The raw batch of the test images that `order` [n] names."""
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

    @property
    def normalisation(self) -> list | None:
        """[means, deviations] per channel: the recipe's, else what the network's published weights are fed, else the data set's own."""
        own = [self.published["mean"], self.published["std"]] if self.published else [list(self.data.mean), list(self.data.std)]
        return self.recipe.get("statistics") or own

    @cached_property
    def statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The normalisation on the device, [1, channels, 1, 1] each."""
        return by_channel(self.normalisation, self.device)

    def arranged(self, images: torch.Tensor) -> torch.Tensor:
        return images
