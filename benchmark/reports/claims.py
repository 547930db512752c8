"""What our runs say of each claim: the paired difference over seeds with its interval, as results/claims.csv. No torch, no pandas."""

import statistics
from collections import Counter
from decimal import Decimal
from pathlib import Path

from benchmark import metrics
from benchmark.pins import kinds
from benchmark.pins.settings import Settings
from benchmark.reports import significance
from benchmark.reports.audit.interval import printed
from benchmark.reports.claimed import Claim, accuracy_of, unique
from benchmark.reports.claimed import claims as all_claimed
from benchmark.reports.comparison import SLACK, interval
from benchmark.reports.markdown import aligned, shown
from benchmark.reports.measured import Measured, shortened
from benchmark.reports.told import paragraphs
from benchmark.runs import predictions
from benchmark.runs.lines import Line
from benchmark.runs.run import Run
from benchmark.shared.errors import Damaged
from benchmark.shared.files import replacing, write_csv

VERDICTS = {
    "supported": "the interval lies wholly above 0: A is ahead in our runs too",
    "contradicted": "the interval lies wholly below 0: B is ahead in our runs",
    "undecided": "the interval contains 0",
    "undecided (one seed)": "one seed gives a difference and no interval",
    "failed": "a run ended with an error; see its error.txt",
    "damaged": "a run's metrics.json is not what it wrote, and is not believed",
    "not run": "no seed with a run on both sides yet",
    "not implemented": "something that one side needs has no file yet",
}
LACKING = ("not implemented", "damaged", "failed")  # what keeps a claim from being decided, the most final first
NOT_COMPARABLE = "not comparable"
SIDE = ("row", "method", "backbone", "options")
COLUMNS = (
    *("paper", "table", "dataset", "time_steps", *(f"a_{name}" for name in SIDE), *(f"b_{name}" for name in SIDE)),
    *("printed_a", "printed_b", "printed_difference", "said_difference", "scale", "data", "n_seeds", "a", "b"),
    *("difference", "low", "high", "p", "q", "resolves", "images_low", "images_high", "images_p", "both_low", "both_high"),
    *("verdict", "amount", "differs", "why", "source"),
)


def runs(settings: Settings) -> dict[Path, Run]:
    """The runs that decide claims, by their folders: of both lines, where both can run."""
    pairs = [(claim.a, claim.b) for claim in all_claimed(settings) if claim.a.runs and claim.b.runs]
    return {run.folder: run for pair in pairs for line in pair for run in line.runs}


def rows(settings: Settings, root: Path, made: dict[str, list[Line]] | None = None) -> list[dict]:
    """One line per claim from whatever runs exist so far; `q` is p with false discoveries controlled among the claims of a paper.

    made: lines of tables that the caller has already.
    """
    return controlled([row(claim, settings.scale, root) for claim in all_claimed(settings, made)])


def controlled(found: list[dict]) -> list[dict]:
    """The lines with their q, from the p of all."""
    for paper in unique(line["paper"] for line in found):
        own = [line for line in found if line["paper"] == paper]
        for line, value in zip(own, significance.controlled([line["p"] for line in own]), strict=True):
            line["q"] = value
    return found


def row(claim: Claim, scale: str, root: Path) -> dict:
    """One line; `scale` is written down and decides nothing."""
    sides = [Measured.of(line, root) for line in (claim.a, claim.b)]
    a, b = (side.values(metrics.metric("accuracy")) for side in sides)
    pairs = [(a[seed], b[seed]) for seed in sorted(a.keys() & b.keys())]
    differences = [one - other for one, other in pairs]
    low, high = interval(differences) if len(pairs) > 1 else (None, None)
    images, damaged = answered(sides, sorted(a.keys() & b.keys()), root)
    means = [statistics.mean(values) for values in zip(*pairs, strict=True)] or [None, None]
    return {
        **described(claim),
        "scale": scale,
        "data": " / ".join(unique(side.line.resolved.spec["data"]["name"] for side in sides if side.line.resolved)),
        "n_seeds": len(pairs),
        "a": means[0],
        "b": means[1],
        "difference": statistics.mean(differences) if pairs else None,
        "low": low,
        "high": high,
        "p": significance.over_seeds(differences),
        "resolves": None if low is None else (high - low) / 2,
        **images,
        "verdict": lacking(sides) or (judged(low, high) if pairs else "not run"),
        "amount": amount(claim, low, high, sides),
        "differs": "; ".join(differing(*(side.differences for side in sides))),
        "why": "; ".join(unique(filter(None, (*(side.why for side in sides), damaged)))),
    }


def answered(sides: list[Measured], seeds: list[int], root: Path) -> tuple[dict, str]:
    """What the answers to each test image say, of the seeds that both sides have, and what is wrong with them."""
    try:
        kept = [[predictions.right(root / each.line.runs[seed].folder, each.runs[seed]) for seed in seeds] for each in sides]
    except Damaged as error:
        return {}, str(error)
    if not seeds or any(found is None for side in kept for found in side):
        return {}, ""
    import numpy as np

    if any(not np.array_equal(labels, kept[0][0][1]) for side in kept for _, labels in side):
        return {}, "the two sides answered other test images"
    a, b = (np.stack([right for right, _ in side]) for side in kept)
    values = significance.over_images(a, b) + (significance.over_both(a, b) if len(seeds) > 1 else (None, None))
    return dict(zip(("images_low", "images_high", "images_p", "both_low", "both_high"), values, strict=True)), ""


def described_all(settings: Settings) -> list[dict]:
    """What is claimed, whatever ran."""
    return [described(claim) for claim in all_claimed(settings)]


