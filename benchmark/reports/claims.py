"""Each "A beats B by x" of the papers, from their tables and their sentences. Never loads torch or pandas.

A claim is a pair of ledger lines with an accuracy. Tables make some: a line of the proposed method with its default options against
every other line of the table with the same data set, time steps, student and recipe options that is printed below it. The proposed
method is the one named like the paper; `proposed` in paper.yaml says another, or one per table number. Sentences (papers/*/claims.csv)
make the others, whatever the tables print.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from benchmark.pins import published, recipes
from benchmark.pins.cells import READINGS, Cell, parse_options
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.reports.audit import sentences
from benchmark.runs import lines as ledger
from benchmark.runs.lines import Line, Run
from benchmark.shared.errors import UserError, unknown


@dataclass(frozen=True)
class Claim:
    """Line `a` is claimed to be above line `b`; sentences that say so: by how much (as printed) and where."""

    a: Line
    b: Line
    said: tuple[str, ...] = ()
    where: tuple[str, ...] = ()

    @property
    def key(self) -> tuple:
        """Equal for claims of the same tables about the same two cells."""
        return (self.a.first.name, self.b.first.name, identity(self.a), identity(self.b))


def claims(settings: Settings) -> list[Claim]:
    """Every claim once, in the order of the tables. UserError: a relation or a proposed method that does not exist."""
    entries = {table: ledger.lines(table, settings) for table in published.tables()}
    lines = {number: entry for table in entries.values() for entry in table for number in entry.numbers}
    found: dict[tuple, Claim] = {}
    for claim in [*(claim for table in entries for claim in from_table(entries[table])), *from_sentences(lines)]:
        if identity(claim.a) != identity(claim.b):
            found[claim.key] = merged(found[claim.key], claim) if claim.key in found else claim
    place = list(entries).index
    return sorted(found.values(), key=lambda claim: (place(claim.a.first.name), place(claim.b.first.name)))


def merged(first: Claim, second: Claim) -> Claim:
    """One claim made in several places."""
    return replace(first, said=unique(first.said + second.said), where=unique(first.where + second.where))


def from_table(lines: list[Line]) -> list[Claim]:
    """What a table shows: its proposed lines against the others of the same setting."""
    lines = [line for line in lines if is_result(line)]
    ours = [line for line in lines if is_proposed(line)]
    others = [line for line in lines if not is_proposed(line)]
    return [Claim(a, b) for a in ours for b in others if setting(a) == setting(b) and accuracy_of(a).number > accuracy_of(b).number]


def from_sentences(lines: dict[Number, Line]) -> list[Claim]:
    """What the prose says between two accuracies."""
    found = []
    for paper in dict.fromkeys(number.paper for number in lines):
        for sentence in sentences.read(paper):
            where = tuple(f"{paper}.txt:{line}" for line in sentence.line.split())
            pairs = sentences.ahead(sentence.relation, paper)
            named = [(a, b, said) for a, b, said in pairs if a.metric == b.metric == "accuracy"]
            found += [Claim(lines[a], lines[b], (said,) if said else (), where) for a, b, said in named]
    return [claim for claim in found if is_result(claim.a) and is_result(claim.b)]


def is_result(line: Line) -> bool:
    """An accuracy with a cell, at the end of its run: `at_epoch` lines read another line's curve."""
    return bool(line.first.cell and accuracy_of(line) and not READINGS & parse_options(line.first.options).keys())


def accuracy_of(line: Line) -> Number | None:
    return next((number for number in line.numbers if number.metric == "accuracy"), None)


def is_proposed(line: Line) -> bool:
    """What the table is there to show: the paper's own row of the proposed method as it is by default."""
    own = line.first.origin != "quoted" and line.first.cell.partition(":")[0] == proposed(line.first)
    return own and not options(line.first)[0]


def setting(line: Line) -> tuple:
    """What two lines of a table share if they differ by the method alone."""
    first = line.first
    return (first.dataset, first.time_steps, first.cell.split(":")[1], options(first)[1])


def options(number: Number) -> tuple[tuple, tuple]:
    """A row's options: the method's, and those that the recipe reads (by their name while the paper has no recipe)."""
    method, backbone = number.cell.split(":")[:2]
    chosen = tuple(sorted(parse_options(number.options).items()))
    about = Cell(number.paper, number.name, method, backbone, None, number.dataset, 0, chosen).about
    of_recipe = recipes.options(number.paper, **about) if recipes.exist(number.paper) else set(recipes.KEYS)
    return tuple(pair for pair in chosen if pair[0] not in of_recipe), tuple(pair for pair in chosen if pair[0] in of_recipe)


def proposed(number: Number) -> str:
    """The method that a number's table is about, empty for none. UserError: a `proposed` that no row of it has."""
    stated = sheet(number.paper).get("proposed")
    chosen = number.paper if stated is None else stated.get(number.table, "") if isinstance(stated, dict) else stated
    known = {other.cell.partition(":")[0] for other in published.read(number.name)} - {""}
    if stated is not None and chosen and chosen not in known:
        raise UserError(f"papers/{number.paper}/paper.yaml: table {number.table}: {unknown('proposed method', str(chosen), known)}")
    return chosen


@cache
def sheet(paper: str) -> dict:
    """What paper.yaml says; nothing where there is none."""
    path = published.PAPERS / paper / "paper.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def identity(line: Line):
    """What runs for a line, or would."""
    first = line.first
    return line.resolved.id if line.resolved else (first.cell, first.dataset, first.time_steps, first.options)


def runs(settings: Settings) -> dict[Path, Run]:
    """The runs that decide claims: of both lines, where both can run."""
    pairs = [(claim.a, claim.b) for claim in claims(settings) if claim.a.runs and claim.b.runs]
    return {run.folder: run for pair in pairs for line in pair for run in line.runs}


def unique(items) -> tuple:
    return tuple(dict.fromkeys(items))
