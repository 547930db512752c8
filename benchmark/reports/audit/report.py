"""All findings and controls in a fixed order, written as results/audit.csv and results/audit.md."""

import csv
import os
from collections import Counter
from functools import cache
from pathlib import Path

from benchmark.reports.audit import arithmetic, digits, names, order, same
from benchmark.reports.audit import sentences as claims
from benchmark.reports.audit.finding import COLUMNS, SEVERITIES, Finding

CHECKS = {  # check: what it asks
    "energy": "energy = ACs at 0.9 pJ + MACs at 4.6 pJ",
    "attention_energy": "energy of one attention product = operations at 4.6 or 0.9 pJ",
    "power": "power = operations at 4.6 pJ (ANN) or 0.9 pJ (SNN)",
    "gain": "printed gain = difference of the accuracies",
    "speedup": "printed speed-up = ratio of the training times",
    "reference": "the ANN's own energy ratio is 1",
    "complexity": "operations of a module = its printed formula",
    "complexity_shape": "the printed formula fits the module",
    "same_value": "the same network, method, data set and steps have one value",
    "other_teacher": "the same method and student under another teacher",
    "row_twice": "no row repeats the row above",
    "copied": "two methods do not share their digits",
    "same_digits": "one method does not repeat digits for another network or data set",
    "full_method": "the proposed setting is not below its ablations",
    "more_steps": "accuracy and cost do not fall with more time steps",
    "rate_and_acs": "more spikes, more accumulates",
    "rate_ratio": "accumulates per point of firing rate are alike on one network",
    "size_in_name": "the size in a printed name is that of the network",
    "letters": "the letters of a printed name are those of the caption",
    "claim": "the prose agrees with the tables",
}
PER_PAPER, PER_CHECK = 3, {"claim": 2}  # of the most important findings; one of every other check and paper


@cache
def everything() -> tuple[Finding, ...]:
    """Findings and controls, by paper, table, row and check; what is equal keeps the order of the pins."""
    found = [item for module in (arithmetic, same, digits, order, names, claims) for item in module.checks()]
    return tuple(sorted(found, key=_place))


def _place(item: Finding):
    first = [int(text.split()[0]) if text else 0 for text in (item.table, item.row)]
    return (item.paper, list(CHECKS).index(item.check) == len(CHECKS) - 1, *first, list(CHECKS).index(item.check))


def findings() -> list[Finding]:
    return [item for item in everything() if item.status == "finding"]


def controls() -> list[Finding]:
    return [item for item in everything() if item.status == "ok"]


def ranked() -> list[Finding]:
    """By severity, then by difference over expected value."""
    return sorted(findings(), key=lambda item: (SEVERITIES.index(item.severity), -item.effect))


def ten_most_important() -> list[Finding]:
    """The first ten by rank, with at most three of a paper, and of one kind of check two claims or one other of a paper."""
    taken = []
    for item in ranked():
        mine = [other for other in taken if other.paper == item.paper]
        alike = [other for other in mine if other.check == item.check]
        if len(mine) < PER_PAPER and len(alike) < PER_CHECK.get(item.check, 1):
            taken.append(item)
    return taken[:10]


def write(csv_path, md_path) -> None:
    """Both files, each under a temporary name first, so that a reader never sees half of one."""
    _replace(csv_path, _write_csv)
    _replace(md_path, lambda file: file.write(markdown()))


def _replace(path, fill) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("w", newline="", encoding="utf-8") as file:
            fill(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_csv(file) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(item, column) for column in COLUMNS] for item in everything())


def markdown() -> str:
    counts = Counter(item.severity for item in findings())
    head = [
        "# What the published numbers say about each other",
        "",
        f"{len(findings())} findings ({', '.join(f'{counts[name]} {name}' for name in SEVERITIES)}) and {len(controls())} controls "
        "(checks that pass), computed from the pins in `benchmark/papers`. A printed number stands for every value that rounds to it; "
        "a finding remains only where no such value fits.",
        "",
    ]
    return "\n".join(head + _counts() + _listed() + _passed())


def _table(header, lines) -> list[str]:
    cells = [header, ["---"] * len(header), *lines]
    return [f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in cells] + [""]


def _counts() -> list[str]:
    papers = sorted({item.paper for item in everything()})
    seen = Counter((item.check, item.paper, item.status) for item in everything())
    lines = [[check, *(_pair(seen, check, paper) for paper in papers), asks] for check, asks in CHECKS.items()]
    total = ["all", *(_pair(Counter((paper, status) for _, paper, status in seen.elements()), paper) for paper in papers), ""]
    return ["## Findings / controls per check", ""] + _table(["check", *papers, "what it asks"], [*lines, total])


def _pair(counts, *key) -> str:
    found, passed = counts[(*key, "finding")], counts[(*key, "ok")]
    return f"{found} / {passed}" if found or passed else ""


def _listed() -> list[str]:
    lines = []
    for severity in SEVERITIES:
        part = [item for item in findings() if item.severity == severity]
        rows = [[item.paper, item.table, item.row, item.check, item.printed, item.expected, item.sentence, item.lines] for item in part]
        lines += [f"## {severity} ({len(part)})", ""]
        lines += _table(["paper", "table", "row", "check", "printed", "expected", "what", "lines"], rows)
    return lines


def _passed() -> list[str]:
    groups = {}
    for item in controls():
        groups.setdefault((item.check, item.paper, item.table), []).append(item.row)
    lines = [
        [check, paper, table, len(rows), " ".join(sorted(dict.fromkeys(" ".join(rows).split()), key=int))]
        for (check, paper, table), rows in sorted(groups.items(), key=lambda pair: (list(CHECKS).index(pair[0][0]), pair[0]))
    ]
    return [f"## Controls ({len(controls())})", ""] + _table(["check", "paper", "table", "passed", "rows"], lines)
