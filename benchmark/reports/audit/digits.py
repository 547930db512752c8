"""Check 2, the other way round: different things printed with the same digits, which suggests a copying slip."""

import re
from dataclasses import replace
from itertools import combinations, groupby, pairwise

from benchmark.pins import published
from benchmark.reports.audit.finding import is_ann, name, network, plain, rows
from benchmark.reports.audit.interval import decimals

ENOUGH = 3  # equal entries of two methods, out of a table with two decimals: hardly chance


def checks():
    yield from twice()
    yield from copied()
    yield from repeated()
    yield from blank()


def _content(pins):
    return [(pin.method, pin.backbone, pin.dataset, pin.time_steps, pin.metric, pin.value, pin.options) for pin in pins]


def twice():
    """A row that repeats the row above it."""
    for table, group in groupby(rows(), key=lambda pins: pins[0].name):
        printed_rows = list(group)
        found = [(pins, before) for before, pins in pairwise(printed_rows) if _content(pins) == _content(before)]
        for pins, before in found:
            sentence = f"{name(pins[0])} repeats row {before[0].row} word for word."
            first = [pins[0], before[0]]
            fact = f"row twice in Table {pins[0].table}"
            yield plain(first, "row_twice", pins[0].value, "remark", sentence, kind="repeat", fact=fact, expected="another row")
        if not found:
            sentence = f"{table}: no row repeats the row above it."
            yield plain(printed_rows[0], "row_twice", "", None, sentence, kind="repeat", fact=f"row twice in {table}")


def _entries(table):
    """{method: {(backbone, dataset, steps): pin}} of the accuracies with two decimals, plain settings only."""
    found = {}
    for pin in published.read(table):
        if pin.metric == "accuracy" and decimals(pin.value) == 2 and not pin.options:
            found.setdefault(pin.method, {}).setdefault((pin.backbone, pin.dataset, pin.time_steps), pin)
    return found


def copied():
    """Two methods of one table that share three or more values."""
    for table in published.tables():
        for (_, one), (_, two) in combinations(_entries(table).items(), 2):
            shared = [key for key in two if key in one]
            equal = [key for key in shared if one[key].value == two[key].value]
            if len(shared) >= ENOUGH:
                yield _shares([(one[key], two[key]) for key in equal or shared[:1]], len(equal), len(shared))


def _shares(pairs, equal: int, shared: int):
    """The result for two methods: `pairs` of pins in the same place, of which `equal` of `shared` have the same digits."""
    first, second = pairs[0]
    much = equal >= ENOUGH
    where = ", ".join(f"{two.value} ({two.backbone}, {two.dataset}, T={two.time_steps})" for _, two in pairs)
    said = f"{first.paper} Table {first.table}: {first.method} and {second.method} share {equal} of {shared} values"
    found = plain(
        [pin for pair in pairs for pin in reversed(pair)],
        "copied",
        " ".join(two.value for _, two in pairs),
        "inconsistency" if much else None,
        f"{said}: {where}; a copying slip is likely." if much else f"{said}.",
        kind="copied",
        fact=f"{first.method} and {second.method} share digits",
        expected="other values",
    )
    return replace(found, row=" ".join(str(row) for row in sorted({pin.row for pin in found.pins}))) if much else found


def repeated():
    """One paper, method and family of spiking networks, the same digits for another member or data set."""
    groups = {}
    for pin in published.numbers():
        if pin.metric == "accuracy" and network(pin) and not is_ann(pin):
            groups.setdefault((pin.paper, pin.cell.split(":")[0], _family(pin), pin.value), []).append(pin)
    for pins in groups.values():
        first, last = pins[0], next((pin for pin in pins if _suspect(pin, pins[0])), None)
        if last:
            one, two = (f"{name(pin)} on {pin.dataset}, {_steps(pin)}" for pin in (last, first))
            yield plain(
                [last, first],
                "same_digits",
                last.value,
                "remark",
                f"{one}, and {two}, have the same digits {last.value}: a coincidence or a copy.",
                kind="repeat",
                fact=f"{last.value} twice",
                expected="another value",
            )


def blank():
    """Rows that a table prints without a number: the pins' row numbers count them and leave them out."""
    for table in published.tables():
        pins = published.read(table)
        gaps = [(before, after) for before, after in pairwise(pins) if after.row - before.row > 1]
        for before, after in gaps:
            yield _blank(before, after)
        if not gaps:
            yield plain(pins[:1], "blank", "", None, f"{table}: every row has a number.", kind="blank", fact=f"blanks of {table}")


def _blank(before, after):
    """The finding for the rows between two pins, with the lines between theirs."""
    missing = [str(row) for row in range(before.row + 1, after.row)]
    file, first, last = before.source.partition(":")[0], *(int(pin.source.partition(":")[2]) for pin in (before, after))
    sentence = f"{after.paper} Table {after.table} prints rows {', '.join(missing)} without a number."
    found = plain([after, before], "blank", "nothing", "inconsistency", sentence, kind="blank", fact=f"blanks of Table {after.table}")
    lines = " ".join(f"{file}:{line}" for line in range(first + 1, last))
    return replace(found, row=" ".join(missing), expected="a number", lines=lines)


def _steps(pin) -> str:
    return "T not printed" if pin.time_steps == "-" else f"T={pin.time_steps}"


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
