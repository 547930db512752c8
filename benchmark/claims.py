"""results/claims.csv: each "A beats B by x" of the papers against the paired difference of our runs. Never loads torch or pandas.

A claim is a pair of ledger lines with an accuracy. Tables make some: a line of the proposed method with its default options against
every other line of the table with the same data set, time steps, student and recipe options that is printed below it. The proposed
method is the one named like the paper; `proposed` in paper.yaml says another, or one per table number. Sentences (papers/*/claims.csv)
make the others, whatever the tables print.
"""

import math
import statistics
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml

from benchmark import ledger, published, recipes, tables
from benchmark.audit import claims as sentences
from benchmark.audit.interval import printed
from benchmark.cells import READINGS, Cell, parse_options
from benchmark.errors import UserError, unknown
from benchmark.files import replacing, write_csv
from benchmark.ledger import Line, Run
from benchmark.published import Number
from benchmark.settings import Settings

LEVEL = 0.95
VERDICTS = {
    "supported": "the interval lies wholly above 0: A is ahead in our runs too",
    "contradicted": "the interval lies wholly below 0: B is ahead in our runs",
    "undecided": "the interval contains 0",
    "undecided (one seed)": "one seed gives a difference and no interval",
    "failed": "a run ended with an error; see its error.txt",
    "not run": "no seed with a run on both sides yet",
    "not implemented": "a method, backbone or data set that one side needs has no file yet",
}
NOT_COMPARABLE = "not comparable at this scale"
SIDE = ("row", "method", "backbone", "options")
COLUMNS = (
    *("paper", "table", "dataset", "time_steps", *(f"a_{name}" for name in SIDE), *(f"b_{name}" for name in SIDE)),
    *("printed_a", "printed_b", "printed_difference", "said_difference", "scale", "data", "n_seeds", "a", "b"),
    *("difference", "low", "high", "verdict", "amount", "source"),
)


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


# ---- which claims there are


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


# ---- what the runs say about them


def rows(settings: Settings, root: Path) -> list[dict]:
    """One line per claim from whatever runs exist so far."""
    return [row(claim, settings, root) for claim in claims(settings)]


def row(claim: Claim, settings: Settings, root: Path) -> dict:
    sides = (claim.a, claim.b)
    measured = [by_seed(line, root) for line in sides]
    seeds = sorted(measured[0].keys() & measured[1].keys())
    pairs = [(measured[0][seed], measured[1][seed]) for seed in seeds]
    low, high = interval([a - b for a, b in pairs])
    means = [statistics.mean(values) for values in zip(*pairs, strict=True)] or [None, None]
    return {
        **described(claim),
        "scale": settings.scale,
        "data": " / ".join(unique(line.resolved.spec["data"] for line in sides if line.resolved)),
        "n_seeds": len(seeds),
        "a": means[0],
        "b": means[1],
        "difference": statistics.mean(a - b for a, b in pairs) if pairs else None,
        "low": low,
        "high": high,
        "verdict": judged(low, high) if pairs else lacking(sides, measured, settings, root),
        "amount": amount(claim, low, high, settings.scale),
    }


def described(claim: Claim) -> dict:
    """The columns that no run changes. Where the sides differ in what both have, "a / b"."""
    a, b = accuracy_of(claim.a), accuracy_of(claim.b)
    shared = {name: " / ".join(unique(str(getattr(side, name)) for side in (a, b))) for name in ("paper", "table", "dataset", "time_steps")}
    each = {f"{letter}_{name}": getattr(side, name) for letter, side in (("a", a), ("b", b)) for name in SIDE}
    numbers = {"printed_a": a.value, "printed_b": b.value, "printed_difference": str(Decimal(a.value) - Decimal(b.value))}
    source = " ".join(unique((a.source, b.source, *claim.where)))
    return {**shared, **each, **numbers, "said_difference": " / ".join(claim.said), "source": source}


def by_seed(line: Line, root: Path) -> dict[int, float]:
    """Seed -> accuracy of each run that is done."""
    found = {run.seed: run.metrics(root) for run in line.runs}
    return {seed: tables.obtained("accuracy", metrics, line.first) for seed, metrics in found.items() if metrics}


def interval(differences: list[float]) -> tuple[float | None, float | None]:
    """Ends of the t interval of the mean; none below two values."""
    if len(differences) < 2:
        return None, None
    from scipy.special import stdtrit

    mean, error = statistics.mean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    half = float(stdtrit(len(differences) - 1, (1 + LEVEL) / 2)) * error
    return mean - half, mean + half


