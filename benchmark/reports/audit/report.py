"""All findings and controls in a fixed order, gathered into facts, written as results/audit.csv and results/audit.md."""

import csv
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from benchmark.reports.audit import arithmetic, digits, names, order, resolution, same, sheets
from benchmark.reports.audit import sentences as claims
from benchmark.reports.audit.finding import COLUMNS, DISPUTING, KINDS, SEVERITIES, Finding
from benchmark.reports.audit.finding import name as named
from benchmark.shared.errors import UserError

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
    "blank": "every printed row has a number",
    "full_method": "the proposed setting is not below its ablations",
    "more_steps": "accuracy and cost do not fall with more time steps",
    "rate_and_acs": "more spikes, more accumulates",
    "rate_ratio": "accumulates per point of firing rate are alike on one network",
    "size_in_name": "the size in a printed name is that of the network",
    "letters": "the letters of a printed name are those of the caption",
    "possible": "a number of test clips gives the accuracy",
    "resolution": "a claimed lead is larger than one accuracy's binomial error",
    "best_epoch": "the accuracy is that of the last epoch",
    "setting": "a setting stated for all experiments is that of each",
    "claim": "the prose agrees with the tables",
    "read": "what readers of the paper found to contradict itself, its tables or its code",
}
TEN = 10


@dataclass(frozen=True)
class Fact:
    """What is found once, however many lines show it: `findings`, the one that tells it first."""

    name: str
    kind: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> str:
        return self.findings[0].severity

    @property
    def rests_on(self) -> str:
        return self.findings[0].rests_on

    @property
    def lines(self) -> str:
        return " ".join(dict.fromkeys(line for item in self.findings for line in item.lines.split()))

    @property
    def sentence(self) -> str:
        """That of the first finding, and in short what else shows it."""
        first = self.findings[0]
        computed = [item for item in self.findings[1:] if item.check != "read"]
        parts = [first.sentence, *_likewise([item for item in computed if item.check == first.check])]
        parts += {item.check: item.sentence for item in reversed(computed) if item.check != first.check}.values()
        if self.rests_on:
            parts.append(f"This rests on a number that is itself disputed ({self.rests_on}).")
        return " ".join(parts)


def _likewise(items: list[Finding]) -> list[str]:
    """Further findings of the same check: what else the text says, or where else in the tables."""
    if items and items[0].check == "claim":
        return [f"It also says {item.sentence.partition('the text says ')[2]}" for item in items]
    places = [_where(item) + (f": {item.printed} for {item.expected}" if item.difference else "") for item in items]
    return [f"Likewise {'; '.join(places)}."] if places else []


def _where(item: Finding) -> str:
    """'Table 2, row 8 (PVT, PVT-Large)'"""
    return named(item.pins[0]).removeprefix(f"{item.paper} ")


# ---- what is found


@cache
def everything() -> tuple[Finding, ...]:
    """Findings and controls, by paper, table, row and check; what is equal keeps the order of the pins."""
    modules = (arithmetic, same, digits, order, names, resolution, sheets, claims)
    found = [resolution.with_images(item) for module in modules for item in module.checks()]
    return tuple(sorted(resting(with_kinds(found)), key=_place))


def with_kinds(found: list[Finding]) -> list[Finding]:
    """A contradiction that names the fact of a rule has that fact's kind. UserError: no rule finds it."""
    kinds: dict[str, str] = {}
    for item in found:
        if item.status == "finding" and item.kind:
            kinds[item.fact] = min(item.kind, kinds.get(item.fact, item.kind), key=list(KINDS).index)
    lost = [item.fact for item in found if item.status == "finding" and item.fact not in kinds]
    if lost:
        raise UserError(f"contradictions in paper.yaml: no rule finds {', '.join(map(repr, lost))}; name its fact, or give its kind")
    return [item if item.kind else replace(item, kind=kinds[item.fact]) for item in found]


def resting(found: list[Finding]) -> list[Finding]:
    """Each with the facts that dispute one of its numbers and rank above it."""
    disputed: dict = {}
    for item in found:
        if item.status == "finding" and item.kind in DISPUTING:
            for pin in item.pins:
                disputed.setdefault(pin, {})[item.fact] = item.kind
    return [replace(item, rests_on=" | ".join(_doubts(item, disputed))) for item in found]


def _doubts(item: Finding, disputed: dict) -> list[str]:
    above = {fact: None for pin in item.pins for fact, kind in disputed.get(pin, {}).items() if _rank(kind) < _rank(item.kind)}
    return [fact for fact in above if fact != item.fact]


