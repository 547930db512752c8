"""Reference tables: what our networks came to on real recordings, a line for each run, with what so few test recordings can tell.

No number here is printed anywhere; accuracies are those of the last epoch, so that nothing was chosen on the test recordings. Runs whose
method keeps its trained parts, pre-trainings, have no accuracy: of them there is the loss after each epoch, and pictures.
"""

import statistics
from itertools import combinations
from pathlib import Path

from benchmark import conventions
from benchmark.conventions import Record, _energy
from benchmark.reports import comparison, provenance
from benchmark.reports.figures import read
from benchmark.reports.markdown import aligned, shown
from benchmark.runs import references
from benchmark.runs.run import Run
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


LOSSES = {
    "loss": "mean over the epoch of the loss on the hidden patches of the training images, as the recipe augments them",
    "lr": "largest learning rate of the epoch",
    "seconds": "from the beginning of the run, with the evaluations between epochs",
}


def build(name: str, root: Path) -> list[dict]:
    """A line for each run, or of pre-trainings for each epoch of each. UserError: a run is not done."""
    waiting = [str(run.folder) for run in references.runs_of(name) if run.metrics(root) is None]
    if waiting:
        raise UserError(f"{name}: not done: {', '.join(waiting)}; run: snakemake --cores 2 results/reference/{name}.csv")
    pairs = [(line.row, run) for line in references.read(name) for run in line.runs]
    if any(map(references.keeps, references.runs_of(name))):
        return [point for number, run in pairs for point in losses(number, run, root)]
    return [row(number, run.metrics(root)) for number, run in pairs]


def losses(number: int, run: Run, root: Path) -> list[dict]:
    """A line for each epoch of a pre-training."""
    spec = run.resolved.spec
    about = {"row": number, "method": spec["method"]["name"], "backbone": spec["network"]["name"], "data": spec["data"]["name"]}
    terms = [
        (line, [float(value) for key, value in line.items() if key.startswith("loss_")]) for line in read(root / run.folder / "curve.csv")
    ]
    return [
        {
            **about,
            "seed": run.seed,
            "epoch": int(line["epoch"]),
            "lr": float(line["lr"]),
            "loss": sum(values),
            "seconds": float(line["seconds"]),
        }
        for line, values in terms
    ]


def row(number: int, metrics: dict) -> dict:
    """What one run measured."""
    spec, records = metrics["spec"], metrics["records"]
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
    """results/reference/<name>.csv, .md, .meta.json and perhaps .png under `root`; returns the readable table. UserError: a run is not done."""
    found, target = build(name, root), root / "results" / "reference" / name
    pictured = [run for run in references.runs_of(name) if references.keeps(run)]
    text = filled_in(name, found, pictured, root) if pictured else readable(name, found)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_csv(target.with_suffix(".csv"), [{key: rounded(value) for key, value in line.items()} for line in found])
    with replacing(target.with_suffix(".md")) as file:
        file.write(text)
    if pictured:
        with replacing(target.with_suffix(".png"), "wb") as file:
            file.write(beside(root / pictured[0].folder / "pictures.png").read_bytes())
    runs, columns = {run.folder: run for run in references.runs_of(name)}, LOSSES if pictured else COLUMNS
    write_json(target.with_suffix(".meta.json"), {"table": name, "columns": columns, "runs": provenance.of_runs(runs, root)})
    return text


def beside(path: Path) -> Path:
    """A file of a pre-training's pictures. UserError: it is not there."""
    if not path.exists():
        raise UserError(f"{path} is not there: run: python -m benchmark pictures {path.parent}")
    return path


def filled_in(name: str, found: list[dict], runs: list[Run], root: Path) -> str:
    """What the pre-trainings came to, in words: on the training images by epoch, on test images beside predicting the mean of a patch."""
    said = []
    for run in runs:
        spec, backbone = run.resolved.spec, run.resolved.spec["network"]["name"]
        curve = [line for line in found if (line["backbone"], line["seed"]) == (backbone, run.seed)]
        images = read(beside(root / run.folder / "pictures.csv"))
        error, plain = (statistics.mean(float(line[key]) for line in images) for key in ("error", "error_of_mean"))
        below = next((f"from epoch {line['epoch']} on" for line in until(curve, plain)), "never")
        said += [
            f"- {described(spec, run.metrics(root))}, seed {run.seed}, {len(curve)} epochs, {curve[-1]['seconds']:.0f} s.",
            f"  Loss of the first epoch {curve[0]['loss']:.4f}, of the last {curve[-1]['loss']:.4f}; {below} below that of predicting the mean.",
            f"  On {len(images)} test images {error:.4f}, predicting the mean {plain:.4f}.",
        ]
        if spec["method"]["params"]["target"] == "patch":
            said.append(
                "  In the picture a hidden patch has the mean and the contrast of the original; only what varies in it is predicted."
            )
    return f"# {name}\n\n" + "\n".join(said) + f"\n\n![test images: whole, masked, filled in]({name}.png)\n"


def until(curve: list[dict], plain: float) -> list[dict]:
    """The last epochs of a curve, as far back as all losses are below `plain`."""
    above = [place for place, line in enumerate(curve) if line["loss"] >= plain]
    return curve[above[-1] + 1 if above else 0 :]


def described(spec: dict, metrics: dict) -> str:
    """The size of a pre-training: networks, images, what is hidden of them."""
    size, params, (_, height, width) = spec["network"]["size"], spec["method"]["params"], spec["data"]["shape"]
    return (
        f"{spec['network']['name']} ({size['depth']} blocks, width {size['dim']}, {metrics['parameters']} parameters), its decoder of"
        f" {params['depth']} blocks, width {params['width']}: {spec['data']['train']} images of {height} x {width},"
        f" {params['mask']} % of their patches hidden"
    )


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
