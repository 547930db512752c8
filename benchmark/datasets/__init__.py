"""Data sets and stand-ins, one file each, found by being there; `_template.py` shows how one is written.

A file declares a literal table DATASETS, name -> {"classes", "shape" [channels, height, width], "form", "layout", "stand_in", "train",
"test" (numbers of images)} and perhaps more, and a function `load(name, root) -> Data`; `root` holds the real ones. What a form is, and
how its images become batches, stands in benchmark/training/forms. A stand-in never carries the name of what it stands for.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass
class Images:
    """One split in memory: images uint8 [N, C, H, W], or frames of events [N, T, C, H, W], uint8 or float; labels int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self):
        return len(self.labels)


@dataclass
class Data:
    """A data set: two splits, the training set's channel statistics on the 0..1 scale (of events none), and a checksum of its bytes.

    A split is `Images`, or of the form `folder` a folder of class folders.
    """

    train: Images | Path
    test: Images | Path
    mean: tuple
    std: tuple
    checksum: str


def statistics(images: torch.Tensor) -> tuple[tuple, tuple]:
    """Mean and standard deviation of each channel, on the 0..1 scale."""
    values = images.transpose(0, 1).flatten(1).float() / 255
    return tuple(values.mean(1).tolist()), tuple(values.std(1).tolist())


def checksum(*splits: Images) -> str:
    """SHA-256 of the images and labels."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(split.images.contiguous().numpy().tobytes())
        digest.update(split.labels.numpy().tobytes())
    return digest.hexdigest()


def listing(folder: Path) -> str:
    """SHA-256 over the sorted relative names and sizes of <split>/<class>/<file> (hashing 140 GB of pixels in every job takes an hour)."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*/*/*")):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()
