"""Runs made elsewhere join in: each is checked as one's own are when they are read, copied whole, and says for ever where it came from.

A run is taken if its cell is one of this checkout at this scale (the same specification, code included), its files are what its
metrics.json says, and what it learned from is here too, with the very same weights. A run that is here already stays as it is.
"""

import csv
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from benchmark.pins import kinds, published
from benchmark.pins.cells import Resolved
from benchmark.pins.settings import Settings
from benchmark.runs import lines
from benchmark.runs.run import Run, same
from benchmark.shared.errors import Damaged, UserError
from benchmark.shared.files import lock, read_sealed, replacing, sha256, write_json

NOTE = "imported.json"
FILES = ("weights.pt", "curve.csv", "layers.csv", "metrics.json")  # metrics.json last: it means done
PARTS = "parts.pt"  # of a method that keeps its trained parts
ANSWERS = "predictions.npz"  # to the test images, which claims are tested over
SEED = re.compile(r"seed(0|[1-9][0-9]*)", re.ASCII)


@dataclass(frozen=True)
class Answer:
    """What became of one run that was offered: `taken`, `here already`, or `refused` and why."""

    folder: Path
    word: str
    why: str = ""


def bring(source: Path, root: Path, settings: Settings, origin: str = "") -> list[Answer]:
    """Take every run under `source`, a working directory of another checkout, into `root`. origin: who made them (default: its name).

    UserError: there are none.
    """
    folders = sorted(path.parent.relative_to(source) for path in source.glob("runs/*/seed*/metrics.json"))
    if not folders:
        raise UserError(f"{source} has no finished runs: name a working directory, which holds runs/<cell>/seed<n>/metrics.json")
    known = known_cells(settings)
    offers = [Run(known[folder.parent.name], int(folder.name[4:])) for folder in folders if wanted(folder, known)]
    strange = [Answer(folder, "refused", unknown(source / folder, known)) for folder in folders if not wanted(folder, known)]
    in_order = sorted(offers, key=lambda run: len(run.resolved.with_upstream()))  # what others learned from comes first
    return [*strange, *(answer(run, source, root, origin or source.resolve().name) for run in in_order)]


def known_cells(settings: Settings) -> dict[str, Resolved]:
    """Every cell of this checkout at this scale by its id; with `compare` those of one's own method too."""
    own = [f"{table}.{settings.compare}" for table in published.tables()] if settings.compare else []
    names, _ = lines.sound([*published.tables(), *published.figures(), *own], settings)
    return {run.resolved.id: run.resolved for run in lines.runs_of(names, settings).values()}


def wanted(folder: Path, known: dict) -> bool:
    return folder.parent.name in known and bool(SEED.fullmatch(folder.name))


def unknown(folder: Path, known: dict[str, Resolved]) -> str:
    """Why no run here is this one."""
    if folder.parent.name in known:
        return "its folder is not named seed<n>"
    name = folder.parent.name.rpartition("-")[0]
    near = [resolved for id, resolved in known.items() if id.rpartition("-")[0] == name]
    if not near:
        return "no table asks for it at this scale"
    try:
        spec = read_sealed(folder / "metrics.json").get("spec", {})
    except (Damaged, OSError) as error:
        return str(error)
    differences = min(([key for key in sorted(of.spec) if not same(of.spec, spec, key)] for of in near), key=len)
    if not differences:
        return "its folder is not that of its specification"
    return f"its specification is another one than here: {', '.join(differences)}"


def answer(run: Run, source: Path, root: Path, origin: str) -> Answer:
    """Take one run, or say why not."""
    there, here = run.metrics(source), run.metrics(root)
    if there and here:
        if there["weights"] == here["weights"]:
            return Answer(run.folder, "here already")
        return Answer(run.folder, "refused", "this run is here already, with other weights: remove it here to take the other")
    if why := wrong(run, source, root):
        return Answer(run.folder, "refused", why)
    copy(run, source, root, origin)
    return Answer(run.folder, "taken")


def wrong(run: Run, source: Path, root: Path) -> str:
    """Why a run is not to be believed; empty if it is."""
    values, why = run.read(source)
    if values is None:
        return f"its metrics.json is damaged: {why}"
    if lacking := [name for name in files(run, values) if not (source / run.folder / name).is_file()]:
        return f"it lacks {', '.join(lacking)}"
    for name in sealed(run, values):
        if (found := sha256(source / run.folder / name)) != (written := values.get(Path(name).stem)):
            return f"its {name} is damaged: its checksum is {found}, metrics.json has {written}"
    if curve(source / run.folder) != (values["accuracy_by_epoch"] or [values["accuracy"]]):
        return "its curve.csv is damaged: the accuracies are not those of metrics.json"
    if run.state(root) == "running":
        return "a process here works on this run"
    for role, above in run.upstream:
        there, here = (above.metrics(place) for place in (source, root))
        if there is None or here is None:
            return (
                f"its {role} {above.resolved.id} is not {'beside it' if there is None else 'here'}: nobody could tell what it learned from"
            )
        if there["weights"] != here["weights"]:
            return f"its {role} {above.resolved.id} has other weights than the one here"
    return ""


def sealed(run: Run, values: dict) -> tuple[str, ...]:
    """The files of a run whose checksums metrics.json has, under their names without the ending: weights, and answers where they are kept."""
    keeps = kinds.method(run.resolved.spec["method"]["name"]).tables.get("keeps")
    return ("weights.pt", *((PARTS,) if keeps else ()), *((ANSWERS,) if "predictions" in values else ()))


def files(run: Run, values: dict) -> tuple[str, ...]:
    """All files that a run leaves, the one that means done last."""
    return (*sealed(run, values)[1:], *FILES)


def curve(folder: Path) -> list[float] | None:
    """The accuracies of a run's curve.csv; None if it has none."""
    try:
        with (folder / "curve.csv").open(newline="", encoding="utf-8") as file:
            return [float(line["accuracy"]) for line in csv.DictReader(file)]
    except (ValueError, KeyError, TypeError):
        return None


def copy(run: Run, there: Path, here: Path, origin: str) -> None:
    """All files of a run, each whole, the one that means done last."""
    source, target, names = there / run.folder, here / run.folder, files(run, run.metrics(there))
    with lock(target / ".lock"):
        (target / "error.txt").unlink(missing_ok=True)
        checksums = {name: sha256(source / name) for name in names}
        write_json(target / NOTE, {"origin": origin, "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "files": checksums})
        for name in names:
            with (source / name).open("rb") as given, replacing(target / name, "wb") as file:
                shutil.copyfileobj(given, file)


def origin_of(run: Run, root: Path) -> str:
    """Where an imported run came from; empty for one that ran here, also after it was imported."""
    try:
        note = json.loads((root / run.folder / NOTE).read_text(encoding="utf-8"))
        return note["origin"] if note["files"]["metrics.json"] == sha256(root / run.folder / "metrics.json") else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
