"""The pins: every number that the papers print, one line each, read and checked. Never loads torch or pandas.

`benchmark/papers/<paper>/table<k>.csv` holds the lines of one printed table; the table's name is `table<k>_<paper>`. A figure that is
a table in disguise has `figure<k>.csv` with the same columns: `metric` is what is drawn, `value` empty where the text prints none of it.
"""

import re
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from benchmark.metrics import metric, pinned
from benchmark.pins import kinds, schema, texts
from benchmark.pins.kinds import PAPERS
from benchmark.pins.texts import shown
from benchmark.shared.errors import UserError, unknown

ORIGINS = ("measured", "quoted", "reconstructed", "unstated")  # unstated: the paper does not say whether it ran the row itself
WORDED = {  # how a column is written, and how that is said
    "time_steps": (r"-|[1-9]\d*(\(\d+\)|/\d+)?", "as printed, from 1 on, or - where none is printed"),
    "options": (r"(\w+=\S+( \w+=\S+)*)?", "empty or name=value, parted by one blank"),
    "value": (r"-?\d+(\.\d+)?", "a number in plain digits"),
    "cell": (r"([^:\s]+(:[^:\s]+)+)?", "empty or method:backbone, then a network above for each that the method needs"),
}
METRICS = pinned("table")  # name: what one unit of it is
DRAWN = pinned("figure")  # what a figure shows of its runs


@dataclass(frozen=True)
class Number:
    """One printed number. All fields are text as in the pin file; `value` has the digits exactly as printed."""

    paper: str
    table: int
    row: int
    group: str
    method: str
    backbone: str
    dataset: str
    time_steps: str
    metric: str
    value: str
    unit: str
    origin: str
    source: str
    cell: str
    options: str
    note: str

    @property
    def number(self) -> float:
        return float(self.value)

    @property
    def name(self) -> str:
        return f"table{self.table}_{self.paper}"


@dataclass(frozen=True)
class Drawn(Number):
    """One line of a figure; `table` is the figure's number."""

    @property
    def name(self) -> str:
        return f"figure{self.table}_{self.paper}"


COLUMNS = tuple(field.name for field in fields(Number))[2:]


@cache
def tables() -> dict[str, Path]:
    """Every pinned table by name, in the order of papers and table numbers: {'table1_ldd': path, ...}."""
    return _files("table")


@cache
def figures() -> dict[str, Path]:
    """Every figure that runs can fill, by name: {'figure2_tser': path, ...}."""
    return _files("figure")


def _files(kind: str) -> dict[str, Path]:
    """Files named <kind><number>.csv; a backup copy beside them is none."""
    files = [path for path in PAPERS.glob(f"*/{kind}*.csv") if path.stem.removeprefix(kind).isdecimal()]
    files.sort(key=lambda path: (path.parent.name, int(path.stem.removeprefix(kind))))
    return {f"{path.stem}_{path.parent.name}": path for path in files}


def datasets() -> list[str]:
    """What a pin's data set may be: one with a file, one that is known not to be built, or - for none."""
    return [name for name in schema.KNOWN["printed data set"]() if name is not schema.ANY]


@cache
def read(name: str) -> tuple[Number, ...]:
    """The numbers of one table, or the lines of one figure, in printed order; of `<table>.<method>` with that method's own rows below.

    UserError: unknown, or a file that breaks the schema.
    """
    table, dot, method = name.partition(".")
    return (*_read(table), *own(_read(table), method)) if dot else _read(table)


def own(numbers: tuple[Number, ...], method: str) -> list[Number]:
    """Rows of a method of one's own: one wherever the table has the proposed method as it is by default, nothing printed.

    UserError: no such method, or no such row.
    """
    if method not in kinds.files("method"):
        raise unknown("method", method, kinds.files("method"))
    named = [of for of in kinds.method(method).tables.get("needs", {}).values() if of.get("backbone") != "same"]
    first, found = max(number.row for number in numbers) + 1, {}
    for number in numbers:
        name, *networks = number.cell.split(":")
        if number.metric == "accuracy" and number.origin != "quoted" and name == proposed(number) and not changed(number, name):
            cell = ":".join([method, *networks[: 1 + len(named)]])
            line = {"group": "own", "method": method, "value": "", "origin": "own", "source": "", "cell": cell, "note": ""}
            place = (cell, number.dataset, number.time_steps, number.options)
            found.setdefault(place, replace(number, row=first + len(found), **line))
    if not found:
        raise UserError(f"{numbers[0].name} has no row of a method of its paper's own that {method} could stand beside")
    return list(found.values())


