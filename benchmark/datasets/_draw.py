"""Frames of events as a picture to look at: a line for each recording, a frame for each time step, on red, off blue."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from benchmark.datasets import _event_augment
from benchmark.datasets._events import cut
from benchmark.datasets._recordings import READERS, read
from benchmark.shared.errors import UserError, unknown

MARGIN, CAPTION = 2, 12  # pixels between frames, and above a line for its name
SHOWN = 96  # pixels that a frame has at least, each of the sensor's drawn as a square


def sheet(frames: Sequence[np.ndarray], names: Sequence[str]) -> Image.Image:
    """Frames [T, 2, height, width] of some recordings; each recording as bright as its 99.5th percentile asks for."""
    steps, _, height, width = frames[0].shape
    zoom = -(-SHOWN // max(height, width))
    high, wide = height * zoom + MARGIN + CAPTION, width * zoom + MARGIN
    whole = Image.new("RGB", (steps * wide + MARGIN, len(frames) * high + MARGIN), (40, 40, 40))
    pen = ImageDraw.Draw(whole)
    for line, (recording, name) in enumerate(zip(frames, names, strict=True)):
        pen.text((MARGIN, line * high), name, (220, 220, 220))
        bright = max(1.0, float(np.percentile(recording[recording > 0], 99.5))) if recording.any() else 1.0
        for step, frame in enumerate(recording):
            off, on = (np.minimum(channel / bright, 1) ** 0.5 * 255 for channel in frame)
            colours = np.stack([on, np.minimum(on, off), off], -1).astype(np.uint8).repeat(zoom, 0).repeat(zoom, 1)
            whole.paste(Image.fromarray(colours), (MARGIN + step * wide, line * high + CAPTION))
    return whole


def recordings(name: str, root: Path, lines: int) -> tuple[list[np.ndarray], list[str], dict]:
    """Events of the recordings to draw, their names, and the data set's entry. UserError: unknown, or nothing there.

    Of a stand-in the first recording of each class, of files below `root` the first of each folder.
    """
    modules = {name: module for module in _modules() for name, entry in module.DATASETS.items() if entry.get("form") == "events"}
    if name not in modules:
        raise unknown("data set of events", name, modules)
    entry = modules[name].DATASETS[name]
    if entry["stand_in"]:
        split = modules[name].load(name, root).train
        first = [split.labels.tolist().index(label) for label in range(min(lines, entry["classes"]))]
        return [split.sources[index].events(entry["shape"]) for index in first], [f"class {label}" for label in range(len(first))], entry
    paths = sorted(path for path in root.rglob("*") if path.suffix in READERS)
    folders = {path.parent: path for path in reversed(paths)}
    chosen = sorted(folders.values() if len(folders) > 1 else paths)[:lines]
    if not chosen:
        raise UserError(f"{root} holds no recordings ({', '.join(READERS)})")
    return [read(path, entry["shape"]) for path in chosen], [str(path.relative_to(root)) for path in chosen], entry


def _modules() -> list:
    """Every data set file."""
    return [importlib.import_module(f"{__package__}.{path.stem}") for path in sorted(Path(__file__).parent.glob("[!_]*.py"))]


def draw(name: str, root: Path, out: Path, steps: int = 10, lines: int = 11, policy: str = "") -> None:
    """Write the picture. UserError: unknown, nothing there, a damaged recording, or a file that cannot be written."""
    found, names, entry = recordings(name, root, lines)
    frames = [cut(events, entry["shape"], steps, entry["frames"], line) for events, line in zip(found, names, strict=True)]
    if policy:
        torch.manual_seed(0)
        frames = list(_event_augment.augment(torch.from_numpy(np.stack(frames)), policy).numpy())
    lasting = [f"{len(events)} events, {(events['t'][-1] - events['t'][0]) / 1000:.0f} ms" for events in found]
    picture = sheet(frames, [f"{line}   {events}" for line, events in zip(names, lasting, strict=True)])
    try:
        picture.save(out)
    except (OSError, ValueError) as error:  # ValueError: an extension that is no picture's
        raise UserError(f"{out} cannot be written: {error}") from None
