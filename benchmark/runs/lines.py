"""What stands in the ledger for each printed row: its cell, the cell's runs and their state. Never loads torch or pandas."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from benchmark.pins import cells
from benchmark.pins import published
from benchmark.pins.cells import Resolved
from benchmark.shared.files import locked
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings

STATES = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class Run:
    """A cell with a seed, by the folder that its results lie in (relative to the scale's working directory)."""

    resolved: Resolved
    seed: int

    @property
    def folder(self) -> Path:
        return Path("runs") / self.resolved.id / f"seed{self.seed}"

    def state(self, root: Path) -> str:
        """done, running, failed or missing."""
        folder = root / self.folder
        if (folder / "metrics.json").exists():
            return "done"
        if locked(folder / ".lock"):
            return "running"
        return "failed" if (folder / "error.txt").exists() else "missing"

    def metrics(self, root: Path) -> dict | None:
        """What the run measured, None if it is not done."""
        path = root / self.folder / "metrics.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def progress(self, root: Path) -> str:
        """`epochs done/epochs` of a run under way or stopped, or why it failed."""
        folder, recipe = root / self.folder, self.resolved.spec["recipe"]
        if (folder / "error.txt").exists() and not (folder / "metrics.json").exists():
            return (folder / "error.txt").read_text(encoding="utf-8").strip().splitlines()[0]
        if not (folder / "curve.csv").exists():
            return ""
        with (folder / "curve.csv").open(encoding="utf-8") as file:
            return f"epoch {sum(1 for _ in csv.DictReader(file))}/{recipe['epochs'] + recipe['cooldown_epochs']}"


@dataclass(frozen=True)
class Line:
    """One line of a result table: the printed numbers of one row, data set and time step that share a cell, and the cell's runs."""

    numbers: tuple[Number, ...]
    resolved: Resolved | None
    runs: tuple[Run, ...]
    lacking: str = ""  # the method, backbone or data set without a file; empty if implemented or nothing has to run

    @property
    def first(self) -> Number:
        return self.numbers[0]


def lines(table: str, settings: Settings) -> list[Line]:
    """The lines of a table in printed order."""
    grouped: dict[tuple, list[Number]] = {}
    for number in published.read(table):
        grouped.setdefault((number.row, number.dataset, number.time_steps, number.cell, number.options), []).append(number)
    return [line(tuple(numbers), settings) for numbers in grouped.values()]


def line(numbers: tuple[Number, ...], settings: Settings) -> Line:
    """One line; `lacking` says what is not implemented."""
    try:
        cell = cells.cell_of(numbers[0])
        resolved = cell and cells.resolve(cell, settings)
    except cells.Lacking as lacking:
        return Line(numbers, None, (), str(lacking))
    runs = tuple(Run(resolved, seed) for seed in range(settings.seeds)) if resolved else ()
    return Line(numbers, resolved, runs)


def runs(tables: list[str], settings: Settings) -> dict[Path, Run]:
    """Every run that these tables need, teachers (seed 0) included, each once."""
    found = {}
    for table in tables:
        for entry in lines(table, settings):
            for run in entry.runs:
                upstream = [Run(above, 0) for above in run.resolved.with_upstream()[1:]]
                found.update({each.folder: each for each in (*upstream, run)})
    return found
