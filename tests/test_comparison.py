"""The comparator by hand: tolerances, intervals, every verdict, how many seeds it would take."""

import math
from dataclasses import replace

import pytest
from scipy.stats import binomtest, t

from benchmark.pins import published
from benchmark.reports import comparison
from benchmark.reports.comparison import verdict
from benchmark.shared.errors import UserError

NUMBER = replace(published.read("table1_ldd")[0], value="93.5", dataset="CIFAR10", metric="accuracy")  # floor 0.3
PARAMETERS = replace(NUMBER, metric="params_M", value="9.32")


# ---- how far a printed number may be missed


@pytest.mark.parametrize(
    ("metric", "value", "dataset", "expected"),
    [
        ("accuracy", "93.5", "CIFAR10", 0.3),
        ("accuracy", "93", "CIFAR10", 0.5),  # half a digit is more than the floor
        ("accuracy", "93.50", "CIFAR10", 0.3),
        ("accuracy", "77.9", "CIFAR100", 0.6),
        ("params_M", "9.32", "CIFAR10", 0.005),
        ("params_M", "16.8", "CIFAR10", 0.05),
        ("params_M", "307", "ImageNet", 0.5),
        ("energy_mJ", "20.0", "ImageNet", 2.0),
        ("energy_mJ", "0.3", "ImageNet", 0.05),  # half a digit is more than a tenth
        ("macs_M", "10.0", "ImageNet", 1.0),
    ],
)
def test_tolerance_by_hand(metric, value, dataset, expected):
    assert comparison.tolerance(replace(NUMBER, metric=metric, value=value, dataset=dataset)) == pytest.approx(expected, rel=1e-12)


def test_dense_operations_are_structure_where_the_paper_counts_them_so():
    """TSER's follow syops-counter to the digit; in other papers they depend on firing rates."""
    operations = next(n for n in published.read("table4_tser") if n.metric == "ops_G")
    assert operations.value == "2.23" and comparison.tolerance(operations) == pytest.approx(0.005, rel=1e-12)
    assert [verdict(operations, [value], ["twin"]).word for value in (2.2268, 2.22, 2.24)] == ["match", "better", "worse"]
    elsewhere = replace(operations, paper="spikformer_v2")
    assert comparison.tolerance(elsewhere) == pytest.approx(0.223) and verdict(elsewhere, [2.2268], ["twin"]).word == "not comparable"


def test_twice_the_printed_spread():
    """TSER's widest one, 81.29 +- 0.14: less than half of the floor. The next test has one that counts."""
    table = published.read("table1_tser")
    spreads = [number for number in table if number.metric == "accuracy_std"]
    widest = max(spreads, key=lambda number: number.number)
    (accuracy,) = (n for n in table if n.metric == "accuracy" and comparison.place_of(n) == comparison.place_of(widest))
    assert comparison.printed_spread(accuracy) == widest.number == 0.14
    assert comparison.tolerance(accuracy) == 0.6  # the floor of CIFAR100
    assert comparison.tolerance(replace(accuracy, dataset="CIFAR100", metric="accuracy_ann")) == 0.6  # no spread of another metric


def test_a_wide_printed_spread_is_the_tolerance(monkeypatch):
    spread = replace(NUMBER, metric="accuracy_std", value="0.41")
    other = replace(spread, options="lam=1", value="7.0")  # of another line of the same row
    monkeypatch.setattr(comparison, "read", lambda name: (NUMBER, other, spread))
    assert comparison.printed_spread(NUMBER) == 0.41 and comparison.tolerance(NUMBER) == pytest.approx(0.82, rel=1e-12)
    assert comparison.printed_spread(replace(NUMBER, metric="params_M")) == 0.0


def test_a_row_can_have_its_own_tolerance_with_a_note(tmp_path, monkeypatch):
    folder = tmp_path / "ldd"
    folder.mkdir()
    file = folder / "tolerances.csv"
    monkeypatch.setattr(comparison, "PAPERS", tmp_path)
    head = "table,row,dataset,time_steps,options,metric,tolerance,note\n"
    file.write_text(head + "1,1,CIFAR10,2,,accuracy,1.5,two readings of the recipe\n")
    comparison.overrides.cache_clear()
    assert comparison.tolerance(NUMBER) == 1.5
    assert comparison.tolerance(replace(NUMBER, options="projection=last")) == 0.3  # another line of the row
    assert comparison.tolerance(replace(NUMBER, row=2)) == 0.3
    file.write_text(head + "1,1,CIFAR10,2,,accuracy,1.5, \n")
    comparison.overrides.cache_clear()
    with pytest.raises(UserError, match="needs a note"):
        comparison.tolerance(NUMBER)
    comparison.overrides.cache_clear()


# ---- how well we know what we obtained


