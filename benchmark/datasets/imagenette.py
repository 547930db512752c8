"""Imagenette (fast.ai): photographs of ten ImageNet classes in ImageNet's folder tree, <root>/imagenette/{train,val}/<wnid>/*.JPEG.

`Imagenette-400` is 400 + 100 of them, seen at 128 x 128 pixels, 8 x 8 patches of 16: enough for a pre-training to be looked at within
an hour on one core, and far too few to tell anything of an accuracy. ImageNet's terms hold for the photographs; none is part of this
repository but for six in results/reference/photographs.png.
"""

from pathlib import Path

from benchmark.datasets import Data, listing
from benchmark.datasets.imagenet import STATISTICS
from benchmark.shared.errors import UserError

# fmt: off
DATASETS = {
    "Imagenette-400": {
        "classes": 10, "shape": [3, 128, 128], "form": "folder", "layout": "imagenet", "stand_in": False, "train": 400, "test": 100,
        "split": "400 + 100 of fast.ai's",
    },
}
# fmt: on


def load(name: str, root: Path) -> Data:
    """Paths of both splits. UserError: not so many photographs of ten classes."""
    entry, folder = DATASETS[name], root / "imagenette"
    for split, count in (("train", entry["train"]), ("val", entry["test"])):
        found = [*(folder / split).glob("*/*.JPEG")]
        classes = len({path.parent.name for path in found})
        if (len(found), classes) != (count, entry["classes"]):
            raise UserError(
                f"{name} is not in {folder}: {split}/ has {len(found)} photographs in {classes} class folders, "
                f"{count} in {entry['classes']} are needed"
            )
    return Data(folder / "train", folder / "val", *STATISTICS, listing(folder))
