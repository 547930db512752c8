"""What a test set can resolve: how many images a difference is, and which differences and accuracies it can show at all.

An accuracy is k of n test images. Its binomial error, 100 sqrt(p (1 - p) / n) points, is how far another test set of the same size would
have put it; two networks on one test set agree on many images, so that the error of their difference is at most that of two test sets.
"""

import csv
import math
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import groupby
from statistics import NormalDist

from benchmark.pins import kinds, published
from benchmark.reports.audit import sentences
from benchmark.reports.audit.finding import ACCURACIES, Finding, name, one, plain, rows
from benchmark.reports.audit.interval import decimals, printed, show
from benchmark.reports.audit.sheets import place, sheet

LEVEL = 0.95
READ = ("accuracy", "accuracy_ann")  # what a test set gives directly


# ---- functions that others use


@cache
def size(dataset: str) -> int:
    """Images of the test set: as the data set's file declares it, or as papers/test_sets.csv says. UserError for an unknown one."""
    listed = _listed()
    return listed[dataset] if dataset in listed else kinds.dataset(dataset)[0]["test"]


@cache
def _listed() -> dict[str, int]:
    with (published.PAPERS / "test_sets.csv").open(newline="", encoding="utf-8") as file:
        return {line["dataset"]: int(line["test"]) for line in csv.DictReader(file)}


def images(difference: float | str, dataset: str) -> float:
    """A difference of accuracies in points as a number of test images: 0.06 on CIFAR100 are 6."""
    return float(abs(Fraction(str(difference))) * size(dataset) / 100)


def error(accuracy: float | str, dataset: str) -> float:
    """Binomial standard error of one accuracy (%), in points: 0.22 for 95 on CIFAR10."""
    share = float(accuracy) / 100
    return 100 * math.sqrt(share * (1 - share) / size(dataset))


def smallest(accuracy: float | str, dataset: str) -> float:
    """The smallest difference in points, at this accuracy, that two test sets of this size tell from none at 95 %: 0.60 for 95 on CIFAR10."""
    return NormalDist().inv_cdf((1 + LEVEL) / 2) * math.sqrt(2) * error(accuracy, dataset)


def possible(text: str, dataset: str) -> str:
    """'rounded' if some number of images gives the printed accuracy, 'cut' if only by leaving digits away, '' if none does."""
    span, unit, n = printed(text), Fraction(1, 10 ** decimals(text)), size(dataset)
    shares = [Fraction(100 * k, n) for k in range(math.floor(span.low * n / 100), math.ceil((span.value + unit) * n / 100) + 1)]
    if any(span.low <= share <= span.high for share in shares):
        return "rounded"
    return "cut" if any(span.value <= share < span.value + unit for share in shares) else ""


# ---- checks


def checks():
    for pin in published.numbers():
        if pin.metric in READ:
            yield from given(pin.value, pin, [pin], f"{name(pin)}, {pin.dataset}", f"{pin.value} on {pin.dataset}")
    for claim in _claims():
        yield from stated(claim)
        yield from leads(claim)
    yield from gains()
    yield from best_epochs()


def _claims():
    for paper in sorted(path.parent.name for path in published.PAPERS.glob("*/claims.csv")):
        yield from sentences.read(paper)


def given(text: str, pin, pins, where: str, fact: str, lines: str = ""):
    """Whether a test set so coarse that it could fail gives this accuracy."""
    if Fraction(100, size(pin.dataset)) <= Fraction(1, 10 ** decimals(text)):
        return
    how, n = possible(text, pin.dataset), size(pin.dataset)
    if how == "rounded":
        severity, why = None, "a number of test clips gives it"
    elif how == "cut":
        k = math.ceil(Fraction(text) * n / 100)
        share = show(Fraction(100 * k, n), 3)
        severity, why = "inconsistency", f"{k} of {n} test clips are {share}, which is {text} only if it is cut and not rounded"
    else:
        severity, why = "error", f"no number of the {n} test clips gives it"
    found = plain(pins, "possible", text, severity, f"{where}: {text} is printed; {why}.", kind="resolution", fact=fact, expected="k of n")
    yield replace(found, lines=lines or found.lines)


def stated(claim):
    """The same for an accuracy that a sentence gives to a pin."""
    tree, values = sentences.parse(claim.relation, claim.paper)
    for text, pin in sentences.equated(tree, values):
        if pin.metric in READ:
            lines = " ".join(f"{claim.paper}.txt:{line}" for line in claim.line.split())
            yield from given(text, pin, [pin], f"{claim.paper}: the text", claim.fact or claim.claim, lines)


