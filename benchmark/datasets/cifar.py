"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in torchvision's layout; every file's MD5 is checked against the official one.

`-held-out` is the training set alone, its last 5,000 images as test set: what recipes of ours are chosen on.
"""

import hashlib
from pathlib import Path

import torch

from benchmark.datasets import Data, Images, checksum
from benchmark.shared.errors import UserError

# fmt: off
DATASETS = {
    "CIFAR10": {
        "classes": 10, "shape": [3, 32, 32], "form": "images", "layout": "cifar", "stand_in": False, "train": 50000, "test": 10000
    },
    "CIFAR100": {
        "classes": 100, "shape": [3, 32, 32], "form": "images", "layout": "cifar", "stand_in": False, "train": 50000, "test": 10000
    },
    "CIFAR10-held-out": {
        "classes": 10, "shape": [3, 32, 32], "form": "images", "layout": "cifar", "stand_in": False, "train": 45000, "test": 5000
    },
    "CIFAR100-held-out": {
        "classes": 100, "shape": [3, 32, 32], "form": "images", "layout": "cifar", "stand_in": False, "train": 45000, "test": 5000
    },
}
HELD_OUT = "-held-out"
# fmt: on
STATISTICS = {  # of the training set, as the official configurations round them
    "CIFAR10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "CIFAR100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}


def load(name: str, root: Path) -> Data:
    """Both splits in memory. UserError: files missing, or one whose MD5 is not the official one."""
    import torchvision.datasets

    official = name.removesuffix(HELD_OUT)
    kind = getattr(torchvision.datasets, official)
    folder = find(kind, official, root)
    train, test = (Images(torch.from_numpy(s.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(s.targets)) for s in splits(kind, folder))
    if name != official:
        train, test = held_out(train, DATASETS[name]["train"])
    return Data(train, test, *STATISTICS[official], checksum(train, test))


def held_out(train: Images, kept: int) -> tuple[Images, Images]:
    """The first `kept` training images, and those behind them."""
    return Images(train.images[:kept], train.labels[:kept]), Images(train.images[kept:], train.labels[kept:])


def splits(kind, folder: Path):
    """torchvision's two splits, once the files are known to be whole."""
    for file, md5 in [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]:
        path = folder / kind.base_folder / file
        found = hashlib.md5(path.read_bytes()).hexdigest()
        if found != md5:
            raise UserError(f"{path} is damaged: its MD5 is {found}, the official one is {md5}; delete it and fetch it again")
    return kind(folder, train=True), kind(folder, train=False)


def find(kind, name: str, root: Path) -> Path:
    """The folder that holds torchvision's base folder: `root` itself or `root`/<name in lower case>."""
    files = [file for file, _ in [*kind.train_list, *kind.test_list]] + [kind.meta["filename"]]
    for folder in (root / name.lower(), root):
        missing = [file for file in files if not (folder / kind.base_folder / file).exists()]
        if not missing:
            return folder
    raise UserError(
        f"{name} is not in {root}: put {', '.join(files)} into {root / name.lower() / kind.base_folder}, "
        f"or fetch it with: python -m benchmark download {name} --data-root {root}"
    )


def download(name: str, root: Path) -> Path:
    """Fetch through torchvision, which checks the archive's MD5; returns the folder."""
    import torchvision.datasets

    official = name.removesuffix(HELD_OUT)
    getattr(torchvision.datasets, official)(root / official.lower(), download=True)
    return root / official.lower()
