"""Figures as CSV: what is drawn of a run beside its final accuracy (each step, each epoch, the loss around it). Never loads torch.

A line of `benchmark/papers/<paper>/figure<k>.csv` is one curve, bar or surface; a line of results/figure<k>_<paper>.csv is one point of it.
"""

import csv
import statistics
from pathlib import Path

from benchmark.pins.cells import parse_options
from benchmark.pins.settings import Settings
from benchmark.reports import comparison, tables
from benchmark.runs import lines as ledger
from benchmark.runs.lines import Line, Run
from benchmark.shared.files import write_csv, write_json

BESIDE = {"curve": "curve.csv", "loss_surface": "surface.csv"}  # what is drawn -> the file of a run that holds it, else its metrics


def inputs(figure: str, settings: Settings) -> list[Path]:
    """The files of runs that a figure is made of, relative to the working directory."""
    found = [run.folder / "metrics.json" for run in ledger.runs([figure], settings).values()]
    return found + [
        run.folder / BESIDE[e.first.metric] for e in ledger.lines(figure, settings) for run in e.runs if e.first.metric in BESIDE
    ]


def surfaces(figures: list[str], settings: Settings) -> set[str]:
    """Ids of the cells around whose weights the loss is drawn."""
    entries = [entry for figure in figures for entry in ledger.lines(figure, settings)]
    return {entry.resolved.id for entry in entries if entry.first.metric == "loss_surface" and entry.resolved}


def build(figure: str, settings: Settings, root: Path) -> list[dict]:
    """The figure's points in the order of its pins; a curve without a finished run has one line that says why."""
    return [line for entry in ledger.lines(figure, settings) for line in drawn(entry, settings, root)]


def drawn(entry: Line, settings: Settings, root: Path) -> list[dict]:
    """The points of one curve, bar or surface."""
    about = tables.described(entry, settings, root)
    done = [run for run in entry.runs if run.state(root) == "done"]
    if not done:
        return [{**about, "verdict": tables.unfinished(entry, [run.state(root) for run in entry.runs])}]
    return [{**about, **point} for point in POINTS[entry.first.metric](entry, done, settings, root)]


def by_step(entry: Line, done: list[Run], settings: Settings, root: Path) -> list[dict]:
    """The accuracy of every step alone, their mean and spread (best less worst) beside what is printed, and that of all together."""
    runs = [run.metrics(root) for run in done]
    steps = [metrics["accuracy_by_step"] for metrics in runs]
    points = [{"step": t + 1, **averaged("accuracy", values)} for t, values in enumerate(zip(*steps, strict=True))]
    means = {"mean": [statistics.mean(run) for run in steps], "spread": [max(run) - min(run) for run in steps]}
    for name, values in means.items():
        printed = [n for n in entry.numbers if n.metric == f"accuracy_step_{name}" and n.value]
        point = {"step": name, **averaged("accuracy", values)}
        said = [comparison.verdict(number, point["accuracy"], point["accuracy_std"] or 0.0, settings.scale) for number in printed]
        points.append({**point, "published": printed[0].value if printed else "", "verdict": said[0] if said else ""})
    return [*points, {"step": "all", **averaged("accuracy", [metrics["accuracy"] for metrics in runs])}]


def by_option(entry: Line, done: list[Run], settings: Settings, root: Path) -> list[dict]:
    """The accuracy at the value of the option that the line varies."""
    runs = [run.metrics(root) for run in done]
    ends = averaged("accuracy", [metrics["accuracy"] for metrics in runs])
    return [{**parse_options(entry.first.options), **ends, **averaged("accuracy_best", [metrics["accuracy_best"] for metrics in runs])}]


def by_epoch(entry: Line, done: list[Run], settings: Settings, root: Path) -> list[dict]:
    """Test accuracy, training loss against the labels, and the whole training loss after every epoch."""
    curves = [read(root / run.folder / "curve.csv") for run in done]
    points = []
    for epoch in zip(*curves, strict=True):
        whole = [sum(float(value) for key, value in line.items() if key.startswith("loss_")) for line in epoch]
        accuracy, task = ([float(line[key]) for line in epoch] for key in ("accuracy", "loss_task"))
        points.append(
            {"epoch": epoch[0]["epoch"], **averaged("accuracy", accuracy), **averaged("loss_labels", task), **averaged("loss", whole)}
        )
    return points


def around(entry: Line, done: list[Run], settings: Settings, root: Path) -> list[dict]:
    """The loss on the grid around the weights, then one line with the roughness of the whole."""
    grids = [read(root / run.folder / "surface.csv") for run in done]
    points = [
        {"a": point[0]["a"], "b": point[0]["b"], **averaged("loss", [float(line["loss"]) for line in point])}
        for point in zip(*grids, strict=True)
    ]
    return [*points, averaged("roughness", [roughness(grid) for grid in grids])]


POINTS = {
    "accuracy": by_option,
    "accuracy_step_mean": by_step,
    "accuracy_step_spread": by_step,
    "curve": by_epoch,
    "loss_surface": around,
}


def roughness(grid: list[dict]) -> float:
    """Mean size of the loss's second differences along both directions, by the loss's range over the grid: 0 for a plane.

    grid: lines a, b, loss of a square grid, a outermost.
    """
    side = round(len(grid) ** 0.5)
    rows = [[float(line["loss"]) for line in grid[i * side : (i + 1) * side]] for i in range(side)]
    lines = [*rows, *map(list, zip(*rows, strict=True))]
    bends = [abs(a - 2 * b + c) for line in lines for a, b, c in zip(line, line[1:], line[2:], strict=False)]
    values = [value for row in rows for value in row]
    return statistics.mean(bends) / (max(values) - min(values) or 1.0)


def averaged(name: str, values: list[float]) -> dict:
    """Mean over seeds and, from two seeds on, their standard deviation."""
    return {name: round(statistics.mean(values), 6), f"{name}_std": round(statistics.stdev(values), 6) if len(values) > 1 else ""}


def read(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(figure: str, settings: Settings, root: Path) -> str:
    """results/<figure>.csv and .meta.json under `root`; returns how many points there are."""
    points = build(figure, settings, root)
    write_csv(root / "results" / f"{figure}.csv", points)
    write_json(root / "results" / f"{figure}.meta.json", tables.provenance(figure, settings, root))
    return f"{figure}: {len(points)} points of {len(ledger.lines(figure, settings))} curves at scale {settings.scale}"
