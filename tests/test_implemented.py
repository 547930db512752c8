"""results/coverage.csv: what can run, where it ran, what came of it; README's blocks that are made from the same."""

import csv

import pytest

from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.reports import implemented, provenance, readme
from benchmark.runs.lines import of_table
from benchmark.shared.errors import UserError
from tests import made


def test_a_row_says_whether_it_can_run_where_it_ran_and_with_which_verdict(tmp_path):
    """The first row ran at two scales, as printed at one of them; the second has failed."""
    smoke, paper = (of_table("table1_ldd", settings({"scale": scale})) for scale in ("smoke", "paper"))
    made.accuracy(tmp_path, smoke[0].runs[0], 93.5)
    made.accuracy(tmp_path / "work" / "paper", paper[0].runs[0], 99.0)
    folder = tmp_path / smoke[1].runs[0].folder
    folder.mkdir(parents=True)
    (folder / "error.txt").write_text("out of memory")
    first, second, *_ = implemented.lines_of("table1_ldd", tmp_path)
    assert (first["row"], first["implemented"], first["numbers"], first["ran_at"]) == (1, "yes", 1, "paper smoke")
    assert first["verdicts"] == "paper accuracy: better; smoke accuracy: not comparable"
    assert (second["implemented"], second["ran_at"], second["verdicts"]) == ("yes", "", "")


def test_a_damaged_run_has_not_run(tmp_path):
    line = of_table("table1_ldd", settings())[0]
    made.accuracy(tmp_path, line.runs[0], 93.5).write_text("{}")
    assert implemented.lines_of("table1_ldd", tmp_path)[0]["ran_at"] == ""


def test_every_line_is_there_once_and_says_why_it_cannot_run(tmp_path):
    rows = implemented.lines(tmp_path)
    assert {row["table"] for row in rows} == set(published.tables()) and sum(row["numbers"] for row in rows) == len(published.numbers())
    for row in rows:
        assert (row["implemented"] == "no") == bool(row["lacking"])
        assert (row["implemented"] == "nothing to run") == (not row["cell"] and not row["lacking"])
    assert [row["implemented"] for row in rows if row["table"] == "table3_ecmt"] == ["yes"] * 10
    said = implemented.write(tmp_path / "coverage.csv", tmp_path)
    with (tmp_path / "coverage.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == len(rows) and tuple(written[0]) == implemented.COLUMNS
    assert [line.split()[1] for line in said.splitlines()[2:]] == list(published.tables())


def test_counts_of_a_table():
    rows = [
        {"numbers": 2, "implemented": "yes", "ran_at": "paper smoke"},
        {"numbers": 1, "implemented": "yes", "ran_at": "smoke"},
        {"numbers": 4, "implemented": "no", "ran_at": ""},
        {"numbers": 8, "implemented": "nothing to run", "ran_at": ""},
    ]
    assert implemented.counts("t", rows) == ("t", 4, 15, 2, 1, 2, 0, 1)


def test_a_printed_spread_is_no_number_to_compare():
    line = next(line for line in of_table("table1_tser", settings()) if any(n.metric == "accuracy_std" for n in line.numbers))
    assert [number.metric for number in implemented.judged(line)] == ["accuracy"]


def test_a_broken_table_is_one_line_of_its_own(tmp_path, monkeypatch):
    whole = published.read

    def broken(name):
        if name == "table3_ldd":
            raise UserError("table3.csv:2: not a pin line")
        return whole(name)

    monkeypatch.setattr(published, "read", broken)
    (row,) = (row for row in implemented.lines(tmp_path) if row["table"] == "table3_ldd")
    assert (row["implemented"], row["lacking"]) == ("no", "cannot be read: table3.csv:2: not a pin line")
    implemented.write(tmp_path / "coverage.csv", tmp_path)


@pytest.mark.parametrize("table", ["table1_ldd", "table1_tser"])
def test_whose_values_a_recipe_has_stands_in_a_block(table):
    (line,) = (line for line in readme.recipe_values().splitlines() if f" {table} " in line)
    counts = provenance.origins(table, settings({"scale": "paper"}))
    assert [cell.strip() for cell in line.strip("|").split("|")] == [table, *map(str, counts.values())]
