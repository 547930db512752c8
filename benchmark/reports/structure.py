"""results/structure.csv: parameters and operations of every network that the pins name, from its layers alone, beside what is printed.

What is counted was written by the rule `network`, one file a network (runs/structures.py), so that this file loads no torch.
"""

import csv
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmark.pins import cells, kinds
from benchmark.pins.kinds import PAPERS
from benchmark.pins.published import Number, numbers
from benchmark.reports.comparison import half_digit, sheet
from benchmark.runs import structures
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv

COLUMNS = (
    "backbone", "dataset", "time_steps", "params", "params_official", "params_published_M", "macs_G_per_step", "macs_attention_G_per_step",
    "ops_syops_G", "macs_syops_M", "ops_published_G", "macs_published_M", "implied_rate_pct", "verdict", "note", "source",
)  # fmt: skip
VERDICTS = {
    "match": "every printed number comes out to its last digit, rounded or cut",
    "mismatch": "some printed number does not; the note says why",
    "not printed": "the papers print no size or operation count that layers alone decide",
    "not told": "no source that was found tells its layers; the note says what was searched (papers/not_built.csv)",
    "not implemented": "no file for this backbone, or no form of it for this data set",
}
Counted = Callable[[str, str], dict]


def write(path: Path, root: Path) -> None:
    """The whole table as CSV, from the counts below `root`."""
    write_csv(path, lines(lambda backbone, dataset: counted(root, backbone, dataset)), list(COLUMNS))


def counted(root: Path, backbone: str, dataset: str) -> dict:
    """What was counted of a network. UserError: it cannot be built, or nobody has counted it yet."""
    structures.described(backbone, dataset)
    found = structures.read(root, backbone, dataset)
    if found is None:
        raise UserError(f"{structures.path(backbone, dataset)} does not exist: snakemake --cores 2 results/structure.csv")
    return found


def lines(counted: Counted) -> list[dict]:
    """One line per backbone, data set and number of time steps, in the order of names."""
    found, counted = defaultdict(list), cache(counted)
    for number in numbers():
        for backbone, steps in networks(number):
            found[backbone, number.dataset, steps].append(number)
    return [line(*key, found, counted) for key in sorted(found)]


def networks(number: Number):
    """(backbone, time steps) of the student and of the teacher behind a printed number; none where no steps can be told."""
    if number.cell:
        _, backbone, *teachers = number.cell.split(":")
        steps = time_steps(number, backbone)
        yield from [(backbone, steps)] if steps else []
        yield from ((teacher, 1) for teacher in teachers)


def time_steps(number: Number, backbone: str) -> int | None:
    """Steps as printed, or as the recipes read them; 1 for an ANN.

    None where nothing tells, and for a pair such as 4(8), whose parts have numbers of their own.
    """
    if number.time_steps.isdigit():
        return int(number.time_steps)
    if number.time_steps != "-":
        return None
    if is_ann(backbone):
        return 1
    try:
        cell = cells.cell_of(number)
    except cells.Lacking:
        return None
    return cell.time_steps if cell else None


def is_ann(backbone: str) -> bool:
    """True for a backbone without neurons, also for a name that has no file but says so."""
    try:
        return kinds.backbone(backbone).ann
    except UserError:
        return backbone.startswith("ann-")


def line(backbone: str, dataset: str, steps: int, found: dict, counted: Counted) -> dict:
    """One line: counted, printed, verdict."""
    about = {"backbone": backbone, "dataset": dataset, "time_steps": steps}
    printed = [number for number in numbers() if number.metric == "params_M" and names(number, backbone) and number.dataset == dataset]
    here = found[backbone, dataset, steps]
    sizes = {number.value: number for number in printed}
    operations = {metric: {n.value: n for n in here if n.metric == metric and names(n, backbone)} for metric in ("ops_G", "macs_M")}
    about |= {"params_published_M": " / ".join(sizes)}
    about |= {"ops_published_G": " / ".join(operations["ops_G"]), "macs_published_M": " / ".join(operations["macs_M"])}
    sources = dict.fromkeys(f"{number.name}:{number.row}" for number in [*printed, *here])
    about["source"] = " ".join(sources)
    if why := kinds.not_built().get(("backbone", backbone)):
        return {**about, "verdict": "not told", "note": why}
    try:
        of_one_step = counted(backbone, dataset)
    except UserError as error:
        return {**about, "verdict": "not implemented", "note": str(error).partition(":")[0] if "unknown" in str(error) else str(error)}
    columns, checks = counts(of_one_step, steps, sizes, operations)
    columns["params_official"] = known(backbone, dataset).get("official", "")
    verdict, note = judge(backbone, dataset, checks)
    if "ops_syops_G" not in columns:
        note.append("an ANN to convert: the operations of its T steps are those of the conversion's neurons")
    return {**about, **columns, "verdict": verdict, "note": "; ".join([*note, *official_note(backbone, dataset)])}


