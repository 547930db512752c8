"""Figures as CSV: what is drawn of a run beside its final accuracy (each step, each epoch, the loss around it). Never loads torch.

A line of `benchmark/papers/<paper>/figure<k>.csv` is one curve, bar or surface; a line of results/figure<k>_<paper>.csv is one point of it.
"""

import csv
import statistics
from pathlib import Path

from benchmark import metrics
from benchmark.pins.cells import parse_options
from benchmark.pins.settings import Settings
from benchmark.reports import provenance, tables
from benchmark.reports.measured import Measured
from benchmark.runs import lines, structures
from benchmark.runs.lines import Line
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv, write_json

BESIDE = {  # what is drawn -> the file of a run that holds it, else its metrics
    "curve": "curve.csv",
    "loss_surface": "surface.csv",
    "pictures": "pictures.csv",
}


def inputs(figure: str, settings: Settings) -> list[Path]:
    """The files of runs that a figure is made of, relative to the working directory."""
    entries = lines.of_table(figure, settings)
    beside = [run.folder / BESIDE[entry.first.metric] for entry in entries if entry.first.metric in BESIDE for run in entry.runs]
    counted = any(metrics.metric(number.metric).of == "structure" for entry in entries for number in entry.numbers)
    beside += structures.behind(figure) if counted else []
    return [run.folder / "metrics.json" for run in lines.runs_of([figure], settings).values()] + beside


def cells_of(metric: str, figures: list[str], settings: Settings) -> set[str]:
    """Ids of the cells of which this is drawn, like the loss around their weights."""
    return {entry.resolved.id for figure in figures for entry in showing(metric, figure, settings) if entry.resolved}


def showing(metric: str, figure: str, settings: Settings) -> list[Line]:
    """A figure's lines that draw this."""
    return [entry for entry in lines.of_table(figure, settings) if entry.first.metric == metric]


def picture(figure: str, settings: Settings) -> Path | None:
    """The picture that a figure is, of its first run, relative to the working directory; None for a figure that is none."""
    runs = [run for entry in showing("pictures", figure, settings) for run in entry.runs]
    return runs[0].folder / "pictures.png" if runs else None


def build(figure: str, settings: Settings, root: Path) -> list[dict]:
    """The figure's points in the order of its pins; a curve without a finished run has one line that says why."""
    return [point for entry in lines.of_table(figure, settings) for point in drawn(entry, settings.scale, root)]


def drawn(entry: Line, scale: str, root: Path) -> list[dict]:
    """The points of one curve, bar or surface."""
    measured = Measured.of(entry, root)
    about = tables.described(measured, scale)
    if measured.unfinished:
        return [{**about, "verdict": measured.unfinished, "why": measured.why}]
    differs = {"differs": "; ".join(measured.differences)}
    return [{**about, **point, **differs} for point in POINTS[entry.first.metric](measured, root)]


def by_step(measured: Measured, root: Path) -> list[dict]:
    """The accuracy of every step alone, their mean and spread (best less worst) beside what is printed, and that of all together."""
    steps = of_all(measured, "accuracy_by_step")
    points = [{"step": t + 1, **averaged("accuracy", values)} for t, values in enumerate(zip(*steps, strict=True))]
    for name in ("mean", "spread"):
        metric = metrics.metric(f"accuracy_step_{name}")
        values = measured.values(metric)
        point = {"step": name, **averaged("accuracy", list(values.values())), "published": "", "verdict": ""}
        for number in measured.line.numbers:
            if number.metric == metric.name and number.value:
                verdict = measured.verdict(number, values)
                point |= {"published": number.value, "verdict": verdict.word, "low": verdict.low, "high": verdict.high}
                point |= {"seeds_needed": verdict.seeds}
        points.append(point)
    return [*points, {"step": "all", **averaged("accuracy", of_all(measured, "accuracy"))}]


def by_option(measured: Measured, root: Path) -> list[dict]:
    """The accuracy at the value of the option that the line varies, and what else the line names; beside what is printed of it, if any is."""
    named = {number.metric: number for number in measured.line.numbers}
    point = parse_options(measured.line.first.options)
    beside = [other for name in named for other in metrics.metric(name).beside]
    for name in dict.fromkeys([*named, *beside]):
        values = measured.values(metrics.metric(name))
        point |= averaged(name, list(values.values()) if values else [])
        if name in named and named[name].value:
            verdict = measured.verdict(named[name], values)
            point |= {f"{name}_published": named[name].value, f"{name}_verdict": verdict.word}
            point |= {f"{name}_low": verdict.low, f"{name}_high": verdict.high}
    return [point]


def by_epoch(measured: Measured, root: Path) -> list[dict]:
    """Test accuracy, training loss against the labels, and the whole training loss after every epoch."""
    curves = files(measured, root, "curve.csv")
    points = []
    for epoch in zip(*curves, strict=True):
        whole = [sum(float(value) for key, value in line.items() if key.startswith("loss_")) for line in epoch]
        accuracy, task = ([float(line[key]) for line in epoch] for key in ("accuracy", "loss_task"))
        points.append(
            {"epoch": epoch[0]["epoch"], **averaged("accuracy", accuracy), **averaged("loss_labels", task), **averaged("loss", whole)}
        )
    return points


