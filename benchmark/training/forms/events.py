"""Events as frames [N, T, C, H, W], uint8 or float, whole on the device; a network gets [T, B, C, H, W].

Frames are counts, not pictures: no statistics of images normalise them, and no operation that is made for colours changes them. What
moves or mixes pixels does the same at every time step.
"""

from dataclasses import replace

import torch

from benchmark import datasets
from benchmark.datasets import _event_augment
from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.forms.images import Images


class Events(Images):
    """A raw batch has steps and channels merged, [B, T * C, H, W]. Augmentation: `crop`, `flip`, then an operation of the policy `event_augment`."""

    axis = 1
    refuses = ("randaugment", "autoaugment", "cutout")
    normalisation = None
    changes = ("crop", "flip", "event_augment", "erasing", "mixup", "cutmix")

    def __init__(self, data, recipe, entry, steps, *others):
        train, test = (framed(split, steps) for split in (data.train, data.test))
        super().__init__(replace(data, train=train, test=test), recipe, entry, steps, *others)

    def check(self, shape):
        steps, *shape = shape
        super().check(shape)
        if steps != self.steps:
            raise UserError(f"{self.entry['name']} has frames of {steps} time steps, and the cell asks for {self.steps}")

    def plain(self, order):
        for images, labels in super().plain(order):
            yield images.flatten(1, 2), labels

    def test(self, size):
        for images, labels in super().test(size):
            yield images.flatten(1, 2), labels

    def shown(self, order):
        images, labels = super().shown(order)
        return images.flatten(1, 2), labels

    def augment(self, images):
        images = augment.flip(augment.crop(images, self.recipe["crop"]), self.recipe["flip"])
        policy = self.recipe.get("event_augment")
        return _event_augment.augment(images, policy) if policy else images

    def normalise(self, images):
        return images.to(self.device, torch.float32)

    def arranged(self, images):
        return images.unflatten(1, (self.steps, -1)).transpose(0, 1).contiguous()


def framed(split, steps: int) -> datasets.Images:
    """A split as frames: recordings are cut into so many steps, frames stay what they are."""
    return datasets.Images(split.frames(steps), split.labels) if hasattr(split, "frames") else split
