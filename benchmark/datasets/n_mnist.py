"""N-MNIST (Orchard et al., 2015): MNIST's digits on a screen before a moving camera of 34 x 34 pixels, three saccades of 100 ms.

`N-MNIST` is all of it, split as MNIST is. `N-MNIST-1000` is the first 1,000 training and the first 100 test recordings: enough to train
on within minutes, while 100 test recordings leave an accuracy of 90 % uncertain by six points to either side.
"""

from pathlib import Path

from benchmark.datasets import Data
from benchmark.datasets._events import data
from benchmark.datasets._recordings import File, by_class, found, recorded
from benchmark.shared.errors import UserError

# fmt: off
DATASETS = {
    "N-MNIST": {
        "classes": 10, "shape": [2, 34, 34], "form": "events", "layout": "dvs", "stand_in": False, "train": 60000, "test": 10000,
        "frames": "spikingjelly-number", "split": "official",
    },
    "N-MNIST-1000": {
        "classes": 10, "shape": [2, 34, 34], "form": "events", "layout": "dvs", "stand_in": False, "train": 1000, "test": 100,
        "frames": "spikingjelly-number", "split": "official, first 1000 + 100",
    },
}
# fmt: on
FOLDERS = ("NMNIST", "nmnist/NMNIST", "nmnist", "n-mnist")
DIGITS = [str(digit) for digit in range(10)]


def load(name: str, root: Path) -> Data:
    """Both splits, to be cut into frames. UserError: not there, or a recording that belongs to it is not."""
    return data(*(recorded(*chosen(name, root, split), DATASETS[name], root) for split in ("train", "test")))


def chosen(name: str, root: Path, split: str) -> tuple[list[File], list[int]]:
    """The recordings of a split by digit, and the digits."""
    folder = split.title()
    place = found(root, FOLDERS, {folder: ".bin", f"extract/{folder}": ".bin", f"events_np/{split}": ".npz"})
    if place is None:
        raise UserError(
            f"{name} is not in {root}: put {folder}/<digit>/*.bin, or spikingjelly's events_np/{split}/<digit>/*.npz, into "
            f"{root / FOLDERS[0]}, or fetch it with: python -m benchmark download {name} --data-root {root}"
        )
    count = DATASETS[name][split]
    wanted = {f"{number:05d}" for number in range(1, count + 1)}  # as MNIST's images are numbered, from 1
    files = [(path, digit) for digit, paths in enumerate(by_class(*place, DIGITS)) for path in paths if path.stem in wanted]
    if len(files) != count:
        missing = min(wanted - {path.stem for path, _ in files}, default="")
        which = f"{missing}{place[1]} is missing" if missing else "some lie in two class folders"
        raise UserError(f"{place[0]} has {len(files)} recordings of {name}, {count} are needed; {which}")
    return [File(path) for path, _ in files], [digit for _, digit in files]


def download(name: str, root: Path) -> Path:
    """Fetch through tonic, which checks the archives' MD5; returns the folder."""
    from tonic.datasets import NMNIST

    return [Path(NMNIST(str(root), train=train).location_on_system) for train in (True, False)][0]
