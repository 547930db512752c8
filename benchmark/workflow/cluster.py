"""What SLURM does not say by itself: requests that no node can meet, why jobs wait; and what a job does when its time is up.

Everything is asked of SLURM's own commands; where there are none, or they fail, nothing is said.
"""

import importlib
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PAUSE = 30.0  # seconds between two looks at what waits
NEARLY = 300  # seconds before a job's limit: a run that is told to stop then goes on in the next allocation
BAD = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")  # ends of a job
ERROR = re.compile(
    r"(?i)^(?!.*exited with exit code).*((error|exception)(:|$| in )|\bcancelled\b|\bkilled\b|time limit|no such file|is a directory|no space)"
)
PLUGIN = "snakemake_executor_plugin_slurm"
UNITS = (86400, 3600, 60, 1)  # of days-hours:minutes:seconds


@dataclass(frozen=True)
class Request:
    """What a job asks for, or a node has: memory in MB, minutes of a job or its partition's limit (None: no limit)."""

    cpus: int
    memory: int
    gpus: int
    minutes: int | None = None

    def fits(self, node: "Request") -> bool:
        in_time = node.minutes is None or self.minutes is None or self.minutes <= node.minutes
        return in_time and self.cpus <= node.cpus and self.memory <= node.memory and self.gpus <= node.gpus

    def __str__(self) -> str:
        time = "" if self.minutes is None else f", {self.minutes} minutes"
        return f"{self.cpus} CPUs, {self.memory} MB, {self.gpus} GPUs{time}"


def ask(*words: str) -> list[str]:
    """The lines that a command prints; none if it is not there or fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return []
    return [] if done.returncode else done.stdout.splitlines()


def seconds_of(text: str) -> int | None:
    """Seconds of [[days-]hours:]minutes:seconds; None for infinite, UNLIMITED, NOT_SET."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return sum(number * unit for number, unit in zip(reversed(numbers), reversed(UNITS), strict=False)) if numbers else None


def minutes_of(text: str) -> int | None:
    seconds = seconds_of(text)
    return None if seconds is None else seconds // 60


# ---- before anything is submitted


def nodes(partition: str = "") -> list[Request]:
    """What there is: one for each node and partition that jobs may go to."""
    lines = ask("sinfo", "-h", "-N", "-o", "%c|%m|%G|%l|%P")  # its long options are misread by some versions
    rows = [line.strip().split("|") for line in lines]
    chosen = [row for row in rows if (row[4].rstrip("*") == partition if partition else row[4].endswith("*"))] or rows
    return [Request(int(cpus), int(memory), gpus_of(gres), minutes_of(limit)) for cpus, memory, gres, limit, _ in chosen]


def gpus_of(gres: str) -> int:
    """gpu:2 or gpu:a100:4(S:0-1),shard:8 -> how many."""
    return sum(int(count) for count in re.findall(r"(?:^|,)gpu(?::[^:,(]+)?:(\d+)", gres))


def unmet(requests: list[Request], partition: str = "") -> list[str]:
    """One line for each kind of request that no node can meet."""
    there = nodes(partition)
    where = f"partition {partition}" if partition else "the default partition"
    return [
        f"{count} jobs ask for {request}, and no node of {where} has that (there is: {'; or '.join(map(str, dict.fromkeys(there)))}): they would "
        "wait for ever. Ask for less: --set-threads train=1 --set-resources train:mem_mb=8000 train:gpu=0 train:runtime=60"
        for request, count in Counter(requests).items()
        if there and not any(request.fits(node) for node in there)
    ]


# ---- while it waits


