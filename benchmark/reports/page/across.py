"""Figures across all papers: claims as a forest plot, accuracy against energy, size and time steps."""

from collections.abc import Callable

import altair as alt

from benchmark.reports.page import behind
from benchmark.reports.page.drawing import COLOURS, LABELS, POINTS
from benchmark.reports.page.gathered import Entry, Table

ENERGIES = ("energy_mJ", "power_mJ")  # of whole networks
MOST = 24  # time steps of a longer run that are drawn

# ---- claims

FOREST = (
    "A is claimed to beat B. Tick: the printed difference. Point: our paired difference over seeds, its line the 95 % interval "
    "(none with one seed). Right of 0 A is ahead."
)
JUDGED = {  # verdict: shape and colour
    "supported": ("circle", COLOURS[2]),
    "contradicted": ("square", COLOURS[4]),
    "undecided": ("triangle-up", COLOURS[6]),
    "undecided (one seed)": ("diamond", COLOURS[5]),
}


def forest_points(claims: list[dict]) -> list[dict]:
    """One point per claim with runs on both sides."""
    return [
        {
            "claim": f"{line['paper']} T{line['table']} {line['dataset']} T={line['time_steps']}: row {line['a_row']} over {line['b_row']}",
            "place": place,
            "printed": float(line["printed_difference"]),
            **{key: line[key] for key in ("paper", "difference", "low", "high", "verdict")},
        }
        for place, line in enumerate(claims)
        if line["difference"] is not None
    ]


def forest() -> alt.LayerChart:
    """Differences in points of accuracy, one line per claim in the order of the tables."""
    base = alt.Chart(POINTS).encode(y=alt.Y("claim:N", sort=alt.SortField("place"), title=None, axis=LABELS))
    shapes, colours = (alt.Scale(domain=list(JUDGED), range=drawn_as) for drawn_as in zip(*JUDGED.values(), strict=True))
    return alt.layer(
        base.mark_rule(color="#8a8f98").encode(x=alt.X("low:Q", title="difference (points of accuracy)"), x2="high:Q"),
        base.mark_tick(color="#d9822b", thickness=3, height=11).encode(x="printed:Q"),
        base.mark_point(filled=True, size=60).encode(
            x="difference:Q", shape=alt.Shape("verdict:N", scale=shapes), color=alt.Color("verdict:N", scale=colours)
        ),
        alt.Chart(POINTS).mark_rule(color="currentColor", strokeDash=[3, 3]).encode(x=alt.datum(0)),
    ).properties(width=420)


# ---- accuracy against what it costs

PAIRS = "Hollow: as printed. Filled: obtained, at the scale of this page. A line joins the two of one printed row."


def of_lines(found: list[Table], cost: Callable) -> list[dict]:
    """The printed and the obtained point of each line that has both an accuracy and a cost."""
    points = []
    for entry in (entry for table in found for entry in table.entries):
        accuracies = entry.of("accuracy")
        values = {"printed": accuracies[0].number.number if accuracies else None, "obtained": entry.row.get("accuracy")}
        costs = dict(zip(("printed", "obtained"), cost(entry), strict=True))
        about = {"paper": entry.measured.line.first.paper, "line": entry.id}
        points += [
            {**about, "what": what, "accuracy": values[what], "cost": costs[what], "label": labelled(entry, what)}
            for what in values
            if values[what] is not None and costs[what]
        ]
    return points


def labelled(entry: Entry, what: str) -> str:
    first = entry.measured.line.first
    return f"{what}: {first.paper} Table {first.table} row {first.row}, {first.method} {first.backbone} {first.dataset}"


def energies(entry: Entry) -> tuple[float | None, float | None]:
    """Printed and obtained energy of one inference, mJ."""
    for metric in ENERGIES:
        if printed := entry.of(metric):
            return printed[0].number.number, printed[0].obtained
    return None, entry.row.get("energy_mJ")


def sizes(entry: Entry) -> tuple[float | None, float | None]:
    """Printed and counted parameters of the paper-size network, in millions; what is not printed is taken from the count."""
    printed, counted = entry.of("params_M"), entry.row.get("params_M")
    return (printed[0].number.number if printed else counted), counted


def pairs(cost: str) -> alt.LayerChart:
    """All papers in one plot, the cost on a logarithmic axis."""
    x, y = alt.X("cost:Q", scale=alt.Scale(type="log"), title=cost), alt.Y("accuracy:Q", title="accuracy (%)")
    base = alt.Chart(POINTS).encode(x=x, y=y)
    marks = base.encode(color="paper:N", shape="paper:N", description="label:N")
    return alt.layer(
        base.mark_line(strokeWidth=1, opacity=0.4, color="#8a8f98").encode(detail="line:N"),
        marks.transform_filter("datum.what == 'printed'").mark_point(size=45),
        marks.transform_filter("datum.what == 'obtained'").mark_point(size=45, filled=True),
    ).properties(width=620, height=380)


# ---- accuracy against time steps

STEPS = "Printed: rows that differ in T alone. Obtained: each run's accuracy by the mean of its first t steps."


def printed_steps(found: list[Table]) -> list[dict]:
    """The printed accuracies of rows of one table that differ in T alone."""
    groups: dict[tuple, list[dict]] = {}
    for number in (shown.number for table in found for shown in table.numbers):
        if number.metric == "accuracy" and number.time_steps.isdecimal():
            key = (number.name, number.method, number.backbone, number.dataset, number.cell, number.options)
            point = {
                "what": "printed",
                "paper": number.paper,
                "line": " ".join(key),
                "T": int(number.time_steps),
                "accuracy": number.number,
            }
            groups.setdefault(key, []).append(point)
    return [point for group in groups.values() if len({point["T"] for point in group}) > 1 for point in group]


def obtained_steps(found: list[Table]) -> list[dict]:
    """The accuracy of each cell's first run up to each of its steps."""
    points = {}
    for entry in (entry for table in found for entry in table.entries):
        run = behind.first(entry.measured)
        if run and len(run["accuracy_up_to"]) > 1:
            about = {"what": "obtained", "paper": entry.measured.line.first.paper, "line": entry.measured.line.resolved.id}
            values = run["accuracy_up_to"]
            points[about["line"]] = [{**about, "T": t, "accuracy": values[t - 1]} for t in spaced(len(values))]
    return [point for group in points.values() for point in group]


def spaced(count: int) -> list[int]:
    """1 ... count, of many those that lie evenly on a logarithmic axis."""
    return list(range(1, count + 1)) if count <= MOST else sorted({round(count ** (place / (MOST - 1))) for place in range(MOST)})


def steps() -> alt.FacetChart:
    chart = alt.Chart(POINTS).mark_line(point=alt.OverlayMarkDef(size=25, aria=False), strokeWidth=1.2, aria=False)
    x = alt.X("T:Q", scale=alt.Scale(type="log", base=2), title="time steps")
    chart = chart.encode(x=x, y=alt.Y("accuracy:Q", title="accuracy (%)"), color="paper:N", detail="line:N")
    return chart.properties(width=290, height=300).facet(column=alt.Column("what:N", sort=["printed", "obtained"], title=None))
