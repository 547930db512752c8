"""Options and shared pieces of the tests."""

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--results", type=Path, help="folder of result tables that `-m published` compares with the printed numbers")


@pytest.fixture
def results(request) -> Path:
    """The folder named by --results."""
    folder = request.config.getoption("--results")
    if folder is None:
        pytest.skip("say which tables to compare: pytest -m published --results results")
    return folder
