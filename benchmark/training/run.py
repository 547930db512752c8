"""One run: a cell's specification, its whole recipe and a seed in, metrics.json, curve.csv, layers.csv and weights.pt out, of a method
that keeps its trained parts parts.pt too.

metrics.json comes last and means done.
"""

import importlib.metadata
import subprocess
import sys
import time
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path

import torch
from torch import nn

from benchmark.measuring import checks
from benchmark.measuring.counter import Counter
from benchmark.method import Method
from benchmark.networks import build as network
from benchmark.networks.converting.conversion import Converted
from benchmark.networks.layers import count_parameters
from benchmark.networks.pairing import paired
from benchmark.neurons import ran
from benchmark.shared import seeds
from benchmark.shared.errors import Damaged, UserError
from benchmark.shared.files import lock, read_sealed, replacing, sha256, stamp, write_csv, write_sealed
from benchmark.training import device as devices
from benchmark.training import predictions
from benchmark.training.batches import Batches, load
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.evaluation import Accuracy, evaluate
from benchmark.training.forms._base import seed_everything
from benchmark.training.loop import Training
from benchmark.training.optimiser import Precision
from benchmark.training.pulse import Pulse
from benchmark.training.teacher import renormalising
from benchmark.training.world import ALONE, World

PACKAGES = ("torch", "torchvision", "timm", "spikingjelly", "numba", "numpy")
CHECKED = 64  # test images that the checks look at
LONG = 16  # steps; of a longer run fewer images are checked, and of a conversion's those alone are counted
BY_STEP = 1024  # steps; of a conversion's longer run a layer's amounts are counted over all steps alone
NEAR = 1.0  # points by which published weights may miss the accuracy that their source states


def run(
    spec: dict,
    recipe: dict,
    seed: int,
    out: Path,
    data_root: Path,
    device_name: str,
    threads: int,
    before: tuple = (),
    world: World = ALONE,
) -> dict | None:
    """Train, measure and write one run, runs/<id>/seed<n>; returns its metrics. Waits while an orphan of a killed workflow works on it.

    recipe: spec's, with the neutral values filled in. What lies above is found beside it, at runs/<id above>/seed<seeds.above>.
    world: of several processes, which one this is; all are called alike, and the first alone gives metrics.
    before: the stamp of metrics.json when the run was asked for, by default now: what has been written since is the orphan's, and the result.
    """
    out.mkdir(parents=True, exist_ok=True)
    before = before or stamp(out / "metrics.json")
    with lock(out / ".lock") if world.first else nullcontext():
        if world.first:
            (out / "error.txt").unlink(missing_ok=True)
            if stamp(out / "metrics.json") != before and (metrics := finished(out)):
                tidy(Checkpoint(out, {}))  # it may have been killed before that
                return metrics
        try:
            return _run(spec, recipe, seed, out, data_root, device_name, threads, world)
        except Exception as error:
            if not (out / "error.txt").exists():  # of several processes, the first that failed has said it
                with suppress(OSError), replacing(out / "error.txt") as file:  # on a full disk, the first error is the one to tell
                    file.write(f"{type(error).__name__}: {error}\n")
            raise


