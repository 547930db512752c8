"""One run: a cell with a seed, by its folder; what state it is in, and whether what it says of itself is believed. Never loads torch."""

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from benchmark.conventions import Record
from benchmark.pins import recipes
from benchmark.pins.cells import Resolved, canonical
from benchmark.runs import progress
from benchmark.shared import seeds
from benchmark.shared.errors import Damaged
from benchmark.shared.files import locked, read_sealed, stamp

STATES = {
    "done": "metrics.json is there and believed",
    "running": "a process works on it",
    "stopped": "its checkpoint waits; run again, it goes on",
    "failed": "it ended with an error; see its error.txt",
    "damaged": "metrics.json is not what this run wrote",
    "missing": "not run yet",
}
KEYS = (  # of a whole metrics.json
    *("spec", "seed", "accuracy", "accuracy_best", "epoch_best", "epochs", "accuracy_by_epoch", "accuracy_by_step", "accuracy_up_to"),
    *("accuracy_counted", "parameters", "layers", "checks", "images", "data_checksum", "seconds", "images_per_second", "peak_memory_MB"),
    *("firing_by_threshold", "normalisation", "weights", "trained", "measured"),
)


@cache
def _folder(cell: str, seed: int) -> Path:
    """Made once: ten thousand runs are asked for it five times each."""
    return Path("runs") / cell / f"seed{seed}"


@dataclass(frozen=True)
class Run:
    """A cell with a seed, by the folder that its results lie in (relative to the scale's working directory)."""

    resolved: Resolved
    seed: int

    @property
    def folder(self) -> Path:
        return _folder(self.resolved.id, self.seed)

    @cached_property
    def upstream(self) -> tuple[tuple[str, "Run"], ...]:
        """What lies above, by role."""
        return tuple((role, Run(above, seeds.above(self.resolved.spec["recipe"], self.seed))) for role, above in self.resolved.upstream)

    def with_upstream(self) -> tuple["Run", ...]:
        """This run after everything that lies above it."""
        return (*(each for _, above in self.upstream for each in above.with_upstream()), self)

    def state(self, root: Path) -> str:
        """One of STATES."""
        folder = root / self.folder
        values, why = self.read(root)
        if values is not None:
            return "done"
        if locked(folder / ".lock"):
            return "running"
        if why or (folder / "error.txt").exists():
            return "damaged" if why else "failed"
        return "stopped" if progress.waits(folder) else "missing"

    def metrics(self, root: Path) -> dict | None:
        """What the run measured, its layers as `records` too; None if it is not done, or not believed. Not to be changed: it is kept and
        given again."""
        return self.read(root)[0]

    def why(self, root: Path) -> str:
        """Why a run has no metrics, in one line: what is wrong with its file, or its error; empty for one that is done or has not run."""
        state, folder = self.state(root), root / self.folder
        if state == "damaged":
            return f"{self.folder}/metrics.json: {self.read(root)[1]}"
        return first_line(folder / "error.txt") if state == "failed" else ""

    def read(self, root: Path) -> tuple[dict | None, str]:
        """(metrics, "") if they are believed, (None, why not) if not, (None, "") if there are none."""
        path = root / self.folder / "metrics.json"
        found = stamp(path)
        return (None, "") if found == (None,) else believed(path, found, self.resolved.json, self.seed)

    def progress(self, root: Path) -> str:
        """How far a run under way or stopped is and what is left, or why there is nothing; empty for one that is done or has not run."""
        folder, spec, state = root / self.folder, self.resolved.spec, self.state(root)
        if state in ("failed", "damaged"):
            return self.why(root)
        found = {"running": progress.under_way, "stopped": progress.stopped}.get(state, lambda _: None)(folder)
        return found.shown(planned(spec["recipe"]), steps_of(spec)) if found else ""


def planned(recipe: dict) -> int:
    """Epochs that a recipe trains."""
    return recipe.get("epochs", 0) + recipe.get("cooldown_epochs", 0)


def steps_of(spec: dict) -> int:
    """Training steps of an epoch: the incomplete last batch is dropped."""
    images = recipes.images(spec, "train")
    return images // min(spec["recipe"].get("batch_size") or images, images)


def first_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[0] if lines else f"{path.name} says nothing"


@lru_cache(maxsize=10_000)
def believed(path: Path, stamp: tuple, spec: str, seed: int) -> tuple[dict | None, str]:
    """See Run.read; `stamp` changes with the file."""
    try:
        values = read_sealed(path)
        records = check(values, json.loads(spec), seed)
    except Damaged as error:
        return None, str(error).removeprefix(f"{path} is damaged: ")
    return {**values, "records": records}, ""


