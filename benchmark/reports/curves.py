"""Learning curves as TensorBoard logs, one for each run that has a curve so far; written by tensorboard itself, without torch."""

import csv
import shutil
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from benchmark.pins.settings import Settings
from benchmark.runs import lines
from benchmark.runs.run import Run


def write(table: str, settings: Settings, root: Path, out: Path) -> str:
    """<out>/<id>/seed<n>/events.out.tfevents.*, those of an earlier call replaced; returns what was written."""
    found = [run for run in lines.runs_of([table], settings).values() if points(run, root)]
    for run in found:
        log(run, root, out / run.resolved.id / f"seed{run.seed}")
    return f"{len(found)} runs of {table} in {out}: tensorboard --logdir {out}"


def points(run: Run, root: Path) -> list[dict]:
    """The lines of a run's curve.csv so far, as numbers; none for one that has not begun or does not train."""
    path = root / run.folder / "curve.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        read = [{key: float(value) for key, value in line.items() if value} for line in csv.DictReader(file)]
    return [point for point in read if point["epoch"]]  # the line of epoch 0 says what an untrained network has


def log(run: Run, root: Path, folder: Path) -> None:
    """One run: a scalar for each column, at each epoch, `seconds` after the first of January 1970."""
    shutil.rmtree(folder, ignore_errors=True)
    writer = EventFileWriter(str(folder))
    for point in points(run, root):
        values = [Summary.Value(tag=key, simple_value=value) for key, value in point.items() if key != "epoch"]
        writer.add_event(Event(wall_time=point.get("seconds", time.time()), step=int(point["epoch"]), summary=Summary(value=values)))
    writer.close()
