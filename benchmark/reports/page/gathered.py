"""What the page shows of every printed number: as the tables have it, and which facts of the audit dispute it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from benchmark import metrics
from benchmark.pins import published
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.reports import audit, comparison, tables
from benchmark.reports.audit.finding import DISPUTING
from benchmark.reports.measured import Measured
from benchmark.runs import lines
from benchmark.shared.errors import UserError

SPREAD = "printed spread"  # instead of a verdict
WORDS = {**comparison.VERDICTS, SPREAD: "printed behind +-; it widens the tolerance of the number before it and is not judged itself"}
MARKS = dict(zip(WORDS, "=+-?m×!o~/±", strict=True))  # a letter or shape for each word, so that no colour stands alone


@dataclass(frozen=True)
class Shown:
    """One printed number. id: its place on the page. obtained, spread, low, high: None where there is none. facts: places of the audit's
    facts that dispute it."""

    id: str
    number: Number
    verdict: str
    obtained: float | None
    spread: float | None
    low: float | None
    high: float | None
    facts: tuple[int, ...]

    @property
    def label(self) -> str:
        """What hovering says, and a screen reader."""
        n = self.number
        of = " ".join(word for word in (n.method, n.backbone, n.dataset, f"T={n.time_steps}", n.options) if word not in ("", "-", "T=-"))
        found = "" if self.obtained is None else f", obtained {digits(n.metric, self.obtained)}"
        disputed = "; disputed by the audit" if self.facts else ""
        return f"Table {n.table}, row {n.row}: {of}: {n.metric} {n.value} {n.unit}{found}: {self.verdict}{disputed}"


@dataclass(frozen=True)
class Entry:
    """One line of a table: its runs, its columns in results/<table>.csv, its numbers."""

    measured: Measured
    row: dict
    numbers: tuple[Shown, ...]

    @property
    def id(self) -> str:
        return f"{self.numbers[0].id}-line"

    def of(self, metric: str) -> list[Shown]:
        """The line's numbers of one metric: one, none, or two where the paper prints it twice."""
        return [shown for shown in self.numbers if shown.number.metric == metric]


@dataclass(frozen=True)
class Table:
    """A table as it is printed. metrics: those that are compared, in printed order."""

    name: str
    entries: tuple[Entry, ...]
    metrics: tuple[str, ...]

    @property
    def numbers(self) -> list[Shown]:
        return [shown for entry in self.entries for shown in entry.numbers]

    @property
    def number(self) -> int:
        return self.numbers[0].number.table

    @property
    def paper(self) -> str:
        return self.numbers[0].number.paper


def every_table(settings: Settings, root: Path) -> tuple[list[Table], dict[str, str]]:
    """The tables that can be made; of the others what is wrong."""
    found, broken, disputed = [], {}, disputes()
    for name in published.tables():
        try:
            found.append(table(name, settings, root, disputed))
        except UserError as error:
            broken[name] = str(error)
    return found, broken


def table(name: str, settings: Settings, root: Path, disputed: dict[Number, tuple]) -> Table:
    """One table from whatever runs exist."""
    measured = [Measured.of(line, root) for line in lines.of_table(name, settings)]
    rows = tables.rows(measured, settings.scale)
    places = {id(number): f"{name}-{place}" for place, number in enumerate(published.read(name), 1)}
    entries = [
        Entry(each, row, tuple(shown(number, row, places[id(number)], disputed.get(number, ())) for number in each.line.numbers))
        for each, row in zip(measured, rows, strict=True)
    ]
    return Table(name, tuple(entries), tuple(key.removesuffix("_verdict") for key in rows[0] if key.endswith("_verdict")))


def shown(number: Number, row: dict, place: str, facts: tuple) -> Shown:
    """One number by the columns of its line."""
    name = number.metric
    verdict = row.get(f"{name}_verdict", SPREAD)
    spread = row.get(metrics.metric(name).spread or "")
    return Shown(place, number, verdict, row.get(name), spread, row.get(f"{name}_low"), row.get(f"{name}_high"), facts)


def disputes() -> dict[Number, tuple[int, ...]]:
    """Number -> places of the facts that say it cannot be relied on."""
    found: dict[Number, list[int]] = {}
    for place, fact in enumerate(audit.facts(), 1):
        if fact.kind in DISPUTING:
            for pin in dict.fromkeys(pin for item in fact.findings for pin in item.pins):
                found.setdefault(pin, []).append(place)
    return {number: tuple(places) for number, places in found.items()}


def counted(found: list[Table]) -> dict[str, int]:
    """Verdict -> how many printed numbers have it, in the order of WORDS."""
    counts = Counter(shown.verdict for each in found for shown in each.numbers)
    return {word: counts[word] for word in WORDS if counts[word]}


def digits(metric: str, value: float | None) -> str:
    """A number as its metric has its decimals; empty for none."""
    if value is None or value == "":
        return ""
    decimals = metrics.metric(metric).digits
    return f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"


def slug(word: str) -> str:
    """A word as a name of a class."""
    return re.sub(r"\W+", "-", word)
