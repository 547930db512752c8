"""Embedded stand-ins for event cameras: scikit-learn's handwritten digits, moved before a simulated camera of 32 x 32 pixels.

`saccade-digits` stands in for CIFAR10-DVS and N-MNIST: the digit is the label, and the picture makes N-MNIST's three saccades of 100 ms.
`motion-digits` stands in for DVS128 Gesture: the motion is the label, whichever digit makes it; the last of its 11 classes is any other
motion, as Gesture's is. Recordings are tonic event arrays in microseconds and go through the same cutting as real ones. Train and test
show disjoint digits. Deterministic: the same events on every machine.
"""

from pathlib import Path

import numpy as np

from benchmark.datasets import Data
from benchmark.datasets._camera import record, thresholds
from benchmark.datasets._events import Recordings, data, made
from benchmark.datasets._frame_cache import threaded
from benchmark.datasets.digits import TEST_SOURCES, sources

# fmt: off
DATASETS = {
    "saccade-digits": {
        "classes": 10, "shape": [2, 32, 32], "form": "events", "layout": "dvs", "stand_in": True, "train": 500, "test": 250,
        "frames": "spikingjelly-number", "label": "digit",
    },
    "motion-digits": {
        "classes": 11, "shape": [2, 32, 32], "form": "events", "layout": "dvs", "stand_in": True, "train": 528, "test": 253,
        "frames": "spikingjelly-number", "label": "motion",
    },
}
# fmt: on
TIMES = np.arange(0, 300_001, 10_000)  # microseconds at which the picture is looked at
PATH = TIMES / TIMES[-1]  # from 0 to 1
SCALE = 2.5  # pixels of the sensor to one of the 8 x 8 of a digit
SACCADES = np.array([[-3.5, -3.5], [0.0, 3.5], [3.5, -3.5], [-3.5, -3.5]])  # where each of N-MNIST's three begins and the last one ends


def load(name: str, root: Path) -> Data:
    """Both splits, to be cut into frames; `root` is not used."""
    entry = DATASETS[name]
    glyphs, digits = sources()
    order = np.random.default_rng(0).permutation(len(digits))
    test, train = order[:TEST_SOURCES], order[TEST_SOURCES:]
    splits = ((train, entry["train"], 1), (test, entry["test"], 2))
    return data(*(film(glyphs[chosen], digits[chosen], entry, count, seed) for chosen, count, seed in splits))


def film(glyphs: np.ndarray, digits: np.ndarray, entry: dict, count: int, seed: int) -> Recordings:
    """`count` recordings by one camera, classes balanced to within one; each follows from (seed, its place) alone."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % entry["classes"])
    camera = thresholds(entry["shape"][1])

    def one(label, random):
        shown = random.choice(np.flatnonzero(digits == label)) if entry["label"] == "digit" else random.integers(len(digits))
        poses = saccades(random) if entry["label"] == "digit" else motion(label, random)
        return record(glyphs[shown], poses, TIMES, camera, random)

    return made(threaded(one, labels, random.spawn(count)), labels, entry)


def saccades(random: np.random.Generator) -> np.ndarray:
    """Poses [K, 4] of N-MNIST's triangle, around a place up to two pixels off the centre."""
    poses = pose(random, away=2.0)
    poses[:, :2] += np.column_stack([np.interp(PATH, np.linspace(0, 1, len(SACCADES)), way) for way in SACCADES.T])
    return poses


def motion(label: int, random: np.random.Generator) -> np.ndarray:
    """Poses [K, 4] of one of MOTIONS, as far and as fast as it happens to be."""
    poses = pose(random, away=1.0)
    MOTIONS[label](poses, random.uniform(0.7, 1.3), random)
    return poses


def pose(random: np.random.Generator, away: float) -> np.ndarray:
    """Poses [K, 4] of a picture at rest: near the centre, nearly upright, nearly SCALE large."""
    x, y = random.uniform(-away, away, 2)
    return np.tile([x, y, random.uniform(-0.2, 0.2), SCALE * random.uniform(0.9, 1.1)], (len(TIMES), 1))


def _straight(axis: int, sign: int):
    def move(poses, far, random):
        poses[:, axis] += sign * far * 7 * (PATH - 0.5)

    return move


def _turn(sign: int):
    def move(poses, far, random):
        poses[:, 2] += sign * far * 2.0 * (PATH - 0.5)

    return move


def _approach(sign: int):
    def move(poses, far, random):
        poses[:, 3] *= 1 + sign * far * 0.7 * (PATH - 0.5)

    return move


def _shake(axis: int):
    def move(poses, far, random):
        poses[:, axis] += far * 2.5 * wave(random, times=2)

    return move


def _other(poses, far, random):
    """A walk that turns where it happens to."""
    for axis, width in ((0, 2.0), (1, 2.0), (2, 0.5)):
        poses[:, axis] += far * width * (wave(random, random.uniform(0.5, 1.5)) + wave(random, random.uniform(1.5, 3.0))) / 2


def wave(random: np.random.Generator, times: float) -> np.ndarray:
    """A sine [K] that swings this many times, begun anywhere; rounded, since no two machines agree on its last bit."""
    return np.round(np.sin(2 * np.pi * (times * PATH + random.random())), 9)


MOTIONS = [  # class -> what it does to poses: right, left, down, up, clockwise, counter-clockwise, nearer, farther, to and fro, nod, other
    _straight(0, 1), _straight(0, -1), _straight(1, 1), _straight(1, -1), _turn(1), _turn(-1), _approach(1), _approach(-1), _shake(0),
    _shake(1), _other,
]  # fmt: skip
