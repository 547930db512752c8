"""A look before the first job of runs that take hours: which data is there, on what they run, how long that takes. Loads torch.

It stops what cannot end well: no data at all, and real networks on real data on a CPU that nobody asked for by `cpu: yes`.
"""

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from benchmark.pins.settings import Settings
from benchmark.reports import costs
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError


def look(runs: list[Run], settings: Settings, root: Path, data_root: Path, macs: Callable, elsewhere: bool) -> int:
    """Prints a line for each thing; 0 if the runs may start, 2 if not. macs: see reports.costs; elsewhere: other machines run them."""
    if not runs:
        return 0
    tell("runs", f"{len(runs)} to do at scale {settings.scale}")
    lacking = without_data(runs, data_root)
    if len(lacking) == len(names_of(runs)):
        return stop("no data set of these runs is there")
    return 0 if elsewhere else on_device(runs, settings, root, macs)


def names_of(runs: list[Run]) -> dict[str, dict]:
    """Data set -> its entry in specifications."""
    return {run.resolved.spec["data"]["name"]: run.resolved.spec["data"] for run in runs}


def without_data(runs: list[Run], data_root: Path) -> list[str]:
    """The data sets that cannot be read; one line for each."""
    lacking = []
    for name, entry in names_of(runs).items():
        why = absent(entry, data_root)
        lacking += [name] if why else []
        count = sum(run.resolved.spec["data"]["name"] == name for run in runs)
        tell("data", f"{name}: {f'its {count} runs will fail: {why}' if why else 'there'}")
    return lacking


def absent(entry: dict, data_root: Path) -> str:
    """Why a data set cannot be read, empty if it can; by its file's `check` where loading all of it takes long."""
    from benchmark.networks.build import module_of

    module = module_of(entry["file"])
    try:
        getattr(module, "check", module.load)(entry["name"], data_root)
    except UserError as error:
        return str(error)
    return ""


def on_device(runs: list[Run], settings: Settings, root: Path, macs: Callable) -> int:
    """The device, and the hours on it by a few timed steps."""
    from benchmark.training import device as devices

    device = devices.offered(settings.device)[0]
    hardware = devices.hardware(device)
    tell("device", f"{device}: {hardware['gpu'] or hardware['cpu']}")
    real = [run for run in runs if not run.resolved.spec["network"]["twin"] and not run.resolved.spec["data"]["stand_in"]]
    if device.type == "cpu" and real and not settings.cpu:
        return stop(f"{len(real)} real networks would train on real data without a GPU, for weeks: --config cpu=yes does so all the same")
    tell("hours", hours(runs, root, macs, device))
    return 0


def hours(runs: list[Run], root: Path, macs: Callable, device) -> str:
    """What is left, on one device, and from what it is worked out."""
    found = costs.costs(runs, root, macs)
    basis = "finished runs"
    if any(each.hours is None and each.macs for each in found):
        chosen, rate = timed(found, macs, device)
        basis = f"timed steps of {chosen} in fp32, {rate:.3g} MAC/s, and what ran so far"
        found = [*costs.costs(runs, root, macs, rate)]
    return f"{costs.hours_left(found)} (by {basis})"


def timed(found: list[costs.Cost], macs: Callable, device) -> tuple[str, float]:
    """A network in the middle of those to run, and its multiply-accumulates per second in training steps."""
    from benchmark.training import throughput

    counted = sorted({each.macs: each.run for each in found if each.macs}.items())
    spec = counted[(len(counted) - 1) // 2][1].resolved.spec
    speed = statistics.median(throughput.images_per_second(spec, device))
    return spec["network"]["name"], costs.PASSES * costs.forward(spec, macs) * speed


def tell(what: str, text: str) -> None:
    print(f"{what:7} {text}", file=sys.stderr, flush=True)


def stop(why: str) -> int:
    print(f"error: {why}", file=sys.stderr, flush=True)
    return 2
