"""Result tables: the printed rows joined with what their runs measured, as CSV, as provenance and to read. Never loads torch."""

import statistics
from collections import Counter
from pathlib import Path

from benchmark.pins.cells import parse_options
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.reports import comparison
from benchmark.runs import lines as ledger
from benchmark.runs.lines import Line
from benchmark.shared.files import replacing, write_json

OBTAINED = {  # published metric -> the same quantity from a run's metrics, in the metric's unit
    "accuracy": lambda m: m["accuracy"],
    "accuracy_ann": lambda m: m["accuracy"],
    "params_M": lambda m: m["structure"]["parameters"] / 1e6,
    "ops_G": lambda m: m["sops"] / 1e9,
    "ops_M": lambda m: m["sops"] / 1e6,
    "power_mJ": lambda m: m["energy_formula_mJ"],
    "energy_mJ": lambda m: m["energy_mJ"],
    "energy_uJ": lambda m: m["energy_mJ"] * 1e3,
    "firing_rate_pct": lambda m: m["firing_rate"],
    "epoch": lambda m: m["epoch_best"],
    "training_time_h": lambda m: m["seconds"] / 3600,
    "training_time_s": lambda m: m["images_per_second"] and m["spec"]["recipe"]["batch_size"] / m["images_per_second"],  # of a batch
}
OBTAINED_FOR = {  # the same where a paper counts by another convention
    "tser": {
        "ops_G": lambda m: m["structure"]["ops_syops"] / 1e9,  # of the paper-size model, like params_M
        "macs_M": lambda m: m["structure"]["macs_syops"] / 1e6,
        "acs_M": lambda m: by_syops(m, "acs") / 1e6,
        "energy_mJ": lambda m: by_syops(m, "energy_mJ"),
    }
}
MEASURED = {  # columns of every table; of the paper-size model first, then of the network that ran
    "params_M": lambda m: m["structure"]["parameters"] / 1e6,
    "macs_G": lambda m: m["structure"]["macs_dense"] / 1e9,
    "run_params_M": lambda m: m["parameters"] / 1e6,
    "run_macs_G": lambda m: m["macs_dense"] / 1e9,
    "acs_G": lambda m: m["acs"] / 1e9,
    "sops_G": lambda m: m["sops"] / 1e9,
    "energy_mJ": lambda m: m["energy_mJ"],
    "firing_rate": lambda m: m["firing_rate"],
    "train_seconds": lambda m: m["seconds"],
}
DIGITS = {"accuracy": 2, "accuracy_std": 2, "accuracy_best": 2, "firing_rate": 2, "train_seconds": 1}  # others: six significant


def build(table: str, settings: Settings, root: Path) -> list[dict]:
    """The table's lines as dictionaries with the same keys, from whatever runs exist so far."""
    entries = ledger.lines(table, settings)
    metrics = list(dict.fromkeys(number.metric for entry in entries for number in entry.numbers if number.metric != "accuracy_std"))
    rows = [row(entry, metrics, settings, root) for entry in entries]
    if "accuracy_gain" in metrics:
        add_gains(entries, rows, settings)
    add_passing(entries, rows, settings, root)
    return rows


def add_gains(entries: list[Line], rows: list[dict], settings: Settings) -> None:
    """Obtained gains and their verdicts: points above the first row of the same data set, as the tables print them."""
    for entry, line in zip(entries, rows, strict=True):
        base = first_of(line["dataset"], rows)
        printed = [number for number in entry.numbers if number.metric == "accuracy_gain"]
        if printed and None not in (line["accuracy"], base["accuracy"]):
            gain = line["accuracy"] - base["accuracy"]
            line |= {"accuracy_gain": gain, "accuracy_gain_verdict": comparison.verdict(printed[0], gain, 0.0, settings.scale)}


def add_passing(entries: list[Line], rows: list[dict], settings: Settings, root: Path) -> None:
    """For option `at_epoch`, which says when a row passes the table's first one: the epoch at which our runs pass its best accuracy."""
    for entry, line in zip(entries, rows, strict=True):
        printed = [number for number in entry.numbers if number.metric == "epoch"]
        best = first_of(line["dataset"], rows).get("accuracy_best")
        if "at_epoch" in parse_options(entry.first.options) and printed and line["n_seeds"] and best is not None:
            epoch = mean_of(
                lambda m, best=best: passing(m["accuracy_by_epoch"], best), [m for run in entry.runs if (m := run.metrics(root))]
            )
            line |= {"epoch": epoch, "epoch_verdict": comparison.verdict(printed[0], epoch, 0.0, settings.scale)}


