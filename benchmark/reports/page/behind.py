"""What lies behind a line: its recipe with the source of each value, its seeds, operations by every convention, rates, what made it."""

import re
import statistics
from collections import Counter
from pathlib import Path

from benchmark import conventions
from benchmark.reports import provenance
from benchmark.reports.measured import Measured
from benchmark.runs.run import Run

BINS = 16  # columns that the time steps of a run take at most


def recipe(measured: Measured) -> list[dict]:
    """Every value that the cell trains by; empty where nothing can run."""
    if not measured.line.resolved:
        return []
    sources = measured.line.resolved.sources
    values = measured.line.resolved.spec["recipe"]
    return [{"key": key, "value": value, "kind": provenance.origin(sources[key]), "source": sources[key]} for key, value in values.items()]


def seeds(measured: Measured) -> list[dict]:
    """One line per seed that was asked for: its state, and what it measured if it is believed."""
    pairs = zip(measured.line.runs, measured.states, strict=True)
    return [{"seed": run.seed, "state": state, **(measured.runs.get(run.seed) or {})} for run, state in pairs]


def first(measured: Measured) -> dict | None:
    """The metrics of the line's first run that is done."""
    return next(iter(measured.runs.values()), None)


def operations(run: dict) -> list[dict]:
    """Accumulates, multiply-accumulates and energy of one inference by every convention, and what it leaves out."""
    found = [conventions.count(name, run["records"]) for name in conventions.names()]
    return [{**each, "left_out": left_out(each["uncounted"])} for each in found]


def left_out(names: list[str]) -> str:
    """What a convention does not count, by kind of layer: `12 BatchNorm2d, 3 bias`."""
    kinds = Counter(re.search(r"\(([^()]*)\)$", name)[1] if name.endswith(")") else name for name in names)
    return ", ".join(kind if kind in names or kind == "no layers" else f"{count} {kind}" for kind, count in kinds.items())


def rates(run: dict) -> list[dict]:
    """Of every neuron layer its share of outputs that are not 0, in percent: over all, and as (step, share) at each."""
    neurons = [record for record in run["records"] if record.neurons]
    return [
        {
            "layer": record.name,
            "rate": 100 * record.spikes / record.neurons,
            "steps": binned([100 * spikes * len(record.rates) / record.neurons for spikes in record.rates]),
        }
        for record in neurons
    ]


def binned(values: list[float]) -> list[tuple[str, float]]:
    """(step, value) of each; of many, (steps, mean) of stretches: ("1-4", ...), ("5-8", ...)."""
    count = min(BINS, len(values))
    bounds = [(place * len(values) // count, (place + 1) * len(values) // count) for place in range(count)]
    return [(str(end) if end - start == 1 else f"{start + 1}-{end}", statistics.mean(values[start:end])) for start, end in bounds]


def step_names(found: list[dict]) -> list[str]:
    """The heads of what `rates` gives: of the layer with the most steps."""
    return [name for name, _ in max((layer["steps"] for layer in found), key=len)]


def made(run: dict) -> list[tuple[str, str]]:
    """What trained and what measured a run: commit, Python, hardware, what ran its neurons."""
    sessions = [("trained", each) for each in run["trained"]] + [("measured", run["measured"])]
    return [(what, made_by(session)) for what, session in sessions]


def made_by(session: dict) -> str:
    """Commit, whether the files differed from it, Python, hardware, what ran the neurons; what a session does not say is left out."""
    commit = f"{session.get('commit') or 'no commit'}{' with changes' if session.get('dirty') else ''}"
    parts = commit, told({"Python": session.get("python")}), told(session.get("hardware", {}))
    return ", ".join(filter(None, (*parts, told({"neurons": session.get("neurons")}))))


def told(value) -> str:
    """Nested values as one line of text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {told(item)}" for key, item in value.items() if item not in (None, "", [], {}))
    return " ".join(told(item) for item in value) if isinstance(value, list) else str(value)


def command(run: Run, scale: str) -> str:
    """The command that runs a cell's seed again."""
    profile = "" if scale == "smoke" else f"--profile profiles/{scale} "
    return f"snakemake --cores 2 {profile}--force -- {Path(run.folder) / 'metrics.json'}"
