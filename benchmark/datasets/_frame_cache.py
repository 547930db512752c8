"""Frames that are kept: cut once, then mapped from the disk by every job that wants them.

A pack is one file <key>.npy of all frames of a split; the key is the SHA-256 of its recordings' checksums and of how they are cut, so a
pack is never stale: what changed has another key. It is written under another name and renamed, under a lock, so that of two jobs one
makes it and the other waits. Checksums of files are remembered by size, time of change and inode. `SPIKELEDGER_FRAMES` names the folder
(default: .frames in the data's), `SPIKELEDGER_FRAMES_GB` its size (default 100): the packs that were not used longest go first.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from benchmark.shared.errors import UserError
from benchmark.shared.files import lock, locked, replacing, sha256, write_json

VERSION = 1  # of what a pack holds: raised when events are read or cut otherwise than before
AT_ONCE = 64  # recordings that are cut before they are written
SETTLED = 2_000_000_000  # nanoseconds after which a file's time of change tells a further change apart, on every file system in use


def place(root: Path) -> Path:
    """The folder of the frames of data that lie in `root`."""
    return Path(os.environ.get("SPIKELEDGER_FRAMES") or root / ".frames")


def kept(folder: Path, key: str, shape: Sequence[int], cut: Callable[[Sequence[int]], list[np.ndarray]]) -> np.ndarray:
    """A pack [N, T, 2, H, W], mapped; made by cut(indices) -> frames of these recordings if it is not there or not whole."""
    path = folder / f"{key}.npy"
    found = _opened(path, shape)
    if found is None:
        try:
            with lock(folder / f"{key}.lock"):
                found = _opened(path, shape)  # another job may have made it meanwhile
                if found is None:
                    _write(path, shape, cut)
                    found = _opened(path, shape)
            _make_room(folder, path)
        except OSError as error:
            where = "SPIKELEDGER_FRAMES names another folder"
            raise UserError(f"frames cannot be kept in {folder}: {error.strerror or error}; the environment variable {where}") from None
    return found


def _opened(path: Path, shape: Sequence[int]) -> np.ndarray | None:
    """The pack, writable copy on write, or None."""
    try:
        found = np.lib.format.open_memmap(path, "c")
        os.utime(path)
    except (OSError, ValueError):
        return None
    return found if found.shape == tuple(shape) else None


def _write(path: Path, shape: Sequence[int], cut) -> None:
    """In the narrowest type that holds every count: nearly always bytes, so those are tried first."""
    for kind in KINDS:
        try:
            with replacing(path, "wb") as file:
                header = {"descr": np.lib.format.dtype_to_descr(np.dtype(kind)), "fortran_order": False, "shape": tuple(shape)}
                np.lib.format.write_array_header_1_0(file, header)
                for start in range(0, shape[0], AT_ONCE):
                    for frames in cut(range(start, min(start + AT_ONCE, shape[0]))):
                        if frames.max(initial=0) > np.iinfo(kind).max:
                            raise _TooNarrow
                        file.write(frames.astype(kind).tobytes())
            return
        except _TooNarrow:
            continue


class _TooNarrow(Exception):
    pass


KINDS = (np.uint8, np.int16, np.int32)


def narrowest(most: int):
    """The first of the types for counts up to this one."""
    return next(kind for kind in KINDS if most <= np.iinfo(kind).max)


def _make_room(folder: Path, newest: Path) -> None:
    """Remove what killed jobs left, then the packs that were not used longest, until the rest fits; never the newest one."""
    for partial in folder.glob(".*.npy.*.partial"):
        _remove(partial)
    packs = held(folder)
    over = sum(packs.values()) - limit()
    for path in packs:
        if over > 0 and path != newest:
            over -= _remove(path)


def held(folder: Path) -> dict[Path, int]:
    """Each pack with its bytes, the one that was not used longest first."""
    states = {path: path.stat() for path in folder.glob("*.npy")}
    return {path: states[path].st_size for path in sorted(states, key=lambda path: states[path].st_mtime)}


def limit() -> float:
    """Bytes that all packs may have."""
    given = os.environ.get("SPIKELEDGER_FRAMES_GB", "100")
    try:
        return float(given) * 1e9
    except ValueError:
        raise UserError(f"the environment variable SPIKELEDGER_FRAMES_GB is '{given}', not a number of gigabytes") from None


def clean(folder: Path) -> int:
    """Remove all packs, remembered checksums and leftovers, but not what a job is making right now; returns the bytes that became free.

    A job that has a pack mapped goes on with it.
    """
    return sum(_remove(path) for pattern in ("*.npy", ".*.partial", "checksums.json", "*.lock") for path in folder.glob(pattern))


def _remove(path: Path) -> int:
    """Remove a file of the cache unless a job holds the lock of its key; returns its bytes."""
    key = path.name.strip(".").split(".")[0]
    try:
        if locked(path.with_name(f"{key}.lock")):
            return 0
        size = path.stat().st_size
        path.unlink()
        return size
    except FileNotFoundError:  # another job was faster
        return 0


def checksums(paths: Sequence[Path], folder: Path) -> list[tuple[str, list[int]]]:
    """SHA-256 and state of each file; computed only for files whose state changed since the last time. UserError: unreadable."""
    memory, now = folder / "checksums.json", time.time_ns()
    known = _known(memory)
    try:
        states = {str(path): state(path) for path in paths}
        new = [path for path, found in states.items() if known.get(path, [None])[:-1] != found]
        computed = dict(zip(new, threaded(lambda path: sha256(Path(path)), new), strict=True))
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror or error}") from None
    settled = {path: [*states[path], value] for path, value in computed.items() if max(states[path][1:3]) < now - SETTLED}
    if settled:
        _remember(memory, settled)
    return [(computed.get(str(path)) or known[str(path)][-1], states[str(path)]) for path in paths]


def state(path: Path) -> list[int]:
    """What changes when a file does."""
    found = path.stat()
    return [found.st_size, found.st_ctime_ns, found.st_mtime_ns, found.st_ino]


def _known(memory: Path) -> dict[str, list]:
    try:
        found = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(memory: Path, new: dict[str, list]) -> None:
    """Add to what is remembered of files that are still there; where nothing can be written, nothing is remembered."""
    with suppress(OSError), lock(memory.with_suffix(".lock")):
        write_json(memory, {path: value for path, value in {**_known(memory), **new}.items() if os.path.exists(path)})


def threaded(work: Callable, *items: Sequence) -> list:
    """work(item, ...) for each, in order, on as many threads as torch may use; decompressing, hashing and cutting free the interpreter."""
    with ThreadPoolExecutor(max_workers=torch.get_num_threads()) as pool:
        return list(pool.map(work, *items))
