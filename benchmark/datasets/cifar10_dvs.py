"""CIFAR10-DVS (Li et al., 2017): ten thousand CIFAR-10 images moved before a DVS128, 1,000 recordings of 1.3 s in each of ten classes.

Nobody ever said which recordings are for testing, and accuracies of different splits are not comparable. Three are written down in
cifar10_dvs_splits.csv, by recording number (the one at the end of a file's name) and the same in each layout:

- first-90: of each class sorted by name the first 90 % train and the last 10 % test, as the official code of Spikformer has it
- samples-0-99: recordings 0 to 99 of each class test, spikingjelly's CIFAR10DVSTEBNSplit; said to be much easier than a random one
- random: 100 of each class drawn once (numpy's generator of seed 0, one permutation of 1,000 per class in the order of CLASSES)
"""

import csv
import re
from pathlib import Path

from benchmark.datasets import Data
from benchmark.datasets._events import data
from benchmark.datasets._recordings import File, by_class, found, recorded
from benchmark.shared.errors import UserError
from benchmark.shared.files import sha256

# fmt: off
DATASETS = {
    "CIFAR10-DVS": {
        "classes": 10, "shape": [2, 128, 128], "form": "events", "layout": "dvs", "stand_in": False, "train": 9000, "test": 1000,
        "frames": "spikingjelly-number", "split": "first-90",
    },
    "CIFAR10-DVS-samples-0-99": {
        "classes": 10, "shape": [2, 128, 128], "form": "events", "layout": "dvs", "stand_in": False, "train": 9000, "test": 1000,
        "frames": "spikingjelly-number", "split": "samples-0-99",
    },
    "CIFAR10-DVS-random": {
        "classes": 10, "shape": [2, 128, 128], "form": "events", "layout": "dvs", "stand_in": False, "train": 9000, "test": 1000,
        "frames": "spikingjelly-number", "split": "random",
    },
}
# fmt: on
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EACH = 1000  # recordings of a class
FOLDERS = ("CIFAR10DVS", "cifar10dvs", "cifar10_dvs", "cifar10-dvs")
LAYOUTS = {"events_np": ".npz", "extract": ".aedat", "": ".aedat4"}  # spikingjelly's two, tonic's
SPLITS = Path(__file__).with_name("cifar10_dvs_splits.csv")
# here, so that the hash of this file's code covers the splits
SPLITS_SHA256 = "f368f9caceb1c6d361b03018d6912f22f07439bcefd3c4c6038eb6cc65b061c1"


def load(name: str, root: Path) -> Data:
    """Both splits, to be cut into frames. UserError: not there, a class folder that is not whole, or splits that were edited."""
    entry = DATASETS[name]
    tests = split(entry["split"])
    place = found(root, FOLDERS, LAYOUTS)
    if place is None:
        raise UserError(
            f"CIFAR10-DVS is not in {root}: put spikingjelly's events_np/<class>/*.npz or extract/<class>/*.aedat, or tonic's "
            f"<class>/*.aedat4 into {root / FOLDERS[0]}, or fetch it with: python -m benchmark download {name} --data-root {root}"
        )
    parts = {"train": ([], []), "test": ([], [])}
    for label, (kind, paths) in enumerate(zip(CLASSES, by_class(*place, CLASSES), strict=True)):
        for path, number in zip(paths, numbers(paths), strict=True):
            sources, labels = parts["test" if number in tests[kind] else "train"]
            sources.append(File(path))
            labels.append(label)
    return data(*(recorded(*part, entry, root) for part in parts.values()))


def numbers(paths: list[Path]) -> list[int]:
    """The numbers of a class's recordings. UserError: not each of 0 to 999 once."""
    found = [int(match[0]) if (match := re.search(r"\d+$", path.stem)) else -1 for path in paths]
    missing = sorted(set(range(EACH)) - set(found))
    if missing or len(found) != EACH:
        lacks = f"; number {missing[0]} is missing" if missing else ""
        raise UserError(f"{paths[0].parent} has {len(found)} recordings, {EACH} are needed, numbered from 0{lacks}")
    return found


def split(name: str) -> dict[str, set[int]]:
    """Class -> numbers of its test recordings. UserError: the file is not the one that belongs to this code."""
    if sha256(SPLITS) != SPLITS_SHA256:
        raise UserError(f"{SPLITS} is not the file that {Path(__file__).name} was written for: a new split needs a new name and checksum")
    with SPLITS.open(newline="", encoding="utf-8") as file:
        return {line["class"]: {int(number) for number in line["test"].split()} for line in csv.DictReader(file) if line["split"] == name}


def download(name: str, root: Path) -> Path:
    """Fetch through tonic, which checks the archive's MD5, as .aedat4; returns the folder."""
    from tonic.datasets import CIFAR10DVS

    return Path(CIFAR10DVS(str(root)).location_on_system)
