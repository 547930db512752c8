"""The papers' figures as our runs have them: the points of results/figure<k>_<paper>.csv, drawn."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import altair as alt

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import figures as of_papers
from benchmark.reports.page.drawing import LABELS, POINTS, Figure, figure
from benchmark.runs import lines
from benchmark.shared.errors import UserError


@dataclass(frozen=True)
class Kind:
    """What is drawn of a run. shows: whether a point of the figure is part of the drawing."""

    title: str
    caption: str
    shows: Callable[[dict], bool]
    chart: Callable[[], alt.TopLevelMixin]


def drawings(settings: Settings, root: Path) -> list[Figure]:
    """Of every figure of the papers that has a finished run."""
    found = []
    for name in published.figures():
        with suppress(UserError):  # a broken figure is told to who asks for it
            first = published.read(name)[0]
            if kind := KINDS.get(first.metric):
                title = f"{first.paper} Figure {first.table}: {kind.title}"
                found.append(figure(name, title, kind.caption, points(name, kind, settings, root), kind.chart))
    return [each for each in found if each.svg]


def points(name: str, kind: Kind, settings: Settings, root: Path) -> list[dict]:
    """The figure's points so far, each with its line's name."""
    found = []
    for entry in lines.of_table(name, settings):
        with suppress(UserError):  # a run without the file that is drawn: it was not asked for this figure
            found += [{**point, "line": label(point)} for point in of_papers.drawn(entry, settings.scale, root) if kind.shows(point)]
    return found


def label(point: dict) -> str:
    words = (point["method"], point["backbone"], point["dataset"], point["options"])
    return f"{point['row']}: {' '.join(word for word in words if word not in ('', '-'))}"


def numbered(key: str) -> Callable[[dict], bool]:
    """Points whose `key` is a number, not the name of a mean."""
    return lambda point: isinstance(point.get(key), int) or str(point.get(key, "")).isdecimal()


def over(key: str, title: str, y: str = "accuracy", said: str = "accuracy (%)") -> alt.Chart:
    """A line for each of the figure's lines."""
    colour = alt.Color("line:N", title=None, sort=None, legend=alt.Legend(labelLimit=320))
    x = alt.X(f"{key}:Q", title=title, axis=alt.Axis(tickMinStep=1, format="d"))
    chart = alt.Chart(POINTS).mark_line(point=alt.OverlayMarkDef(size=20, aria=False), aria=False)
    chart = chart.encode(x=x, y=alt.Y(f"{y}:Q", title=said), color=colour, strokeDash=alt.StrokeDash("line:N", title=None, sort=None))
    return chart.properties(width=420, height=260)


def epochs() -> alt.HConcatChart:
    return alt.hconcat(over("epoch", "epoch"), over("epoch", "epoch", "loss", "training loss"))


def surface() -> alt.Chart:
    """The loss on the grid, one square for each line; its colours follow the logarithm, for most of it lies near the weights' own."""
    x, y = (alt.X("a:O", title="along the first direction", axis=None), alt.Y("b:O", sort="descending", title=None, axis=None))
    colour = alt.Color("loss:Q", scale=alt.Scale(scheme="viridis", type="log"), title="loss")
    chart = alt.Chart(POINTS).mark_rect(aria=False).encode(x=x, y=y, color=colour).properties(width=240, height=240)
    return chart.facet(column=alt.Column("line:N", title=None, header=alt.Header(labelLimit=240)))


def thresholds() -> alt.Chart:
    x, y = alt.X("threshold:O", title="threshold, in units of the smallest"), alt.Y("rate:Q", title="fires (% of steps)")
    return alt.Chart(POINTS).mark_bar(aria=False).encode(x=x, y=y).properties(width=420, height=200)


def dots() -> alt.LayerChart:
    """Obtained beside what is printed, one line for each of the figure's."""
    base = alt.Chart(POINTS).encode(y=alt.Y("line:N", sort=None, title=None, axis=LABELS))
    return alt.layer(
        base.mark_tick(color="#d9822b", thickness=3, height=11).encode(x="published:Q"),
        base.mark_point(filled=True, size=50).encode(x=alt.X("accuracy:Q", title="accuracy (%)", scale=alt.Scale(zero=False))),
    ).properties(width=420)


KINDS = {  # metric of a figure's lines: how they are drawn
    "loss_surface": Kind(
        "loss around the weights",
        "Mean training loss at w + a d1 + b d2 for a and b from -1 to 1, in two random directions with filter normalisation; the weights "
        "are in the middle.",
        lambda point: "a" in point,
        surface,
    ),
    "accuracy_up_to_step": Kind(
        "accuracy over T", "Test accuracy of the first T steps together.", numbered("step"), lambda: over("step", "T")
    ),
    "accuracy_step_mean": Kind(
        "accuracy of each step", "Test accuracy of each step's output alone.", numbered("step"), lambda: over("step", "step")
    ),
    "curve": Kind("convergence", "Test accuracy and training loss after every epoch.", numbered("epoch"), epochs),
    "firing_by_threshold": Kind(
        "how often each threshold fires", "Over all neurons.", lambda point: point.get("place") == "all", thresholds
    ),
    "accuracy": Kind(
        "accuracy", "Points: obtained, at the scale of this page. Ticks: as printed, where it is.", lambda point: "accuracy" in point, dots
    ),
}