def test_interval_over_three_seeds_by_hand():
    """93.2, 93.4, 93.9: mean 93.5, deviation sqrt(0.13) = 0.360555; t(0.975, 2) = 4.302653, so +- 4.302653 x 0.360555 / sqrt(3) = 0.895669."""
    low, high = comparison.interval([93.2, 93.4, 93.9])
    assert (low, high) == (pytest.approx(93.5 - 0.895669, abs=1e-6), pytest.approx(93.5 + 0.895669, abs=1e-6))


def test_interval_over_two_seeds_by_hand():
    """93 and 94: 93.5 +- 12.706205 x 0.707107 / sqrt(2) = 6.353102."""
    assert comparison.interval([93.0, 94.0]) == (pytest.approx(93.5 - 6.353102, abs=1e-6), pytest.approx(93.5 + 6.353102, abs=1e-6))


def test_interval_of_one_seed_by_hand():
    """9350 of 10,000: (0.935 + z2 / 20000 -+ z sqrt(0.935 x 0.065 / 10000 + z2 / 4e8)) / (1 + z2 / 10000) with z2 = 3.841459."""
    low, high = comparison.interval([93.5], [93.5], 10_000)
    middle, half = (0.935 + 3.841459 / 20_000) / 1.0003841459, 1.959964 * math.sqrt(0.935 * 0.065 / 10_000 + 3.841459 / 4e8) / 1.0003841459
    assert (low, high) == (pytest.approx(100 * (middle - half), abs=1e-5), pytest.approx(100 * (middle + half), abs=1e-5))
    assert (low, high) == (pytest.approx(93.0, abs=0.01), pytest.approx(93.97, abs=0.01))


@pytest.mark.parametrize(("right", "images"), [(0, 500), (1, 288), (250, 500), (499, 500), (500, 500), (41_000, 50_000)])
def test_wilson_as_scipy_has_it(right, images):
    expected = binomtest(right, images).proportion_ci(0.95, method="wilson")
    low, high = comparison.wilson(100 * right / images, images)
    assert (low, high) == (pytest.approx(100 * expected.low, abs=1e-9), pytest.approx(100 * expected.high, abs=1e-9))


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 6, 7, 10, 29, 30, 98, 99])
def test_student_as_scipy_has_it(freedom):
    assert comparison.t_quantile(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=1e-10)
    for value in (0.1, 1.0, 5.0):
        assert comparison.mass(value, freedom) == pytest.approx(1 - 2 * t.sf(value, freedom), rel=1e-10)


def test_interval_of_a_difference_of_one_seed():
    """Newcombe's for 71.37 against 71.31 on 10,000 images: six images, and the interval reaches more than a point to either side."""
    low, high = comparison.interval([0.06], [71.37, 71.31], 10_000)
    (a, b), (c, d) = comparison.wilson(71.37, 10_000), comparison.wilson(71.31, 10_000)
    assert low == pytest.approx(0.06 - math.sqrt((71.37 - a) ** 2 + (d - 71.31) ** 2), rel=1e-9)
    assert high == pytest.approx(0.06 + math.sqrt((b - 71.37) ** 2 + (71.31 - c) ** 2), rel=1e-9)
    assert low == pytest.approx(-1.193, abs=0.005) and high == pytest.approx(1.313, abs=0.005)


def test_a_point_where_no_spread_is_known():
    assert comparison.interval([9.46]) == (9.46, 9.46) and comparison.interval([93.5], [93.5], None) == (93.5, 93.5)


# ---- verdicts


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([93.5, 93.5], "match"),
        ([93.79, 93.79], "match"),
        ([93.8, 93.8], "match"),  # the tolerance itself is inside
        ([93.21, 93.21], "match"),
        ([93.81, 93.81], "better"),
        ([93.19, 93.19], "worse"),
        ([93.49, 93.51], "match"),  # +- 0.127
        ([93.45, 93.55], "undecided"),  # +- 0.635: the printed value is hit, and nothing is known
        ([94.4, 94.5], "better"),  # from 93.815
        ([94.3, 94.4], "undecided"),  # from 93.715
        ([92.6, 92.7], "undecided"),  # to 93.285
        ([92.5, 92.6], "worse"),  # to 93.185
        ([50.0, 99.0], "undecided"),
        ([], "missing"),
    ],
)
def test_several_seeds_have_two_sides(values, expected):
    assert verdict(NUMBER, values).word == expected


def test_noise_buys_no_match():
    """Around the printed value itself: the wider the seeds scatter, the less is known; before, twice their spread was the tolerance."""
    said = [verdict(NUMBER, [93.5 - width, 93.5, 93.5 + width]).word for width in (0.05, 0.12, 0.13, 1.0, 10.0)]
    assert said == ["match", "match", "undecided", "undecided", "undecided"]  # 4.302653 / sqrt(3) x 0.12 = 0.298, x 0.13 = 0.323
    off = [verdict(NUMBER, [90.0 - width, 90.0, 90.0 + width]).word for width in (0.1, 1.2, 1.4, 10.0)]
    assert off == ["worse", "worse", "undecided", "undecided"]  # 3.2 below the edge: 2.484 x 1.2 = 2.98, x 1.4 = 3.48


