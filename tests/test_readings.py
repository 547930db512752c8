"""Where on a run a number is read, by hand: epochs, steps, and rows that share the run of the largest T."""

import copy
from dataclasses import replace

import pytest

from benchmark.pins import published, readings, schema
from benchmark.pins.readings import Reading
from benchmark.shared.errors import UserError

NUMBER = published.read("table1_ldd")[0]
RUN = {
    "accuracy": 10.0,
    "accuracy_best": 40.0,
    "accuracy_by_epoch": [20.0, 40.0, 10.0],
    "accuracy_by_step": [1.0, 2.0, 3.0, 4.0],
    "accuracy_up_to": [1.0, 5.0, 6.0, 7.0],
}


def read(options="", time_steps="4", any_time=False):
    return Reading.of(replace(NUMBER, options=options, time_steps=time_steps), any_time).read(RUN)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", 40.0),  # LDD's backbones' code keeps the best test epoch
        ("lam=0.5", 40.0),  # an option of the method says nothing of the reading
        ("at_epoch=1", 20.0),
        ("at_epoch=2", 40.0),
        ("at_epoch=3", 10.0),
        ("at_epoch=4", None),
        ("at_epoch=best", 40.0),
        ("at_step=1", 1.0),
        ("at_step=2", 2.0),
        ("at_step=4", 4.0),
        ("at_step=5", None),
        ("up_to_step=2", 5.0),
        ("up_to_step=4", 7.0),
        ("up_to_step=5", None),
        ("lam=0.5 at_step=3", 3.0),
    ],
)
def test_options_say_where(options, expected):
    assert read(options) == expected


@pytest.mark.parametrize(
    ("time_steps", "expected"), [("1", 1.0), ("2", 5.0), ("4", 7.0), ("2(4)", 5.0), ("3/2", 6.0), ("5", None), ("-", 40.0)]
)
def test_a_method_that_answers_at_every_step_is_read_at_the_printed_one(time_steps, expected):
    assert read(time_steps=time_steps, any_time=True) == expected
    assert read(time_steps=time_steps) == 40.0  # any other method runs the printed steps and no more


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4", (4, None)), ("4096", (4096, None)), ("4(8)", (4, 8)), ("8(10)", (8, 10)), ("10/5", (10, 5)), ("-", (None, None))],
)
def test_printed_steps(text, expected):
    assert readings.parts(text) == expected
    assert Reading.of(replace(NUMBER, time_steps=text)).beside == expected[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("at_epoch=0", "option at_epoch .* cannot be '0'"),
        ("at_epoch=last", "cannot be 'last'"),
        ("at_step=1.5", "cannot be '1.5'"),
        ("at_epoch=2 at_step=1", "no accuracy of one epoch and of single steps"),
        ("at_step=1 up_to_step=2", "no accuracy of one epoch and of single steps"),
    ],
)
def test_what_makes_no_sense_is_one_line(options, said):
    with pytest.raises(UserError, match=f"table1_ldd, row 1: .*{said}"):
        read(options)


def test_an_epoch_of_a_run_that_is_read_at_every_step_is_refused():
    with pytest.raises(UserError, match="no accuracy of one epoch"):
        read("at_epoch=1", any_time=True)


# ---- rows that share a run


def row(time_steps, cell="ecmt:vit-s-16", dataset="ImageNet", options=""):
    return replace(NUMBER, cell=cell, dataset=dataset, time_steps=time_steps, options=options)


def test_the_largest_steps_of_the_same_cell():
    others = [
        row("12"),
        row("64", cell="ecmt:vit-b-16"),
        row("128", dataset="CIFAR10"),
        row("32", options="bits=2"),
        row("-"),
        row("8(10)"),
    ]
    assert readings.largest(row("4"), others) == 12
    assert readings.largest(row("16"), others) == 16  # its own counts, whether it is among them or not
    assert readings.largest(row("4", options="bits=2"), others) == 32
    assert readings.largest(row("4", options="at_step=3"), others) == 12  # a reading makes no other run
    assert readings.largest(row("-"), others) == 12


def test_two_options_in_another_order_are_the_same_run():
    assert readings.largest(row("4", options="a=1 b=2"), [row("9", options="b=2 a=1")]) == 9


def test_steps_that_no_row_prints_are_one_line():
    with pytest.raises(UserError, match="no row of ecmt:vit-s-16 on ImageNet prints its time steps"):
        readings.largest(row("-"), [])


def test_the_pinned_rows_of_one_conversion_are_one_run():
    """ECMT's Table 1 prints T = 1, 2, 4 ... 12 of ViT-S/16, its Table 2 4 and 8 of ViT-L/16."""
    rows = [number for number in published.read("table1_ecmt") if number.cell == "ecmt:vit-s-16"]
    assert len(rows) == 14 and {readings.largest(number) for number in rows} == {12}
    assert {readings.parts(number.time_steps)[0] for number in rows} == {1, 2, 4, 6, 8, 10, 12}


# ---- which accuracy a paper reports


@pytest.mark.parametrize("paper", ["ecmt", "idsnn", "ldd", "spikformer_v2", "tser"])
def test_how_accuracies_are_reported(paper):
    read = {what: readings.reported(paper, what) for what in ("accuracy", "runs", "precision")}
    expected = {  # (what, whether the paper says so)
        "idsnn": {"accuracy": ("best", True), "runs": ("one", False), "precision": ("fp32", False)},
        "tser": {"accuracy": ("best", False), "runs": ("mean", True), "precision": ("fp32", False)},
        "ldd": {"accuracy": ("best", False), "runs": ("one", False), "precision": ("autocast", False)},
        "ecmt": {"accuracy": ("once", True), "runs": ("one", False), "precision": ("autocast", False)},
        "spikformer_v2": {"accuracy": ("best", False), "runs": ("one", False), "precision": ("autocast", False)},
    }
    assert read == expected[paper]


@pytest.mark.parametrize(
    ("place", "key", "value", "words"),
    [
        (0, "accuracy", "latest", "did you mean last"),
        (1, "precision", "autocats", "did you mean autocast"),
        (0, "source", "", "not empty"),
        (1, "runs", None, "None"),
    ],
)
def test_a_reading_that_does_not_exist_is_refused(place, key, value, words):
    said = copy.deepcopy(published.sheet("ldd"))
    (said["reports"], said["reports"]["official"])[place][key] = value
    with pytest.raises(UserError, match=f"here: .*{words}"):
        schema.check(said, schema.named("paper"), "here")


@pytest.mark.parametrize(
    ("said", "behind", "expected"),
    [("last", "best", 10.0), ("best", "last", 40.0), ("not stated", "best", 40.0), ("not stated", "last", 10.0), ("once", "once", 10.0)],
)
def test_a_number_is_read_as_its_paper_reports(said, behind, expected, monkeypatch):
    entry = {"accuracy": said, "source": "somewhere", "official": {"accuracy": behind, "source": "code"}}
    monkeypatch.setattr(published, "sheet", lambda paper: {"reports": entry})
    assert read() == expected and read("at_epoch=1") == 20.0 and read("up_to_step=2") == 5.0


def test_a_paper_that_says_nothing_of_it_is_read_after_the_last_epoch(monkeypatch):
    monkeypatch.setattr(published, "sheet", lambda paper: {})
    assert read() == 10.0