def changed(number: Number, method: str) -> set[str]:
    """Parameters of the method that a row sets otherwise than by default."""
    return {item.partition("=")[0] for item in number.options.split()} & set(kinds.method(method).tables.get("params", {}))


def proposed(number: Number) -> str:
    """The method that a number's table is about, empty for none. UserError: a `proposed` that no row of it has."""
    stated = sheet(number.paper).get("proposed")
    chosen = number.paper if stated is None else stated.get(number.table, "") if isinstance(stated, dict) else stated
    known = {other.cell.partition(":")[0] for other in read(number.name)} - {""}
    if stated is not None and chosen and chosen not in known:
        raise UserError(f"papers/{number.paper}/paper.yaml: table {number.table}: {unknown('proposed method', str(chosen), known)}")
    return chosen


@cache
def _read(name: str) -> tuple[Number, ...]:
    kind, known = ("figure", figures()) if name.startswith("figure") else ("table", tables())
    if name not in known:
        raise unknown(kind, name, known)
    path = known[name]
    numbers, places = [], {}
    for line_number, line in texts.table(path, COLUMNS):
        number = _number(path, line_number, kind, line)
        first, other = places.setdefault(_place(number), (line_number, number))
        if first != line_number and not (number.note and number.value == other.value):
            raise UserError(
                f"{shown(path)}:{line_number}: the same number as in line {first}, pinned twice; if the paper prints it twice, say so in its note"
            )
        numbers.append(number)
    if not numbers:
        raise UserError(f"{shown(path)}: no line below the header")
    return tuple(numbers)


def _place(number: Number) -> tuple:
    """What no two numbers of a table share."""
    return tuple(value for key, value in vars(number).items() if key not in ("value", "unit", "origin", "source", "note"))


def _number(path: Path, line_number: int, kind: str, line: dict) -> Number:
    made, metrics = {"table": (Number, METRICS), "figure": (Drawn, DRAWN)}[kind]
    where = f"{shown(path)}:{line_number}"
    try:
        number = made(paper=path.parent.name, table=int(path.stem.removeprefix(kind)), **{**line, "row": int(line["row"])})
    except ValueError:
        raise UserError(f"{where}: row must be a whole number, not '{line['row']}'") from None
    for what, known in (("dataset", datasets()), ("origin", ORIGINS), ("metric", metrics)):
        if getattr(number, what) not in known:
            raise UserError(f"{where}: {unknown(what, getattr(number, what), known)}")
    for what, (pattern, said) in WORDED.items():
        value = getattr(number, what)
        if not re.fullmatch(pattern, value) and not (what == "value" and kind == "figure" and not value):
            raise UserError(f"{where}: {what} must be {said}, not '{value}'")
    if number.unit == "%" and number.value and not 0 <= number.number <= 100:
        raise UserError(f"{where}: {number.value} % is no share of a whole")
    return number


def numbers() -> list[Number]:
    """All pinned numbers of all papers."""
    return [number for table in tables() for number in read(table)]


@cache
def sheet(paper: str) -> dict:
    """What a paper's paper.yaml says; nothing where there is none. UserError: not what schemas/paper.yaml has."""
    path = PAPERS / paper / "paper.yaml"
    if not path.exists():
        return {}
    found = texts.mapping(path)
    schema.check(found, schema.named("paper"), shown(path), path)
    for name, convention in found.get("conventions", {}).items():
        try:
            metric(name).by(convention)
        except UserError as error:
            raise UserError(f"{shown(path)}:{texts.line_of(path, ['conventions', name])}: conventions: {error}") from None
    if found["id"] != paper:
        raise UserError(f"{shown(path)}:{texts.line_of(path, ['id'])}: key 'id' must be the folder's name, {paper}, not {found['id']!r}")
    return found


schema.KNOWN["metric"] = lambda: (*METRICS, *DRAWN)
