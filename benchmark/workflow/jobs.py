"""Jobs of the workflow that load torch: a run, the loss around it, its pictures, a network counted at paper size."""

import os
import signal
import tempfile
from pathlib import Path

from benchmark.pins import recipes
from benchmark.runs.run import planned
from benchmark.shared.files import stamp, write_json
from benchmark.workflow import cluster, handed, supervised, warm

STOPPED = 75  # the exit status of a run that a signal stopped, its checkpoint written: training.loop.INTERRUPTED, which loads torch


def run(arguments) -> int | None:
    """Train and measure; in a fork of the workflow's warm process where there is one, else in processes of its own."""
    out = arguments.runs / arguments.cell / f"seed{arguments.seed}"
    before = stamp(out / "metrics.json")
    if warm.inside():
        return train(arguments, out, before)
    ended = shared(arguments, out, before) if sharing(arguments) > 1 else alone(arguments, out, before)
    if ended in (STOPPED, 128 + signal.SIGTERM):  # the latter in a fork of a server that was stopped too
        cluster.requeued()
    return ended


def sharing(arguments) -> int:
    """How many devices share the run: training alone is shared."""
    return arguments.devices if arguments.devices > 1 and planned(handed.read(arguments.runs, arguments.cell)["recipe"]) else 1


def shared(arguments, out: Path, before: tuple) -> int:
    """In a process for each device; its exit status."""
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"  # it warns of what costs little: looking for parameters that have no gradient
    with tempfile.TemporaryDirectory() as place:
        meeting = Path(place, "meeting")
        return supervised.run(lambda rank: train(arguments, out, before, (rank, arguments.devices, meeting)), out, arguments.devices)


def alone(arguments, out: Path, before: tuple) -> int:
    """In one process, the warm server's if there is one; its exit status."""
    killed = supervised.killed_for_memory()
    if (ended := warm.ask(arguments.words)) is None:
        return supervised.run(lambda rank: train(arguments, out, before), out)
    if ended == 128 + signal.SIGKILL:
        supervised.tell_killed(out, signal.SIGKILL, supervised.killed_for_memory() > killed)
    return ended


def train(arguments, out: Path, before: tuple, place: tuple = ()) -> None:
    """The run itself; of several processes that share it the one at this place, training.world's."""
    from benchmark.training.run import run as run_one
    from benchmark.training.world import World

    a = arguments
    choose(a.neurons)
    spec = handed.read(a.runs, a.cell)
    world = World(*place)
    threads = max(1, a.threads // world.size)
    metrics = run_one(spec, recipes.whole(spec["recipe"]), a.seed, out, a.data_root, a.device, threads, before, world)
    if metrics is None:
        return
    print(
        f"{metrics['accuracy']:6.2f} % (best {metrics['accuracy_best']:.2f})  {a.cell}"
        f"  seed {a.seed}  {metrics['seconds']:.1f} s  on {spec['data']['name']}"
    )


def choose(neurons: str) -> None:
    from benchmark.neurons import _back_ends

    _back_ends.choose(neurons)


def surface(arguments) -> int | None:
    if (ended := warm.ask(arguments.words)) is not None:
        return ended
    from benchmark.training import surface as surrounding

    a = arguments
    choose(a.neurons)
    surrounding.write(a.run, a.points, a.images, a.data_root, a.device, a.threads)


def pictures(arguments) -> int | None:
    if (ended := warm.ask(arguments.words)) is not None:
        return ended
    from benchmark.training import pictures as drawing

    a = arguments
    choose(a.neurons)
    out = a.out.with_suffix("") if a.out else a.run / "pictures"
    print(drawing.write(a.run, out, a.images, recipes.whole, a.data_root, a.device, a.threads))


def network(arguments) -> int | None:
    """Parameters and operations of one network at paper size on the printed data set, one time step."""
    if (ended := warm.ask(arguments.words)) is not None:
        return ended
    write_json(arguments.out, counted(arguments.backbone, arguments.dataset))


def counted(backbone: str, dataset: str) -> dict:
    """What structures/<backbone>/<data set>.json holds."""
    from benchmark.measuring import structure as counting
    from benchmark.runs import structures

    described, data = structures.described(backbone, dataset)
    return counting.structure(described, data["classes"], data["shape"], data["form"])
