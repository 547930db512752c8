"""The gate's option, in the root so that pytest knows it whatever folder is named: pytest -m published --results work/paper/results."""

import os
import sys
from pathlib import Path

import pytest

MOST = 8  # workers: each loads torch
COMPARED = pytest.StashKey[list]()


def pytest_addoption(parser):
    parser.addoption("--results", type=Path, help="folder of result tables that `-m published` compares with the printed numbers")


def pytest_xdist_auto_num_workers(config):
    """The whole suite runs on every core; a part of it, and the gate, which counts what it compared, in this process."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and config.getoption("--results") is None
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), MOST) if whole else 0


def pytest_configure(config):
    """A mistyped folder must not pass a gate."""
    folder = config.getoption("--results")
    if folder is not None and not list(folder.glob("table*_*.csv")):
        raise pytest.UsageError(
            f"--results {folder}: {'holds no result table' if folder.is_dir() else 'does not exist'}; nothing to compare"
        )
    config.stash[COMPARED] = []


@pytest.fixture(autouse=True)
def drawn_alike():
    """Random numbers of a test do not depend on the tests before it, nor on which process runs them."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture
def results(request) -> Path:
    """The folder named by --results."""
    folder = request.config.getoption("--results")
    if folder is None:
        pytest.skip("say which tables to compare: pytest -m published --results results")
    return folder


@pytest.fixture
def compared(request) -> list:
    """What the gate has compared so far; it fails if that stays empty."""
    return request.config.stash[COMPARED]


def pytest_sessionfinish(session, exitstatus):
    """A gate that compared nothing is no gate."""
    config = session.config
    asked = config.getoption("--results") is not None and "published" in (config.getoption("-m") or "")
    if asked and not exitstatus and not config.stash[COMPARED]:
        session.exitstatus = 1


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if config.getoption("--results") is not None and not config.stash[COMPARED]:
        terminalreporter.write_line(
            f"no number of {config.getoption('--results')} was compared: all are undecided, not run or not comparable"
        )