@pytest.mark.parametrize(
    ("value", "images", "expected"),
    [
        (93.5, 10_000, "undecided"),  # 93.00 to 93.97
        (93.5, 100_000, "match"),  # +- 0.153
        (93.5, 500, "undecided"),
        (95.0, 10_000, "better"),  # from 94.55
        (94.2, 10_000, "undecided"),  # from 93.73
        (92.0, 10_000, "worse"),  # to 92.51
        (50.0, 500, "worse"),
    ],
)
def test_one_seed_is_as_good_as_its_test_images(value, images, expected):
    assert verdict(NUMBER, [value], (), [value], images).word == expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", ["worse", "match", "better"]),
        ("accuracy_ann", ["worse", "match", "better"]),
        ("accuracy_gain", ["worse", "match", "better"]),
        ("speedup", ["worse", "match", "better"]),
        ("params_M", ["worse", "match", "worse"]),  # fewer parameters are another network
        ("firing_rate_pct", ["worse", "match", "worse"]),
        ("epoch", ["worse", "match", "worse"]),
        *((name, ["better", "match", "worse"]) for name in ("energy_mJ", "energy_uJ", "power_mJ", "energy_ratio", "ops_G", "ops_M")),
        *((name, ["better", "match", "worse"]) for name in ("acs_M", "macs_M", "training_time_s", "training_time_h")),
        ("accuracy_step_spread", ["better", "match", "worse"]),
    ],
)
def test_good_sides(metric, expected):
    assert [verdict(replace(NUMBER, metric=metric, value="10.0"), [value]).word for value in (1.0, 10.0, 19.0)] == expected


def test_what_differs_is_not_compared():
    assert verdict(NUMBER, [93.5, 93.5], ["30 of 300 epochs"]).word == "not comparable"
    assert verdict(NUMBER, [], ["twin"]).word == "not comparable"
    low, high = verdict(NUMBER, [93.0, 94.0], ["twin"]).low, verdict(NUMBER, [93.0, 94.0], ["twin"]).high
    assert (low, high) == (pytest.approx(87.1469, abs=1e-4), pytest.approx(99.8531, abs=1e-4))


def test_what_layers_decide_is_compared_whatever_ran():
    assert [verdict(PARAMETERS, [value], ["twin", "digits for CIFAR10"]).word for value in (9.3247, 9.3251, 9.3149)] == [
        "match",
        "worse",
        "worse",
    ]


# ---- how many seeds it would take


def test_seeds_needed_by_hand():
    """93.45 and 93.55: deviation 0.0707; t x s / sqrt(n) is 0.635, 0.1757 for 2, 3 seeds: three keep it inside 93.5 +- 0.3."""
    said = verdict(NUMBER, [93.45, 93.55])
    assert (said.word, said.seeds) == ("undecided", 3)
    said = verdict(NUMBER, [93.3, 93.7])  # 0.2828: 2.541, 0.7026, 0.4501, 0.3512, 0.2968 for 2 ... 6
    assert (said.word, said.seeds) == ("undecided", 6)


def test_seeds_needed_of_one_seed_are_those_of_the_binomial_error():
    """93.5 of 10,000 images: deviation sqrt(93.5 x 6.5 / 10000) = 0.24652; 0.3924, 0.3061, 0.2587 for 4, 5, 6 seeds."""
    assert verdict(NUMBER, [93.5], (), [93.5], 10_000).seeds == 6


def test_seeds_needed_end_at_a_hundred():
    assert verdict(NUMBER, [93.79], (), [93.79], 10_000).seeds == "> 100"  # 0.01 from the edge
    assert comparison.seeds_needed(NUMBER, 93.5, 1.5) == 99  # 1.984467 x 1.5 / sqrt(99) = 0.29917
    assert comparison.seeds_needed(NUMBER, 93.5, 1.511) == 100  # 1.984217 x 1.511 / 10 = 0.29981, with 99 0.30136
    assert comparison.seeds_needed(NUMBER, 93.5, 1.52) == "> 100"  # 0.30160


def test_what_is_decided_needs_no_more():
    assert [verdict(NUMBER, values).seeds for values in ([93.5, 93.5], [99.0, 99.0], [])] == ["", "", ""]
    assert verdict(NUMBER, [93.45, 93.55], ["twin"]).seeds == ""


def test_every_verdict_is_explained():
    assert set(comparison.VERDICTS) == {
        "match", "better", "worse", "undecided", "missing", "failed", "damaged", "not run", "not comparable", "not implemented",
    }  # fmt: skip


def test_every_printed_number_can_be_compared():
    """Its own value agrees with it, and ten times as much does not."""
    for number in published.numbers():
        if number.number and number.metric != "accuracy_std":
            assert comparison.verdict(number, [number.number]).word == "match", number
            assert comparison.verdict(number, [10 * abs(number.number) + 10]).word in ("better", "worse"), number
