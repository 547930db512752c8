"""What the papers claim: each "A beats B by x" of their tables and their sentences. Never loads torch or pandas.

A claim is a pair of lines with an accuracy. Tables make some: a line of the proposed method with its default options against
every other line of the table with the same data set, time steps, student and recipe options that is printed below it. The proposed
method is the one named like the paper; `proposed` in paper.yaml says another, or one per table number. Sentences (papers/*/claims.csv)
make the others, whatever the tables print.
"""

from dataclasses import dataclass, replace

from benchmark.pins import published, readings, recipes
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.reports.audit import sentences
from benchmark.runs.lines import Line, of_table


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


def claims(settings: Settings, made: dict[str, list[Line]] | None = None) -> list[Claim]:
    """Every claim once, in the order of the tables. UserError: a relation or a proposed method that does not exist.

    made: lines of tables that the caller has already.
    """
    made = made or {}
    entries = {table: made[table] if table in made else of_table(table, settings) for table in published.tables()}
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
    """An accuracy with a cell, at the end of its run: a line with another reading is about a part of a curve."""
    return bool(line.first.cell and accuracy_of(line) and not readings.options(line.first))


def accuracy_of(line: Line) -> Number | None:
    return next((number for number in line.numbers if number.metric == "accuracy"), None)


def is_proposed(line: Line) -> bool:
    """What the table is there to show: the paper's own row of the proposed method as it is by default."""
    own = line.first.origin != "quoted" and line.first.cell.partition(":")[0] == published.proposed(line.first)
    return own and not options(line.first)[0]


def setting(line: Line) -> tuple:
    """What two lines of a table share if they differ by the method alone."""
    first = line.first
    return (first.dataset, first.time_steps, first.cell.split(":")[1], options(first)[1])


def options(number: Number) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A row's options as printed: the method's, and those that the paper's recipe reads (by their name while it has no recipe)."""
    chosen = sorted(item for item in number.options.split() if item.partition("=")[0] not in readings.OPTIONS)
    of_recipe = recipes.sheet(number.paper).options if recipes.exist(number.paper) else recipes.KEYS
    ours = tuple(item for item in chosen if item.partition("=")[0] not in of_recipe)
    return ours, tuple(item for item in chosen if item not in ours)


def identity(line: Line) -> tuple:
    """What runs for a line and where it is read, or would be."""
    first = line.first
    return (line.resolved.id, line.reading) if line.resolved else (first.cell, first.dataset, first.time_steps, first.options)


def unique(items) -> tuple:
    return tuple(dict.fromkeys(items))
