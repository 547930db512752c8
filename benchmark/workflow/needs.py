"""What a cell's job asks a machine for, from its network, data set, steps and recipe: CPUs, memory, minutes, GPUs. Never loads torch.

Only the scheduler of a cluster holds a job to it, so it is generous: twice the arithmetic of a run at a rate that a GPU of 2020 reaches, and
no more than a queue gives at once, for a run that meets its limit goes on in the next allocation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from benchmark.pins import recipes
from benchmark.pins.cells import Resolved
from benchmark.reports import costs

RATE = {"gpu": 5e12, "cpu": 2e10}  # multiply-accumulates per second in training steps of spiking networks in PyTorch
MACS = {"cifar": 1e9, "dvs": 2e9, "imagenet": 1e10}  # of one image and step, by layout: of a network that nobody has counted yet
TWIN = 100  # times fewer has a twin
IDLE = {"gpu": 6000, "cpu": 2500}  # MB that a process holds before its first image: torch with and without CUDA
STEP = 1500  # MB of a twin's training step at most; a real network's is on its GPU
WORKER = 1500  # MB of a process that decodes images
CPUS = {"images": 4, "events": 4, "folder": 8}  # beside a GPU, by the form of the data: those in folders are decoded by workers
SHORTEST, LONGEST = 10, 24 * 60  # minutes that are asked for at once; jobs that ask for no more than the least, and no GPU, are small


@dataclass(frozen=True)
class Needs:
    """threads: CPUs; memory: MB of the machine; runtime: minutes; gpu: devices. small: it shares a submission with others."""

    threads: int
    memory: int
    runtime: int
    gpu: int

    @property
    def small(self) -> bool:
        return not self.gpu and self.runtime <= SHORTEST


def of(resolved: Resolved, counted: Callable[[str, str], float | None]) -> Needs:
    """Of one run of a cell. counted: (backbone, data set) -> multiply-accumulates of one step at paper size, None if nobody has counted them."""
    spec = resolved.spec
    kind = "cpu" if spec["network"]["twin"] else "gpu"
    threads = 1 if kind == "cpu" else CPUS[spec["data"]["form"]]
    step = STEP if kind == "cpu" else WORKER * threads if spec["data"]["form"] == "folder" else 0
    return Needs(threads, IDLE[kind] + 2 * held(spec) + step, minutes(2 * work(resolved, counted) / RATE[kind]), int(kind == "gpu"))


def held(spec: dict) -> int:
    """MB of a data set that is held whole, as bytes: of one in folders nothing is."""
    data = spec["data"]
    frames = spec["time_steps"] if data["form"] == "events" else 1
    images = 0 if data["form"] == "folder" else data["train"] + data["test"]
    return math.ceil(images * frames * math.prod(data["shape"]) / 2**20)


def work(resolved: Resolved, counted: Callable[[str, str], float | None]) -> float:
    """Multiply-accumulates of a run, a twin's as a share of its layout's."""
    spec = resolved.spec
    guess = MACS[spec["data"]["layout"]]
    if spec["network"]["twin"]:
        images = costs.PASSES * costs.trained(spec) + 2 * recipes.images(spec, "test")
        return images * spec["time_steps"] * guess / TWIN
    return costs.operations(resolved, lambda *network: counted(*network) or guess)


def minutes(seconds: float) -> int:
    """Whole minutes in range."""
    return min(LONGEST, max(SHORTEST, math.ceil(seconds / 60)))
