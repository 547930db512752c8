"""What the finished runs of a scale came to, in files small enough to be committed: results/reference/<scale>/.

claims.csv, claims.md and claims.svg as the page has them; runs.csv, a line for each run; steps.csv, what each gave at every time step;
provenance.json, its specification, recipe with sources, commit, hardware, checksums. Every number is one that a run wrote. No torch.

What takes days to run is not run in one go: with `keep`, lines of an earlier call stay where nothing here replaces them.
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import claims, provenance, reference
from benchmark.reports.page import across
from benchmark.reports.page.drawing import figure
from benchmark.runs import lines
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError, in_one_line
from benchmark.shared.files import replacing, write_csv, write_json

LEFT_OUT = "row", "accuracy_low", "accuracy_high"  # of a reference table's line: its place in that table, and what few recordings ask for
COLUMNS = (
    *("run", "method", "params", "backbone", "parameters", "data", "train", "test", "epochs", "time_steps", "seed", "accuracy"),
    *("sops_M", "macs_M", "energy_uJ", "firing_rate", "checks", "seconds", "commit", "weights"),
)
STEPS = ("run", "seed", "step", "accuracy_at_step", "accuracy_up_to", "firing_rate")
SAME = ("method", "params", "backbone", "data", "time_steps", "seed")  # a run of which there is a later one
CLAIM = claims.COLUMNS[: claims.COLUMNS.index("scale")]  # what no run changes
WORDS = {*CLAIM, "scale", "data", "verdict", "amount", "differs", "why", "source"}  # the other columns of a claim are numbers


class Evidence(NamedTuple):
    """Lines of the files; origins: folder of a run -> what made it."""

    runs: list[dict]
    steps: list[dict]
    claims: list[dict]
    origins: dict[str, dict]


def write(settings: Settings, root: Path, out: Path, keep: bool = False) -> str:
    """All files into `out`; returns what was found. UserError: no run is done; an earlier call's files that cannot be read."""
    found = here(settings, root)
    if keep:
        found = joined(found, earlier(out))
    write_csv(out / "runs.csv", found.runs, list(COLUMNS))
    write_csv(out / "steps.csv", found.steps, list(STEPS))
    write_json(out / "provenance.json", {"scale": settings.scale, "seeds": settings.seeds, "runs": found.origins})
    claims.write_as(found.claims, settings, out / "claims")
    with replacing(out / "claims.svg") as file:
        file.write(figure("claims", "Claims", across.FOREST, across.forest_points(found.claims), across.forest).svg)
    return f"{len(found.runs)} runs in {out}. {claims.tally(found.claims)}"


def here(settings: Settings, root: Path) -> Evidence:
    """Of the runs under `root`."""
    runs = finished(settings, root)
    if not runs:
        raise UserError(f"no run of scale {settings.scale} is done under {root}: nothing to write; see python -m benchmark status")
    measured = [(run, run.metrics(root)) for run in runs.values()]
    steps = [line for each in measured for line in by_step(*each)]
    return Evidence([told(*each) for each in measured], steps, claims.rows(settings, root), provenance.of_runs(runs, root))


def earlier(out: Path) -> Evidence:
    """What an earlier call wrote into `out`."""
    try:
        tables = {"runs": COLUMNS, "steps": STEPS, "claims": claims.COLUMNS}
        runs, steps, claimed = (lines_of(out / f"{name}.csv", columns) for name, columns in tables.items())
        origins = json.loads((out / "provenance.json").read_text(encoding="utf-8"))["runs"]
        return Evidence(runs, steps, [number(line) for line in claimed], origins)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{out} cannot be kept ({in_one_line(error)}): restore its files, or write without --keep") from None


def lines_of(path: Path, columns: tuple) -> list[dict]:
    reader = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    if tuple(reader.fieldnames or ()) != columns:
        raise ValueError(f"{path.name} has other columns")
    return list(reader)


def number(line: dict) -> dict:
    """A line of claims.csv as it was before it was written."""
    values = {key: value if key in WORDS else float(value) if value else None for key, value in line.items()}
    return {**values, "n_seeds": int(line["n_seeds"])}


def joined(now: Evidence, before: Evidence) -> Evidence:
    """All of now, and of before what has not been run again and claims that have more seeds."""
    again = {same(line, SAME) for line in now.runs}
    kept = [line for line in before.runs if same(line, SAME) not in again]
    folders = {f"runs/{line['run']}/seed{line['seed']}": (line["run"], line["seed"]) for line in kept}
    steps = [line for line in before.steps if (line["run"], line["seed"]) in folders.values()]
    known = {same(line, CLAIM): line for line in before.claims}
    chosen = [max(line, known.get(same(line, CLAIM), line), key=lambda each: each["n_seeds"]) for line in now.claims]
    origins = {folder: before.origins[folder] for folder in folders}
    runs = sorted([*now.runs, *kept], key=lambda line: (line["run"], int(line["seed"])))
    return Evidence(runs, [*now.steps, *steps], claims.controlled(chosen), {**now.origins, **origins})


def same(line: dict, columns) -> tuple:
    return tuple(str(line[key]) for key in columns)


def finished(settings: Settings, root: Path) -> dict[Path, Run]:
    """The runs that are done and believed, in the order of the tables."""
    names, _ = lines.sound(list(published.tables()), settings)
    return {folder: run for folder, run in lines.runs_of(names, settings).items() if run.metrics(root) is not None}


def told(run: Run, metrics: dict) -> dict:
    """One run's line."""
    measured = {key: reference.rounded(value) for key, value in reference.row(0, metrics).items() if key not in LEFT_OUT}
    params = " ".join(f"{key}={value}" for key, value in metrics["spec"]["method"]["params"].items())
    made = {"commit": metrics["measured"].get("commit", ""), "weights": metrics["weights"]}
    return {key: value for key, value in {**measured, "run": run.resolved.id, "params": params, **made}.items() if key in COLUMNS}


def by_step(run: Run, metrics: dict) -> list[dict]:
    """A line for each time step of a network that has more than one."""
    rates = reference.by_step(metrics["records"])
    rates = rates if len(rates) == len(metrics["accuracy_up_to"]) else [None] * len(metrics["accuracy_up_to"])
    pairs = zip(metrics["accuracy_by_step"], metrics["accuracy_up_to"], rates, strict=True)
    found = [
        dict(zip(STEPS, (run.resolved.id, run.seed, t, *map(reference.rounded, values)), strict=True)) for t, values in enumerate(pairs, 1)
    ]
    return found if len(found) > 1 else []