def described(claim: Claim) -> dict:
    """The columns that no run changes. Where the sides differ in what both have, "a / b"."""
    a, b = accuracy_of(claim.a), accuracy_of(claim.b)
    shared = {name: " / ".join(unique(str(getattr(side, name)) for side in (a, b))) for name in ("paper", "table", "dataset", "time_steps")}
    each = {f"{letter}_{name}": getattr(side, name) for letter, side in (("a", a), ("b", b)) for name in SIDE}
    numbers = {"printed_a": a.value, "printed_b": b.value, "printed_difference": str(Decimal(a.value) - Decimal(b.value))}
    source = " ".join(unique((a.source, b.source, *claim.where)))
    return {**shared, **each, **numbers, "said_difference": " / ".join(claim.said), "source": source}


def judged(low: float | None, high: float | None) -> str:
    """The verdict of an interval."""
    if low is None:
        return "undecided (one seed)"
    return "supported" if low > 0 else "contradicted" if high < 0 else "undecided"


def lacking(sides: list[Measured]) -> str:
    """What keeps a claim from being decided, in the words of the tables: of the side that is further from it; empty for nothing."""
    states = {side.unfinished for side in sides}
    return next((word for word in LACKING if word in states), "")


def amount(claim: Claim, low: float | None, high: float | None, sides: list[Measured]) -> str:
    """Whether the printed difference, within its rounding, lies in our interval; else whether ours is larger or smaller."""
    if any(side.differences for side in sides):
        return NOT_COMPARABLE
    if low is None:
        return ""
    stated = printed(accuracy_of(claim.a).value) - printed(accuracy_of(claim.b).value)
    return "larger" if low > stated.high + SLACK else "smaller" if high < stated.low - SLACK else "match"


def differing(a: list[str], b: list[str]) -> list[str]:
    """What was run otherwise than printed, on both sides or, marked, on one."""
    return [*(one for one in a if one in b), *(f"A: {one}" for one in a if one not in b), *(f"B: {one}" for one in b if one not in a)]


# ---- how it is written


def write(settings: Settings, root: Path, name: str = "claims") -> str:
    """results/<name>.csv and .md under `root`; returns the counts."""
    found = rows(settings, root)
    write_as(found, settings, root / "results" / name)
    return tally(found)


def write_as(found: list[dict], settings: Settings, path: Path) -> None:
    """`path` with .csv and with .md."""
    write_csv(
        path.with_name(f"{path.name}.csv"), [{key: rounded(key, value) for key, value in line.items()} for line in found], list(COLUMNS)
    )
    with replacing(path.with_name(f"{path.name}.md")) as file:
        file.write(readable(found, settings))


def rounded(key: str, value):
    """Points to three places, probabilities to three digits."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.3g}") if key in ("p", "q", "images_p") else round(value, 3)


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
    "obtained": lambda line: shown(line["difference"], 2),
    "95 % interval": lambda line: "-" if line["low"] is None else f"{line['low']:.2f} to {line['high']:.2f}",
    "over images": lambda line: f"{line['images_low']:.2f} to {line['images_high']:.2f}" if line.get("images_low") is not None else "-",
    "verdict": lambda line: line["verdict"],
    "amount": lambda line: f"{line['amount']}: {shortened(line['differs'].split('; '))}" if line["differs"] else line["amount"] or "-",
    "source": lambda line: line["source"],
}


def readable(found: list[dict], settings: Settings) -> str:
    """The claims in Markdown: counts, what they mean, columns aligned."""
    decided = [line for line in found if line["difference"] is not None]
    if not decided:
        return f"# Claims\n\n{tally(found)}\n\nNo claim has a run on both sides yet; claims.csv beside this lists them.\n"
    meaning = "\n".join(f"- {verdict}: {said}" for verdict, said in VERDICTS.items() if any(line["verdict"] == verdict for line in found))
    body = [tuple(shown(line) for shown in READABLE.values()) for line in decided]
    rest = len(found) - len(decided)
    waiting = f"\n{rest} more have no run on both sides: they are in claims.csv beside this.\n" if rest else ""
    return (
        f"# Claims\n\n{tally(found)}\n\n{paragraphs(found)}\n\n{about(settings)}\n\n{meaning}\n\n{aligned(tuple(READABLE), body)}{waiting}"
    )


def about(settings: Settings) -> str:
    """What the columns hold and what may be concluded from such runs."""
    text = (
        f"Scale {settings.scale}. A is claimed to beat B. printed: accuracy of A minus that of B as the tables print them, in points (below 0: "
        "the tables themselves have B ahead); said: by how much a sentence puts A ahead; obtained: mean over seeds of A minus B of the same "
        "seed, each at the epoch that its paper reports; all seeds of a student share one teacher, a conversion has a network for each. "
        "The level holds for each claim by itself: of twenty "
        "pairs without a difference one is expected outside, and q in claims.csv takes all claims of a paper together. over images: the same "
        "trained networks on other test images, of the last epoch. Where A and B stand in different tables or at different time steps, A's "
        "comes first."
    )
    if settings.twin and any(kinds.dataset(used)[0]["stand_in"] for used in settings.data.values()):
        text += " Tiny twins on stand-in data: a verdict says that the code path works, and nothing about the paper."
    return text


def side(line: dict, letter: str) -> str:
    """Row, method, backbone and options of one side."""
    row_, *words = (line[f"{letter}_{name}"] for name in SIDE)
    return " ".join([f"r{row_}", *(word for word in words if word not in ("", "-"))])
