"""Finished runs that never ran: whole and sealed metrics.json files with values that tests choose."""

import copy
from pathlib import Path

from benchmark.runs.run import Run, planned
from benchmark.shared.files import write_json, write_sealed

LAYERS = [  # sums over ten images, of two steps: a first convolution on pixels, neurons, a linear layer on spikes
    {
        "name": "stem", "kind": "conv", "layer": "Conv2d", "steps": 2, "first": True, "images": 10, "dense": 20_000_000_000,
        "outputs": 4_000, "inputs": 8_000, "nonzero": 7_600, "total": 7_600.0, "events": 19_000_000_000, "values": 19_000_000_000.0,
        "input_kind": "real",
    },
    {"name": "fire", "kind": "neuron", "layer": "LIF", "steps": 2, "images": 10, "spikes": 250, "neurons": 1_000, "rates": [100.0, 150.0]},
    {
        "name": "head", "kind": "linear", "layer": "Linear", "steps": 2, "images": 10, "dense": 50_000_000_000, "outputs": 100,
        "inputs": 2_000, "nonzero": 300, "total": 300.0, "events": 8_000_000_000, "values": 8_000_000_000.0, "input_kind": "binary",
    },
]  # fmt: skip
STRUCTURE = {  # of one time step
    "parameters": 9_320_000, "layers_macs": 3.0e9, "products_macs": 0.5e9, "syops_ops": 1.11e9, "syops_macs": 6.1e6, "ann": False, "code": "x",
}  # fmt: skip


def metrics(run: Run, curve=None, **changes) -> dict:
    """What a whole run says; `curve` gives the accuracies by epoch, the last of which is the accuracy."""
    spec = run.resolved.spec
    steps, epochs = spec["time_steps"], planned(spec["recipe"])
    curve = [50.0] * epochs if curve is None else list(curve)
    last = curve[-1] if curve else 50.0
    best = max(curve, default=last)
    found = {
        "spec": spec,
        "seed": run.seed,
        "accuracy": last,
        "accuracy_best": best,
        "epoch_best": curve.index(best) + 1 if curve else 0,
        "epochs": len(curve),
        "accuracy_by_epoch": curve,
        "accuracy_by_step": [last] * steps,
        "accuracy_up_to": [last] * steps,
        "accuracy_counted": last,
        "parameters": 123_456,
        "layers": LAYERS,
        "firing_by_threshold": {},
        "checks": {"gap_batch_size": 0.0, "failed": []},
        "images": {"train": spec["data"]["train"], "test": spec["data"]["test"]},
        "data_checksum": "d",
        "normalisation": [[0.5] * 3, [0.25] * 3],
        "seconds": 7200.0,
        "images_per_second": 640.0,
        "peak_memory_MB": 100.0,
        "weights": "w",
        "trained": [{"commit": "t"}],
        "measured": {"commit": "m"},
    }
    return copy.deepcopy({**found, **changes})


def ending(run: Run, *accuracies: float, rest: float = 0.0) -> list[float]:
    """A curve of all the run's epochs, the last of which have these accuracies."""
    return [rest] * (planned(run.resolved.spec["recipe"]) - len(accuracies)) + list(accuracies)


def write(root: Path, run: Run, curve=None, **changes) -> Path:
    """A finished run below `root`; returns its metrics.json."""
    path = root / run.folder / "metrics.json"
    write_sealed(path, metrics(run, curve, **changes))
    return path


def accuracy(root: Path, run: Run, value: float, **changes) -> Path:
    """A finished run with this accuracy after every one of its epochs."""
    return write(root, run, ending(run, rest=value), **changes)


def structure(root: Path, path: Path, **changes) -> None:
    """A network that has been counted."""
    write_json(root / path, {**STRUCTURE, **changes})
