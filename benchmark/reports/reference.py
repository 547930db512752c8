"""Reference tables: what our networks came to on real recordings, a line for each run, with what so few test recordings can tell.

No number here is printed anywhere; accuracies are those of the last epoch, so that nothing was chosen on the test recordings.
"""

import statistics
from itertools import combinations
from pathlib import Path

from benchmark import conventions
from benchmark.conventions import Record, _energy
from benchmark.reports import comparison, provenance
from benchmark.reports.markdown import aligned, shown
from benchmark.runs import references
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing, write_csv, write_json

COLUMNS = {
    "accuracy": "top-1 test accuracy after the last epoch, %",
    "accuracy_low, accuracy_high": "its 95 % interval over the drawing of the test recordings (Wilson)",
    "sops_M": "synaptic operations of one inference over all steps, millions of accumulates (convention `events`)",
    "macs_M": "multiply-accumulates of one inference on inputs that are no spikes, millions (the same)",
    "energy_uJ": "4.6 pJ for a multiply-accumulate, 0.9 pJ for an accumulate",
    "firing_rate": "spikes per neuron and step, %; firing_rate_t<k> at step k",
}


def build(name: str, root: Path) -> list[dict]:
    """A line for each run. UserError: a run is not done."""
    waiting = [str(run.folder) for run in references.runs_of(name) if run.metrics(root) is None]
    if waiting:
        raise UserError(f"{name}: not done: {', '.join(waiting)}; run: snakemake --cores 2 results/reference/{name}.csv")
    return [row(line.row, run.metrics(root)) for line in references.read(name) for run in line.runs]


def row(number: int, metrics: dict) -> dict:
    """What one run measured."""
    spec, records = metrics["spec"], [Record.from_dict(layer) for layer in metrics["layers"]]
    count = conventions.count("events", records)
    low, high = comparison.wilson(metrics["accuracy"], metrics["images"]["test"])
    return {
        "row": number,
        "method": spec["method"]["name"],
        "backbone": spec["network"]["name"],
        "data": spec["data"]["name"],
        "train": metrics["images"]["train"],
        "test": metrics["images"]["test"],
        "time_steps": spec["time_steps"],
        "seed": metrics["seed"],
        "accuracy": metrics["accuracy"],
        "accuracy_low": low,
        "accuracy_high": high,
        "parameters": metrics["parameters"],
        "sops_M": count["acs"] / 1e6,
        "macs_M": count["macs"] / 1e6,
        "energy_uJ": count["energy_mJ"] * 1e3,
        "firing_rate": _energy.firing_rate(records),
        **{f"firing_rate_t{step}": rate for step, rate in enumerate(by_step(records), 1)},
        "checks": ", ".join(metrics["checks"]["failed"]) or "passed",
        "epochs": metrics["epochs"],
        "seconds": metrics["seconds"],
    }


def by_step(records: list[Record]) -> list[float]:
    """Firing rate of all neurons at each time step, %."""
    firing = [record for record in records if record.rates]
    neurons = sum(record.neurons / record.steps for record in firing)
    return [100 * sum(spikes) / neurons for spikes in zip(*(record.rates for record in firing), strict=True)]


# ---- how it is written


def write(name: str, root: Path) -> str:
    """results/reference/<name>.csv, .md and .meta.json under `root`; returns the readable table. UserError: a run is not done."""
    found, target = build(name, root), root / "results" / "reference" / name
    text = readable(name, found)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_csv(target.with_suffix(".csv"), [{key: rounded(value) for key, value in line.items()} for line in found])
    with replacing(target.with_suffix(".md")) as file:
        file.write(text)
    runs = {run.folder: run for run in references.runs_of(name)}
    write_json(target.with_suffix(".meta.json"), {"table": name, "columns": COLUMNS, "runs": provenance.of_runs(runs, root)})
    return text


def rounded(value):
    """Six significant digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


READABLE = {  # head: what stands under it
    "row": lambda line: line["row"],
    "backbone": lambda line: line["backbone"],
    "params": lambda line: line["parameters"],
    "T": lambda line: line["time_steps"],
    "seed": lambda line: line["seed"],
    "accuracy": lambda line: shown(line["accuracy"], 1),
    "95 %": lambda line: f"{line['accuracy_low']:.1f} to {line['accuracy_high']:.1f}",
    "SOPs M": lambda line: shown(line["sops_M"], 3),
    "MACs M": lambda line: shown(line["macs_M"], 3),
    "energy uJ": lambda line: shown(line["energy_uJ"], 2),
    "rate %": lambda line: shown(line["firing_rate"], 2),
    "rate % at each step": lambda line: " ".join(shown(line[f"firing_rate_t{step}"], 1) for step in range(1, line["time_steps"] + 1)),
    "checks": lambda line: line["checks"],
    "seconds": lambda line: shown(line["seconds"], 0),
}


def readable(name: str, found: list[dict]) -> str:
    """The table in Markdown, and what it says."""
    body = [tuple(of(line) for of in READABLE.values()) for line in found]
    first = found[0]
    about = (
        f"{first['data']}: {first['train']} recordings to train on, {first['test']} to test, {first['epochs']} epochs, the last one counts."
    )
    return f"# {name}\n\n{aligned(tuple(READABLE), body)}\n{about}\n\n{told(found)}\n"


def told(found: list[dict]) -> str:
    """What so many test recordings can tell and what they cannot: of each network, and of every two."""
    means = {}
    for line in found:
        means.setdefault((line["row"], line["backbone"]), []).append(line["accuracy"])
    of = {key: (statistics.mean(values), max(values) - min(values), len(values)) for key, values in means.items()}
    test, lines = found[0]["test"], []
    for (_, network), (mean, apart, count) in of.items():
        low, high = comparison.wilson(mean, test)
        lines.append(
            f"- {network}: {mean:.1f} %, its {count} seeds {apart:.1f} points apart. By the {test} test recordings its accuracy on all may be"
            f" {low:.1f} to {high:.1f} %; more seeds do not narrow that, and how seeds spread comes on top."
        )
    for (one, (a, *_)), (other, (b, *_)) in combinations(of.items(), 2):
        low, high = comparison.interval([a - b], (a, b), test)
        says = "they differ" if low > 0 or high < 0 else "which one is better cannot be told"
        lines.append(f"- {one[1]} less {other[1]}: {a - b:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}: {says}.")
    lines.append(
        "\nDifferences are taken as of two draws of recordings: which ones a network gets right is not kept, so they cannot be paired."
    )
    return "\n".join(lines)
