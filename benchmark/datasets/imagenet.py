"""ImageNet-1k as the usual folder tree: <root>/imagenet/{train,val}/<one folder per class>/*.JPEG; streamed by loader workers."""

import hashlib
from pathlib import Path

from benchmark.datasets import Data
from benchmark.errors import UserError

DATASETS = {"ImageNet": {"classes": 1000, "image": [3, 224, 224], "layout": "imagenet", "stand_in": False, "train": 1281167, "test": 50000}}
STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load(name: str, root: Path) -> Data:
    """Paths of both splits and a checksum over their file names and sizes. UserError: folders missing or not 1,000 of them."""
    classes = DATASETS[name]["classes"]
    folder = root / "imagenet"
    for split in ("train", "val"):
        found = len([path for path in (folder / split).glob("*") if path.is_dir()])
        if found != classes:
            raise UserError(
                f"ImageNet is not in {folder}: {split}/ has {found} class folders, {classes} are needed; put the official "
                "training images into train/<wnid>/ and the validation images, sorted into classes, into val/<wnid>/ (image-net.org)"
            )
    return Data(folder / "train", folder / "val", *STATISTICS, listing(folder))


def listing(folder: Path) -> str:
    """SHA-256 over the sorted relative file names and sizes (hashing 140 GB of pixels at every job would take an hour)."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*/*/*")):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()
