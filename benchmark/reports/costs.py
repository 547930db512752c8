"""What the runs of a table cost before any of them starts: images, multiply-accumulates, hours at a rate that is known. Never loads torch.

A training step is three forward passes of the network that learns (its own, the gradients of its inputs, those of its weights) and one of
its teacher; a test is one. Operations are those of the counted network at paper size; a twin's are not counted, its hours come from runs.
What a method does before training, as calibrating a converted network or tuning it layer by layer, is not counted: such a run takes longer.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmark.pins import recipes
from benchmark.pins.cells import Resolved
from benchmark.reports.markdown import aligned
from benchmark.runs.progress import duration
from benchmark.runs.run import Run, planned

PASSES = 3  # forward passes that a training step of the learning network comes to
HOUR = 3600


@dataclass(frozen=True)
class Cost:
    """Of one run. macs: None for a twin. hours: None where nothing says how fast it goes, and `basis` says what did."""

    run: Run
    state: str
    images: int
    macs: float | None
    hours: float | None
    basis: str

    @property
    def left(self) -> float | None:
        return 0.0 if self.state == "done" else self.hours


def costs(runs: list[Run], root: Path, macs: Callable[[str, str], float | None], throughput: float | None = None) -> list[Cost]:
    """One for each run. macs: (backbone, data set) -> those of one forward step at paper size. throughput: multiply-accumulates per second."""
    found = [(run, run.metrics(root)) for run in runs]
    known = [(run.resolved, metrics["images_per_second"]) for run, metrics in found if metrics and metrics["images_per_second"]]
    return [cost(run, metrics, known, root, macs, throughput) for run, metrics in found]


def cost(run: Run, metrics: dict | None, known: list[tuple[Resolved, float]], root: Path, macs: Callable, throughput: float | None) -> Cost:
    """See `costs`. known: finished cells with their images per second. Hours are, in this order: of the run itself, by the given
    throughput, by runs of the same network, by what runs of other networks had."""
    spec = run.resolved.spec
    images, work, state = trained(spec), operations(run.resolved, macs), run.state(root)
    if metrics is not None:
        return Cost(run, state, images, work, metrics["seconds"] / HOUR, "it ran")
    if throughput and work is not None:
        return Cost(run, state, images, work, work / throughput / HOUR, f"{throughput:.3g} MAC/s as given")
    alike = [speed for other, speed in known if same_work(other.spec, spec)]
    if alike and images:
        return Cost(run, state, images, work, images / statistics.median(alike) / HOUR, f"{len(alike)} runs of its network")
    rate = measured(known, macs)
    if rate and work is not None:
        return Cost(run, state, images, work, work / rate / HOUR, f"{rate:.3g} MAC/s as {len(known)} runs had")
    return Cost(run, state, images, work, None, "nothing says how fast")


def time_left(runs: list[Run], root: Path) -> str:
    """How long the runs that are not done take on one device, in words: by runs of their own networks, the others as the median of all.

    Empty while nothing has run, or nothing is left.
    """
    found = costs(runs, root, lambda *_: None)
    took = [each.hours for each in found if each.state == "done" and each.hours]
    waiting = [each.left for each in found if each.state != "done"]
    if not took or not waiting:
        return ""
    known = [hours for hours in waiting if hours is not None]
    left = sum(known) + (len(waiting) - len(known)) * statistics.median(took)
    return f"about {duration(HOUR * left)} left on one device, {len(known)} of {len(waiting)} runs by others of their network"


def trained(spec: dict) -> int:
    """Images that go through training steps."""
    return recipes.images(spec, "train") * planned(spec["recipe"])


def operations(resolved: Resolved, macs: Callable) -> float | None:
    """Multiply-accumulates of a whole run: training steps, its teacher's answers, one test after every epoch and one to measure."""
    spec = resolved.spec
    step = forward(spec, macs)
    teachers = [forward(above.spec, macs) for role, above in resolved.upstream if role == "teacher"]
    if step is None or None in teachers:
        return None
    tests = recipes.images(spec, "test") * (planned(spec["recipe"]) + 1)
    return trained(spec) * (PASSES * step + sum(teachers)) + tests * step


def forward(spec: dict, macs: Callable) -> float | None:
    """Multiply-accumulates of one image through all steps; None for a twin."""
    one = None if spec["network"]["twin"] else macs(spec["network"]["name"], spec["data"]["name"])
    return one and one * spec["time_steps"]


def same_work(one: dict, other: dict) -> bool:
    """Whether an image costs two runs about the same: same network, data and steps, and a teacher beside it or not."""
    return all(one[key] == other[key] for key in ("network", "data", "time_steps")) and ("teacher" in one["above"]) == (
        "teacher" in other["above"]
    )


def measured(known: list[tuple[Resolved, float]], macs: Callable) -> float | None:
    """Median multiply-accumulates per second of training steps, of finished runs at paper size; None without one."""
    rates = []
    for resolved, speed in known:
        images, work = trained(resolved.spec), operations(resolved, macs)
        if work is not None and images:
            rates.append(work / images * speed)
    return statistics.median(rates) if rates else None


def shown(found: list[Cost]) -> str:
    """One line for each run, and what they come to."""
    body = [
        (each.run.resolved.id, each.run.seed, each.state, each.images, amount(each.macs), amount(each.hours), each.basis) for each in found
    ]
    text = aligned(("cell", "seed", "state", "training images", "MACs", "hours", "worked out from"), body)
    uncounted = sum(each.macs is None for each in found)
    said = [
        f"{len(found)} runs, {sum(each.state == 'done' for each in found)} done: {sum(each.images for each in found):,} training images",
        f"{sum(each.macs or 0 for each in found):.3g} MACs"
        + (f" and those of {uncounted} twins, which are not counted" if uncounted else ""),
        hours_left(found),
    ]
    return f"{text}\n{'; '.join(said)}"


def hours_left(found: list[Cost]) -> str:
    """The hours of the runs whose length is known, and how many others there are."""
    known = [each.left for each in found if each.left is not None]
    unknown = len(found) - len(known)
    if unknown and not any(known):
        return f"hours left: unknown, for nothing says how fast {unknown} runs go: give --throughput"
    return f"{sum(known):.3g} hours left on one device" + (f", and {unknown} runs of unknown length: give --throughput" if unknown else "")


def amount(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
