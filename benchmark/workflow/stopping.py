"""The first SIGTERM or Ctrl-C ends a workflow and its jobs, each of which writes its checkpoint before it goes.

Snakemake alone waits on SIGTERM until what runs has ended by itself, which may take weeks, and hands on neither signal: on a terminal
jobs have Ctrl-C from the terminal. Jobs on a cluster it cancels itself once it is interrupted.
"""

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

import psutil

stopped = threading.Event()  # set by the first signal
PATIENCE = 60.0  # seconds that a cluster may take to answer


def on_first_signal(submitted: Callable[[], None] | None = None) -> None:
    """From here on. After Snakemake has set up its scheduler, which takes SIGTERM for itself.

    submitted: of a workflow on a cluster, what ends it once Snakemake has waited long enough for a queue that does not answer.
    """

    def end(*_) -> None:
        stopped.set()
        stop_jobs()
        if submitted:
            timer = threading.Timer(PATIENCE, submitted)
            timer.daemon = True
            timer.start()
        raise KeyboardInterrupt  # as by Ctrl-C

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)


def stop_jobs() -> None:
    """SIGTERM to what runs in this process's shells, which wait for it; to a shell itself that has not started it yet.

    Not to those of another session: the warm server goes when the workflow has gone.
    """
    shells = [child for child in psutil.Process().children() if of_session(child)]
    each(shells, psutil.Process.suspend)  # one that starts its job just now would leave it behind
    for shell in shells:
        each(found(shell) or [shell], psutil.Process.terminate)
    each(shells, psutil.Process.resume)


def of_session(process: psutil.Process) -> bool:
    """Whether a process belongs to this one's session."""
    with suppress(ProcessLookupError, PermissionError):
        return os.getsid(process.pid) == os.getsid(0)
    return False


def found(process: psutil.Process) -> list[psutil.Process]:
    """All processes below one, which may have ended."""
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def each(processes: list[psutil.Process], act) -> None:
    """Do something with processes, those that have ended left out."""
    for process in processes:
        with suppress(psutil.Error):
            act(process)
