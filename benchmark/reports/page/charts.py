"""The page's figures, drawn by Altair as SVG without a network: their points are plain dictionaries, computed apart from what draws them.

Text and axes are of the colour of the text around them (currentColor), so that one drawing fits a light and a dark page.
"""

import base64
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from html import escape
from pathlib import Path

import altair as alt

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import figures as of_papers
from benchmark.reports.page import behind
from benchmark.reports.page.gathered import Entry, Table
from benchmark.shared.errors import UserError

COLOURS = ["#3b82c4", "#d9822b", "#2e9e6b", "#b86bb8", "#c9504a", "#8a8f98", "#9a8420", "#2aa1a8"]  # seen on white and on near black
AXIS = dict.fromkeys(("labelColor", "titleColor", "domainColor", "tickColor", "gridColor"), "currentColor") | {"gridOpacity": 0.15}
CONFIG = {
    "background": "transparent",
    "padding": {"left": 70, "right": 70, "top": 5, "bottom": 5},  # a reader's font may be wider than the one that was measured
    "view": {"stroke": "currentColor", "strokeOpacity": 0.2},
    "axis": AXIS,
    "legend": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "header": {"labelColor": "currentColor", "titleColor": "currentColor"},
    "range": {"category": COLOURS},
}
POINTS = alt.NamedData(name="points")  # filled in when drawn: Altair would check every one of them
ENERGIES = ("energy_mJ", "power_mJ")  # of whole networks


@dataclass(frozen=True)
class Figure:
    """svg: empty where there is nothing to draw yet."""

    name: str
    title: str
    caption: str
    svg: str


def figures(found: list[Table], claims: list[dict], settings: Settings, root: Path) -> list[Figure]:
    """Every figure from whatever there is."""
    fixed = [
        figure("claims", "Claims", FOREST, forest_points(claims), forest),
        figure("accuracy_energy", "Accuracy and energy", PAIRS, of_lines(found, energies), partial(pairs, "energy (mJ)")),
        figure("accuracy_size", "Accuracy and size", PAIRS, of_lines(found, sizes), partial(pairs, "parameters (M)")),
        figure("accuracy_steps", "Accuracy and time steps", STEPS, [*printed_steps(found), *obtained_steps(found)], steps),
    ]
    each = []
    for table in found:
        about = f"{table.paper} Table {table.number}"
        each.append(figure(f"curves_{table.name}", f"Learning curves of {about}", CURVES, curve_points(table), curves))
        each.append(figure(f"rates_{table.name}", f"Firing rates of {about}", RATES, rate_points(table), heat))
    return [*fixed, *(one for one in each if one.svg), *pictures(settings, root)]


def pictures(settings: Settings, root: Path) -> list[Figure]:
    """What a pre-training makes of test images, of the papers' figures that show it and have been drawn."""
    found = []
    for name in published.figures():
        with suppress(UserError):  # a broken figure is told to who asks for it
            path = of_papers.picture(name, settings)
            if path and (root / path).exists():
                paper, number = published.read(name)[0].paper, published.read(name)[0].table
                title = f"{paper} Figure {number}: masked images filled in"
                found.append(Figure(name, title, FILLED, embedded((root / path).read_bytes(), title)))
    return found


FILLED = (
    "Test images of the data that ran, what the encoder sees of them, and what its decoder makes of the rest; each hidden patch has the mean "
    "and the contrast of the image itself, as the papers that predict normalised patches draw it."
)


def embedded(png: bytes, title: str) -> str:
    """A PNG as an SVG that holds it."""
    width, height = struct.unpack(">II", png[16:24])
    content = base64.b64encode(png).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}"><image width="{width}" height="{height}" href="data:image/png;base64,{content}"/></svg>'
    )


def figure(name: str, title: str, caption: str, points: list[dict], draw: Callable) -> Figure:
    """A figure of these points, without a drawing if there are none."""
    return Figure(name, title, caption, drawn(described(draw), points, name, title) if points else "")


