"""One result of one check, and small views of the pins that several checks share."""

from dataclasses import dataclass, fields
from itertools import groupby

from benchmark.pins import published
from benchmark.reports.audit.interval import Interval, decimals, printed, show

SEVERITIES = ("error", "inconsistency", "remark")
# error: two printed things cannot both hold. inconsistency: they differ, something unprinted may explain it.
# remark: odd, but with a harmless explanation (the last digit cut, a coincidence, another source).
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
    """All fields are text. `status` is 'finding' or 'ok' (a control: the check passed); an ok has no severity."""

    paper: str
    table: str
    row: str
    check: str
    status: str
    printed: str
    expected: str
    difference: str
    severity: str
    lines: str
    sentence: str

    @property
    def effect(self) -> float:
        """Difference over expected value, for ranking; 0 where there is no number."""
        try:
            return abs(float(self.difference)) / max(abs(float(self.expected)), 1e-9)
        except ValueError:
            return 0.0


COLUMNS = tuple(field.name for field in fields(Finding))


def result(pins, check, seen: str, expected: Interval, severity: str | None, sentence: str) -> Finding:
    """The finding (or, without severity, the control) of a check whose first pin printed `seen`."""
    places = decimals(seen) + 2  # more than printed, so that a near miss is seen to be one
    difference = printed(seen).value - expected.value
    return plain(pins, check, seen, show(expected.value, places), show(difference, places), severity, sentence)


def plain(pins, check, seen, expected, difference, severity, sentence) -> Finding:
    first = pins[0]
    lines = " ".join(dict.fromkeys(pin.source for pin in pins))
    return Finding(
        first.paper,
        str(first.table),
        str(first.row),
        check,
        "finding" if severity else "ok",
        seen,
        expected,
        difference,
        severity or "",
        lines,
        sentence,
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