def passing(accuracies: list[float], best: float) -> int | None:
    """The first epoch, counted from 1, that is better than `best`; None if none is."""
    return next((epoch for epoch, accuracy in enumerate(accuracies, 1) if accuracy > best), None)


def first_of(dataset: str, rows: list[dict]) -> dict:
    """The table's first row of this data set, which the others are compared with."""
    return next(row for row in rows if row["dataset"] == dataset)


def row(entry: Line, metrics: list[str], settings: Settings, root: Path) -> dict:
    """One line: what was printed, what came out, whether they agree."""
    states = [run.state(root) for run in entry.runs]
    done = [found for found in (run.metrics(root) for run in entry.runs) if found]
    line = described(entry, settings, root)
    for metric in metrics:
        line |= compared(entry, metric, done, states, settings)
    line |= {key: mean_of(value, done) for key, value in MEASURED.items() if key not in line}
    line["checks"] = checked(done)
    run = entry.runs[0].folder.parent.name if entry.runs else ""
    return {**line, "origin": entry.first.origin, "source": entry.first.source, "run": run}


def described(entry: Line, settings: Settings, root: Path) -> dict:
    """What a line of a table or figure is of: as printed, and what it ran on."""
    first = entry.first
    return {
        "row": first.row,
        "group": first.group,
        "method": first.method,
        "backbone": first.backbone,
        "dataset": first.dataset,
        "time_steps": first.time_steps,
        "options": first.options,
        "scale": settings.scale,
        "data": entry.resolved.spec["data"] if entry.resolved else "",
        "model": ("twin" if entry.resolved.spec["twin"] else "paper size") if entry.resolved else "",
        "n_seeds": sum(run.state(root) == "done" for run in entry.runs),
    }


def compared(entry: Line, metric: str, done: list[dict], states: list[str], settings: Settings) -> dict:
    """Columns of one printed metric: published, obtained, spread, verdict."""
    numbers = [number for number in entry.numbers if number.metric == metric]
    value, spread = value_of(metric, done, entry.first)
    columns = {f"{metric}_published": numbers[0].value if numbers else "", metric: value}
    if metric == "accuracy":
        spreads = [number.value for number in entry.numbers if number.metric == "accuracy_std"]
        columns |= {
            "accuracy_std_published": spreads[0] if spreads else "",
            "accuracy_std": spread,
            "accuracy_best": mean_of(lambda m: m["accuracy_best"], done),
        }
    columns[f"{metric}_verdict"] = judged(entry, numbers[0], value, spread, states, settings) if numbers else ""
    return columns


def judged(entry: Line, number, value: float | None, spread: float | None, states: list[str], settings: Settings) -> str:
    """The verdict of one number, the state of its runs taken in."""
    if entry.lacking or (value is None and "done" not in states):
        return unfinished(entry, states)
    return comparison.verdict(number, value, spread or 0.0, settings.scale)


def unfinished(entry: Line, states: list[str]) -> str:
    """Why a line without a finished run has no value."""
    if entry.lacking:
        return "not implemented"
    return "failed" if "failed" in states else "not run" if states else "missing"


def value_of(metric: str, done: list[dict], first: Number) -> tuple[float | None, float | None]:
    """Mean and standard deviation over seeds of a published metric; None where there is none."""
    values = [value for value in (obtained(metric, found, first) for found in done) if value is not None]
    return (statistics.mean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None)


def checked(done: list[dict]) -> str:
    """`passed`, or the checks of training/checks.py that a run's network failed; empty without a run that made them."""
    failed = sorted({name for metrics in done for name in metrics.get("checks", {}).get("failed", [])})
    return ", ".join(failed) or ("passed" if any("checks" in metrics for metrics in done) else "")


def by_syops(metrics: dict, key: str) -> float:
    """An amount by the convention of syops-counter."""
    return metrics["conventions"]["syops"][key]


def obtained(metric: str, metrics: dict, first: Number) -> float | None:
    """What a run measured for a published metric, None if it does not. Option `at_epoch` reads the curve there, not at its end."""
    at = parse_options(first.options).get("at_epoch")
    if at is not None:
        curve = metrics["accuracy_by_epoch"]
        return curve[at - 1] if metric == "accuracy" and at <= len(curve) else None
    readers = OBTAINED | OBTAINED_FOR.get(first.paper, {})
    return readers[metric](metrics) if metric in readers else None


def mean_of(value, done: list[dict]) -> float | None:
    values = [found for found in (value(metrics) for metrics in done) if found is not None]
    return statistics.mean(values) if values else None


