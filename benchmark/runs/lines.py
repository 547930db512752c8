"""The lines of a table or figure with the runs that they need: printed numbers, their cell, its runs. Never loads torch or pandas."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmark.pins import cells, kinds, published, recipes
from benchmark.pins.cells import Resolved
from benchmark.pins.published import Number
from benchmark.pins.readings import Reading
from benchmark.pins.settings import Settings
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError


@dataclass(frozen=True)
class Line:
    """One line of a result table: the printed numbers of one row, data set and time step that share a cell, and the cell's runs."""

    numbers: tuple[Number, ...]
    resolved: Resolved | None
    runs: tuple[Run, ...]
    lacking: str = ""  # why it cannot run; empty if it can, or if nothing has to run
    left_out: bool = False  # the settings run others only

    @property
    def first(self) -> Number:
        return self.numbers[0]

    @cached_property
    def reading(self) -> Reading:
        """Where on its runs the line's numbers are read."""
        any_time = self.resolved is not None and kinds.method(self.resolved.spec["method"]["name"]).tables.get("any_time", False)
        return Reading.of(self.first, any_time)


def of_table(table: str, settings: Settings) -> list[Line]:
    """The lines of a table or figure in printed order. UserError: a mistake in what they are made of, or a recipe key that none has."""
    grouped: dict[tuple, list[Number]] = {}
    for number in published.read(table):
        grouped.setdefault((number.row, number.dataset, number.time_steps, number.cell, number.options), []).append(number)
    found = [line(tuple(numbers), settings) for numbers in grouped.values()]
    check_heard(table, found, settings)
    return found


def check_heard(table: str, entries: list[Line], settings: Settings) -> None:
    """UserError for a recipe key of one's own that no cell has which its rule is for: it would change nothing, without a word."""
    if settings.asked:
        found = [each for entry in entries if entry.resolved for each in entry.resolved.with_upstream()]
        for rule in settings.asked:
            meant = [each for each in found if recipes.matches(rule, each.cell.about)]
            deaf = [key for key in rule["set"] if meant and not any(key in each.sources for each in meant)]
            if deaf:
                raise UserError(f"{table}: config key 'recipe': no cell that the rule is for has '{deaf[0]}', which would change nothing")


def line(numbers: tuple[Number, ...], settings: Settings) -> Line:
    """One line; `lacking` says why it cannot run."""
    try:
        cell = cells.cell_of(numbers[0], settings.readings)
        if cell and not wanted(cell, numbers[0].row, settings):
            return Line(numbers, None, (), left_out=True)
        resolved = cell and cells.resolve(cell, settings)
    except cells.Lacking as lacking:
        return Line(numbers, None, (), str(lacking))
    runs = tuple(Run(resolved, seed) for seed in range(settings.seeds)) if resolved else ()
    return Line(numbers, resolved, runs)


def wanted(cell: cells.Cell, row: int, settings: Settings) -> bool:
    """Whether these settings run a row's cell."""
    about = {**cell.about, "row": row, "time_steps": cell.time_steps}
    return not settings.only or any(all(recipes.fits(pattern, about[what]) for what, pattern in one.items()) for one in settings.only)


def runs_of(tables: list[str], settings: Settings) -> dict[Path, Run]:
    """Every run that these tables and figures need, what lies above included, each once, by its folder."""
    return behind([entry for table in tables for entry in of_table(table, settings)])


def behind(entries: list[Line]) -> dict[Path, Run]:
    """The same of lines."""
    return {each.folder: each for entry in entries for run in entry.runs for each in run.with_upstream()}


def chosen(entries: list[Line], row: int | None = None, dataset: str = "", method: str = "") -> list[Line]:
    """The lines of a printed row, a data set as printed, a method: as a pin's cell names it, or a part of its printed name, in any case.

    UserError: none is left.
    """
    found = [
        entry
        for entry in entries
        if row in (None, entry.first.row)
        and dataset.lower() in ("", entry.first.dataset.lower())
        and (not method or is_of(entry, method.lower()))
    ]
    if not found:
        asked = ", ".join(
            f"{key} {value}" for key, value in (("row", row), ("data set", dataset), ("method", method)) if value not in (None, "")
        )
        raise UserError(f"no line has {asked}")
    return found


def is_of(entry: Line, method: str) -> bool:
    return method == entry.first.cell.partition(":")[0].lower() or method in entry.first.method.lower()


def made(names: list[str], settings: Settings) -> tuple[dict[str, list[Line]], dict[str, UserError]]:
    """The lines of those tables and figures whose lines can be made; the others with what is wrong, to be told to who asks for them."""
    good, broken = {}, {}
    for name in names:
        try:
            good[name] = of_table(name, settings)
        except UserError as error:
            broken[name] = error
    return good, broken


def sound(names: list[str], settings: Settings) -> tuple[list[str], dict[str, UserError]]:
    """The names of those, and the others."""
    good, broken = made(names, settings)
    return list(good), broken
