"""One result of one check, what kinds of fact there are, and small views of the pins that several checks share."""

from dataclasses import dataclass, field, fields
from fractions import Fraction
from itertools import groupby

from benchmark.pins import published
from benchmark.reports.audit.interval import Interval, decimals, printed, show

SEVERITIES = ("error", "inconsistency", "remark")
# error: two printed things cannot both hold. inconsistency: they differ, something unprinted may explain it.
# remark: odd, but with a harmless explanation (the last digit cut, a coincidence, another source).

KINDS = {  # kind of fact: what it means for somebody who relies on the number; first what would mislead most
    "copied": "two methods have the same digits: one of them was hardly measured",
    "yardstick": "the cost of what a paper compares itself with breaks the rule of its own table",
    "two values": "one network in one setting has two values in one paper",
    "formula": "a printed formula does not fit what it counts, and totals built on it are off",
    "quote": "a quoted number is not the one that its own authors print",
    "derived": "a number does not follow from the numbers printed beside it",
    "column": "the text gives the numbers of another column",
    "text": "a number of the text is not that of the tables",
    "overclaim": "the tables do not bear out what the text concludes",
    "unclear": "a sentence holds under another reading than the plain one, or nothing printed gives its number",
    "best epoch": "an accuracy that was chosen on the test set",
    "resolution": "a difference of so few test images that one accuracy's error is larger, or an accuracy that the test set cannot give",
    "recipe": "the training is described in two ways",
    "method": "the method is described in two ways",
    "code": "the authors' code does something else than the paper says",
    "near values": "one thing has two values in one paper, close to each other",
    "convention": "operations or energy are counted in another way than in the paper's own rows",
    "blank": "printed without a number",
    "name": "a name, letter or reference mark of something else",
    "ablation": "the proposed setting is below one of its ablations",
    "order": "an order that one would expect does not hold",
    "rounding": "agrees only after rounding",
    "baseline": "papers differ in a baseline whose recipe or weights may differ",
    "repeat": "the same digits or the same row twice, which may be chance",
    "digits": "the last digit is cut, or had more digits behind it than are printed",
}
DISPUTING = ("copied", "yardstick", "two values", "formula", "derived", "near values")  # kinds whose numbers cannot be relied on
POINTS, SHARE = Fraction(1, 2), Fraction(1, 100)  # what a reader would notice: half a point of accuracy, a hundredth of anything else
ACCURACIES = ("accuracy", "accuracy_ann", "accuracy_gain", "accuracy_std")
WORDS = {
    "accuracy": "accuracy",
    "accuracy_ann": "ANN accuracy",
    "params_M": "parameters (M)",
    "ops_G": "operations (G)",
    "power_mJ": "power (mJ)",
    "energy_ratio": "energy ratio",
    "training_time_h": "training time (h)",
}


@dataclass(frozen=True)
class Finding:
    """All columns are text. `status` is 'finding' or 'ok' (a control: the check passed); an ok has no severity.

    `fact` names what is found, equal for findings of one thing; `images` is the printed difference in test images, `resolves` the
    smallest difference in points that the test set resolves; `rests_on` the facts that dispute a number used here.
    """

    paper: str
    table: str
    row: str
    check: str
    status: str
    kind: str
    fact: str
    printed: str
    expected: str
    difference: str
    severity: str
    lines: str
    sentence: str
    images: str = ""
    resolves: str = ""
    rests_on: str = ""
    pins: tuple = field(default=(), repr=False)

    @property
    def effect(self) -> float:
        """The difference in units of what a reader would notice, to order findings of one kind; 0 where there is no number."""
        try:
            difference, expected = abs(float(self.difference)), abs(float(self.expected.split()[-1]))
        except (ValueError, IndexError):
            return 0.0
        accuracies = self.pins and all(pin.metric in ACCURACIES for pin in self.pins)
        return difference / float(POINTS) if accuracies else difference / max(expected, 1e-9) / float(SHARE)


COLUMNS = tuple(item.name for item in fields(Finding))[:-1]


def result(pins, check, seen: str, expected: Interval, severity: str | None, sentence: str, *, kind: str, fact: str) -> Finding:
    """The finding (or, without severity, the control) of a check whose first pin printed `seen`."""
    places = decimals(seen) + 2  # more than printed, so that a near miss is seen to be one
    difference = show(printed(seen).value - expected.value, places)
    return plain(pins, check, seen, severity, sentence, kind=kind, fact=fact, expected=show(expected.value, places), difference=difference)


def plain(pins, check, seen, severity, sentence, *, kind: str, fact: str, expected="", difference="") -> Finding:
    """The same where nothing is computed. `fact` is completed by the first pin's paper."""
    first = pins[0]
    return Finding(
        first.paper,
        str(first.table),
        str(first.row),
        check,
        "finding" if severity else "ok",
        kind,
        f"{first.paper} {fact}",
        seen,
        expected,
        difference,
        severity or "",
        " ".join(dict.fromkeys(pin.source for pin in pins)),
        sentence,
        pins=tuple(pins),
    )


def value(pin) -> Interval:
    return printed(pin.value)


def name(pin) -> str:
    """'ldd Table 2, row 1 (Ave, Spikformer-8-512)'"""
    backbone = f", {pin.backbone}" if pin.backbone not in ("-", pin.method) else ""
    return f"{pin.paper} Table {pin.table}, row {pin.row} ({pin.method}{backbone})"


def network(pin) -> str:
    """The network that the cell runs or converts: 'resnet-34' of 'qcfs:ann-resnet-34'; '' where nothing runs."""
    parts = pin.cell.split(":")
    return parts[1].removeprefix("ann-") if len(parts) > 1 else ""


def is_ann(pin) -> bool:
    """Whether the number belongs to a network without spikes."""
    return pin.metric == "accuracy_ann" or pin.cell.startswith(("direct:ann-", "direct:vit-", "direct:eva-"))


def rows():
    """The pins of each printed row, table by table."""
    for table in published.tables():
        for _, pins in groupby(published.read(table), key=lambda pin: pin.row):
            yield list(pins)


def one(pins, **wanted):
    """The only pin with these fields, or None."""
    hits = [pin for pin in pins if all(getattr(pin, field) == text for field, text in wanted.items())]
    return hits[0] if len(hits) == 1 else None
