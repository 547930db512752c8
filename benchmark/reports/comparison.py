"""Published against obtained: one comparator for every number of every table. Pure functions; loads nothing heavy.

A printed number has a tolerance: the largest of half its last digit, twice the spread that the paper prints beside it, and the metric's
floor; a row may have its own in `benchmark/papers/<paper>/tolerances.csv`, only with a note. What we obtained has an interval: over seeds
(t, 95 %), with one seed that of drawing the test images (Wilson; of a difference Newcombe), a point where no spread is known. It agrees if
it lies inside printed +- tolerance, differs if it lies outside, and else nothing is decided: runs that scatter more agree no sooner.
"""

import csv
import math
import statistics
from dataclasses import dataclass
from functools import cache

from benchmark import metrics
from benchmark.metrics import Metric
from benchmark.pins.published import PAPERS, Number, read, sheet
from benchmark.shared.errors import UserError

LEVEL = 0.95
MOST_SEEDS = 100
NORMAL = statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
SLACK = 1e-9  # decimal digits are not exact in binary

VERDICTS = {
    "match": "our interval lies inside the printed value's tolerance",
    "better": "wholly outside, on the good side (higher accuracy, less energy)",
    "worse": "wholly outside, on the other side, or either side of a number that has no good one (parameters)",
    "undecided": "partly inside; seeds_needed says how many seeds would decide it if they go on as they do",
    "missing": "the run does not measure this",
    "failed": "a run ended with an error; see its error.txt",
    "damaged": "a run's metrics.json is not what it wrote, and is not believed",
    "not run": "no run yet, or its paper-size network not counted yet",
    "not comparable": "not what was printed: `differs` says in what",
    "not implemented": "something that the row needs has no file; `why` says what",
}


@dataclass(frozen=True)
class Verdict:
    """What is to be said of a number: a word of VERDICTS, the interval of what we obtained, the seeds that would decide it."""

    word: str
    low: float | None = None
    high: float | None = None
    seeds: int | str = ""


def verdict(number: Number, values: list[float], differences=(), shares=(), images: int | None = None) -> Verdict:
    """A printed number against what was obtained, one value per seed.

    differences: what was run otherwise than printed, in short phrases; a number that layers alone decide is compared all the same.
    shares, images: see `interval`.
    """
    low, high = interval(values, shares, images) if values else (None, None)
    if differences and metric_of(number).of == "run":
        return Verdict("not comparable", low, high)
    if not values:
        return Verdict("missing")
    word = decided(number, low, high)
    if word != "undecided":
        return Verdict(word, low, high)
    return Verdict(word, low, high, seeds_needed(number, statistics.mean(values), deviation(values, shares, images)))


def decided(number: Number, low: float, high: float) -> str:
    """Match, better, worse or undecided, for what lies between low and high."""
    allowed = tolerance(number) + SLACK
    if abs(low - number.number) <= allowed and abs(high - number.number) <= allowed:
        return "match"
    side = 1 if low > number.number + allowed else -1 if high < number.number - allowed else 0
    return "undecided" if not side else "better" if side * metric_of(number).good > 0 else "worse"


# ---- how far a printed number may be missed


def tolerance(number: Number) -> float:
    """How far from this printed number an obtained one still agrees, in the number's unit."""
    own = overrides(number.paper).get((number.table, number.row, number.dataset, number.time_steps, number.options, number.metric))
    if own is not None:
        return own
    return max(half_digit(number.value), 2 * printed_spread(number), metric_of(number).least(number.dataset, number.number))


def metric_of(number: Number) -> Metric:
    """What was printed, counted as its paper counts it."""
    return metric_in(number.metric, number.paper)


@cache
def metric_in(name: str, paper: str) -> Metric:
    """A metric as a paper counts it."""
    return metrics.metric(name).by(sheet(paper).get("conventions", {}).get(name))


def half_digit(text: str) -> float:
    """Half a unit of the last printed digit: 93.5 -> 0.05."""
    decimals = len(text.partition(".")[2])
    return 0.5 * 10**-decimals


def printed_spread(number: Number) -> float:
    """The standard deviation that the paper prints beside this number, 0 if none."""
    name, place = metric_of(number).spread, place_of(number)
    return next((other.number for other in read(number.name) if name and other.metric == name and place_of(other) == place), 0.0)


def place_of(number: Number) -> tuple:
    """What numbers of one printed line share."""
    return (number.row, number.dataset, number.time_steps, number.cell, number.options)


@cache
def overrides(paper: str) -> dict:
    """Tolerances of single rows: (table, row, dataset, time_steps, options, metric) -> tolerance. UserError for one without a note."""
    path = PAPERS / paper / "tolerances.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if not line["note"].strip():
            raise UserError(f"{path}: table {line['table']} row {line['row']} {line['metric']}: a tolerance needs a note that says why")
    keys = ("dataset", "time_steps", "options", "metric")
    return {(int(line["table"]), int(line["row"]), *(line[key] for key in keys)): float(line["tolerance"]) for line in lines}


# ---- how well we know what we obtained


def interval(values: list[float], shares=(), images: int | None = None) -> tuple[float, float]:
    """95 % interval of what was obtained, one value per seed; a point where no spread is known.

    shares: what a single value is made of, if of shares of the test images in percent: [a], or [a, b] for a - b. images: how many.
    """
    mean = statistics.mean(values)
    if len(values) > 1:
        half = half_width(len(values), statistics.stdev(values))
        return mean - half, mean + half
    if not shares or not images:
        return mean, mean
    ends = [wilson(share, images) for share in shares]
    if len(shares) == 1:
        return ends[0]
    (a, b), ((a_low, a_high), (b_low, b_high)) = shares, ends
    return mean - math.hypot(a - a_low, b_high - b), mean + math.hypot(a_high - a, b - b_low)


def half_width(count: int, deviation: float) -> float:
    """Of the t interval of a mean over so many seeds."""
    return t_quantile(count - 1) * deviation / math.sqrt(count)


def wilson(share: float, images: int) -> tuple[float, float]:
    """Wilson's interval of a share in percent of so many images."""
    p, z = share / 100, NORMAL**2 / images
    middle, half = (p + z / 2) / (1 + z), NORMAL * math.sqrt(p * (1 - p) / images + z / (4 * images)) / (1 + z)
    return 100 * (middle - half), 100 * (middle + half)


def deviation(values: list[float], shares=(), images: int | None = None) -> float:
    """Standard deviation of one seed's value: over seeds, or with one seed that of drawing the test images; 0 where none is known."""
    if len(values) > 1:
        return statistics.stdev(values)
    return math.sqrt(sum(share * (100 - share) for share in shares) / images) if shares and images else 0.0


def seeds_needed(number: Number, mean: float, spread: float) -> int | str:
    """The fewest seeds whose t interval would decide a number, with this mean and standard deviation; "> 100" beyond."""
    for count in range(2, MOST_SEEDS + 1):
        half = half_width(count, spread)
        if decided(number, mean - half, mean + half) != "undecided":
            return count
    return f"> {MOST_SEEDS}"


@cache
def t_quantile(freedom: int) -> float:
    """Where Student's t with so many degrees of freedom has LEVEL of its mass between plus and minus; scipy would take half a second."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mass(middle, freedom) < LEVEL else (low, middle)
    return low


def mass(t: float, freedom: int) -> float:
    """P(|T| < t) of Student's t with whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(freedom))
    odd = freedom % 2
    term, total = (math.cos(angle), 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