def _run(spec, recipe, seed, out, data_root, device_name, threads, world) -> dict | None:
    if wrong := [key for key, value in spec["recipe"].items() if recipe.get(key) != value]:
        raise ValueError(f"the recipe is not the specification's: {', '.join(wrong)}")
    device = world.begin(partial(devices.choose, device_name))
    devices.prepare(device, threads)
    hardware = {**devices.hardware(device), "devices": world.size}
    session = {**commit(), "python": sys.version.split()[0], "packages": packages(), "hardware": hardware}
    data = load(spec["data"], data_root)
    fed = network.published(spec["network"])
    with closing(Batches(data, recipe, spec["data"], spec["time_steps"], device, seed, threads, fed)) as batches:
        batches.form.world = world
        training = prepare(spec, seed, out, data_root, batches, data.checksum, session)
        training.train()
        world.end()
        if not world.first:
            return None
        batches.form.world = ALONE
        measured = measure(spec, training, batches)
    weights = {"weights": save(training.student, out / "weights.pt")}
    if training.method.keeps:
        weights["parts"] = save(training.parts, out / "parts.pt")
    metrics = {
        "spec": spec,
        "seed": seed,
        **measured,
        "images": {"train": batches.trained, "test": batches.tested},
        "normalisation": batches.form.normalisation,
        "data_checksum": data.checksum,
        "seconds": training.seconds,
        "images_per_second": training.images / training.stepping if training.stepping else None,
        "waiting_share": training.waiting / training.stepping if training.stepping else None,
        "peak_memory_MB": devices.peak_memory_mb(device),
        **weights,
        "trained": training.sessions,
        "measured": {**session, "neurons": ran(training.student), "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())},
    }
    write_sealed(out / "metrics.json", metrics)
    tidy(training.checkpoint)
    return metrics


def tidy(checkpoint: Checkpoint) -> None:
    """Of what a run keeps to go on from, nothing is left."""
    for each in (checkpoint, checkpoint.beside("evaluation"), Pulse(checkpoint.folder)):
        each.remove()


def finished(out: Path) -> dict | None:
    """The metrics of a run that left all its files; None if it is not whole."""
    try:
        metrics = read_sealed(out / "metrics.json")
        sums = {"weights.pt": metrics["weights"], "predictions.npz": metrics["predictions"]}
        whole = all(sha256(out / name) == written for name, written in sums.items())
        whole = whole and all((out / name).exists() for name in ("curve.csv", "layers.csv"))
    except (Damaged, OSError, KeyError):
        return None
    return metrics if whole else None


def save(module: nn.Module, path: Path) -> str:
    """Write a module's weights; returns their checksum."""
    with replacing(path, "wb") as file:
        torch.save(module.state_dict(), file)
    return sha256(path)


def prepare(spec, seed, out, data_root, batches, data_checksum, session) -> Training:
    """Networks from the seed and from what lies above, ready to train (or to go on from a checkpoint)."""
    seed_everything(seed, 0, -2)
    method = method_of(spec)
    student = network.network(spec)
    if batches.recipe["pretrained"]:
        network.load_pretrained(student, spec["network"], data_root)
    folder = f"seed{seeds.above(spec['recipe'], seed)}"
    above = {role: load_above(out.parent.parent / id / folder, role, batches) for role, id in spec["above"].items()}
    modules = {role: module for role, (module, _) in above.items()}
    student = student.to(batches.device, memory_format=torch.channels_last)
    student = paired(method.start(student, modules, batches.calibration()))  # of a resumed run, overwritten by its checkpoint
    weights = {role: checksum for role, (_, checksum) in above.items()}
    owner = {**spec, "recipe": batches.recipe, "seed": seed, "packages": session["packages"], "weights": weights}
    checkpoint = Checkpoint(out, {**owner, "data_checksum": data_checksum})
    with batches.form.world.first_goes_first():
        forget(checkpoint)
    return Training(method, student, modules.get("teacher"), batches, checkpoint, session)


def forget(checkpoint: Checkpoint) -> None:
    """A run that is asked for again although it is done starts from scratch: nothing is left to go on from."""
    done = checkpoint.folder / "metrics.json"
    if done.exists():
        tidy(checkpoint)
        done.unlink()


def method_of(spec: dict) -> Method:
    """The method object with its parameters. UserError: a network that it needs is not above the cell."""
    name, module = spec["method"]["name"], network.module_of(spec["method"]["file"])
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method) and value is not Method]
    method = next(found for found in classes if found.__module__ == module.__name__)(**spec["method"]["params"])
    for role in method.needs:
        if role not in spec["above"]:
            raise UserError(f"method {name} needs its {role} above it: write the cell as {name}:<backbone>:<{role}>")
    return method


def load_above(run: Path, role: str, batches: Batches) -> tuple[nn.Module, str]:
    """The network of a run above with the checksum of its weights; a teacher takes images as the student gets them.

    UserError: damaged, trained on other classes, not as accurate as its source states, or, if its weights are taken over, on images that
    were normalised otherwise.
    """
    module, metrics = network.finished(run, batches.device, restarted)
    data = metrics["spec"]["data"]
    if data["classes"] != batches.classes:
        raise UserError(f"{run}: trained on the {data['classes']} classes of {data['name']}, this run has {batches.classes}")
    check_published(run, metrics)
    given, own = batches.form.normalisation, metrics["normalisation"]
    if role == "teacher":
        renormalising(module, given, own)
    elif given != own:
        raise UserError(f"{run}, the {role}: its images were normalised by {own}, those of this run by {given}")
    return module, metrics["weights"]