def _rank(kind: str) -> int:
    return list(KINDS).index(kind)


def _place(item: Finding):
    first = [int(text.split()[0]) if text else 0 for text in (item.table, item.row)]
    return (item.paper, item.check in ("claim", "read"), *first, list(CHECKS).index(item.check))


def findings() -> list[Finding]:
    return [item for item in everything() if item.status == "finding"]


def controls() -> list[Finding]:
    return [item for item in everything() if item.status == "ok"]


@cache
def facts() -> tuple[Fact, ...]:
    """By what a fact means for a reader: the order of KINDS; of one kind, first the larger in units of what one would notice."""
    groups: dict[str, list[Finding]] = {}
    for item in findings():
        groups.setdefault(item.fact, []).append(item)
    return tuple(sorted((_fact(name, items) for name, items in groups.items()), key=_weight))


def _fact(name: str, items: list[Finding]) -> Fact:
    """What a rule computed tells it rather than what was read, the graver and then the larger first."""
    told = sorted(items, key=lambda item: (item.check == "read", _rank(item.kind), SEVERITIES.index(item.severity), -item.effect))
    return Fact(name, told[0].kind, tuple(told))


def _weight(fact: Fact):
    return (_rank(fact.kind), fact.findings[0].check == "read", -max(item.effect for item in fact.findings), fact.name)


def ten_most_important() -> list[Fact]:
    return list(facts()[:TEN])


# ---- how it is written


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
    counts = Counter(fact.severity for fact in facts())
    head = [
        "# What the published numbers say about each other",
        "",
        f"{summary()} ({', '.join(f'{counts[name]} {name}' for name in SEVERITIES)}). A printed number stands for every value that rounds to "
        "it; a rule finds something only where no such value fits. Facts stand in the order of what they mean for a reader; within a kind "
        "the larger comes first, in units of what one would notice: half a point of accuracy, a hundredth of anything else.",
        "",
    ]
    return "\n".join(head + _listed() + _counts() + _passed())


def summary() -> str:
    """'The audit has 90 facts in 150 findings, and 800 controls that check out'"""
    return f"The audit has {len(facts())} facts in {len(findings())} findings, and {len(controls())} controls that check out"


def _table(header, lines) -> list[str]:
    cells = [header, ["---"] * len(header), *lines]
    return [f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in cells] + [""]


def _listed() -> list[str]:
    lines = []
    for kind, means in KINDS.items():
        part = [fact for fact in facts() if fact.kind == kind]
        cells = [[fact.severity, fact.sentence, _read(fact), _images(fact), fact.lines] for fact in part]
        if part:
            lines += [f"## {kind} ({len(part)}): {means}", ""] + _table(["severity", "fact", "as read", "test images", "lines"], cells)
    return lines


def _read(fact: Fact) -> str:
    """What somebody read of a fact that a rule tells."""
    return " ".join(item.sentence.partition(": ")[2] for item in fact.findings[1:] if item.check == "read")


def _images(fact: Fact) -> str:
    """'6 (1.25 points resolved)'"""
    first = fact.findings[0]
    return f"{first.images} ({first.resolves} points resolved)" if first.images else ""


def _counts() -> list[str]:
    papers = sorted({item.paper for item in everything()})
    seen = Counter((item.check, item.paper, item.status) for item in everything())
    lines = [[check, *(_pair(seen, check, paper) for paper in papers), asks] for check, asks in CHECKS.items()]
    total = ["all", *(_pair(Counter((paper, status) for _, paper, status in seen.elements()), paper) for paper in papers), ""]
    return ["## Findings / controls per check", ""] + _table(["check", *papers, "what it asks"], [*lines, total])


def _pair(counts, *key) -> str:
    found, passed = counts[(*key, "finding")], counts[(*key, "ok")]
    return f"{found} / {passed}" if found or passed else ""


def _passed() -> list[str]:
    groups = {}
    for item in controls():
        groups.setdefault((item.check, item.paper, item.table), []).append(item.row)
    lines = [
        [check, paper, table, len(rows), " ".join(sorted(dict.fromkeys(" ".join(rows).split()), key=int))]
        for (check, paper, table), rows in sorted(groups.items(), key=lambda pair: (list(CHECKS).index(pair[0][0]), pair[0]))
    ]
    return [f"## Controls ({len(controls())})", ""] + _table(["check", "paper", "table", "passed", "rows"], lines)
