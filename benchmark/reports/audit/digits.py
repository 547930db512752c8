"""Check 2, the other way round: different things printed with the same digits, which suggests a copying slip."""

import re
from itertools import combinations, groupby, pairwise

from benchmark.pins import published
from benchmark.reports.audit.finding import is_ann, name, network, plain, rows
from benchmark.reports.audit.interval import decimals

ENOUGH = 3  # equal entries of two methods, out of a table with two decimals: hardly chance


def checks():
    yield from twice()
    yield from copied()
    yield from repeated()


def _content(pins):
    return [(pin.method, pin.backbone, pin.dataset, pin.time_steps, pin.metric, pin.value, pin.options) for pin in pins]


def twice():
    """A row that repeats the row above it."""
    for table, group in groupby(rows(), key=lambda pins: pins[0].name):
        printed_rows = list(group)
        found = [(pins, before) for before, pins in pairwise(printed_rows) if _content(pins) == _content(before)]
        for pins, before in found:
            yield plain(
                [pins[0], before[0]],
                "row_twice",
                pins[0].value,
                "another row",
                "",
                "remark",
                f"{name(pins[0])} repeats row {before[0].row} word for word.",
            )
        if not found:
            yield plain(printed_rows[0], "row_twice", "", "", "", None, f"{table}: no row repeats the row above it.")


def _entries(table):
    """{method: {(backbone, dataset, steps): pin}} of the accuracies with two decimals, plain settings only."""
    found = {}
    for pin in published.read(table):
        if pin.metric == "accuracy" and decimals(pin.value) == 2 and not pin.options:
            found.setdefault(pin.method, {}).setdefault((pin.backbone, pin.dataset, pin.time_steps), pin)
    return found


def copied():
    """Two methods of one table that share three or more values: each shared value is a finding."""
    for table in published.tables():
        for (_, one), (_, two) in combinations(_entries(table).items(), 2):
            shared = [key for key in two if key in one]
            equal = [key for key in shared if one[key].value == two[key].value]
            if len(shared) < ENOUGH:
                continue
            if len(equal) < ENOUGH:
                pin, other = two[shared[0]], one[shared[0]]
                yield plain(
                    [pin, other],
                    "copied",
                    pin.value,
                    "",
                    "",
                    None,
                    f"{pin.paper} Table {pin.table}: {other.method} and {pin.method} share {len(equal)} of {len(shared)} values.",
                )
            for key in equal if len(equal) >= ENOUGH else []:
                pin, other = two[key], one[key]
                yield plain(
                    [pin, other],
                    "copied",
                    pin.value,
                    "another value",
                    "",
                    "inconsistency",
                    f"{name(pin)} prints {pin.value} on {pin.dataset}, T={pin.time_steps}, the same digits as {name(other)}; "
                    f"the two methods share {len(equal)} of {len(shared)} values in this table, which suggests a copying slip.",
                )


def repeated():
    """One paper, method and family of spiking networks, the same digits for another member or data set."""
    groups = {}
    for pin in published.numbers():
        if pin.metric == "accuracy" and network(pin) and not is_ann(pin):
            groups.setdefault((pin.paper, pin.cell.split(":")[0], _family(pin), pin.value), []).append(pin)
    for pins in groups.values():
        first, last = pins[0], next((pin for pin in pins if _suspect(pin, pins[0])), None)
        if last:
            yield plain(
                [last, first],
                "same_digits",
                last.value,
                "another value",
                "",
                "remark",
                f"{name(last)} on {last.dataset}, T={_steps(last)}, and {name(first)} on {first.dataset}, T={_steps(first)}, "
                f"have the same digits {last.value}: a coincidence or a copy.",
            )


def _steps(pin) -> str:
    return "not printed" if pin.time_steps == "-" else pin.time_steps


def _family(pin) -> str:
    """'spikformer' of 'spikformer-8-512'; a network without blocks and width is its own family."""
    found = re.fullmatch(r"(.+)-\d+-\d+", network(pin))
    return found[1] if found else network(pin)


def _suspect(pin, first) -> bool:
    """Two decimals: another network or data set. One decimal, where chance is likely: only another depth of the same network."""
    if decimals(pin.value) >= 2:
        return (network(pin), pin.dataset) != (network(first), first.dataset)
    widths = {network(which).rpartition("-")[2] for which in (pin, first)}
    return network(pin) != network(first) and len(widths) == 1 and pin.dataset == first.dataset and not pin.options + first.options
