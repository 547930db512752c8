"""One run: a cell's specification and a seed in, metrics.json, curve.csv and layers.csv out. metrics.json comes last and means done."""

import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmark import conventions, datasets
from benchmark.conventions import _energy as energy
from benchmark.measuring import checks
from benchmark.measuring import structure as structures
from benchmark.measuring.counter import Counter
from benchmark.networks import build as network
from benchmark.networks.layers import count_parameters
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError
from benchmark.shared.files import lock, replacing, write_csv, write_json
from benchmark.training import device as devices
from benchmark.training.batches import Batches, seed_everything
from benchmark.training.loop import Training, evaluate
from benchmark.training.optimiser import Precision

PACKAGES = ("torch", "torchvision", "timm", "spikingjelly", "numba", "numpy", "tonic")


def run(spec: dict, seed: int, out: Path, upstream: dict[str, Path], data_root: Path, device_name: str, threads: int) -> dict:
    """Train, measure and write one run; waits while an orphan of a killed workflow still works on it. Returns the metrics."""
    out.mkdir(parents=True, exist_ok=True)
    with lock(out / ".lock"):
        (out / "error.txt").unlink(missing_ok=True)
        try:
            return _run(spec, seed, out, upstream, data_root, device_name, threads)
        except Exception as error:
            with replacing(out / "error.txt") as file:
                file.write(f"{type(error).__name__}: {error}\n")
            raise


def _run(spec, seed, out, upstream, data_root, device_name, threads) -> dict:
    device = devices.choose(device_name)
    devices.prepare(device, threads)
    data = datasets.load(spec["data"], data_root)
    entry, _ = catalogue.dataset(spec["data"])
    batches = Batches(data, spec["recipe"], entry["classes"], entry["image"], device, seed)
    training = prepare(spec, seed, out, upstream, data_root, batches)
    training.train()
    metrics = {**measure(spec, training, batches), **provenance(spec, seed, data, device)}
    metrics |= {"seconds": training.seconds, "images_per_second": training.images / training.stepping if training.stepping else None}
    metrics |= {"peak_memory_MB": devices.peak_memory_mb(device)}
    with replacing(out / "weights.pt", "wb") as file:
        torch.save(training.student.state_dict(), file)
    write_json(out / "metrics.json", metrics)
    return metrics


def prepare(spec, seed, out, upstream, data_root, batches) -> Training:
    """Networks from seed and upstream weights, ready to train (or to go on from a checkpoint)."""
    seed_everything(seed, 0, -2)
    method = network.method(spec)
    if method.needs_teacher and not upstream.get("teacher"):
        raise UserError(f"method {spec['method']} needs a teacher: write the cell as {spec['method']}:{spec['backbone']}:<teacher>")
    student = network.network(spec)
    if spec["recipe"]["pretrained"]:
        network.load_pretrained(student, spec, data_root)
    teacher = upstream.get("teacher") and load_upstream(upstream["teacher"], batches)
    method.initialise(student, teacher)  # of a resumed run, overwritten by its checkpoint
    return Training(spec, method, student, teacher, batches, out, f"{spec['method']} {spec['backbone']}")


def load_upstream(weights: Path, batches: Batches) -> torch.nn.Module:
    """The network of an upstream run, whose specification lies in the metrics beside its weights. UserError: other classes."""
    spec = json.loads((weights.parent / "metrics.json").read_text(encoding="utf-8"))["spec"]
    entry, _ = catalogue.dataset(spec["data"])
    if entry["classes"] != batches.classes:
        raise UserError(f"{weights}: trained on the {entry['classes']} classes of {spec['data']}, this run has {batches.classes}")
    return network.load_weights(network.network(spec), weights, batches.device)


def measure(spec: dict, training: Training, batches: Batches) -> dict:
    """Accuracy of the last and the best epoch, operations and rates on the whole test set, and the paper-size structure."""
    counter = Counter()
    with counter.watching(training.student, spec["time_steps"]):
        accuracy, by_step = evaluate(training.student, batches, Precision("fp32", batches.device), counter)
    records = list(counter.records.values())
    write_csv(training.folder / "layers.csv", [record.line() for record in records])
    curve = training.curve or [{"epoch": 0, "accuracy": accuracy}]
    write_csv(training.folder / "curve.csv", curve)  # a run without epochs, or killed after its last one, has none
    best = max(curve, key=lambda line: line["accuracy"])
    counts = {name: conventions.count(name, records) for name in conventions.names()}
    exact, formula = counts["events"], counts["papers"]
    return {
        "accuracy": curve[-1]["accuracy"],
        "accuracy_best": best["accuracy"],
        "epoch_best": best["epoch"],
        "epochs": training.epoch,
        "accuracy_by_epoch": [line["accuracy"] for line in training.curve],
        "accuracy_counted": accuracy,
        "accuracy_by_step": by_step,
        "parameters": count_parameters(training.student),
        "macs_dense": energy.dense(records),
        "acs": exact["acs"],
        "macs": exact["macs"],
        "energy_mJ": exact["energy_mJ"],
        "energy_convention": exact["convention"],
        "sops": formula["sops"],
        "energy_formula_mJ": formula["energy_mJ"],
        "energy_formula_convention": formula["convention"],
        "conventions": counts,
        "uncounted": exact["uncounted"],
        "checks": checks.check(training.student, next(iter(batches.test()))[0][:64]),
        "firing_rate": energy.firing_rate(records),
        "firing_rate_by_layer": {r.name: 100 * r.spikes / r.neurons for r in records if r.neurons},
        "structure": structure(spec),
    }


def structure(spec: dict) -> dict:
    """Parameters and dense operations of the paper-size model on the printed data set, all steps, from its layers alone."""
    paper, steps = spec["structure"], spec["time_steps"]
    file = catalogue.backbone(spec["backbone"]).family.path.relative_to(catalogue.ROOT).as_posix()
    of_one_step = {"name": spec["backbone"], "file": file, "size": paper["size"], "layout": paper["layout"], "neuron": spec["neuron"]}
    found = structures.structure(of_one_step, paper["classes"], paper["image"])
    return {
        "parameters": found["parameters"],
        "macs_dense": steps * (found["layers_macs"] + found["products_macs"]),
        "ops_syops": steps * found["syops_ops"],
        "macs_syops": steps * found["syops_macs"],
    }


def provenance(spec: dict, seed: int, data, device: torch.device) -> dict:
    """What made these numbers."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "spec": spec,
        "seed": seed,
        "scale": spec["scale"],
        "data": spec["data"],
        "data_checksum": data.checksum,
        **commit(),
        "python": sys.version.split()[0],
        "packages": versions,
        "hardware": devices.hardware(device),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def commit() -> dict:
    """The repository's commit and whether the tree differed from it; None outside a checkout."""

    def git(*words):
        return subprocess.run(["git", "-C", str(catalogue.ROOT), *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
