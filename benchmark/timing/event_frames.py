"""Milliseconds from a recording to a batch of frames: reading, cutting (beside tonic's and spikingjelly's), loading, augmenting.

    python -m benchmark.timing.event_frames RECORDING... [--size 128] [--steps 16] [--batch 16] [--repeats 9]

Medians over all recordings and repeats, the ways of cutting interleaved, so that a machine whose speed drifts slows all of them. Loading
is what a training step waits for: a batch gathered from a pack that is mapped, then changed by Spikformer's policy.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from spikingjelly.datasets.utils import integrate_events_by_fixed_frames_number
from tonic.transforms import ToFrame

from benchmark.datasets import _event_augment, _events
from benchmark.datasets._recordings import File, read, recorded


def cutters(shape: list, steps: int) -> dict:
    """Every way to cut a recording: ours by each rule, and the library's that the rule is named after."""
    _, height, width = shape

    def tonic(**number):
        return ToFrame((width, height, 2), **number)

    def spikingjelly(by):
        return lambda events: integrate_events_by_fixed_frames_number({name: events[name] for name in "txyp"}, by, steps, height, width)

    ours = {f"ours, {rule}": lambda events, rule=rule: _events.cut(events, shape, steps, rule) for rule in _events.RULES}
    libraries = {f"spikingjelly, {by}": spikingjelly(by) for by in ("number", "time")}
    return {**ours, **libraries, "tonic, number": tonic(n_event_bins=steps), "tonic, time": tonic(n_time_bins=steps)}


def measure(paths: list[Path], shape: list, steps: int, batch: int, repeats: int) -> dict[str, float]:
    """What is timed -> median milliseconds; of reading and cutting for one recording, of the rest for a batch."""
    seconds = defaultdict(list)

    def timed(name, work):
        began = time.perf_counter()
        done = work()
        seconds[name].append(time.perf_counter() - began)
        return done

    ways = cutters(shape, steps)
    for path in paths:
        for repeat in range(repeats + 1):  # the first one compiles
            events = timed("reading", lambda path=path: read(path, shape))
            for name, cut in ways.items():
                timed(name, lambda cut=cut, events=events: cut(events))
            if not repeat:
                seconds.clear()
    with tempfile.TemporaryDirectory() as folder:
        sources = [File(paths[index % len(paths)]) for index in range(4 * batch)]
        split = recorded(sources, [0] * len(sources), {"shape": shape, "frames": "spikingjelly-number"}, Path(folder))
        timed("making a pack, per recording", lambda: split.frames(steps))
        frames = split.frames(steps)
        for _ in range(repeats):
            chosen = torch.randperm(len(frames))[:batch]
            images = timed("gathering a batch", lambda chosen=chosen: frames[chosen])
            images = timed("augmenting it", lambda images=images: _event_augment.augment(images, "spikformer"))
            timed("to float, steps first", lambda images=images: images.float().transpose(0, 1).contiguous())
    seconds["making a pack, per recording"][0] /= len(sources)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recordings", nargs="+", type=Path)
    for name, value in (("size", 128), ("steps", 16), ("batch", 16), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    for name, found in measure(given.recordings, [2, given.size, given.size], given.steps, given.batch, given.repeats).items():
        print(f"{name:30} {found:8.2f} ms")


if __name__ == "__main__":
    main()
