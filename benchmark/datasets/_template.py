"""Bars (an example of each form, of no paper). Copy this file to benchmark/datasets/<name>.py; the tests find it by being there.

Say where the data come from, under which licence, and what was decided: splits, sizes, how events became frames.

A data set has one form, which owns axes, normalisation and augmentation (benchmark/training/forms):
  images  small images in memory, `Images` of uint8 [N, C, H, W]; normalised by the mean and deviation that `Data` states.
  folder  large images, a folder of class folders for each split, read by loader workers; `Data` holds the two paths.
  events  frames in memory, `Images` of uint8 or float [N, T, C, H, W]; not normalised. A cell's time steps have to be T.
A file whose name starts with an underscore, like this one, is not offered to tables.
"""

from pathlib import Path

import numpy as np
import torch

from benchmark.datasets import Data, Images, checksum, listing, statistics
from benchmark.shared.errors import UserError

# Literals, read without running the file. layout: which of a backbone's forms it takes (cifar, imagenet, dvs). stand_in: made here, in
# place of a real one. train, test: numbers of images. A file may add keys of its own, as `steps` here.
DATASETS = {
    "bars": {"classes": 4, "shape": [3, 16, 16], "form": "images", "layout": "cifar", "stand_in": True, "train": 64, "test": 32},
    "bar-files": {"classes": 4, "shape": [3, 32, 32], "form": "folder", "layout": "imagenet", "stand_in": False, "train": 64, "test": 32},
    "moving-bars": {
        "classes": 4, "shape": [2, 32, 32], "form": "events", "layout": "dvs", "stand_in": True, "train": 64, "test": 32, "steps": 4
    },
}  # fmt: skip


def load(name: str, root: Path) -> Data:
    """The data set; `root` is the folder of the real ones. UserError, one line: files missing or damaged, and what to do."""
    entry = DATASETS[name]
    if entry["form"] == "folder":
        return in_folder(name, root / name)
    train, test = (draw(entry, entry[split], seed) for seed, split in enumerate(("train", "test")))
    mean, std = statistics(train.images) if entry["form"] == "images" else ((), ())
    return Data(train, test, mean, std, checksum(train, test))


def in_folder(name: str, folder: Path) -> Data:
    """Paths of both splits and the statistics that its pictures are normalised with."""
    for split in ("train", "val"):
        if not any((folder / split).glob("*/*")):
            raise UserError(f"{name} is not in {folder}: put its pictures into {folder / split}/<class>/")
    return Data(folder / "train", folder / "val", (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), listing(folder))


def draw(entry: dict, count: int, seed: int) -> Images:
    """Bars on noise that lie or stand, in the first or the second half (classes 0 to 3); as events they enter from a side and move."""
    random = np.random.default_rng(seed)
    channels, height, width = entry["shape"]
    steps = entry.get("steps", 1)
    labels = np.arange(count) % entry["classes"]
    frames = random.integers(0, 40, (count, steps, channels, height, width), np.uint8)
    for frame, label in zip(frames, labels, strict=True):
        lying, second = label < 2, label % 2
        place = int(random.integers(1, height // 2 - steps)) + second * height // 2
        for step in range(steps):
            at = place + step
            frame[step, :, at if lying else slice(None), slice(None) if lying else at] = 255
    return Images(torch.from_numpy(frames if "steps" in entry else frames[:, 0]), torch.from_numpy(labels))
