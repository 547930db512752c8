"""Embedded stand-ins, composed in a second from the 1,797 real handwritten 8x8 digits that scikit-learn ships (UCI, CC BY 4.0).

`digits` (0-9) stands in for CIFAR10, `digit-pairs` (00-99) for CIFAR100, `large-digits` (0-9, four times the pixels) for ImageNet:
large images in a form that minutes can learn. `digit-triples` (000-999) has ImageNet's thousand classes and needs hours. Train and test
images are composed of disjoint source digits, on paper and with ink of random colours. Deterministic: the same bytes on every machine.
"""

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch

from benchmark.datasets import Data, Images, checksum, statistics

# fmt: off
DATASETS = {
    "digits": {
        "classes": 10, "shape": [3, 16, 16], "form": "images", "layout": "cifar", "stand_in": True, "train": 1024, "test": 500, "digits": 1
    },
    "digit-pairs": {
        "classes": 100, "shape": [3, 16, 16], "form": "images", "layout": "cifar", "stand_in": True, "train": 2048, "test": 500, "digits": 2
    },
    "large-digits": {
        "classes": 10, "shape": [3, 32, 32], "form": "images", "layout": "imagenet", "stand_in": True, "train": 1024, "test": 500, "digits": 1
    },
    "digit-triples": {
        "classes": 1000, "shape": [3, 32, 32], "form": "images", "layout": "imagenet", "stand_in": True, "train": 1024, "test": 256, "digits": 3
    },
}
# fmt: on
TEST_SOURCES = 397  # source digits kept for the test split


def load(name: str, root: Path) -> Data:
    """Compose a stand-in; `root` is not used."""
    entry = DATASETS[name]
    glyphs, labels = sources()
    order = np.random.default_rng(0).permutation(len(labels))
    kept, used = order[:TEST_SOURCES], order[TEST_SOURCES:]
    train = compose(glyphs[used], labels[used], entry, entry["train"], seed=1)
    test = compose(glyphs[kept], labels[kept], entry, entry["test"], seed=2)
    return Data(train, test, *statistics(train.images), checksum(train, test))


def sources() -> tuple[np.ndarray, np.ndarray]:
    """The shipped digits: glyphs [1797, 8, 8] in 0..1, labels [1797]; read from the file, since importing scikit-learn costs seconds."""
    package = Path(importlib.util.find_spec("sklearn").submodule_search_locations[0])
    with gzip.open(package / "datasets" / "data" / "digits.csv.gz", "rt") as file:
        table = np.loadtxt(file, delimiter=",")
    return table[:, :64].reshape(-1, 8, 8) / 16, table[:, 64].astype(int)


def compose(glyphs, labels, entry: dict, count: int, seed: int) -> Images:
    """`count` images with their number as label, classes balanced to within one."""
    random = np.random.default_rng(seed)
    _, height, width = entry["shape"]
    targets = random.permutation(np.arange(count) % entry["classes"])
    by_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    slot = width // entry["digits"]  # columns that belong to one digit
    scale = slot // 8
    size, spare = 8 * scale, slot - 8 * scale
    ink = np.zeros((count, height, width), np.float32)
    for image, target in zip(ink, targets, strict=True):
        for place, digit in enumerate(f"{target:0{entry['digits']}d}"):
            glyph = glyphs[random.choice(by_digit[int(digit)])]
            top = np.clip((height - size) // 2 + random.integers(-1, 2), 0, height - size)
            left = place * slot + random.integers(0, spare + 1)
            image[top : top + size, left : left + size] = np.kron(glyph, np.ones((scale, scale)))
    shades = random.random((2, count, 3, 1, 1), dtype=np.float32) * 0.3
    paper, pen = shades[0], 1 - shades[1]
    colours = random.standard_normal((count, 3, height, width), dtype=np.float32)
    colours *= 0.05
    colours += paper + (pen - paper) * ink[:, None]
    return Images(torch.from_numpy((colours.clip(0, 1) * 255).round().astype(np.uint8)), torch.from_numpy(targets))
