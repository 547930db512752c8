"""What the finished runs of a scale came to, in files small enough to be committed: results/reference/<scale>/.

claims.csv, claims.md and claims.svg as the page has them; runs.csv, a line for each run; steps.csv, what each gave at every time step;
provenance.json, its specification, recipe with sources, commit, hardware, checksums. Every number is one that a run wrote. No torch.

What takes days to run is not run in one go: with `keep`, lines of an earlier call stay where nothing here replaces them.
"""

from pathlib import Path

from benchmark.pins import published
from benchmark.pins.settings import Settings
from benchmark.reports import claims, earlier, provenance, reference
from benchmark.reports.earlier import RUNS, STEPS, Evidence
from benchmark.reports.page import across
from benchmark.reports.page.drawing import figure
from benchmark.runs import lines
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing, write_csv, write_json

LEFT_OUT = "row", "accuracy_low", "accuracy_high"  # of a reference table's line: its place in that table, and what few recordings ask for


def write(settings: Settings, root: Path, out: Path, keep: bool = False) -> str:
    """All files into `out`; returns what was found. UserError: no run is done; an earlier call's files that cannot be read."""
    found = here(settings, root)
    if keep:
        found = earlier.joined(found, earlier.read(out, settings.scale), settings)
    write_csv(out / "runs.csv", found.runs, list(RUNS))
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


def finished(settings: Settings, root: Path) -> dict[Path, Run]:
    """The runs that are done and believed, in the order of the tables."""
    names, _ = lines.sound(list(published.tables()), settings)
    return {folder: run for folder, run in lines.runs_of(names, settings).items() if run.metrics(root) is not None}


def told(run: Run, metrics: dict) -> dict:
    """One run's line."""
    measured = {key: reference.rounded(value) for key, value in reference.row(0, metrics).items() if key not in LEFT_OUT}
    params = " ".join(f"{key}={value}" for key, value in metrics["spec"]["method"]["params"].items())
    made = {"commit": metrics["measured"].get("commit", ""), "weights": metrics["weights"]}
    return {key: value for key, value in {**measured, "run": run.resolved.id, "params": params, **made}.items() if key in RUNS}


def by_step(run: Run, metrics: dict) -> list[dict]:
    """A line for each time step of a network that has more than one."""
    rates = reference.by_step(metrics["records"])
    rates = rates if len(rates) == len(metrics["accuracy_up_to"]) else [None] * len(metrics["accuracy_up_to"])
    pairs = zip(metrics["accuracy_by_step"], metrics["accuracy_up_to"], rates, strict=True)
    found = [
        dict(zip(STEPS, (run.resolved.id, run.seed, t, *map(reference.rounded, values)), strict=True)) for t, values in enumerate(pairs, 1)
    ]
    return found if len(found) > 1 else []
