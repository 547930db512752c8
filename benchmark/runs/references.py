"""Reference runs: networks of ours on real recordings, for which no paper prints a number. Never loads torch.

benchmark/papers/reference/<name>.csv has a line for each, `row,cell,dataset,time_steps,seeds`; recipes.yaml beside it is how they train.
They run as the file says whatever the scale is: full size, real data.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.pins import cells, kinds, texts
from benchmark.pins.settings import printed
from benchmark.pins.texts import shown
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError, unknown

FOLDER = kinds.PAPERS / "reference"
COLUMNS = ("row", "cell", "dataset", "time_steps", "seeds")


@dataclass(frozen=True)
class Reference:
    """One line of a reference table with its runs, one for each seed."""

    row: int
    resolved: cells.Resolved
    runs: tuple[Run, ...]


def names() -> list[str]:
    """Every reference table."""
    return sorted(path.stem for path in FOLDER.glob("*.csv"))


@cache
def read(name: str) -> tuple[Reference, ...]:
    """The lines of one table. UserError: unknown, or a file that breaks the schema."""
    if name not in names():
        raise unknown("reference table", name, names())
    path = FOLDER / f"{name}.csv"
    return tuple(_reference(path, number, line) for number, line in texts.table(path, COLUMNS))


def _reference(path: Path, number: int, line: dict) -> Reference:
    method, _, backbone = line["cell"].partition(":")
    if not (backbone and all((line[key] or "").isdecimal() and int(line[key]) for key in ("row", "time_steps", "seeds"))):
        raise UserError(f"{shown(path)}:{number}: a line is a row, method:backbone, a data set, time steps and seeds, from 1 on")
    cell = cells.Cell(FOLDER.name, path.stem, method, backbone, (), line["dataset"], int(line["time_steps"]))
    resolved = cells.resolve(cell, printed())
    return Reference(int(line["row"]), resolved, tuple(Run(resolved, seed) for seed in range(int(line["seeds"]))))


def runs_of(name: str) -> list[Run]:
    """Every run behind one table."""
    return [run for line in read(name) for run in line.runs]


def pictured(*tables: str) -> set[str]:
    """Ids of the cells, of these or all tables that can be made, whose method keeps its trained parts: pictures are their result."""
    return {run.resolved.id for run in sound(*tables) if keeps(run)}


def keeps(run: Run) -> bool:
    return bool(kinds.method(run.resolved.spec["method"]["name"]).tables.get("keeps"))


def inputs(name: str) -> list[Path]:
    """The files of runs that a table is made of, relative to the working directory."""
    runs = runs_of(name)
    drawn = [run.folder / f"pictures.{kind}" for run in runs if keeps(run) for kind in ("csv", "png")]
    return [run.folder / "metrics.json" for run in runs] + drawn


def sound(*tables: str) -> list[Run]:
    """Every run of these or all tables, of those whose lines can be made; a broken one is told to who asks for it."""
    found = []
    for name in tables or names():
        with suppress(UserError):
            found += runs_of(name)
    return found
