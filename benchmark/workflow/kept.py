"""Tables that could not be made anew stay as they were: Snakemake deletes a rule's outputs before it runs and when it fails."""

import os
import shutil
from pathlib import Path

LONG_AGO = (1, 1)  # access and modification time of what is put back: older than any input, so that the next workflow makes it anew


def keep(results: Path, aside: Path) -> None:
    """Remember what lies in `results` now, as links in `aside`, which costs no space."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for path in results.glob("*.*"):
        if path.is_file():
            os.link(path, aside / path.name)


def restore(results: Path, aside: Path) -> list[str]:
    """Put back what has gone since; returns the names."""
    lost = [path for path in sorted(aside.glob("*")) if not (results / path.name).exists()]
    for path in lost:
        os.utime(path, LONG_AGO)
        os.link(path, results / path.name)
    return [path.name for path in lost]