@cache  # Altair checks every word of a chart: of one that many tables share, once
def described(draw: Callable) -> dict:
    return draw().to_dict()


def drawn(chart: dict, points: list[dict], name: str, title: str) -> str:
    """The chart of these points as SVG that can stand in a page beside others."""
    import vl_convert  # a quarter of a second, and only who draws needs it

    spec = {**chart, "description": title, "config": CONFIG, "datasets": {"points": points}}
    svg = vl_convert.vegalite_to_svg(spec, vl_version=".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2]))
    return re.sub(r'(\bid="|url\(#)', rf"\g<1>{name}-", svg)  # names of clips and gradients hold for the whole page


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
    base = alt.Chart(POINTS).encode(y=alt.Y("claim:N", sort=alt.SortField("place"), title=None, axis=alt.Axis(labelLimit=320)))
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
            points[about["line"]] = [{**about, "T": t, "accuracy": value} for t, value in enumerate(run["accuracy_up_to"], 1)]
    return [point for group in points.values() for point in group]


def steps() -> alt.FacetChart:
    chart = alt.Chart(POINTS).mark_line(point=alt.OverlayMarkDef(size=25), strokeWidth=1.2)
    x = alt.X("T:Q", scale=alt.Scale(type="log", base=2), title="time steps")
    chart = chart.encode(x=x, y=alt.Y("accuracy:Q", title="accuracy (%)"), color="paper:N", detail="line:N")
    return chart.properties(width=290, height=300).facet(column=alt.Column("what:N", sort=["printed", "obtained"], title=None))


# ---- of one table

CURVES = "Test accuracy after every epoch, one line per row's first seed."
RATES = (
    "Share of outputs that are not 0, in percent: neuron layers from the input (top) to the output, time steps of each row side by side."
)


def cells_of(table: Table) -> list[tuple[Entry, dict]]:
    """Each cell's first line with its first run."""
    found = {entry.measured.line.resolved.id: entry for entry in reversed(table.entries) if entry.measured.runs}
    return [(entry, behind.first(entry.measured)) for entry in reversed(found.values())]


def curve_points(table: Table) -> list[dict]:
    return [
        {"epoch": epoch, "accuracy": value, "line": entry.id, "method": entry.measured.line.resolved.spec["method"]["name"]}
        for entry, run in cells_of(table)
        for epoch, value in enumerate(run["accuracy_by_epoch"], 1)
    ]


def curves() -> alt.Chart:
    chart = alt.Chart(POINTS).mark_line(strokeWidth=1.4, point=alt.OverlayMarkDef(size=12))
    x = alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d"))
    chart = chart.encode(x=x, y=alt.Y("accuracy:Q", title="accuracy (%)"), color="method:N", strokeDash="method:N", detail="line:N")
    return chart.properties(width=420, height=220)


def rate_points(table: Table) -> list[dict]:
    return [
        {
            "row": f"row {entry.measured.line.first.row}",
            "place": place,
            "step": f"{place:03}.{step}",
            "layer": depth,
            "rate": round(rate, 2),
        }
        for place, (entry, run) in enumerate(cells_of(table))
        for depth, layer in enumerate(behind.rates(run), 1)
        for step, rate in enumerate(layer["steps"], 1)
    ]


def heat() -> alt.Chart:
    label = "split(datum.value, '.')[1]"
    x = alt.X("step:O", title="step of each row", axis=alt.Axis(labelExpr=label, labelAngle=0, labelOverlap=True, grid=False))
    chart = alt.Chart(POINTS).mark_rect(aria=False).encode(x=x, y=alt.Y("layer:O", title="neuron layer", axis=alt.Axis(labelOverlap=True)))
    colour = alt.Color("rate:Q", scale=alt.Scale(scheme="viridis"), title="rate (%)")
    return chart.encode(color=colour).properties(width=alt.Step(9), height=alt.Step(6))
