"""Recordings as cameras, tonic and spikingjelly store them, read offline; whatever is wrong with a file is one line that names it.

| suffix | what | read by |
|---|---|---|
| .bin | N-MNIST | this file |
| .aedat | AEDAT 2.0 of a DVS128 (CIFAR10-DVS's own files) and AEDAT 3.1 (DVS128 Gesture's own files) | this file |
| .aedat4 | CIFAR10-DVS as tonic stores it | tonic, with the package aedat |
| .npz | columns t, x, y, p, as spikingjelly stores everything | numpy |
| .npy | DVS128 Gesture as tonic stores it (x, y, p, milliseconds), or tonic's structured arrays | numpy |

What tonic has too and this file does itself: AEDAT 2.0 and 3.1, whose readers raise ValueError in tonic 1.7.0 (neuromorphs/tonic issue
302) and would not turn CIFAR10-DVS upright as spikingjelly does, which the official code uses; .bin, for which tonic takes hours if every
event is a clock's overflow. spikingjelly's reader of AEDAT 3.1 takes a step of Python per event. All are equal to those (tests).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch

from benchmark.datasets import _frame_cache
from benchmark.datasets._events import Recordings, events
from benchmark.shared.errors import UserError


@dataclass(frozen=True)
class File:
    """A recording in a file, or the part of one in a window of time [first, last) in microseconds; state: of the file, when it was hashed."""

    path: Path
    window: tuple[int, int] | None = None
    state: tuple = ()

    def events(self, shape: Sequence[int]) -> np.ndarray:
        """UserError as of `read`, or if the file has changed since it was hashed: its frames are kept under its checksum."""
        found = read(self.path, shape, self.window)
        if self.state and self.state != tuple(_frame_cache.state(self.path)):
            raise UserError(f"{self.path} changed while it was read: start again")
        return found

    def __str__(self):
        return f"{self.path} from {self.window[0]} to {self.window[1]} us" if self.window else str(self.path)


def read(path: Path, shape: Sequence[int], window: tuple[int, int] | None = None) -> np.ndarray:
    """EVENT [N] of a file. shape: the sensor's [2, height, width]. UserError: unknown suffix, unreadable, damaged, or not of this sensor."""
    if path.suffix not in READERS:
        raise UserError(f"{path}: no recording is read from {path.suffix or 'a file without a suffix'}, only from {', '.join(READERS)}")
    try:
        columns = READERS[path.suffix](path)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # of the libraries that decode: whatever they stumble over is in the file
        raise UserError(f"{path} is damaged: {' '.join(str(error).split()) or type(error).__name__}") from None
    if window:
        inside = (columns["t"] >= window[0]) & (columns["t"] < window[1])
        columns = {name: column[inside] for name, column in columns.items()}
    return events(File(path, window), **columns, shape=shape)


def _bin(path: Path) -> dict:
    """N-MNIST: five bytes an event, x, y, and a bit of polarity before 23 of microseconds; y = 240 says that the clock went on by 2^13."""
    content = path.read_bytes()
    _whole(path, len(content), 5)
    x, y, first, second, third = np.frombuffer(content, np.uint8).reshape(-1, 5).T.astype(np.int64)
    t = ((first & 127) << 16 | second << 8 | third) + 2**13 * np.cumsum(y == 240)
    return {name: column[y != 240] for name, column in (("x", x), ("y", y), ("t", t), ("p", first >> 7))}


def _aedat(path: Path) -> dict:
    content = path.read_bytes()
    if content.startswith(b"#!AER-DAT2.0"):
        return _aedat2(path, content)
    if content.startswith(b"#!AER-DAT3.1"):
        with _one_at_a_time:  # some recordings are twelve windows of one file
            return _aedat3(path, content)
    if content.startswith(b"#!AER-DAT4.0"):
        return _aedat4(path)
    raise UserError(f"{path} is damaged: it begins with {content[:12]!r}, not with #!AER-DAT and 2.0, 3.1 or 4.0")


def _aedat2(path: Path, content: bytes) -> dict:
    """A DVS128: address and microseconds, both 32 bits, big-endian; upright and of the polarity that spikingjelly gives them."""
    start = _behind_comments(content)
    _whole(path, len(content) - start, 8)
    address, t = np.frombuffer(content, ">u4", offset=start).reshape(-1, 2).T.astype(np.int64)
    if (address >> 16).any():
        raise UserError(f"{path}: event {(address >> 16 != 0).argmax()} has an address that a DVS128 does not have: another camera's")
    turns = np.diff(t, prepend=t[:1]) < -(2**31)  # the camera's 32-bit clock began again
    return {"x": 127 - (address >> 8 & 127), "y": 127 - (address >> 1 & 127), "t": t + (np.cumsum(turns) << 32), "p": 1 - (address & 1)}


def _behind_comments(content: bytes) -> int:
    """Where the lines that begin with # end; an address of a DVS128 never begins with that byte."""
    start = 0
    while content[start : start + 1] == b"#":
        start = content.find(b"\n", start) + 1 or len(content)
    return start


_HEADER = np.dtype([("type", "<u2"), ("source", "<u2"), ("size", "<u4"), ("offset", "<u4"), ("overflow", "<u4"), ("capacity", "<u4"),
                    ("number", "<u4"), ("valid", "<u4")])  # fmt: skip
_POLARITY = 1  # the type of packet that holds events of the camera
_one_at_a_time = threading.Lock()


