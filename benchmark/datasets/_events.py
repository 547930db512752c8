"""Events as tonic keeps them (x, y, t, p), checked, and cut into frames; what every data set of the form `events` is made of.

A recording's events are one structured array EVENT [N], N > 0, in the order of time: x, y pixels of the sensor, t microseconds, p True
where it became brighter. `cut` makes frames of it by one of RULES, each equal element by element to the library it is named after.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import torch

from benchmark.datasets import Data, _frame_cache
from benchmark.shared.errors import UserError

EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)])  # tonic.io.events_struct
RULES = ("spikingjelly-number", "spikingjelly-time", "tonic-number", "tonic-time")


def events(source, x, y, t, p, shape: Sequence[int]) -> np.ndarray:
    """Columns [N] of whole numbers as EVENT [N]. shape: [2, height, width]. UserError, naming `source`: not events of this sensor."""
    columns = {"x": np.asarray(x), "y": np.asarray(y), "t": np.asarray(t), "p": np.asarray(p)}
    for name, column in columns.items():
        if column.ndim != 1 or len(column) != len(columns["t"]):
            raise UserError(f"{source}: '{name}' has the shape {column.shape}, of {len(columns['t'])} events")
        if column.dtype.kind not in "biuf" or (column.dtype.kind == "f" and not np.all(np.floor(column) == column)):
            raise UserError(f"{source}: '{name}' is not a column of whole numbers")
    if not len(columns["t"]):
        raise UserError(f"{source}: holds no events")
    for name, end in (("x", shape[2]), ("y", shape[1]), ("p", shape[0]), ("t", 2**62)):
        outside = (columns[name] < 0) | (columns[name] >= end)
        if outside.any():
            wrong, size = outside.argmax(), f"{shape[2]} x {shape[1]} pixels"
            what = f"{name} = {columns[name][wrong]}, which the sensor of {size} does not have: damaged, or from another camera"
            raise UserError(f"{source}: event {wrong} of {len(outside)} has {what}")
    found = np.empty(len(columns["t"]), EVENT)
    for name, column in columns.items():
        found[name] = column
    backwards = np.flatnonzero(np.diff(found["t"]) < 0)
    if len(backwards):
        before, after = found["t"][backwards[0]], found["t"][backwards[0] + 1]
        raise UserError(f"{source}: out of order: time runs back {len(backwards)} times, first from {before} to {after} us")
    return found


def edges(t: np.ndarray, steps: int, rule: str, source="a recording") -> np.ndarray:
    """Where each frame begins, and behind that where the last one ends: indices into t, int64 [steps + 1].

    number: N // steps events in each frame. time: (last - first) // steps microseconds in each. What is left over, up to steps - 1
    events or, by time, the last few, goes to spikingjelly's last frame and to none of tonic's. A window without events is an empty frame;
    spikingjelly raises IndexError there. UserError: fewer events or microseconds than frames.
    """
    library, by = rule.split("-")
    size = len(t) // steps if by == "number" else int(t[-1] - t[0]) // steps
    if not size:
        raise UserError(f"{source}: {len(t)} events in {t[-1] - t[0]} us are too few for {steps} frames by {by}")
    found = np.arange(steps + 1, dtype=np.int64) * size
    if by == "time":
        found = np.searchsorted(t, t[0] + found).astype(np.int64)
    if library == "spikingjelly":
        found[-1] = len(t)
    return found


def cut(events: np.ndarray, shape: Sequence[int], steps: int, rule: str, source="a recording") -> np.ndarray:
    """Frames int32 [steps, 2, height, width] of EVENT [N]: how many events each pixel had, off in channel 0, on in channel 1."""
    frames = np.zeros((steps, *shape), np.int32)
    if _count(events, edges(events["t"], steps, rule, source), frames) < 0:
        raise ValueError(f"{source}: events outside a sensor of shape {list(shape)}")
    return frames


@numba.njit(nogil=True, cache=True)
def _count(events, edges, frames):
    height, width = frames.shape[2:]
    for step in range(len(frames)):
        frame = frames[step]
        for index in range(edges[step], edges[step + 1]):
            event = events[index]
            if not (0 <= event["x"] < width and 0 <= event["y"] < height):
                return -1
            frame[1 if event["p"] else 0, event["y"], event["x"]] += 1
    return len(events)


@dataclass(frozen=True)
class Made:
    """A recording that is in memory."""

    found: np.ndarray

    def events(self, shape: Sequence[int]) -> np.ndarray:
        return self.found

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.found.tobytes()).hexdigest()


@dataclass
class Recordings:
    """One split before it is cut into frames.

    sources: have `events(shape)` and are printed as where they lie. checksums: SHA-256 of each. labels: int64 [N]. shape: [2, height,
    width]. rule: one of RULES. cache: the folder in which frames are kept, or None.
    """

    sources: list
    checksums: list[str]
    labels: torch.Tensor
    shape: Sequence[int]
    rule: str
    cache: Path | None = None

    def __len__(self):
        return len(self.labels)

    @property
    def checksum(self) -> str:
        return _sha256([self.checksums, self.labels.tolist(), list(self.shape), self.rule])

    def frames(self, steps: int) -> torch.Tensor:
        """Frames uint8 [N, steps, 2, height, width], or wider integers where a pixel has more than 255 events in a frame.

        From the cache they are mapped, not read: what is indexed comes from the disk. UserError: a recording is damaged or too short.
        """
        shape = (len(self), steps, *self.shape)
        if self.cache is None:
            narrowed = _frame_cache.threaded(lambda index: narrow(self.one(index, steps)), range(len(self)))
            return torch.from_numpy(np.stack(narrowed))
        key = _sha256([_frame_cache.VERSION, self.checksums, list(shape), self.rule])
        return torch.from_numpy(_frame_cache.kept(self.cache, key, shape, lambda chosen: self.each(chosen, steps)))

    def each(self, chosen: Sequence[int], steps: int) -> list[np.ndarray]:
        """Frames int32 of these recordings, on as many threads as torch has."""
        return _frame_cache.threaded(lambda index: self.one(index, steps), chosen)

    def one(self, index: int, steps: int) -> np.ndarray:
        source = self.sources[index]
        return cut(source.events(self.shape), self.shape, steps, self.rule, source)


def made(recordings: list[np.ndarray], labels: np.ndarray, entry: dict) -> Recordings:
    """Recordings in memory, of a data set with this entry."""
    sources = [Made(found) for found in recordings]
    return Recordings(sources, [source.checksum for source in sources], torch.from_numpy(labels), entry["shape"], entry["frames"])


def data(train: Recordings, test: Recordings) -> Data:
    """A data set of recordings; its frames have no statistics, since counts are not normalised."""
    return Data(train, test, (), (), _sha256([train.checksum, test.checksum]))


def narrow(frames: np.ndarray) -> np.ndarray:
    """The same counts in the narrowest type that torch computes with."""
    return frames.astype(_frame_cache.narrowest(int(frames.max(initial=0))))


def _sha256(values) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
