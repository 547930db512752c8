"""The first signal to Snakemake alone ends its jobs, those in forks of the warm server too, and nothing that they had is lost."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.tree import Tree, copy_tree

LONG = "recipe={epochs: 900, warmup_epochs: 0}"  # the first ones are enough
WANTED = ("CIFAR10", "CIFAR100")


def those_in(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for each in filter(str.isdecimal, os.listdir("/proc")):
        try:
            found += [int(each)] if os.readlink(f"/proc/{each}/cwd") == str(folder) else []
        except OSError:
            continue
    return found


def until(true, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_a_workflow_and_its_jobs(tmp_path, number):
    tree = Tree(copy_tree(tmp_path).resolve())
    runs = [tree.folder / tree.cell(LONG, method="direct", dataset=name, backbone="vit-l-32")["folder"] for name in WANTED]
    words = ["snakemake", "--cores", "2", "--config", LONG, "--", *(f"{run.relative_to(tree.folder)}/metrics.json" for run in runs)]
    handles = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    workflow = subprocess.Popen(words, cwd=tree.folder, env=tree.environment, start_new_session=True, **handles)
    try:
        until(lambda: all((run / "curve.csv").exists() for run in runs))
        workflow.send_signal(number)
        assert workflow.wait(60) != 0
    finally:
        workflow.kill()
    until(lambda: not those_in(tree.folder), 10)
    said = [log.read_text() for log in (tree.folder / "logs").glob("*/seed0.log")]
    assert len(said) == 2 and all("stopped by SIG" in text for text in said)
    assert all(list(run.glob("checkpoint.*.pt")) and not (run / "error.txt").exists() for run in runs)
    assert "2 stopped" in tree.benchmark("status", "table1_ldd", "--config", LONG).stdout
