"""What an earlier call of `evidence` wrote, and what of it stands beside the runs of now. No torch.

A run is run again when there is one of the same method, network, data, steps and seed, whatever its recipe, size or code are by now: then the
earlier one goes, and so does every claim that it was a side of, unless the runs of now say what it comes to. Runs of a named reading are others:
they stand beside, and the claims stay those of the reading that was there first.
"""

import csv
import json
from pathlib import Path
from typing import NamedTuple

from benchmark.pins.settings import Settings
from benchmark.reports import claims
from benchmark.reports.claimed import claims as all_claimed
from benchmark.shared.errors import UserError, in_one_line

RUNS = (
    *("run", "method", "params", "backbone", "parameters", "data", "train", "test", "epochs", "time_steps", "seed", "accuracy"),
    *("sops_M", "macs_M", "energy_uJ", "firing_rate", "checks", "seconds", "commit", "weights"),
)
STEPS = ("run", "seed", "step", "accuracy_at_step", "accuracy_up_to", "firing_rate")
CLAIM = claims.COLUMNS[: claims.COLUMNS.index("scale")]  # what no run changes
WORDS = {*CLAIM, "scale", "data", "verdict", "amount", "differs", "why", "source"}  # the other columns of a claim are numbers
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error)


class Evidence(NamedTuple):
    """Lines of the files; origins: folder of a run -> what made it."""

    runs: list[dict]
    steps: list[dict]
    claims: list[dict]
    origins: dict[str, dict]


def read(out: Path, scale: str) -> Evidence:
    """The files in `out`. UserError: one cannot be read, or they are of another scale."""
    try:
        tables = {"runs": RUNS, "steps": STEPS, "claims": claims.COLUMNS}
        runs, steps, claimed = (lines_of(out / f"{name}.csv", columns) for name, columns in tables.items())
        told = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
        for line in runs:
            cell_of(told["runs"][folder_of(line)]["spec"])
        found = Evidence(runs, steps, [number(line) for line in claimed], told["runs"])
        of = told["scale"]
    except UNREADABLE as error:
        raise UserError(f"{out} cannot be kept ({in_one_line(error)}): restore its files, or write without --keep") from None
    if of != scale:
        raise UserError(f"{out} is of scale {of}, not {scale}: write into another folder, or without --keep")
    return found


def lines_of(path: Path, columns: tuple) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, restval=None, strict=True)
        if tuple(reader.fieldnames or ()) != columns:
            raise ValueError(f"{path.name} has other columns")
        lines = list(reader)
    for line in lines:
        if None in line or None in line.values():
            raise ValueError(f"{path.name}: a line is not of {len(columns)} values")
    return lines


def number(line: dict) -> dict:
    """A line of claims.csv as it was before it was written."""
    values = {key: value if key in WORDS else float(value) if value else None for key, value in line.items()}
    return {**values, "n_seeds": int(line["n_seeds"])}


def folder_of(line: dict) -> str:
    return f"runs/{line['run']}/seed{line['seed']}"


def cell_of(spec: dict) -> str:
    """What a run is of, apart from how large its network is, how it was trained, and by what code."""
    method, network = spec["method"], spec["network"]
    chosen = {key: value for key, value in network["size"].items() if isinstance(value, str)}  # what it is made of, as its attention
    above = {role: id_.rpartition("-")[0] for role, id_ in spec["above"].items()}
    parts = [method["name"], method["params"], network["name"], chosen, spec["data"]["name"], spec["time_steps"], above]
    return json.dumps(parts, sort_keys=True)


def joined(now: Evidence, before: Evidence, settings: Settings) -> Evidence:
    """All of now, and of before what has not been run again."""

    def run_of(line, evidence):
        return cell_of(evidence.origins[folder_of(line)]["spec"]), int(line["seed"])

    again = {run_of(line, now) for line in now.runs}
    kept = [line for line in before.runs if run_of(line, before) not in again]
    replaced = again & {run_of(line, before) for line in before.runs}
    folders = {folder_of(line) for line in kept}
    steps = [line for line in before.steps if folder_of(line) in folders]
    known = {same(line): line for line in before.claims}
    claimed = [
        line if replaced & sides(claim) else max(known.get(same(line), line), line, key=lambda each: each["n_seeds"])
        for line, claim in zip(now.claims, all_claimed(settings), strict=True)
    ]
    runs = sorted([*now.runs, *kept], key=lambda line: (line["run"], int(line["seed"])))
    origins = {**now.origins, **{folder: before.origins[folder] for folder in folders}}
    return Evidence(runs, [*now.steps, *steps], claims.controlled(claimed), origins)


def sides(claim) -> set[tuple]:
    """The runs that decide a claim, as far as they can run in these settings."""
    return {(cell_of(run.resolved.spec), run.seed) for line in (claim.a, claim.b) for run in line.runs}


def same(line: dict) -> tuple:
    return tuple(str(line[key]) for key in CLAIM)
