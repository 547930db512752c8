"""Where a table's numbers come from: every run behind it, its recipe with the source of each value, and what made it."""

from collections import Counter
from pathlib import Path

from benchmark.pins.settings import Settings
from benchmark.reports import comparison
from benchmark.runs import imported, lines
from benchmark.runs.run import Run

ORIGINS = {  # first word of a recipe value's source: what it means
    "printed": "the paper prints it",
    "official": "from the official code of the paper or of the network's authors",
    "group": "from the same group's code for another work",
    "ours": "filled in by us",
    "other": "follows from other values, or was changed by the scale or the command line",
}
# of metrics.json
MADE = ("seed", "trained", "measured", "data_checksum", "normalisation", "images", "seconds", "peak_memory_MB", "weights")


def of(table: str, settings: Settings, root: Path) -> dict:
    """What stands in <table>.meta.json."""
    counts = origins(table, settings)
    about = {
        "table": table,
        "scale": settings.scale,
        "readings": settings.readings,
        "verdicts": comparison.VERDICTS,
        "recipe_origins": ORIGINS,
    }
    return {**about, "recipe_values": counts, "runs": of_runs(lines.runs_of([table], settings), root)}


def of_runs(runs: dict[Path, Run], root: Path) -> dict:
    """Folder -> state, specification, recipe with sources, and what made it."""
    described = {}
    for folder, run in runs.items():
        metrics = run.metrics(root) or {}
        spec, sources = run.resolved.spec, run.resolved.sources
        recipe = {key: {"value": value, "source": sources[key]} for key, value in spec["recipe"].items()}
        made = {**{key: metrics.get(key) for key in MADE}, "imported": imported.origin_of(run, root)}
        described[str(folder)] = {"state": run.state(root), "spec": spec, "recipe": recipe, **made}
    return described


def origins(table: str, settings: Settings) -> dict[str, int]:
    """How many of the values in a table's recipes are printed, official, of the group's other code, ours: values that differ by key,
    value or source count once, whichever cells share them."""
    values = set()
    for run in lines.runs_of([table], settings).values():
        values |= {(key, repr(value), run.resolved.sources[key]) for key, value in run.resolved.spec["recipe"].items()}
    counts = Counter(origin(source) for _, _, source in values)
    return {name: counts[name] for name in ORIGINS}


def origin(source: str) -> str:
    """The kind of a source, by its first word."""
    word = source.split()[0].strip(",;:") if source.split() else ""
    return word if word in ORIGINS else "other"
