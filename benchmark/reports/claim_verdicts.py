"""What our runs say of each claim: the paired difference over seeds with its interval, as results/claims.csv. No torch, no pandas."""

import math
import statistics
from collections import Counter
from decimal import Decimal
from pathlib import Path

from benchmark.pins.settings import Settings
from benchmark.reports import tables
from benchmark.reports.audit.interval import printed
from benchmark.reports.claims import Claim, accuracy_of, claims, unique
from benchmark.runs.lines import Line
from benchmark.shared.files import replacing, write_csv

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