class Watch(threading.Thread):
    """Says on stderr why submitted jobs wait, whenever that changes, and which were not completed: SLURM forgets them after a few minutes.

    name: that all jobs of this workflow have. logs: the folder of the plugin's. stopped: once it is set, jobs are being cancelled.
    """

    def __init__(self, name: str, logs: Path, stopped: threading.Event, pause: float = PAUSE):
        super().__init__(daemon=True)
        self.jobs, self.logs, self.pause, self.said, self.told = name, logs, pause, None, set()
        self.stopped = stopped

    def run(self) -> None:
        while not self.stopped.wait(self.pause):
            self.look()

    def look(self) -> None:
        self.waiting()
        self.failed()

    def failed(self) -> None:
        """Each once."""
        for number, line in ended_badly(self.jobs, self.logs).items() if not self.stopped.is_set() else ():
            if number not in self.told:
                print(f"queue   {line}", file=sys.stderr, flush=True)
            self.told.add(number)

    def waiting(self) -> None:
        lines = ask("squeue", "-h", "-t", "PENDING", "-n", self.jobs, "-o", "%r")
        reasons = Counter(line.strip() for line in lines)
        if reasons and set(reasons) != self.said:
            told = ", ".join(f"{count} for {reason}" for reason, count in sorted(reasons.items()))
            print(
                f"queue   {sum(reasons.values())} submitted jobs wait: {told} (`man squeue` explains the reasons)",
                file=sys.stderr,
                flush=True,
            )
        self.said = set(reasons)


def steady() -> None:
    """A controller that is away for a while does not end the looking.

    Before each look at the queue the plugin asks the controller how long it remembers jobs that ended. Without an answer it looks with
    `sacct`, though there may be no accounting, as often as it is allowed to fail, and then never again. From now on the last answer holds.
    """
    if find_spec(PLUGIN):
        plugin = importlib.import_module(PLUGIN)
        asked, known = plugin.get_min_job_age, None

        def remembered():
            nonlocal known
            known = asked() or known
            return known

        plugin.get_min_job_age = remembered


def ended_badly(name: str, logs: Path) -> dict[str, str]:
    """By its number, a line for each submission of this name that SLURM knows and says was not completed: its log, and what that says first.

    logs: the folder of the plugin's, a file for each number of a job somewhere below it.
    """
    states = [line.strip().split("|", 2) for line in ask("squeue", "-h", "-t", "all", "-n", name, "-o", "%i|%T|%r")]
    return {
        number: f"job {number} ended as {state}{'' if reason == 'None' else f' ({reason})'}: {first_error(logs, number)}"
        for number, state, reason in states
        if state in BAD
    }


def first_error(logs: Path, number: str) -> str:
    log = next(logs.glob(f"**/{number}.log"), None)
    if log is None:
        return f"it left no log below {logs}"
    said = (line.strip() for line in log.read_text(errors="replace").splitlines())
    return f"{next((line for line in said if ERROR.search(line)), 'no error is told')} ({log})"


def cancel(name: str) -> None:
    """End all jobs of this name: Snakemake cancels those that it knows, and one may have been on its way."""
    if ask("squeue", "-h", "-n", name):
        ask("scancel", f"--name={name}")


def leave(name: str) -> None:
    """End this process although jobs may be left, for the queue does not answer."""
    cancel(name)
    print(
        f"the queue does not answer: leaving; `scancel --name={name}` ends what may be left of this workflow", file=sys.stderr, flush=True
    )
    os._exit(1)


# ---- in a job


def keep_going() -> None:
    """Snakemake's own `keep-going` in a submission, whose other cells would not begin once one has failed: profiles do not reach it.

    Set for the class: the workflow has no settings of its own yet when its file is read.
    """
    from snakemake.settings.types import ExecutionSettings

    ExecutionSettings.keep_going = property(lambda settings: True, lambda settings, value: None)


def requeued() -> bool:
    """Puts this job back into the queue if it was stopped for its time limit, whatever the limit on retries; True if SLURM has taken it."""
    job = os.environ.get("SLURM_JOB_ID", "")
    said = ask("squeue", "-h", "-j", job, "-o", "%T|%L") if job else []
    state, _, left = said[0].partition("|") if said else ("", "", "")
    if state != "RUNNING" or (limit := seconds_of(left)) is None or limit > NEARLY:  # one that is cancelled is COMPLETING
        return False
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    word = "back in the queue" if not done.returncode else f"not taken back into the queue ({done.stderr.strip()})"
    print(f"the time of job {job} is up: it is {word}", file=sys.stderr, flush=True)
    return not done.returncode