def write(table: str, settings: Settings, root: Path) -> str:
    """results/<table>.csv, .md and .meta.json under `root`; returns the readable table."""
    import pandas

    rows = build(table, settings, root)
    frame = pandas.DataFrame([{key: rounded(key, value) for key, value in line.items()} for line in rows])
    with replacing(root / "results" / f"{table}.csv") as file:
        frame.to_csv(file, index=False, lineterminator="\n")
    text = readable(table, rows, settings)
    with replacing(root / "results" / f"{table}.md") as file:
        file.write(text)
    write_json(root / "results" / f"{table}.meta.json", provenance(table, settings, root))
    return text


def rounded(key: str, value):
    if not isinstance(value, float):
        return value
    return round(value, DIGITS[key]) if key in DIGITS else float(f"{value:.6g}")


def provenance(table: str, settings: Settings, root: Path) -> dict:
    """Every run behind a table, its recipe with the source of each value, and what made it."""
    about = (
        "seed",
        "commit",
        "dirty",
        "python",
        "packages",
        "hardware",
        "data_checksum",
        "finished",
        "seconds",
        "peak_memory_MB",
        "energy_convention",
    )
    described = {}
    for folder, run in ledger.runs([table], settings).items():
        metrics = run.metrics(root) or {}
        recipe = {key: {"value": value, "source": run.resolved.sources[key]} for key, value in run.resolved.spec["recipe"].items()}
        made = {key: metrics.get(key) for key in about}
        described[str(folder)] = {"state": run.state(root), "spec": run.resolved.spec, "recipe": recipe, **made}
    return {"table": table, "scale": settings.scale, "columns": COLUMNS, "verdicts": comparison.VERDICTS, "runs": described}


COLUMNS = {
    "dataset": "as printed; `data` is what was really used",
    "accuracy": "test accuracy in percent after the last epoch, mean over seeds; accuracy_best of the best epoch",
    "params_M": "parameters of the paper-size model on the printed data set, millions, unused layers left out",
    "macs_G": "dense multiply-accumulates of the paper-size model, one inference, all time steps, attention products included, 1e9",
    "run_params_M": "parameters of the network that ran (a twin at the smoke scale)",
    "acs_G": "accumulates of the network that ran, exact events, one inference, 1e9",
    "sops_G": "firing rate x T x FLOPs of the network that ran, the papers' formula, 1e9",
    "energy_mJ": "exact events at 45 nm: 4.6 pJ per multiply-accumulate, 0.9 pJ per accumulate, of the network that ran; in TSER's "
    "table, which prints it, by syops-counter's convention like acs_M",
    "ops_G, macs_M": "in TSER's table: of the paper-size model, by syops-counter's convention",
    "checks": "of the network that ran: the same logits alone, among other images, after a reset and at T = 1; spikes of 0 and 1",
    "firing_rate": "spikes per neuron and time step in percent, on the whole test set",
}


def readable(table: str, rows: list[dict], settings: Settings) -> str:
    """The table in Markdown, columns aligned."""
    heads = (
        "row",
        "method",
        "backbone",
        "data set",
        "T",
        "run on",
        "published",
        "obtained",
        "best",
        "verdict",
        "params M",
        "rate %",
        "energy uJ",
    )
    body = [
        (
            line["row"], line["method"], line["backbone"], line["dataset"], line["time_steps"], line["data"] or "-",
            line.get("accuracy_published") or "-", with_spread(line), shown(line.get("accuracy_best"), 2), line.get("accuracy_verdict") or "-",
            shown(line.get("params_M"), 3), shown(line["firing_rate"], 2), shown(line["energy_mJ"] and line["energy_mJ"] * 1e3, 3),
        )
        for line in rows
    ]  # fmt: skip
    note = f"Scale {settings.scale}. params: the paper-size model. rate, energy: the network that ran"
    if settings.scale == "smoke":
        note += ", a tiny twin on stand-in data: its accuracy says that the code works, nothing about the paper"
    return f"# {table}\n\n{aligned(heads, body)}\n{note}.\n\n{tally(rows)}\n"


def tally(rows: list[dict]) -> str:
    """How many printed numbers got which verdict, in the order of their explanation."""
    counts = Counter(value for line in rows for key, value in line.items() if key.endswith("_verdict") and value)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in comparison.VERDICTS if counts[verdict])
    return f"{counts.total()} printed numbers: {said}."


def with_spread(line: dict) -> str:
    value, spread = line.get("accuracy"), line.get("accuracy_std")
    return shown(value, 2) + (f" +- {spread:.2f}" if spread is not None else "")


def shown(value, digits: int) -> str:
    return "-" if value in (None, "") else f"{value:.{digits}f}"


def aligned(heads: tuple, body: list[tuple]) -> str:
    """A Markdown table whose columns line up in a terminal too."""
    cells = [[str(cell) for cell in line] for line in (heads, *body)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(heads))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]) + "\n"
