"""What a workflow that failed leaves: tables that could not be made anew stay as they were (Snakemake deletes a rule's outputs before it runs
and when it fails), those that wait for a run that failed are written without it, and runs that outlived it are not repeated.
"""

import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import figures, tables
from benchmark.runs import lines
from benchmark.runs.imported import FILES, PARTS
from benchmark.runs.run import Run

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


def mark(names: list[str], settings: Settings, root: Path) -> list[str]:
    """Write those of these tables and figures that have a failed run behind them, which their rows say; returns their names."""
    failed = [name for name in names if any(run.state(root) == "failed" for run in lines.runs_of([name], settings).values())]
    for name in failed:
        (figures if name in published.figures() else tables).write(name, settings, root)
        for path in (root / "results" / f"{name}.{kind}" for kind in ("csv", "md", "meta.json")):
            if path.exists():  # a figure has none to read
                os.utime(path, LONG_AGO)
    return failed


def outlived(runs: Iterable[Run], snakemake: Path, root: Path) -> None:
    """Of runs that are done, remove Snakemake's note that they are under way: it would delete and repeat those whose end it did not see.

    snakemake: its folder; a note's name is a path in base 64. Not while a workflow runs, which needs its notes.
    """
    notes = set(os.listdir(snakemake / "incomplete")) if (snakemake / "incomplete").is_dir() else set()
    for run in runs if notes else ():
        names = {urlsafe_b64encode(str(run.folder / name).encode()).decode() for name in (*FILES, PARTS)} & notes
        if names and run.state(root) == "done":
            for name in names:
                (snakemake / "incomplete" / name).unlink(missing_ok=True)
