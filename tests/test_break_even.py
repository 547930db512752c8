"""The column that says on which side of the printed break-even a firing rate lies, and where nothing is printed."""

import csv
from dataclasses import replace

import pytest

from benchmark.pins.settings import settings
from benchmark.reports import break_even, tables
from benchmark.reports.measured import Measured
from benchmark.runs import lines
from tests import made

PAPER = replace(settings({"scale": "paper"}), seeds=1)


@pytest.mark.parametrize(
    ("rate", "steps", "expected"),
    [
        (0.0, 5, "below"),
        (5.69, 5, "below"),
        (5.7, 5, "between"),  # below is what is printed
        (6.39, 10, "between"),
        (6.4, 10, "above"),
        (90.0, 7, "above"),
        (1.0, 4, "not stated for T = 4"),
        (1.0, 11, "not stated for T = 11"),
        (1.0, 1, "not stated for T = 1"),
    ],
)
def test_sides(rate, steps, expected):
    assert break_even.side(rate, steps, {"", "binary"}) == expected


def test_other_spikes_than_ones_are_not_meant():
    assert break_even.side(1.0, 8, {"binary", "graded"}) == "not stated for graded spikes"
    assert break_even.side(1.0, 8, {"signed", "graded"}) == "not stated for graded and signed spikes"


def entry_of_six_steps():
    return next(each for each in lines.of_table("table1_idsnn", PAPER) if each.resolved and each.first.time_steps == "6")


def layers(spikes: int, **changes) -> list[dict]:
    """A run's, its thousand neurons of these spikes."""
    return [{**layer, **({"spikes": spikes, "rates": [], **changes} if layer["kind"] == "neuron" else {})} for layer in made.LAYERS]


@pytest.mark.parametrize(("spikes", "expected"), [(50, "below"), (60, "between"), (70, "above")])
def test_a_line_says_it_by_the_rate_that_its_run_measured(spikes, expected, tmp_path):
    entry = entry_of_six_steps()
    made.write(tmp_path, entry.runs[0], layers=layers(spikes))
    (row,) = tables.rows([Measured.of(entry, tmp_path)], "paper")
    assert (row["firing_rate"], row["break_even"]) == (pytest.approx(spikes / 10), expected)


def test_a_line_of_other_spikes_of_no_neurons_or_without_a_run(tmp_path):
    entry = entry_of_six_steps()
    assert tables.rows([Measured.of(entry, tmp_path)], "paper")[0]["break_even"] == ""
    made.write(tmp_path, entry.runs[0], layers=layers(50, sends="graded"))
    assert tables.rows([Measured.of(entry, tmp_path)], "paper")[0]["break_even"] == "not stated for graded spikes"
    made.write(tmp_path, entry.runs[0], layers=[layer for layer in made.LAYERS if layer["kind"] != "neuron"])
    assert tables.rows([Measured.of(entry, tmp_path)], "paper")[0]["break_even"] == ""


def test_the_readable_table_has_the_column_where_a_line_has_a_side(tmp_path):
    assert "break-even" not in tables.write("table1_idsnn", PAPER, tmp_path)
    entry = entry_of_six_steps()
    made.write(tmp_path, entry.runs[0], layers=layers(60))
    four = next(each for each in lines.of_table("table1_idsnn", PAPER) if each.resolved and each.first.time_steps == "4")
    made.write(tmp_path, four.runs[0], layers=layers(60))
    text = tables.write("table1_idsnn", PAPER, tmp_path)
    heads, _, *body = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("|"))
    place = [head.strip() for head in heads].index("break-even")
    assert {cells[place].strip() for cells in body} == {"-", "between"} and f"break-even: {break_even.MEANING}." in text
    with (tmp_path / "results/table1_idsnn.csv").open(newline="") as file:
        assert {"", "between", "not stated for T = 4"} == {row["break_even"] for row in csv.DictReader(file)}
