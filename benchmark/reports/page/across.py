"""Figures across all papers: claims as a forest plot, accuracy against energy, size and time steps."""

from collections.abc import Callable

import altair as alt

from benchmark.pins import published
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
            "claim": claimed(line),
            "place": place,
            "printed": float(line["printed_difference"]),
            **{key: line[key] for key in ("paper", "difference", "low", "high", "verdict")},
        }
        for place, line in enumerate(claims)
        if line["difference"] is not None
    ]


def claimed(line: dict) -> str:
    """Which claim, and what data it was asked of where that is another."""
    data = line["dataset"] if line["data"] == line["dataset"] else f"{line['dataset']} on {line['data']}"
    return f"{line['paper']} T{line['table']} {data} T={line['time_steps']}: row {line['a_row']} over {line['b_row']}"


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

PAIRS = (
    "All papers, the cost on a logarithmic axis. Hollow: as printed. Filled: obtained; a line joins the two where the printed cell ran. What ran "
    "otherwise (a small twin, other data, fewer epochs) stands in a plot of its own, by its own size and energy: nothing there says "
    "anything about a printed number."
)
PLOTS = ("printed, and obtained as printed", "obtained, not comparable")


def of_lines(found: list[Table], cost: Callable) -> list[dict]:
    """The printed and the obtained point of each line that has both an accuracy and a cost, each with the plot that it belongs to."""
    points = []
    for entry in (entry for table in found for entry in table.entries):
        accuracies = entry.of("accuracy")
        values = {"printed": accuracies[0].number.number if accuracies else None, "obtained": entry.row.get("accuracy")}
        costs = dict(zip(("printed", "obtained"), cost(entry), strict=True))
        plots = {"printed": PLOTS[0], "obtained": PLOTS[bool(entry.row["differs"])]}
        about = {"paper": entry.measured.line.first.paper, "line": entry.id}
        points += [
            {**about, "what": what, "plot": plots[what], "accuracy": values[what], "cost": costs[what], "label": labelled(entry, what)}
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
    """Parameters in millions: printed, or if none are as counted of the paper-size network; and of the network that ran."""
    printed = entry.of("params_M")
    return (printed[0].number.number if printed else entry.row.get("params_M")), entry.row.get("run_params_M")


def pairs(cost: str) -> alt.FacetChart:
    """Two plots beside each other, each with its own axes; the second only where it has points."""
    x = alt.X("cost:Q", scale=alt.Scale(type="log", nice=False, padding=10), title=cost, axis=alt.Axis(format="~g", grid=False))
    base = alt.Chart(POINTS).encode(x=x, y=alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy (%)"))
    marks = base.encode(color=paper(alt.Color), shape=paper(alt.Shape), description="label:N")
    layers = alt.layer(
        base.mark_line(strokeWidth=1, opacity=0.4, color="#8a8f98").encode(detail="line:N"),
        marks.transform_filter("datum.what == 'printed'").mark_point(size=45),
        marks.transform_filter("datum.what == 'obtained'").mark_point(size=45, filled=True),
    )
    return beside(layers.properties(width=400, height=340), column=alt.Column("plot:N", sort=list(PLOTS), title=None))


# ---- accuracy against time steps

STEPS = (
    "Rows of a table that differ in T alone. Left: as printed. Right, on axes of their own: what the one with the most steps came to by the "
    "mean of its first t steps, at the scale of this page."
)


def stepped(found: list[Table]) -> list[list[Entry]]:
    """The rows of one table that differ in T alone, by T."""
    groups: dict[tuple, list[Entry]] = {}
    for table in found:
        for entry in table.entries:
            first = entry.measured.line.first
            if entry.of("accuracy") and first.time_steps.isdecimal():
                key = (table.name, first.method, first.backbone, first.dataset, first.cell, first.options)
                groups.setdefault(key, []).append(entry)
    return [sorted(group, key=time_steps) for group in groups.values() if len(set(map(time_steps, group))) > 1]


def time_steps(entry: Entry) -> int:
    return int(entry.measured.line.first.time_steps)


def step_points(found: list[Table]) -> list[dict]:
    """The printed points of each of these groups, and the obtained accuracy up to each step of its longest run."""
    points = []
    for group in stepped(found):
        values = {("printed", time_steps(entry)): entry.of("accuracy")[0].number.number for entry in group}
        runs = [run for entry in group if (run := behind.first(entry.measured)) and len(run["accuracy_up_to"]) > 1]
        up_to = runs[-1]["accuracy_up_to"] if runs else []
        values |= {("obtained", t): up_to[t - 1] for t in spaced(len(up_to))}
        first = group[0].measured.line.first
        about = {"paper": first.paper, "dataset": first.dataset, "line": group[0].id}
        said = f"{first.paper} Table {first.table}, {first.method} {first.backbone}"
        points += [
            {**about, "what": what, "T": t, "accuracy": value, "label": f"{what}: {said}, T = {t}: {value:.2f}"}
            for (what, t), value in values.items()
        ]
    return points


def spaced(count: int) -> list[int]:
    """1 ... count, of many those that lie evenly on a logarithmic axis."""
    return list(range(1, count + 1)) if count <= MOST else sorted({round(count ** (place / (MOST - 1))) for place in range(MOST)})


def steps() -> alt.FacetChart:
    """A row of plots for each data set."""
    x = alt.X("T:Q", scale=alt.Scale(type="log", base=2), title="time steps", axis=alt.Axis(format="d"))
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), title="accuracy (%)")
    base = alt.Chart(POINTS).encode(x=x, y=y, color=paper(alt.Color), detail="line:N")
    layers = alt.layer(
        base.mark_line(strokeWidth=1.2, opacity=0.6, aria=False), base.mark_point(filled=True, size=25).encode(description="label:N")
    )
    columns = alt.Column("what:N", sort=["printed", "obtained"], title=None)
    return beside(layers.properties(width=380, height=180), row=alt.Row("dataset:N", title=None), column=columns)


def paper(channel: type) -> alt.Color | alt.Shape:
    """A paper's colour or shape: the same in every figure, whichever papers it shows."""
    return channel("paper:N", scale=alt.Scale(domain=sorted({path.parent.name for path in published.tables().values()})))


def beside(chart: alt.LayerChart, **facets) -> alt.FacetChart:
    """Plots with axes of their own: what is printed and what another network came to have no common one."""
    return chart.facet(**facets).resolve_scale(x="independent", y="independent")
