"""Figures of one table: learning curves, firing rates as a heat map over layers and steps."""

import altair as alt

from benchmark.reports.page import behind
from benchmark.reports.page.drawing import POINTS
from benchmark.reports.page.gathered import Entry, Table

CURVES = "Test accuracy after every epoch, one line per row's first seed."
RATES = (
    "Share of outputs that are not 0, in percent: neuron layers from the input (top) to the output, time steps of each row side by side "
    "(of a long run the mean over stretches of them)."
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
    chart = alt.Chart(POINTS).mark_line(strokeWidth=1.4, aria=False, point=alt.OverlayMarkDef(size=12, aria=False))
    x = alt.X("epoch:Q", axis=alt.Axis(tickMinStep=1, format="d"))
    chart = chart.encode(x=x, y=alt.Y("accuracy:Q", title="accuracy (%)"), color="method:N", strokeDash="method:N", detail="line:N")
    return chart.properties(width=420, height=220)


def rate_points(table: Table) -> list[dict]:
    return [
        {
            "row": f"row {entry.measured.line.first.row}",
            "place": place,
            "step": f"{place:03}.{step:02}.{label}",
            "layer": depth,
            "rate": round(rate, 2),
        }
        for place, (entry, run) in enumerate(cells_of(table))
        for depth, layer in enumerate(behind.rates(run), 1)
        for step, (label, rate) in enumerate(layer["steps"], 1)
    ]


def heat() -> alt.Chart:
    label = "split(datum.value, '.')[2]"
    x = alt.X("step:O", title="step of each row", axis=alt.Axis(labelExpr=label, labelAngle=0, labelOverlap=True, grid=False))
    chart = alt.Chart(POINTS).mark_rect(aria=False).encode(x=x, y=alt.Y("layer:O", title="neuron layer", axis=alt.Axis(labelOverlap=True)))
    colour = alt.Color("rate:Q", scale=alt.Scale(scheme="viridis"), title="rate (%)")
    return chart.encode(color=colour).properties(width=alt.Step(9), height=alt.Step(6))