def restarted(spec: dict, module: nn.Module) -> None:
    """What the method of a run above changed in its network before it trained, like its activations, is changed again: weights fit then.

    Only of a method that needs nothing above it. One that puts another network in the given one's place leaves that one as it is.
    """
    if not spec["above"]:
        method_of(spec).start(module, {}, iter(()))


def check_published(run: Path, metrics: dict) -> None:
    """UserError for published weights, run as they are on all test images, that are not as accurate as their source states."""
    spec, images = metrics["spec"], metrics["images"]["test"]
    recipe, data, published = spec["recipe"], spec["data"], network.published(spec["network"])
    stated = published.get("top1", {}).get(data["name"])
    if stated is None or recipe.get("epochs") or not recipe.get("pretrained") or images != data["test"]:
        return
    fed_as_stated = not recipe.get("statistics") and recipe.get("eval_crop", 1.0) in (None, published["crop_pct"])
    if fed_as_stated and abs(metrics["accuracy"] - stated) > NEAR:
        raise UserError(
            f"{run}: {published['tag']} has {metrics['accuracy']:.2f} % on {data['name']}, and its source states {stated} %: "
            "something is wrong with the weights or the images, and nothing should learn from it"
        )


def measure(spec: dict, training: Training, batches: Batches) -> dict:
    """Accuracies of the last and the best epoch and of one pass in fp32, the records that this pass gives, and the checks."""
    steps = spec["time_steps"] + getattr(training.student, "probing", 0)
    counter = Counter(each_step=steps <= BY_STEP)
    images, _ = next(iter(batches.test()))
    axis = batches.form.axis
    images = images.narrow(axis, 0, min(checked(steps), images.shape[axis]))
    kept = training.checkpoint.beside("evaluation")
    counted = evaluated(training.student, batches, images, steps, counter, kept)
    records = list(counter.records.values())
    write_csv(training.folder / "layers.csv", [record.line() for record in records])
    curve = training.curve or [{"epoch": 0, "accuracy": counted.mean}]
    write_csv(training.folder / "curve.csv", curve)  # a run without epochs, or killed after its last one, has none
    best = max(curve, key=lambda line: line["accuracy"])
    firing = training.student.firing_by_threshold(images) if isinstance(training.student, Converted) else {}
    return {
        "accuracy": curve[-1]["accuracy"],
        "accuracy_best": best["accuracy"],
        "epoch_best": best["epoch"],
        "epochs": training.epoch,
        "accuracy_by_epoch": [line["accuracy"] for line in training.curve],
        "accuracy_by_step": counted.by_step,
        "accuracy_up_to": counted.up_to,
        "accuracy_counted": counted.mean,
        "parameters": count_parameters(training.student),
        "layers": [record.to_dict() for record in records],
        "firing_by_threshold": firing,
        "checks": checks.check(training.student, images),
        "predictions": predictions.write(training.folder, counted.logits, counted.labels),
    }


def checked(steps: int) -> int:
    """Images that the checks look at."""
    return max(2, CHECKED * LONG // steps) if steps > LONG else CHECKED


def long(student: nn.Module, steps: int) -> bool:
    """Whether this is a converted network that runs for so many steps that counting each of them takes longer than running them."""
    return isinstance(student, Converted) and steps > LONG


def evaluated(student, batches, images, steps: int, counter: Counter, kept: Checkpoint) -> Accuracy:
    """The accuracies of the test set in fp32; operations are counted in the same pass, or over `images` alone of a long run.

    kept: what a killed pass left and goes on from.
    """
    precision = Precision("fp32", batches.device)
    if not long(student, steps):
        with counter.watching(student, steps):
            return evaluate(student, batches, precision, counter, kept)
    with counter.watching(student, steps), torch.no_grad():
        student(images)
        counter.seen(len(images))
    return evaluate(student, batches, precision, kept=kept)


def packages() -> dict[str, str]:
    """Versions of what computes."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def commit() -> dict:
    """The repository's commit and whether the tree differed from it; None outside a checkout. A kill here leaves no lock in the repository."""

    def git(*words):
        here = Path(__file__).parent
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": bool(git("--no-optional-locks", "status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
