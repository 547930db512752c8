"""The resume checkpoint of a run: not an output of the workflow, so that it outlives failures and kills.

A file's name holds its epoch, step and the first 16 hex digits of its SHA-256; the last two are kept. A damaged one is said, with
both checksums, and the one before is taken, or the run starts from scratch.
"""

import os
import sys
import time
from pathlib import Path

import torch

from benchmark.shared.files import sha256


class Checkpoint:
    """Checkpoints in one run's folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.saved_at, self.cost = 0.0, 0.0

    def files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("checkpoint.*.pt"), reverse=True)

    def save(self, state: dict, epoch: int, step: int) -> None:
        """Write, sync, rename; then remove all but the last two."""
        began = time.monotonic()
        partial = self.folder / ".checkpoint.partial"  # one name: the run's lock is held, and a kill leaves at most one behind
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / f"checkpoint.{epoch:05d}.{step:07d}.{sha256(partial)[:16]}.pt")
        for old in self.files()[2:]:
            old.unlink()
        self.saved_at = time.monotonic()
        self.cost = self.saved_at - began

    def due(self) -> bool:
        """True once writing costs less than a twentieth of the time since the last one."""
        return time.monotonic() - self.saved_at >= 20 * self.cost

    def load(self, device: torch.device) -> dict | None:
        """The newest whole state, or None. Damaged files are reported on stderr and removed."""
        for path in self.files():
            expected, found = path.name.split(".")[3], sha256(path)[:16]
            if expected == found:
                return torch.load(path, map_location=device, weights_only=True)
            path.unlink()
            instead = "taking the one before" if self.files() else "starting from scratch"
            print(f"{path} is damaged (its checksum is {found}, it was written as {expected}): {instead}", file=sys.stderr)
        return None
