"""Published against obtained: one comparator for every number of every table. Pure functions; loads nothing heavy.

A number agrees if it lies within its tolerance, on either side. The tolerance is the largest of: half the last printed digit,
twice the paper's own spread, twice the spread over our seeds, and a floor per metric and data set; a row may have its own in
`benchmark/papers/<paper>/tolerances.csv`, only with a note.
"""

import csv
from functools import cache

from benchmark.pins.published import PAPERS, Number, read
from benchmark.shared.errors import UserError

VERDICTS = {
    "match": "inside the tolerance",
    "better": "outside, on the good side (higher accuracy, less energy)",
    "worse": "outside, on the other side, or either side of a number that has no good one (parameters)",
    "missing": "the run does not measure this",
    "failed": "a run ended with an error; see its error.txt",
    "not run": "no run yet",
    "not comparable at this scale": "another data set, a twin of the backbone or fewer epochs than printed",
    "not implemented": "a method, backbone or data set that the row needs has no file yet",
}
GOOD_SIDE = {  # +1: more is better, -1: less is
    **dict.fromkeys(("accuracy", "accuracy_ann", "accuracy_gain", "accuracy_step_mean", "speedup"), 1),
    **dict.fromkeys(
        (
            "ops_G",
            "ops_M",
            "macs_M",
            "acs_M",
            "power_mJ",
            "energy_mJ",
            "energy_uJ",
            "energy_ratio",
            "training_time_s",
            "training_time_h",
            "accuracy_step_spread",
        ),
        -1,
    ),
}
ACCURACY_FLOOR = {"CIFAR10": 0.3, "CIFAR100": 0.6, "ImageNet": 0.4, "CIFAR10-DVS": 1.5, "DVS128": 1.0}  # about two deviations over seeds
RELATIVE_FLOOR = {  # share of the published value: counted on trained networks, whose firing rates differ from run to run
    **dict.fromkeys(("ops_G", "ops_M", "acs_M", "power_mJ", "energy_mJ", "energy_uJ", "energy_ratio", "firing_rate_pct"), 0.10),
    **dict.fromkeys(("training_time_s", "training_time_h", "speedup"), 0.5),
    **dict.fromkeys(("epoch",), 0.25),
}
UNTRAINED = ("params_M", "complexity_M", "epoch_pretrain", "epoch_finetune", "mask_ratio_pct")  # the same at every scale
UNTRAINED_OF = {"tser": ("ops_G", "macs_M")}  # likewise: dense operations, where other papers' OPs depend on firing rates


def tolerance(number: Number, spread: float = 0.0) -> float:
    """How far an obtained value may lie from this printed number, in the number's unit. spread: standard deviation over our seeds."""
    override = overrides(number.paper).get((number.table, number.row, number.dataset, number.time_steps, number.metric))
    if override is not None:
        return override
    floor = ACCURACY_FLOOR.get(number.dataset, 0.5) if number.metric.startswith("accuracy") else 0.0
    if not untrained(number):
        floor = max(floor, RELATIVE_FLOOR.get(number.metric, 0.0) * abs(number.number))
    return max(half_digit(number.value), 2 * printed_spread(number), 2 * spread, floor)


def untrained(number: Number) -> bool:
    """True for a number that the network's layers decide, which is the same at every scale."""
    return number.metric in (*UNTRAINED, *UNTRAINED_OF.get(number.paper, ()))


def half_digit(text: str) -> float:
    """Half a unit of the last printed digit: 93.5 -> 0.05."""
    decimals = len(text.partition(".")[2])
    return 0.5 * 10**-decimals


def printed_spread(number: Number) -> float:
    """The standard deviation that the paper prints beside this accuracy, 0 if none."""
    if number.metric != "accuracy":
        return 0.0
    place = (number.row, number.dataset, number.time_steps, number.cell, number.options)
    same = [
        n.number for n in read(number.name) if n.metric == "accuracy_std" and (n.row, n.dataset, n.time_steps, n.cell, n.options) == place
    ]
    return same[0] if same else 0.0


def verdict(number: Number, value: float | None, spread: float, scale: str) -> str:
    """Match, better, worse, missing or not comparable, for a mean over seeds (None: the runs do not measure it) and its deviation."""
    if scale != "paper" and not untrained(number):
        return "not comparable at this scale"
    if value is None:
        return "missing"
    difference = value - number.number
    if abs(difference) <= tolerance(number, spread) + 1e-9:  # 1e-9: decimal digits are not exact in binary
        return "match"
    return "better" if difference * GOOD_SIDE.get(number.metric, 0) > 0 else "worse"


@cache
def overrides(paper: str) -> dict:
    """Tolerances of single rows: (table, row, dataset, time_steps, metric) -> tolerance. UserError for one without a note."""
    path = PAPERS / paper / "tolerances.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        if not line["note"].strip():
            raise UserError(f"{path}: table {line['table']} row {line['row']} {line['metric']}: a tolerance needs a note that says why")
    keys = ("dataset", "time_steps", "metric")
    return {(int(line["table"]), int(line["row"]), *(line[key] for key in keys)): float(line["tolerance"]) for line in lines}
