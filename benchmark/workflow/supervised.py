"""A run in processes of its own, one for each device: this one waits for them, hands signals on, and says of one that was killed why.

Nothing that imports torch is loaded here: a process that waits is small, and its forks are safe.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing
from benchmark.workflow import warm

COUNTER = Path("/proc/vmstat")  # how often the system, or a limit of its groups, has killed for lack of memory
ENDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # asked to: no failure


def run(work: Callable[[int], int | None], out: Path, count: int = 1) -> int:
    """The exit status of `work(rank)` in `count` processes: of the first that failed, 128 + n after signal n; then the others are stopped.

    out: the run's folder, whose error.txt says why if one was killed.
    """
    before, lifeline = killed_for_memory(), os.pipe()  # the pipe's end tells the processes that this one is gone
    there = {fork(work, rank, lifeline): rank for rank in range(count)}
    os.close(lifeline[0])
    first = 0
    with handing_on(there):
        while there:
            number, status, usage = os.wait4(-1, 0)
            if there.pop(number, None) is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code and not first:
                first = code if code > 0 else 128 - code
                for other in there:
                    warm.stop(other)
            if -code in set(signal.Signals) - set(ENDED):
                tell_killed(out, -code, killed_for_memory() > before, usage.ru_maxrss)
    os.close(lifeline[1])
    return first


def fork(work: Callable[[int], int | None], rank: int, lifeline: tuple[int, int]) -> int:
    """A process that does one share of the work; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    if number := os.fork():
        return number
    os.close(lifeline[1])
    threading.Thread(target=watch, args=(lifeline[0],), daemon=True).start()
    status = 1
    try:
        status = work(rank) or 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    except UserError as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        status = 2
    except BaseException:  # noqa: BLE001  (a child must end here, with what any Python would print)
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def watch(lifeline: int) -> None:
    """Stop this process as by a signal once the one that waits for it is gone: readable means ended."""
    select.select([lifeline], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def handing_on(there: dict[int, int]):
    """Signals to this process go on to all of those."""

    def hand_on(number, _):
        for each in there:
            warm.stop(each, number)

    before = {each: signal.signal(each, hand_on) for each in ENDED}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def killed_for_memory() -> int:
    """How many processes have been killed for lack of memory since the system started; 0 where nothing says it."""
    with contextlib.suppress(OSError):
        return sum(int(line.split()[1]) for line in COUNTER.read_text().splitlines() if line.startswith("oom_kill "))
    return 0


def tell_killed(out: Path, number: int, memory: bool, held: int = 0) -> None:
    """error.txt of a run that could not write it. memory: something was killed for lack of it meanwhile; held: most of it, in KB."""
    size = f" It held {held / 2**20:.1f} GB." if held else ""
    why = {
        True: f"OutOfMemory: the system killed the run for lack of memory.{size} Ask for more, or give it `micro_batch` or `recompute`",
        False: f"Killed: by signal {number} ({signal.Signals(number).name}), not by the run itself.{size} Run it again: it goes on",
    }[memory and number == signal.SIGKILL]
    if not (out / "error.txt").exists():  # one process of several may have said it
        with contextlib.suppress(OSError), replacing(out / "error.txt") as file:
            file.write(f"{why}\n")
    print(f"error: {why}", file=sys.stderr)
