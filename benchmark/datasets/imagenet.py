"""ImageNet-1k as the usual folder tree: <root>/imagenet/{train,val}/<one folder per class>/*.JPEG; streamed by loader workers."""

from pathlib import Path

from benchmark.datasets import Data, listing
from benchmark.shared.errors import UserError

DATASETS = {
    "ImageNet": {
        "classes": 1000,
        "shape": [3, 224, 224],
        "form": "folder",
        "layout": "imagenet",
        "stand_in": False,
        "train": 1281167,
        "test": 50000,
    }
}
STATISTICS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load(name: str, root: Path) -> Data:
    """Paths of both splits and a checksum over their file names and sizes. UserError: see `check`."""
    folder = check(name, root)
    return Data(folder / "train", folder / "val", *STATISTICS, listing(folder))


def check(name: str, root: Path) -> Path:
    """The folder of both splits, its files not yet listed. UserError: not 1,000 folders, or not the same ones."""
    classes = DATASETS[name]["classes"]
    folder = root / "imagenet"
    names = {split: {path.name for path in (folder / split).glob("*") if path.is_dir()} for split in ("train", "val")}
    for split, found in names.items():
        if len(found) != classes:
            raise UserError(
                f"ImageNet is not in {folder}: {split}/ has {len(found)} class folders, {classes} are needed; put the official "
                "training images into train/<wnid>/ and the validation images, sorted into classes, into val/<wnid>/ (image-net.org)"
            )
    if names["train"] != names["val"]:  # a class is numbered by its folder's place among its split's
        raise UserError(f"{folder}: train/ and val/ must have the same class folders; only one has {min(names['train'] ^ names['val'])}")
    return folder
