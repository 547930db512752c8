"""Files that are never half there: written under a temporary name, synced, then renamed. Loads nothing heavy."""

import csv
import fcntl
import hashlib
import json
import math
import os
from contextlib import contextmanager
from pathlib import Path

from benchmark.shared.errors import Damaged, UserError


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


def write_sealed(path: Path, values: dict) -> None:
    """JSON with the checksum of all the rest as `seal`. ValueError: a number in it that is not finite."""
    values = json.loads(canonical(values))  # as it will be read: keys are strings, tuples are lists
    write_json(path, {**values, "seal": seal(values)})


def read_sealed(path: Path) -> dict:
    """What `write_sealed` was given. Damaged: not readable, not finite, or not what was sealed; FileNotFoundError as it is."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        found, written = seal({key: value for key, value in values.items() if key != "seal"}), values.pop("seal", None)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise Damaged(f"{path} is damaged: {' '.join(str(error).split()) or type(error).__name__}") from None
    if found != written:
        raise Damaged(f"{path} is damaged: its checksum is {found}, it was sealed as {written}")
    return values


def seal(values: dict) -> str:
    """SHA-256 of the values as canonical JSON. ValueError: a number in them that is not finite."""
    return hashlib.sha256(canonical(values).encode()).hexdigest()


def canonical(values: dict) -> str:
    """One text for equal values: sorted, without spaces. ValueError names what is NaN or infinite."""
    try:
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError as error:  # looked for only then: a report reads hundreds of files, each of ten thousand values
        names = ", ".join(not_finite(values))
        raise ValueError(f"{names} is not a finite number" if names else str(error)) from None


def not_finite(values, name: str = ""):
    """Where NaN and infinity stand in nested values: `checks.gap`, `accuracy_by_step.1`."""
    inside = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, (list, tuple)) else ()
    for key, value in inside:
        yield from not_finite(value, f"{name}.{key}".removeprefix("."))
    if isinstance(values, float) and not math.isfinite(values):
        yield name


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


def stamp(path: Path) -> tuple:
    """What changes with a file: another one in its place, or none, has another stamp. Never empty."""
    try:
        stat = path.stat()
    except OSError:
        return (None,)
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


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