@lru_cache(maxsize=1)
def _aedat3(path: Path, content: bytes) -> dict:
    """Packets with a header; of polarity events eight bytes each, little-endian: address and 31 bits of microseconds."""
    start = content.find(b"#!END-HEADER\r\n") + len(b"#!END-HEADER\r\n")
    packets = []
    while start < len(content):
        header = np.frombuffer(content[start : start + _HEADER.itemsize], _HEADER)[0]
        start += _HEADER.itemsize
        length = int(header["size"]) * int(header["capacity"])
        if start + length > len(content):
            raise UserError(f"{path} is truncated: its last packet has {len(content) - start} of {length} bytes")
        if header["type"] == _POLARITY:
            if header["size"] != 8:
                raise UserError(f"{path} is damaged: a polarity event of {header['size']} bytes, not 8")
            address, t = np.frombuffer(content, "<u4", length // 4, start).reshape(-1, 2).T.astype(np.int64)
            packets.append((address, t | int(header["overflow"]) << 31))
        start += length
    address, t = (np.concatenate(parts) for parts in zip(*packets, strict=True)) if packets else np.empty((2, 0), np.int64)
    return {"x": address >> 17 & 0x7FFF, "y": address >> 2 & 0x7FFF, "t": t, "p": address >> 1 & 1}


def _aedat4(path: Path) -> dict:
    """As tonic reads it; the header is looked at before, since what it decodes with ends the whole process over a broken one."""
    try:
        import aedat  # noqa: F401 - what tonic decodes with, and does not require
    except ImportError:
        raise UserError(f"{path} is read with the package aedat, which is not installed: pip install aedat") from None
    from tonic.io import read_aedat4

    _described(path)
    try:
        found = read_aedat4(str(path))
    except BaseException as panic:  # Rust's panics are no Exception
        if type(panic).__name__ != "PanicException":
            raise
        raise ValueError(panic) from None
    return {"x": found["x"], "y": found["y"], "t": found["t"], "p": found["on"]}


def _described(path: Path) -> None:
    """ValueError or ParseError unless the header of an AEDAT 4.0 file holds XML, as long as it says and well-formed."""
    with path.open("rb") as file:
        start = len(file.readline())
        header = file.read(min(int.from_bytes(file.read(4), "little"), path.stat().st_size - start))
    begin = header.index(b"<dv")
    length = int.from_bytes(header[begin - 4 : begin], "little")
    ElementTree.fromstring(header[begin : begin + length].decode())
    if header[begin + length : begin + length + 1] != b"\0":
        raise ValueError("its header is cut off")


def _npz(path: Path) -> dict:
    with np.load(path, allow_pickle=False) as archive:
        missing = [name for name in "txyp" if name not in archive.files]
        if missing:
            raise UserError(f"{path} has no column {' and no '.join(missing)}; spikingjelly's have t, x, y and p")
        return {name: archive[name] for name in "txyp"}


def _npy(path: Path) -> dict:
    found = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a damaged header asks for no memory
    if found.dtype.names:
        return {name: np.asarray(found[name]) for name in "txyp"}
    if found.ndim != 2 or found.shape[1] != 4:
        raise UserError(f"{path} has the shape {found.shape}; tonic's have [events, 4]: x, y, polarity, milliseconds")
    x, y, p, t = np.asarray(found).T
    return {"x": x, "y": y, "p": p, "t": t.astype(np.float64) * 1000}


def _whole(path: Path, size: int, each: int) -> None:
    if size % each:
        raise UserError(f"{path} is truncated: {size} bytes are no whole number of events of {each} bytes")


READERS = {".bin": _bin, ".aedat": _aedat, ".aedat4": _aedat4, ".npz": _npz, ".npy": _npy}


def recorded(sources: list[File], labels: Sequence[int], entry: dict, root: Path) -> Recordings:
    """A split of files, hashed, whose frames are kept in the cache of `root`. entry: the data set's."""
    cache = _frame_cache.place(root)
    paths = sorted({source.path for source in sources})
    known = dict(zip(paths, _frame_cache.checksums(paths, cache), strict=True))
    sources = [replace(source, state=tuple(known[source.path][1])) for source in sources]
    checksums = [f"{known[source.path][0]} {source.window or ''}".strip() for source in sources]
    return Recordings(sources, checksums, torch.tensor(labels), entry["shape"], entry["frames"], cache)


def found(root: Path, names: Sequence[str], layouts: dict[str, str]) -> tuple[Path, str] | None:
    """The first folder <root>/<name>/<place> with a recording <class>/*<suffix>, for `layouts` place -> suffix; and that suffix.

    <root>/<place> is tried last.
    """
    places = ((root / name / place, suffix) for name in (*names, "") for place, suffix in layouts.items())
    return next(((folder, suffix) for folder, suffix in places if any(folder.glob(f"*/*{suffix}"))), None)


def by_class(folder: Path, suffix: str, classes: Sequence[str]) -> list[list[Path]]:
    """Recordings of each class folder, sorted by name as the official code has them. UserError: a class has none."""
    listed = [sorted((folder / name).glob(f"*{suffix}")) for name in classes]
    for name, paths in zip(classes, listed, strict=True):
        if not paths:
            raise UserError(
                f"{folder / name} has no {suffix} recordings: {len(classes)} class folders are needed, {classes[0]} to {classes[-1]}"
            )
    return listed