# ---- what a run may say of itself


def check(values: dict, spec: dict, seed: int) -> list[Record]:
    """The layers' records. Damaged, saying why, if these cannot be the metrics of this specification and seed."""
    missing = [key for key in KEYS if key not in values]
    expect(not missing, f"lacks {', '.join(missing)}")
    other = [key for key in sorted(spec.keys() | keys(values["spec"])) if not same(spec, values["spec"], key)]
    expect(not other, f"is of another cell: {', '.join(other)} of its specification are not this folder's")
    expect(values["seed"] == seed, f"is of seed {values['seed']}")
    check_accuracies(values, spec["time_steps"])
    check_amounts(values)
    records = check_layers(values["layers"])
    check_firing(values["firing_by_threshold"])
    failed = values["checks"].get("failed") if isinstance(values["checks"], dict) else None
    expect(isinstance(failed, list) and all(isinstance(name, str) for name in failed), "checks do not say which failed")
    return records


def expect(good: bool, said: str) -> None:
    if not good:
        raise Damaged(said)


def keys(value) -> set:
    return set(value) if isinstance(value, dict) else set()


def same(spec: dict, found, key: str) -> bool:
    return isinstance(found, dict) and key in spec and key in found and canonical(spec[key]) == canonical(found[key])


def check_accuracies(values: dict, steps: int) -> None:
    """Percentages, as many as there are epochs and steps; the last and the best are those of the curve."""
    curve = values["accuracy_by_epoch"]
    expect(whole(values["epochs"]) and whole(values["epoch_best"]), "epochs are no whole numbers")
    for key, length in (("accuracy_by_epoch", values["epochs"]), ("accuracy_by_step", steps), ("accuracy_up_to", steps)):
        expect(isinstance(values[key], list) and len(values[key]) == length, f"{key} has not {length} values")
    for key in ("accuracy", "accuracy_best", "accuracy_counted", "accuracy_by_epoch", "accuracy_by_step", "accuracy_up_to"):
        found = values[key] if isinstance(values[key], list) else [values[key]]
        expect(all(number(value, 0, 100) for value in found), f"{key} is no percentage")
    last, best = (curve[-1], max(curve)) if curve else (values["accuracy_counted"],) * 2
    expect(values["accuracy"] == last, f"accuracy {values['accuracy']} is not that of the last epoch, {last}")
    expect(values["accuracy_best"] == best, f"accuracy_best {values['accuracy_best']} is not the best of its epochs, {best}")
    place = values["epoch_best"]
    expect(not curve or (1 <= place <= len(curve) and curve[place - 1] == best), f"epoch_best {place} is not the best one")


def check_amounts(values: dict) -> None:
    """Counts and times in range."""
    images = values["images"] if isinstance(values["images"], dict) else {}
    for key in ("train", "test"):
        expect(whole(images.get(key)) and images[key] > 0, f"images: no number of {key} images")
    expect(whole(values["parameters"]) and values["parameters"] > 0, "parameters is no number of them")
    expect(number(values["seconds"], 0), "seconds is no time")
    expect(values["images_per_second"] is None or number(values["images_per_second"], 0), "images_per_second is no rate")


def check_layers(layers: list) -> list[Record]:
    """Records that conventions can count."""
    expect(isinstance(layers, list) and len(layers) > 0, "has no layers")
    records = []
    for layer in layers:
        try:
            record = Record.from_dict(layer)
        except TypeError as error:
            raise Damaged(f"a layer is no record ({error})") from None
        amounts = (record.images, record.dense, record.events, record.values, record.spikes, record.neurons, record.inputs, record.total)
        sizes = all(number(size, 1) for size in (*record.weights, *record.stride, record.groups))
        good = all(number(amount, 0) for amount in amounts) and sizes
        expect(good and record.spikes <= record.neurons, f"layer {record.name} is out of range")
        records.append(record)
    return records


def check_firing(places) -> None:
    """Spikes of each threshold of every place, and then how many could have been."""
    counts = list(places.values()) if isinstance(places, dict) else [None]
    good = [isinstance(found, list) and len(found) % 2 and all(number(count, 0) for count in found) for found in counts]
    expect(all(good) and all(sum(found[:-1]) <= found[-1] for found in counts), "firing_by_threshold are no counts of spikes")


def number(value, low: float, high: float = math.inf) -> bool:
    """True for a finite number in range."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


def whole(value) -> bool:
    """True for a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
