"""Lines by what people know of them: --row, --dataset and --method of status and table."""

import re

import pytest

from benchmark.pins.settings import settings
from benchmark.runs import lines
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main
from tests import made

TABLE, SMOKE = "table1_ldd", settings()


def rows(**asked) -> list[int]:
    return [entry.first.row for entry in lines.chosen(lines.of_table(TABLE, SMOKE), **asked)]


def test_by_row_data_set_and_method():
    assert rows(row=7) == [7]
    assert rows(dataset="cifar100") == [7, 8, 9, 10, 11, 12]
    assert rows(method="ldd") == [2, 4, 6, 8, 10, 12, 14, 16, 18]  # the cell's method, in any case
    assert rows(method="Meta-spikeformer") == [5, 6, 11, 12, 17, 18]  # a part of the printed name
    assert rows(method="direct", dataset="ImageNet") == [13, 15, 17]
    assert rows() == list(range(1, 19))


def test_nothing_left_is_said():
    with pytest.raises(UserError, match="no line has row 7, data set CIFAR10"):
        rows(row=7, dataset="CIFAR10")


def test_status_counts_the_runs_of_these_lines(tmp_path, capsys):
    """Row 2 needs a teacher above it."""
    entry = lines.of_table(TABLE, SMOKE)[1]
    made.accuracy(tmp_path, entry.runs[0], 50.0)
    assert main(["status", TABLE, "--row", "2", "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"done     {entry.runs[0].folder}" in said and "2 runs asked for, 2 distinct" in said and "1 done" in said
    assert "0 of 1 lines cannot run" in said


def test_table_prints_these_lines_and_writes_nothing(tmp_path, capsys):
    made.accuracy(tmp_path, lines.of_table(TABLE, SMOKE)[1].runs[0], 43.21)
    assert main(["table", TABLE, "--dataset", "CIFAR10", "--method", "ldd", "--directory", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^\| (\d+)", said, re.MULTILINE) == ["2", "4", "6"] and "43.21" in said and "3 printed numbers" in said
    assert not (tmp_path / "results").exists()
    assert main(["table", TABLE, "--row", "99", "--directory", str(tmp_path)]) == 2
    assert main(["table", "figure2_tser", "--row", "1", "--directory", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: no line has row 99",
        "error: figure2_tser: --row, --dataset and --method choose lines of tables, not of figures",
    ]