def around(measured: Measured, root: Path) -> list[dict]:
    """The loss on the grid around the weights, then one line with the roughness of the whole."""
    grids = files(measured, root, "surface.csv")
    points = [
        {"a": float(point[0]["a"]), "b": float(point[0]["b"]), **averaged("loss", [float(line["loss"]) for line in point])}
        for point in zip(*grids, strict=True)
    ]
    return [*points, averaged("roughness", [roughness(grid) for grid in grids])]


def by_time(measured: Measured, root: Path) -> list[dict]:
    """The accuracy of the first t steps together, for every t of the run."""
    return [
        {"step": t, **averaged("accuracy", values)} for t, values in enumerate(zip(*of_all(measured, "accuracy_up_to"), strict=True), 1)
    ]


def by_threshold(measured: Measured, root: Path) -> list[dict]:
    """How often each threshold, in units of the smallest of its sign, sends its spike: over all neurons, then place by place."""
    runs = of_all(measured, "firing_by_threshold")
    whole = [[sum(column) for column in zip(*run.values(), strict=True)] for run in runs]
    return [*rates("all", whole), *(point for place in runs[0] for point in rates(place, [run[place] for run in runs]))]


def rates(place: str, counts: list[list[float]]) -> list[dict]:
    """One point per threshold. counts: for each seed spikes of lambda_1 ... lambda_2n, then neurons times steps."""
    n = len(counts[0]) // 2
    signed = [2**p for p in range(n)] + [-(2**p) for p in range(n)]
    shares = [[100 * count / run[-1] for count in run[:-1]] for run in counts]
    return [
        {"place": place, "threshold": one, **averaged("rate", list(of))} for one, of in zip(signed, zip(*shares, strict=True), strict=True)
    ]


def by_image(measured: Measured, root: Path) -> list[dict]:
    """What the method measured of each test image that it made pictures of, then the mean over all."""
    shown = [
        [{key: float(value) for key, value in line.items() if key not in ("image", "label")} for line in each]
        for each in files(measured, root, "pictures.csv")
    ]
    images = [line["image"] for line in files(measured, root, "pictures.csv")[0]]
    means = [{key: statistics.mean(line[key] for line in each) for key in each[0]} for each in shown]
    lines_of = [*zip(images, zip(*shown, strict=True), strict=True), ("all", means)]
    return [{"image": name, **joined(averaged(key, [one[key] for one in of]) for key in of[0])} for name, of in lines_of]


POINTS = {
    "accuracy_up_to_step": by_time,
    "firing_by_threshold": by_threshold,
    "accuracy": by_option,
    "accuracy_step_mean": by_step,
    "accuracy_step_spread": by_step,
    "curve": by_epoch,
    "loss_surface": around,
    "pictures": by_image,
}


def roughness(grid: list[dict]) -> float:
    """Mean size of the loss's second differences along both directions, by the loss's range over the grid: 0 for a plane.

    grid: lines a, b, loss of a square grid, a outermost.
    """
    side = round(len(grid) ** 0.5)
    rows = [[float(line["loss"]) for line in grid[i * side : (i + 1) * side]] for i in range(side)]
    both = [*rows, *map(list, zip(*rows, strict=True))]
    bends = [abs(a - 2 * b + c) for line in both for a, b, c in zip(line, line[1:], line[2:], strict=False)]
    values = [value for row in rows for value in row]
    return statistics.mean(bends) / (max(values) - min(values) or 1.0)


def joined(dictionaries) -> dict:
    return {key: value for each in dictionaries for key, value in each.items()}


def averaged(name: str, values: list[float]) -> dict:
    """Mean over seeds and, from two seeds on, their standard deviation; empty without any."""
    if not values:
        return {name: "", f"{name}_std": ""}
    return {name: round(statistics.mean(values), 6), f"{name}_std": round(statistics.stdev(values), 6) if len(values) > 1 else ""}


def of_all(measured: Measured, key: str) -> list:
    """A value of every run that is done."""
    return [run[key] for run in measured.runs.values()]


def files(measured: Measured, root: Path, name: str) -> list[list[dict]]:
    """What lies beside the metrics of every run that is done. UserError: it does not."""
    return [read(root / run.folder / name) for run in measured.line.runs if run.seed in measured.runs]


def read(path: Path) -> list[dict]:
    if not path.exists():
        raise UserError(f"{path} is not there: remove metrics.json beside it, and the run is done again")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(figure: str, settings: Settings, root: Path, name: str = "") -> str:
    """results/<name>.csv and .meta.json under `root`, <name> being the figure's own by default; returns how many points there are."""
    points, target = build(figure, settings, root), root / "results" / (name or figure)
    write_csv(target.with_name(f"{target.name}.csv"), points)
    write_json(target.with_name(f"{target.name}.meta.json"), provenance.of(figure, settings, root))
    return f"{figure}: {len(points)} points of {len(lines.of_table(figure, settings))} curves at scale {settings.scale}"