def judged(low: float | None, high: float | None) -> str:
    """The verdict of an interval."""
    if low is None:
        return "undecided (one seed)"
    return "supported" if low > 0 else "contradicted" if high < 0 else "undecided"


def lacking(sides: tuple[Line, Line], measured: list[dict], settings: Settings, root: Path) -> str:
    """Why there is no pair of runs, in the words of the tables: the side that is further from having one."""
    empty = [line for line, values in zip(sides, measured, strict=True) if not values]
    states = {tables.judged(line, accuracy_of(line), None, None, [run.state(root) for run in line.runs], settings) for line in empty}
    return next((word for word in ("not implemented", "failed") if word in states), "not run")


def amount(claim: Claim, low: float | None, high: float | None, scale: str) -> str:
    """Whether the printed difference, within its rounding, lies in our interval; else whether ours is larger or smaller."""
    if scale != "paper":
        return NOT_COMPARABLE
    if low is None:
        return ""
    stated = printed(accuracy_of(claim.a).value) - printed(accuracy_of(claim.b).value)
    slack = 1e-9  # decimal digits are not exact in binary
    return "larger" if low > stated.high + slack else "smaller" if high < stated.low - slack else "match"


def unique(items) -> tuple:
    return tuple(dict.fromkeys(items))


# ---- how it is written


def write(settings: Settings, root: Path, name: str = "claims") -> str:
    """results/<name>.csv and .md under `root`; returns the counts."""
    found = rows(settings, root)
    write_csv(root / "results" / f"{name}.csv", [{key: rounded(value) for key, value in line.items()} for line in found], list(COLUMNS))
    with replacing(root / "results" / f"{name}.md") as file:
        file.write(readable(found, settings))
    return tally(found)


def rounded(value):
    return round(value, 3) if isinstance(value, float) else value


def tally(found: list[dict]) -> str:
    """How many claims got which verdict, in the order of their explanation."""
    counts = Counter(line["verdict"] for line in found)
    return f"{len(found)} claims: {', '.join(f'{counts[verdict]} {verdict}' for verdict in VERDICTS if counts[verdict])}."


READABLE = {  # head: what stands under it
    "paper": lambda line: line["paper"],
    "table": lambda line: line["table"],
    "data set": lambda line: line["dataset"],
    "T": lambda line: line["time_steps"],
    "A": lambda line: side(line, "a"),
    "B": lambda line: side(line, "b"),
    "printed": lambda line: line["printed_difference"],
    "said": lambda line: line["said_difference"] or "-",
    "seeds": lambda line: line["n_seeds"],
    "obtained": lambda line: tables.shown(line["difference"], 2),
    "95 % interval": lambda line: "-" if line["low"] is None else f"{line['low']:.2f} to {line['high']:.2f}",
    "verdict": lambda line: line["verdict"],
    "amount": lambda line: line["amount"] or "-",
    "source": lambda line: line["source"],
}


def readable(found: list[dict], settings: Settings) -> str:
    """The claims in Markdown: counts, what they mean, columns aligned."""
    meaning = "\n".join(f"- {verdict}: {said}" for verdict, said in VERDICTS.items())
    body = [tuple(shown(line) for shown in READABLE.values()) for line in found]
    return f"# Claims\n\n{tally(found)}\n\n{about(settings)}\n\n{meaning}\n\n{tables.aligned(tuple(READABLE), body)}"


def about(settings: Settings) -> str:
    """What the columns hold and what may be concluded at this scale."""
    text = (
        f"Scale {settings.scale}. A is claimed to beat B. printed: accuracy of A minus that of B as the tables print them, in points (below 0: "
        "the tables themselves have B ahead); said: by how much a sentence puts A ahead; obtained: mean over seeds of A minus B of the same "
        "seed, last epoch; all seeds share one teacher. The level holds for each claim by itself: of twenty pairs without a difference one "
        "is expected outside. Where A and B stand in different tables or at different time steps, A's comes first."
    )
    if settings.scale == "smoke":
        text += " Tiny twins on stand-in data: a verdict says that the code path works, and nothing about the paper."
    return text


def side(line: dict, letter: str) -> str:
    """Row, method, backbone and options of one side."""
    row_, *words = (line[f"{letter}_{name}"] for name in SIDE)
    return " ".join([f"r{row_}", *(word for word in words if word not in ("", "-"))])
