"""DVS128 Gesture (Amir et al., 2017): 11 hand gestures of 29 people under three lights, six seconds each, before a DVS128.

People 1 to 23 train and 24 to 29 test, officially; but what one recording is differs. `DVS128` is cut where the official label files
say, as spikingjelly and the official code of Spikformer have it: 1,176 + 288. `DVS128-tonic` is what tonic offers, already cut and in
milliseconds: 1,077 + 264. Accuracies of the two are not comparable. Left and right are different classes: a recipe that flips frames
from left to right teaches both under one label, as Spikformer's does.
"""

import csv
from pathlib import Path

from benchmark.datasets import Data
from benchmark.datasets._events import data
from benchmark.datasets._recordings import File, by_class, found, recorded
from benchmark.shared.errors import UserError

# fmt: off
DATASETS = {
    "DVS128": {
        "classes": 11, "shape": [2, 128, 128], "form": "events", "layout": "dvs", "stand_in": False, "train": 1176, "test": 288,
        "frames": "spikingjelly-number", "split": "official", "cut": "labels",
    },
    "DVS128-tonic": {
        "classes": 11, "shape": [2, 128, 128], "form": "events", "layout": "dvs", "stand_in": False, "train": 1077, "test": 264,
        "frames": "spikingjelly-number", "split": "official", "cut": "tonic",
    },
}
# fmt: on
FOLDERS = ("DVS128Gesture", "DVSGesture", "dvs128gesture", "dvs128_gesture", "dvs128")
CLASSES = 11
OFFICIAL = ("extract/DvsGesture", "DvsGesture")  # where spikingjelly unpacks the official archive, where the archive does


def load(name: str, root: Path) -> Data:
    """Both splits, to be cut into frames. UserError: not there, or not as many recordings as there are."""
    entry = DATASETS[name]
    splits = []
    for split in ("train", "test"):
        sources, labels = (tonics if entry["cut"] == "tonic" else by_labels)(name, root, split)
        missing = sorted(set(range(CLASSES)) - set(labels))
        if missing or len(labels) != entry[split]:
            none = f"; class {', '.join(map(str, missing))} has none" if missing else ""
            raise UserError(f"{sources[0].path.parent.parent} has {len(labels)} {split} recordings, {entry[split]} are needed{none}")
        splits.append(recorded(sources, labels, entry, root))
    return data(*splits)


def by_labels(name: str, root: Path, split: str) -> tuple[list[File], list[int]]:
    """spikingjelly's .npz of this split, or windows of the official AEDAT 3.1 files."""
    place = found(root, FOLDERS, {f"events_np/{split}": ".npz"})
    if place:
        listed = by_class(*place, [str(label) for label in range(CLASSES)])
        return [File(path) for paths in listed for path in paths], [label for label, paths in enumerate(listed) for _ in paths]
    folders = [root / base / place for base in (*FOLDERS, "") for place in OFFICIAL]
    folder = next((folder for folder in folders if (folder / f"trials_to_{split}.txt").exists()), None)
    if folder is None:
        raise UserError(
            f"{name} is not in {root}: put spikingjelly's events_np/{split}/<class>/*.npz, or the official archive's DvsGesture/*.aedat "
            f"with its label and trial files, into {root / FOLDERS[0]}; tonic's recordings are the data set DVS128-tonic"
        )
    trials = [line.strip() for line in (folder / f"trials_to_{split}.txt").read_text(encoding="utf-8").splitlines() if line.strip()]
    cut = sorted((label, trial, first, last) for trial in trials for label, first, last in windows(folder / trial))
    return [File(folder / trial, (first, last)) for _, trial, first, last in cut], [label for label, *_ in cut]


def windows(recording: Path) -> list[tuple[int, int, int]]:
    """(class from 0, first, last microsecond) of each gesture in a recording. UserError: the label file is missing or damaged."""
    path = recording.with_name(f"{recording.stem}_labels.csv")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [(int(line["class"]) - 1, int(line["startTime_usec"]), int(line["endTime_usec"])) for line in csv.DictReader(file)]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: its lines are class, startTime_usec, endTime_usec ({error})") from None
    wrong = [line for line in lines if not (0 <= line[0] < CLASSES and line[1] < line[2])]
    if wrong or not lines:
        raise UserError(f"{path} is damaged: {f'class {wrong[0][0] + 1} from {wrong[0][1]} to {wrong[0][2]} us' if wrong else 'no lines'}")
    return lines


def tonics(name: str, root: Path, split: str) -> tuple[list[File], list[int]]:
    """tonic's .npy of this split, whose names are the classes, in folders of one person under one light."""
    place = found(root, FOLDERS, {f"ibmGesture{split.title()}": ".npy"})
    if place is None:
        raise UserError(
            f"{name} is not in {root}: put tonic's ibmGesture{split.title()}/<user_light>/<class>.npy into {root / 'DVSGesture'}, "
            f"or fetch it with: python -m benchmark download {name} --data-root {root}"
        )
    known = {str(label): label for label in range(CLASSES)}
    paths = sorted(place[0].glob("*/*.npy"))
    wrong = [path for path in paths if path.stem not in known]
    if wrong:
        raise UserError(f"{wrong[0]}: no class is called {wrong[0].stem}; tonic's files are called 0.npy to {CLASSES - 1}.npy")
    paths.sort(key=lambda path: known[path.stem])
    return [File(path) for path in paths], [known[path.stem] for path in paths]


def download(name: str, root: Path) -> Path:
    """Fetch tonic's recordings through tonic, which checks the archives' MD5; returns the folder. UserError: `DVS128`."""
    from tonic.datasets import DVSGesture

    if DATASETS[name]["cut"] != "tonic":
        raise UserError(f"{name} cannot be fetched: its publisher gives it out by hand; tonic's cut of it is the data set DVS128-tonic")
    return [Path(DVSGesture(str(root), train=train).location_on_system) for train in (True, False)][0]
