"""Files that are never half there: written under a temporary name, synced, then renamed. Loads nothing heavy."""

import csv
import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from pathlib import Path

from benchmark.shared.errors import UserError


@contextmanager
def replacing(path: Path, mode: str = "w"):
    """Open a temporary file beside `path` that takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        with partial.open(mode, **text) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, values: dict) -> None:
    with replacing(path) as file:
        json.dump(values, file, indent=1, sort_keys=True)
        file.write("\n")


def write_csv(path: Path, lines: list[dict], columns: list[str] | None = None) -> None:
    """Lines as CSV; columns in the order of `columns` or of first appearance."""
    columns = columns or list(dict.fromkeys(key for line in lines for key in line))
    with replacing(path) as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def sha256(path: Path) -> str:
    """Checksum of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path):
    """Hold an exclusive lock on a run; waits while another process (an orphan of a killed workflow) still has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(folder: Path) -> None:
    """Keep other workflows out of a working directory as long as this process lives. UserError while another one holds it.

    The system drops the claim with the process, so a killed workflow leaves nothing that has to be removed by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "workflow.lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(f"another workflow is running in {folder.resolve().parent}: wait for it, or stop it") from None
    _claims.append(file)


_claims: list = []


def locked(path: Path) -> bool:
    """True while some process holds the lock."""
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
