"""A method of one's own beside a table's: which rows it gets, that nothing is printed for them, and that no pin moves."""

import csv

import pytest

from benchmark.pins import kinds, published
from benchmark.pins.settings import settings
from benchmark.reports import export, tables
from benchmark.runs.lines import of_table
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main
from tests import made

# `skd` in the place of one's own: a method with a teacher, which TSER's paper did not propose. `direct` needs nothing above it.


def own_rows(name):
    return [number for number in published.read(name) if number.origin == "own"]


def test_the_printed_rows_stay_and_ones_own_follow():
    printed, both = published.read("table1_tser"), published.read("table1_tser.skd")
    assert both[: len(printed)] == printed
    own = own_rows("table1_tser.skd")
    proposed = {
        (n.cell.split(":")[1:][0], n.dataset, n.time_steps) for n in printed if n.cell.startswith("tser:") and n.metric == "accuracy"
    }
    assert {(n.cell.split(":")[1], n.dataset, n.time_steps) for n in own} == proposed and len(own) == len(proposed)
    assert {(n.value, n.source, n.group, n.method) for n in own} == {("", "", "own", "skd")}
    assert min(n.row for n in own) == 1 + max(n.row for n in printed)


def test_it_takes_the_teacher_only_if_it_needs_one():
    assert {n.cell.count(":") for n in own_rows("table1_tser.skd")} == {2}
    assert {n.cell.count(":") for n in own_rows("table1_tser.direct")} == {1}


def test_ablations_and_quoted_rows_are_nobodys_place():
    """TSER's Table 3 has its method four times with parts of it off; one's own stands beside the whole."""
    (own,) = own_rows("table3_tser.skd")
    assert own.options == "" and own.dataset == "CIFAR100"


@pytest.mark.parametrize("table", ["table1_ldd", "table1_tser", "table1_idsnn"])
def test_they_run_by_the_papers_recipe_on_its_networks(table):
    chosen = settings({"scale": "paper"})
    lines = of_table(f"{table}.direct", chosen)
    ours = {
        (line.first.cell.split(":")[1], line.first.dataset, line.first.time_steps): line for line in lines if line.first.origin == "own"
    }
    assert ours and not any(line.lacking for line in ours.values())
    for line in lines:
        same = ours.get((line.first.cell.split(":")[1] if line.first.cell else "", line.first.dataset, line.first.time_steps))
        if line.first.origin != "own" and same and line.first.cell.split(":")[0] == published.proposed(line.first):
            theirs, mine = line.resolved.spec["recipe"], same.resolved.spec["recipe"]
            assert {key: mine[key] for key in mine if key in theirs} == {key: theirs[key] for key in mine if key in theirs}


def test_they_have_a_number_and_no_verdict(tmp_path):
    chosen = settings()
    own = next(line for line in of_table("table3_tser.skd", chosen) if line.first.origin == "own")
    made.accuracy(tmp_path, own.runs[0], 61.5)
    *_, line = tables.build("table3_tser.skd", chosen, tmp_path)
    assert (line["method"], line["accuracy_published"], line["accuracy"], line["accuracy_verdict"]) == ("skd", "", 61.5, "")
    assert "61.50" in export.exported("table3_tser.skd", "markdown", chosen, tmp_path)
    tables.write("table3_tser.skd", chosen, tmp_path)
    assert "5 printed numbers" in (tmp_path / "results/table3_tser.skd.md").read_text()
    with (tmp_path / "results/table3_tser.skd.csv").open() as file:
        assert [row["origin"] for row in csv.DictReader(file)][-1] == "own"


def test_a_misspelt_method_or_a_table_without_a_place_is_one_line(tmp_path, capsys):
    with pytest.raises(UserError, match="unknown method 'tsr': did you mean tser"):
        published.read("table1_tser.tsr")
    with pytest.raises(UserError, match="table3_ecmt has no row of a method of its paper's own that skd could stand beside"):
        published.read("table3_ecmt.skd")
    with pytest.raises(UserError, match="config: key 'compare': unknown method 'skdd': did you mean skd"):
        settings({"compare": "skdd"})
    assert main(["compare", "skdd", "--table", "table1_tser", "--directory", str(tmp_path)]) == 2
    assert "key 'compare': unknown method 'skdd'" in capsys.readouterr().err


def test_what_does_not_fit_is_told_before_anything_runs(tmp_path, capsys):
    assert main(["compare", "ecmt", "--table", "table1_tser", "--directory", str(tmp_path)]) == 2
    assert "table1_tser.ecmt cannot run: does not fit: resnet-18 has neurons already" in capsys.readouterr().err


def test_no_list_of_tables_has_them():
    assert not any("." in name for name in published.tables()) and "own" not in published.ORIGINS and "skd" in kinds.files("method")