def leads(claim):
    """A lead that a sentence claims against the error of one accuracy: below it, another test set might have turned it round."""
    pairs = [pair for pair in sentences.ahead(claim.relation, claim.paper) if _alike(*pair[:2])]
    if pairs:
        a, b, _ = min(pairs, key=lambda pair: images(Fraction(pair[0].value) - Fraction(pair[1].value), pair[0].dataset))
        fact = claim.fact or f"lead: {claim.claim}"
        yield _lead(a, b, Fraction(a.value) - Fraction(b.value), f"{claim.paper}: that {claim.claim} rests on", fact, claim.paper)


def gains():
    """A printed gain against the same."""
    for pins in rows():
        for gain in (pin for pin in pins if pin.metric == "accuracy_gain"):
            mine = one(pins, metric="accuracy", dataset=gain.dataset)
            base = one(published.read(gain.name), metric="accuracy", dataset=gain.dataset, method="baseline")
            where = f"{name(gain)}: the gain of {gain.value} on {gain.dataset} rests on"
            yield _lead(mine, base, Fraction(gain.value), where, f"size of the gain of {gain.method}, {gain.dataset}", gain.paper)


def _alike(a, b) -> bool:
    return a.metric == b.metric == "accuracy" and a.dataset == b.dataset and Fraction(a.value) > Fraction(b.value)


def _lead(a, b, lead: Fraction, where: str, fact: str, paper: str) -> Finding:
    count, one_error, least = images(lead, a.dataset), error(a.value, a.dataset), smallest(a.value, a.dataset)
    severity = "remark" if lead < one_error else None
    sentence = (
        f"{where} {a.value} against {b.value}, {show(Fraction(count), 1)} of {size(a.dataset):,} test images; "
        f"one such accuracy has a binomial error of {one_error:.2f} points."
    )
    found = plain(
        [a, b],
        "resolution",
        a.value,
        severity,
        sentence,
        kind="resolution",
        fact=fact,
        expected=f"above {b.value}",
        difference=show(lead, decimals(a.value)),
    )
    return replace(found, paper=paper, fact=f"{paper} {fact}", images=f"{count:g}", resolves=f"{least:.2f}")


def best_epochs():
    """Accuracies printed with the epoch that reached them, earlier than the last: chosen on the test set."""
    for _, group in groupby(_settings(), key=lambda pins: pins[0].name):
        pairs = list(group)
        first = pairs[0][0]
        trained = next(entry for entry in sheet(first.paper)["hyperparameters"] if entry["name"] == "epochs")
        early = [(accuracy, epoch) for accuracy, epoch in pairs if Fraction(epoch.value) < trained["value"]]
        if early:  # where none is earlier, the column may as well be the epochs trained
            shown = ", ".join(f"{accuracy.value} at {epoch.value}" for accuracy, epoch in early)
            found = plain(
                [pin for pair in early for pin in pair],
                "best_epoch",
                " ".join(epoch.value for _, epoch in early),
                "inconsistency",
                f"{first.paper} Table {first.table}: of {trained['value']} epochs the best is reported ({shown}), chosen on the test set: "
                "no other set is named.",
                kind="best epoch",
                fact=f"best epoch in Table {first.table}",
                expected=str(trained["value"]),
            )
            yield replace(found, lines=f"{found.lines} {place(trained)}")


def _settings():
    """(accuracy, epoch) of each printed setting that has both, readings of a curve left out."""
    for pins in rows():
        printed_settings: dict = {}
        for pin in pins:
            printed_settings.setdefault((pin.dataset, pin.time_steps, pin.cell, pin.options), {})[pin.metric] = pin
        for found in printed_settings.values():
            if {"accuracy", "epoch"} <= found.keys() and "at_epoch=" not in found["epoch"].options:
                yield found["accuracy"], found["epoch"]


# ---- columns of other findings


def with_images(item: Finding) -> Finding:
    """A finding about accuracies on one data set, with its difference in test images and what the test set resolves."""
    accuracies, data = [pin for pin in item.pins if pin.metric in READ], {pin.dataset for pin in item.pins}
    if item.images or not accuracies or len(data) != 1 or not all(pin.metric in ACCURACIES for pin in item.pins):
        return item
    try:
        count = images(item.difference, *data)
    except ValueError:  # no number
        return item
    return replace(item, images=f"{count:g}", resolves=f"{smallest(accuracies[0].value, *data):.2f}")
