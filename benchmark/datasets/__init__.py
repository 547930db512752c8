"""Data sets and stand-ins, one file each. `load(name, root)` gives small images as uint8 tensors or large ones as folders.

A file declares a literal table DATASETS (name -> classes, image [channels, height, width], layout, stand_in) and a function
`load(name, root) -> Data`. A stand-in never carries the name of what it stands for.
"""

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.pins import kinds as catalogue


@dataclass
class Images:
    """One split in memory: images uint8 [N, C, H, W], labels int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self):
        return len(self.labels)


@dataclass
class Data:
    """A data set: two splits, the training set's channel statistics on the 0..1 scale, and a checksum of its bytes.

    A split is `Images`, or for large images a folder of class folders that loader workers read (`streams`).
    """

    train: Images | Path
    test: Images | Path
    mean: tuple
    std: tuple
    checksum: str

    @property
    def streams(self) -> bool:
        return isinstance(self.train, Path)


def load(name: str, root: Path) -> Data:
    """Load a data set by name; `root` holds the real ones. UserError: unknown, not there, or damaged."""
    _, file = catalogue.dataset(name)
    return importlib.import_module(f"benchmark.datasets.{file.path.stem}").load(name, Path(root))


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
