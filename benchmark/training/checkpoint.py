"""The resume checkpoint of a run: not an output of the workflow, so that it outlives failures and kills.

A file's name holds its epoch, step and the first 16 hex digits of its SHA-256; the last two are kept, and none once the run is done.
It belongs to one owner (specification, recipe, seed, packages, bytes of the data, weights above). Another's, and one that is damaged,
is said on stderr and removed; the one before is taken, or the run starts from scratch.
"""

import hashlib
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from benchmark.shared.errors import in_one_line


class Unusable(Exception):
    """Why a checkpoint cannot be gone on from."""


class Checkpoint:
    """Checkpoints in one run's folder; `owner` is what they belong to, nested plain values; `name`: what they are of."""

    def __init__(self, folder: Path, owner: dict, name: str = "checkpoint"):
        self.folder, self.owner, self.name = folder, json.loads(json.dumps(owner)), name
        self.partial = folder / f".{name}.partial"  # one name: the run's lock is held, and a kill leaves at most one behind
        self.saved_at, self.cost = 0.0, 0.0

    def beside(self, name: str) -> "Checkpoint":
        """The same run's of something else."""
        return Checkpoint(self.folder, self.owner, name)

    def files(self) -> list[Path]:
        """Newest first; whatever else is named like one before them."""
        return sorted(self.folder.glob(f"{self.name}.*.pt"), reverse=True)

    def save(self, state: dict, epoch: int, step: int) -> None:
        """Write, sync, rename; then remove all but the last two."""
        began = time.monotonic()
        content = io.BytesIO()  # torch's own writer hides a full disk behind an error of its own
        torch.save({"owner": self.owner, **state}, content)
        digest = hashlib.sha256(content.getbuffer()).hexdigest()[:16]
        try:
            with self.partial.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            self.partial.replace(self.folder / f"{self.name}.{epoch:05d}.{step:07d}.{digest}.pt")
        finally:
            discard(self.partial)
        for old in self.files()[2:]:
            discard(old)
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - began

    def due(self) -> bool:
        """True once writing costs less than a twentieth of the time since the last one."""
        return time.monotonic() - self.saved_at >= 20 * self.cost

    def resume(self, put: Callable[[dict], None]) -> bool:
        """Hand the newest usable state to `put`, which raises if it cannot take it; False if there is none."""
        said: dict[str, Path] = {}
        resumed = False
        for path in self.files():
            try:
                put(self.read(path))
                resumed = True
                break
            except (MemoryError, torch.OutOfMemoryError):  # nothing is wrong with the file
                raise
            except Exception as error:
                reason = str(error) if isinstance(error, Unusable) else f"is damaged ({in_one_line(error)})"
                said.setdefault(reason, path)
                discard(path)
        for reason, path in said.items():
            print(f"{path} {reason}: {'taking the one before' if resumed else 'starting from scratch'}", file=sys.stderr)
        return resumed

    def read(self, path: Path) -> dict:
        """A state as it was saved, on the CPU. Unusable: other bytes than were written, another owner's."""
        content = path.read_bytes()
        expected, found = path.name.split(".")[-2], hashlib.sha256(content).hexdigest()[:16]
        if expected != found:
            raise Unusable(f"is damaged (its checksum is {found}, it was written as {expected})")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if others := differences(state.pop("owner"), self.owner):
            raise Unusable(f"belongs to another run ({', '.join(others)})")
        return state

    def remove(self) -> None:
        """All of them."""
        for path in (*self.files(), self.partial):
            discard(path)


def differences(then: dict, now: dict, about: str = "") -> list[str]:
    """What differs between two owners, in words: `torch 2.11 then, 2.13 now`, `code of training changed`."""
    found = []
    for key in sorted({*then, *now}):
        a, b = then.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, key)
        elif a != b:
            found.append(f"{about} of {key} changed" if about in ("code", "weights") else f"{key} {a} then, {b} now")
    return found


def discard(path: Path) -> None:
    """Remove a file, or a folder in its place; what cannot be removed stays."""
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
