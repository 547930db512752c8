"""Orders that the tables suggest: the full method above its ablations, more steps above fewer, more spikes more operations."""

from itertools import combinations, groupby, pairwise
from statistics import median

from benchmark.pins import published
from benchmark.reports.audit.finding import WORDS, name, network, one, plain, result, rows, value
from benchmark.reports.audit.interval import exact

# Options that take something from the method. Another attention does not: the variants of spikformer_v2 have real-valued queries and keys.
ABLATIONS = ("projection", "mask", "entropy", "ts_ce", "ts_kl", "init", "kd")
RISING = ("accuracy", "energy_ratio", "ops_G", "power_mJ", "training_time_h")
FAR = exact("0.1")  # relative distance from the median at which a ratio stands out


def checks():
    yield from full_method()
    yield from more_steps()
    yield from rates()
    yield from rate_ratio()


def _changed(pin) -> bool:
    return bool(pin.options) and all(word.split("=")[0] in ABLATIONS for word in pin.options.split())


def full_method():
    """The proposed setting of a table against each ablation of it: same network, data set and steps."""
    for table in published.tables():
        pins = [pin for pin in published.read(table) if pin.metric == "accuracy"]
        for pin in filter(_changed, pins):
            full = next(
                (
                    other
                    for other in pins
                    if not other.options and (other.cell, other.dataset, other.time_steps) == (pin.cell, pin.dataset, pin.time_steps)
                ),
                None,
            )
            if full:
                severity = "remark" if value(full).high < value(pin).low else None
                yield result(
                    [full, pin],
                    "full_method",
                    full.value,
                    value(pin),
                    severity,
                    f"{name(full)} has {full.value} on {full.dataset}, "
                    + (
                        f"below the variant in row {pin.row} ({pin.method}, {pin.options}) with {pin.value}."
                        if severity
                        else f"not below the variant in row {pin.row} ({pin.options}) with {pin.value}."
                    ),
                    kind="ablation",
                    fact=f"ablation of Table {full.table}, {network(full)}, {full.dataset}",
                )


def _curve(pin):
    return pin.metric, pin.group, pin.method, pin.cell.partition(":")[2], pin.options, pin.dataset


def more_steps():
    """Accuracy and cost of one network in one table do not fall when it gets more time steps."""
    for table in published.tables():
        pins = [pin for pin in published.read(table) if pin.metric in RISING and pin.time_steps.isdigit() and pin.cell]
        for _, group in groupby(sorted(pins, key=lambda pin: (*_curve(pin), int(pin.time_steps))), key=_curve):
            group = list(group)
            for less, more in pairwise(group):
                if less.time_steps != more.time_steps:
                    severity = "remark" if value(more).high < value(less).low else None
                    yield result(
                        [more, less],
                        "more_steps",
                        more.value,
                        value(less),
                        severity,
                        f"{name(more)}: {WORDS[more.metric]} on {more.dataset} goes from {less.value} at T={less.time_steps} "
                        f"to {more.value} at T={more.time_steps}.",
                        kind="order",
                        fact=f"{more.metric} of {more.cell} over steps",
                    )


def _spiking_rows():
    """(firing rate, ACs) of each row that prints both, grouped by table and network."""
    pairs = [(one(pins, metric="firing_rate_pct"), one(pins, metric="acs_M")) for pins in rows()]
    pairs = [pair for pair in pairs if all(pair)]
    for _, group in groupby(pairs, key=lambda pair: (pair[0].name, pair[0].backbone)):
        yield list(group)


def rates():
    """On one network a higher firing rate goes with more accumulates, as tser.txt:260 says."""
    for group in _spiking_rows():
        for (rate, acs), (other_rate, other_acs) in combinations(group, 2):
            slope = (value(rate) - value(other_rate)) * (value(acs) - value(other_acs))
            severity = "remark" if slope.high < 0 else None
            few, many = sorted(((rate, acs), (other_rate, other_acs)), key=lambda pair: value(pair[0]).value)
            yield plain(
                [rate, other_rate, acs, other_acs],
                "rate_and_acs",
                f"{rate.value}% and {acs.value} M",
                severity,
                f"{name(few[0])} fires at {few[0].value}% with {few[1].value} M ACs, row {many[0].row} ({many[0].method}) at "
                f"{many[0].value}% with {many[1].value} M: " + ("fewer spikes, more ACs." if severity else "the same order."),
                kind="order",
                fact=f"firing rates and accumulates of {rate.backbone}",
                expected="the same order",
            )


def rate_ratio():
    """ACs per point of firing rate are nearly the same for every row of one network; a row far off has a slip in one of the two."""
    for group in _spiking_rows():
        middle = exact(median(value(acs).value / value(rate).value for rate, acs in group))
        for rate, acs in group:
            ratio = value(acs) / value(rate)
            severity = "remark" if not ratio.meets(middle) and abs(ratio.value / middle.value - 1) > FAR.value else None
            expected = value(acs) / middle
            yield result(
                [rate, acs],
                "rate_ratio",
                rate.value,
                expected,
                severity,
                f"{name(rate)}: {acs.value} M ACs go with a firing rate of {float(expected.value):.1f}% at the ratio of the other "
                f"rows, {rate.value}% is printed.",
                kind="order",
                fact=f"firing rate of {rate.method}, {rate.backbone}",
            )
