"""From a data set to training and test batches: images float [B, C, H, W] on the device, targets as class probabilities.

Small images lie on the device as uint8 and are augmented there; large ones stream through loader workers with timm's transforms.
All randomness of a batch follows from (seed, epoch, step), so that a resumed run repeats the uninterrupted one.
"""

import os
import random
from pathlib import Path

import numpy as np
import torch

from benchmark.datasets import Data
from benchmark.shared.errors import UserError
from benchmark.training import augment

WORKERS = min(8, os.cpu_count() or 1)  # loader processes for large images


def seed_everything(seed: int, epoch: int, step: int) -> None:
    """Seed torch, numpy and Python for one training step."""
    value = int(np.random.SeedSequence((seed, epoch, step + 2)).generate_state(1)[0])  # + 2: building (-2) and workers (-1) seed too
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)


class Batches:
    """Batches of one data set under one recipe.

    `train(epoch, start)` yields (images, targets, which training images they are), `test()` yields (images, labels).
    """

    def __init__(self, data: Data, recipe: dict, classes: int, image: list, device: torch.device, seed: int):
        self.data, self.recipe, self.classes, self.image, self.device, self.seed = data, recipe, classes, image, device, seed
        self.mean, self.std = (torch.tensor(v, device=device).view(1, -1, 1, 1) for v in (data.mean, data.std))
        self.source = Streamed(self) if data.streams else Resident(self)
        self.size = min(recipe["batch_size"], self.source.count)
        self.steps = self.source.count // self.size
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

    def train(self, epoch: int, start: int = 0):
        """Batches start.. of one epoch in an order that follows from seed and epoch; the incomplete last one is dropped."""
        order = torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(self.source.count))
        order = order[start * self.size : self.steps * self.size]
        chosen = order.view(-1, self.size)  # none left: split() would give an empty batch
        for step, (images, labels) in enumerate(self.source.train(chosen, epoch), start):
            seed_everything(self.seed, epoch, step)
            yield *self.finish(self.source.augment(images), labels, epoch), chosen[step - start]

    @property
    def fixed(self) -> bool:
        """True if the recipe never changes an image, so that whatever is computed of it can be kept."""
        recipe = self.recipe
        changes = ("crop", "flip", "randaugment", "autoaugment", "cutout", "erasing", "mixup", "cutmix")
        return not self.data.streams and not any(recipe[key] for key in changes)

    def finish(self, images, labels, epoch):
        """Normalise, erase, mix; labels become probabilities."""
        images = self.normalise(images)
        if self.erase:
            images = self.erase(images)
        off = self.recipe["mixup_off_epoch"]
        if self.mixup and not (off and epoch >= off):
            return self.mixup(images, labels)
        smoothing = self.recipe["label_smoothing"]
        targets = torch.nn.functional.one_hot(labels, self.classes).float()
        return images, targets * (1 - smoothing) + smoothing / self.classes

    def normalise(self, images):
        """uint8 0..255 -> zero mean and unit deviation per channel, channels last."""
        images = images.to(self.device, torch.float32, memory_format=torch.channels_last)
        return (images / 255 - self.mean) / self.std

    def test(self):
        """The test set in order, without augmentation; the last batch may be smaller."""
        for images, labels in self.source.test():
            yield self.normalise(images), labels


class Resident:
    """Small images, whole on the device."""

    def __init__(self, batches: Batches):
        self.batches, recipe = batches, batches.recipe
        device = batches.device
        self.images, self.labels = batches.data.train.images.to(device), batches.data.train.labels.to(device)
        self.test_images, self.test_labels = batches.data.test.images.to(device), batches.data.test.labels.to(device)
        self.count = len(self.labels)
        names = recipe["randaugment_ops"]
        self.randaugment = recipe["randaugment"] and augment.RandAugment(recipe["randaugment"], names, batches.data.mean)
        self.autoaugment = recipe["autoaugment"] and augment.AutoAugment(recipe["autoaugment"])

    def train(self, order, epoch):
        for chosen in order.to(self.labels.device):
            yield self.images[chosen], self.labels[chosen]

    def augment(self, images):
        recipe = self.batches.recipe
        images = augment.flip(augment.crop(images, recipe["crop"]), recipe["flip"])
        for policy in filter(None, (self.randaugment, self.autoaugment)):
            images = policy(images)
        return augment.cutout(images, recipe["cutout"])

    def test(self):
        size = self.batches.size
        yield from zip(self.test_images.split(size), self.test_labels.split(size), strict=True)


class Streamed:
    """Large images, decoded and augmented by loader workers with timm's ImageNet transforms."""

    def __init__(self, batches: Batches):
        self.batches = batches
        if batches.recipe["randaugment_ops"]:
            raise UserError("recipe key 'randaugment_ops' works for small images only: large ones take timm's list")
        for key in ("autoaugment", "cutout"):
            if batches.recipe[key]:
                raise UserError(f"recipe key '{key}' works for small images only")
        self.folders = {split: self.folder(split) for split in ("train", "test")}
        self.count = len(self.folders["train"])

    def folder(self, split: str):
        from timm.data import create_transform
        from torchvision.datasets import ImageFolder

        recipe, size = self.batches.recipe, self.batches.image[1]
        training = split == "train"
        transform = create_transform(
            size,
            is_training=training,
            use_prefetcher=True,  # uint8 out: normalised on the device
            scale=tuple(recipe["crop"]) if training else None,
            hflip=recipe["flip"],
            color_jitter=None,
            auto_augment=recipe["randaugment"] if training else None,
            interpolation="bicubic",
            mean=self.batches.data.mean,
            crop_pct=recipe["eval_crop"],
        )
        augment.mend(transform)
        root: Path = getattr(self.batches.data, split)
        return ImageFolder(root, transform)

    def loader(self, split, indices, epoch=0):
        from timm.data.loader import fast_collate
        from torch.utils.data import DataLoader

        seeded, pin = Seeded(self.folders[split], self.batches.seed, epoch), self.batches.device.type == "cuda"
        return DataLoader(seeded, self.batches.size, sampler=indices, num_workers=WORKERS, collate_fn=fast_collate, pin_memory=pin)

    def train(self, order, epoch):
        for images, labels in self.loader("train", order.flatten().tolist(), epoch):
            yield images, labels.to(self.batches.device)

    def augment(self, images):
        return images

    def test(self):
        for images, labels in self.loader("test", range(len(self.folders["test"]))):
            yield images, labels.to(self.batches.device)


class Seeded(torch.utils.data.Dataset):
    """A folder whose augmentation of an image follows from (seed, epoch, image), whichever worker draws it, resumed or not."""

    def __init__(self, folder, seed: int, epoch: int):
        self.folder, self.seed, self.epoch = folder, seed, epoch

    def __len__(self):
        return len(self.folder)

    def __getitem__(self, index):
        seed_everything(self.seed, self.epoch, index)
        return self.folder[index]
