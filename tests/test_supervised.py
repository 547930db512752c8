"""Processes that a run is made of: their statuses, signals, and what is said of one that was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.pins.kinds import ROOT
from benchmark.shared.errors import UserError
from benchmark.workflow import supervised

BEGUN = "import sys, os, time, signal; from pathlib import Path; from benchmark.workflow import supervised\n"


def killed(rank):
    os.kill(os.getpid(), signal.SIGKILL)


def wrong(rank):
    raise UserError("something\nis wrong")


@pytest.mark.parametrize(
    ("work", "ended", "said"),
    [
        (lambda rank: None, 0, ""),
        (lambda rank: sys.exit(75), 75, ""),
        (wrong, 2, "error: something is wrong"),
        (lambda rank: 1 / 0, 1, "ZeroDivisionError"),
        (killed, 137, "error: Killed: by signal 9 (SIGKILL), not by the run itself."),
    ],
)
def test_the_status_is_that_of_the_process(work, ended, said, tmp_path, capfd):
    assert supervised.run(work, tmp_path) == ended
    told = capfd.readouterr().err
    assert said in told and bool(said) == bool(told)
    assert (tmp_path / "error.txt").exists() == (work is killed)


def test_what_the_system_killed_for_lack_of_memory_says_so(tmp_path, monkeypatch):
    counter = tmp_path / "vmstat"
    counter.write_text("oom_kill 3\noom_kill_other 9\n")
    monkeypatch.setattr(supervised, "COUNTER", counter)

    def work(rank):
        counter.write_text("oom_kill 4\noom_kill_other 9\n")
        killed(rank)

    assert supervised.run(work, tmp_path) == 137
    (line,) = (tmp_path / "error.txt").read_text().splitlines()
    assert line.startswith("OutOfMemory: the system killed the run for lack of memory. It held ") and "micro_batch" in line


def test_one_of_several_that_fails_stops_the_others(tmp_path):
    began = time.monotonic()
    assert supervised.run(lambda rank: sys.exit(3) if rank == 1 else time.sleep(60), tmp_path, 3) == 3
    assert time.monotonic() - began < 30 and not (tmp_path / "error.txt").exists()


def started(tmp_path: Path) -> tuple[subprocess.Popen, list[int]]:
    """A process with two others that wait; their numbers."""
    code = BEGUN + "sys.exit(supervised.run(lambda rank: (Path(str(rank)).write_text(str(os.getpid())), time.sleep(60)), Path(), 2))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    end = time.monotonic() + 60
    while not all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in "01"):
        assert time.monotonic() < end
        time.sleep(0.02)
    return process, [int((tmp_path / name).read_text()) for name in "01"]


def gone(numbers: list[int]) -> bool:
    """Have they ended, some seconds being given?"""
    end = time.monotonic() + 20
    while (left := [number for number in numbers if Path(f"/proc/{number}").exists()]) and time.monotonic() < end:
        time.sleep(0.05)
    return not left


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_the_process_that_waits_for_them(number, tmp_path):
    process, numbers = started(tmp_path)
    process.send_signal(number)
    process.wait(20)
    assert gone(numbers) and not (tmp_path / "error.txt").exists()