def names(number: Number, backbone: str) -> bool:
    """True if a printed number is about this network, not one whose teacher it is."""
    return number.cell.split(":")[1:2] == [backbone]


def counts(counted: dict, steps: int, sizes: dict, operations: dict) -> tuple[dict, list]:
    """Columns, and the (printed text, counted value) pairs that layers alone decide."""
    per_step = counted["layers_macs"] + counted["products_macs"]
    columns = {
        "params": counted["parameters"],
        "macs_G_per_step": rounded(counted["layers_macs"] / 1e9),
        "macs_attention_G_per_step": rounded(counted["products_macs"] / 1e9),
    }
    checks = [(text, counted["parameters"] / 1e6) for text in sizes]
    if counted["ann"] and steps > 1:
        return columns, checks  # converted: the operations are those of the conversion's neurons
    columns |= {"ops_syops_G": rounded(steps * counted["syops_ops"] / 1e9), "macs_syops_M": rounded(steps * counted["syops_macs"] / 1e6)}
    for text, number in operations["ops_G"].items():
        if syops(number):
            checks.append((text, steps * counted["syops_ops"] / 1e9))
        elif counted["ann"]:
            checks.append((text, per_step / 1e9))
        else:
            columns["implied_rate_pct"] = rounded(100 * number.number / (steps * per_step / 1e9))
    checks += [(text, steps * counted["syops_macs"] / 1e6) for text, number in operations["macs_M"].items() if syops(number)]
    return columns, checks


def syops(number: Number) -> bool:
    """True if the paper counts this number as syops-counter does, by its layers alone."""
    return sheet(number.paper).get("conventions", {}).get(number.metric) == "syops"


def judge(backbone: str, dataset: str, checks: list[tuple[str, float]]) -> tuple[str, list[str]]:
    """Verdict and notes."""
    outcomes = [agreement(text, value) for text, value in checks]
    notes = [f"{text} is {value:.4f} cut, not rounded" for (text, value), outcome in zip(checks, outcomes, strict=True) if outcome == "cut"]
    wrong = [(text, value) for (text, value), outcome in zip(checks, outcomes, strict=True) if outcome == "no"]
    notes += [f"{text} printed, {value:.2f} counted: {explanation(backbone, dataset, text)}" for text, value in wrong]
    notes += [text for text in [explanation(backbone, dataset, "*")] if text]
    return ("mismatch" if wrong else "match" if checks else "not printed"), notes


def agreement(text: str, value: float) -> str:
    """How a printed number follows from a value: `rounded`, `cut`, or `no`."""
    half = half_digit(text)
    if abs(value - float(text)) <= half + 1e-9:
        return "rounded"
    return "cut" if 0 <= value - float(text) < 2 * half else "no"


def rounded(value: float) -> float:
    return float(f"{value:.6g}")


@cache
def notes() -> list[dict]:
    """papers/structure_notes.csv: why a printed number differs. backbone, dataset, printed (* for a remark on the line), note."""
    with (PAPERS / "structure_notes.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def explanation(backbone: str, dataset: str, printed: str) -> str:
    """Why a printed number differs, empty if nobody has said."""
    found = [n["note"] for n in notes() if n["backbone"] == backbone and n["dataset"] in (dataset, "*") and n["printed"] == printed]
    return "; ".join(found)


@cache
def known_parameters() -> list[dict]:
    """papers/parameters.csv: parameters to the unit, and of the official code where it runs: backbone, layout, classes, params, official,
    dead (what the official code counts and never calls), note."""
    with (PAPERS / "parameters.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def known(backbone: str, dataset: str) -> dict:
    """The line of parameters.csv for a backbone on a data set; empty if there is none."""
    entry, _ = kinds.dataset(dataset)
    key = (backbone, entry["layout"], str(entry["classes"]))
    return next((line for line in known_parameters() if (line["backbone"], line["layout"], line["classes"]) == key), {})


def official_note(backbone: str, dataset: str) -> list[str]:
    line = known(backbone, dataset)
    return [line["note"]] if line.get("dead") else []
