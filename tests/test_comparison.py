"""The comparator on made-up numbers: every verdict, every source of tolerance."""

from dataclasses import replace

import pytest

from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.reports import comparison, tables
from benchmark.runs.lines import Line
from benchmark.shared.errors import UserError

NUMBER = replace(published.read("table1_ldd")[0], value="93.5", dataset="CIFAR10", metric="accuracy")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(93.5, "match"), (93.8, "match"), (93.2, "match"), (93.81, "better"), (93.19, "worse"), (None, "missing")],
)
def test_accuracy_has_two_sides(value, expected):
    assert comparison.verdict(NUMBER, value, 0.0, "paper") == expected  # floor for CIFAR10: 0.3


@pytest.mark.parametrize("scale", ["smoke", "reduced"])
def test_training_is_not_compared_below_the_paper_scale(scale):
    assert comparison.verdict(NUMBER, 93.5, 0.0, scale) == "not comparable at this scale"


def test_structure_is_compared_at_every_scale():
    number = replace(NUMBER, metric="params_M", value="9.32")
    assert comparison.verdict(number, 9.3247, 0.0, "smoke") == "match"  # half a digit: 0.005
    assert comparison.verdict(number, 9.3251, 0.0, "smoke") == "worse"
    assert comparison.verdict(number, 9.3149, 0.0, "smoke") == "worse"  # fewer parameters are not better, they are another network


def test_dense_operations_are_structure_where_the_paper_counts_them_so():
    operations = next(n for n in published.read("table4_tser") if n.metric == "ops_G")
    assert operations.value == "2.23" and comparison.tolerance(operations) == pytest.approx(0.005)
    assert [comparison.verdict(operations, value, 0.0, "smoke") for value in (2.2268, 2.22, 2.24)] == ["match", "better", "worse"]
    assert comparison.verdict(replace(operations, paper="spikformer_v2"), 2.2268, 0.0, "smoke") == "not comparable at this scale"


def test_less_energy_is_better():
    number = replace(NUMBER, metric="energy_mJ", value="10.0")
    assert [comparison.verdict(number, value, 0.0, "paper") for value in (8.9, 9.1, 10.9, 11.1)] == ["better", "match", "match", "worse"]


def test_tolerance_takes_the_largest_source():
    assert comparison.tolerance(NUMBER) == 0.3
    assert comparison.tolerance(NUMBER, spread=0.4) == pytest.approx(0.8)
    assert comparison.tolerance(replace(NUMBER, metric="params_M", value="16.8")) == pytest.approx(0.05)
    assert comparison.tolerance(replace(NUMBER, metric="params_M", value="307")) == 0.5


def test_printed_spread_counts_twice():
    printed = next(n for n in published.read("table2_tser") if n.metric == "accuracy_std")
    accuracy = next(n for n in published.read("table2_tser") if (n.row, n.metric) == (printed.row, "accuracy"))
    assert comparison.printed_spread(accuracy) == printed.number
    assert comparison.tolerance(accuracy) >= 2 * printed.number


def test_a_row_can_have_its_own_tolerance_with_a_note(tmp_path, monkeypatch):
    folder = tmp_path / "ldd"
    folder.mkdir()
    file = folder / "tolerances.csv"
    monkeypatch.setattr(comparison, "PAPERS", tmp_path)
    head = "table,row,dataset,time_steps,metric,tolerance,note\n"
    file.write_text(head + "1,1,CIFAR10,2,accuracy,1.5,two readings of the recipe\n")
    comparison.overrides.cache_clear()
    assert comparison.tolerance(NUMBER) == 1.5
    file.write_text(head + "1,1,CIFAR10,2,accuracy,1.5, \n")
    comparison.overrides.cache_clear()
    with pytest.raises(UserError, match="needs a note"):
        comparison.tolerance(NUMBER)
    comparison.overrides.cache_clear()


@pytest.mark.parametrize(
    ("states", "lacking", "expected"),
    [
        (["missing"], "", "not run"),
        (["running"], "", "not run"),
        (["failed"], "", "failed"),
        (["done"], "", "missing"),
        ([], "method x", "not implemented"),
    ],
)
def test_states_without_a_value(states, lacking, expected):
    entry = Line((NUMBER,), None, (), lacking)
    assert tables.judged(entry, NUMBER, None, None, states, settings({"scale": "paper"})) == expected


def test_every_verdict_is_explained():
    assert set(comparison.VERDICTS) == {
        "match", "better", "worse", "missing", "failed", "not run", "not comparable at this scale", "not implemented",
    }  # fmt: skip


def test_every_published_metric_has_a_meaning_for_the_comparator():
    for number in published.numbers():
        assert comparison.tolerance(number) > 0
