"""Tables of made-up runs against tables written by hand: every column, what several rows make together, what is said of damaged runs."""

import csv
import json
import os
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.reports import comparison, provenance, tables
from benchmark.reports.measured import Measured, fewer, shortened
from benchmark.runs import lines, structures
from benchmark.runs.lines import Line
from benchmark.runs.run import Run
from benchmark.shared.files import replacing
from benchmark.workflow.command import main
from tests import made

PAPER = settings({"scale": "paper", "seeds": 2})
SMOKE = settings()


def rows(root, table, chosen=PAPER):
    return {(row["method"], row["options"], row["dataset"]): row for row in tables.build(table, chosen, root)}


def pretend(root, table, curves, chosen=PAPER):
    """Finished runs: `curves` gives the first accuracies (one alone: the last) of (method, options, data set) and seed; others stay missing."""
    for line in lines.of_table(table, chosen):
        for run in line.runs:
            curve = curves.get((line.first.method, line.first.options, line.first.dataset), {}).get(run.seed)
            if curve is not None:
                rest = len(made.ending(run)) - len(curve)
                made.write(root, run, [*curve, *[0.0] * rest] if len(curve) > 1 else made.ending(run, *curve))


# ---- every column


def test_one_run_against_a_line_written_by_hand(tmp_path):
    """A row of TSER's Table 4, which counts by syops-counter; every amount differs from every other (see test_metrics.py)."""
    line = lines.of_table("table4_tser", replace(PAPER, seeds=1))[0]
    (run,) = line.runs
    layers = [{**layer, "steps": 4} for layer in made.LAYERS]
    made.write(tmp_path, run, made.ending(run, 73.0, 71.25), layers=layers, seconds=3600.0, images_per_second=32.0, parameters=4_321_000)
    made.structure(tmp_path, structures.path("resnet-18", "CIFAR100"))
    (row, *_) = tables.build("table4_tser", replace(PAPER, seeds=1), tmp_path)
    expected = {
        "row": 1,
        "group": "ResNet18",
        "method": "Vanilla SNN KD",
        "backbone": "ResNet18",
        "dataset": "CIFAR100",
        "time_steps": "-",
        "options": "",
        "scale": "paper",
        "data": "CIFAR100",
        "model": "paper size",
        "n_seeds": 1,
        "ops_G_published": "2.23",
        "ops_G": 4.44,  # 4 steps x 1.11, half a digit is 0.005
        "ops_G_verdict": "worse",
        "acs_M_published": "405.33",
        "acs_M": pytest.approx(750.0),
        "acs_M_low": pytest.approx(750.0),
        "acs_M_high": pytest.approx(750.0),
        "acs_M_verdict": "worse",
        "macs_M_published": "12.2",
        "macs_M": pytest.approx(24.4),  # 4 x 6.1
        "macs_M_verdict": "worse",
        "energy_mJ_published": "0.42",
        "energy_mJ": pytest.approx(9.875),
        "energy_mJ_low": pytest.approx(9.875),
        "energy_mJ_high": pytest.approx(9.875),
        "energy_mJ_verdict": "worse",
        "training_time_s_published": "2.78",
        "training_time_s": 4.0,  # 128 images at 32 a second
        "training_time_s_low": 4.0,
        "training_time_s_high": 4.0,
        "training_time_s_verdict": "match",  # half of 2.78 more is 4.17
        "firing_rate_pct_published": "22.85",
        "firing_rate_pct": 25.0,
        "firing_rate_pct_low": 25.0,
        "firing_rate_pct_high": 25.0,
        "firing_rate_pct_verdict": "match",
        "params_M": 9.32,
        "macs_G": 14.0,  # 4 x 3.5
        "run_params_M": 4.321,
        "run_macs_G": 7.0,
        "acs_G": 0.8,
        "sops_G": 0.75,
        "firing_rate": 25.0,
        "train_seconds": 3600.0,
        "break_even": "not stated for T = 4",
        "seeds_needed": "",
        "differs": "",
        "checks": "passed",
        "why": "",
        "origin": "measured",
        "source": "tser.txt:232",
        "run": line.resolved.id,
    }
    assert {key: row[key] for key in expected} == expected and [key for key in row if key in expected] == list(expected)


def test_accuracies_against_a_line_written_by_hand(tmp_path):
    """LDD's Table 1: no convention of its own, so energy is of exact events."""
    line = lines.of_table("table1_ldd", PAPER)[0]
    for run, ends in zip(line.runs, ((93.4, 93.0), (93.5, 93.1)), strict=True):  # best and last: its code keeps the best
        made.write(tmp_path, run, made.ending(run, *ends))
    (row, other, *_) = tables.build("table1_ldd", PAPER, tmp_path)
    found = {key: value for key, value in row.items() if key.startswith("accuracy") or key in ("energy_mJ", "n_seeds", "seeds_needed")}
    assert found == {
        "n_seeds": 2,
        "accuracy_published": "93.5",
        "accuracy": pytest.approx(93.45),
        "accuracy_std_published": "",
        "accuracy_std": pytest.approx(0.0707107, abs=1e-7),
        "accuracy_low": pytest.approx(93.45 - 0.6353102, abs=1e-6),  # 12.706205 x 0.0707107 / sqrt(2)
        "accuracy_high": pytest.approx(93.45 + 0.6353102, abs=1e-6),
        "accuracy_last": pytest.approx(93.05),
        "accuracy_best": pytest.approx(93.45),
        "accuracy_verdict": "undecided",
        "energy_mJ": pytest.approx(9.46),
        "seeds_needed": 3,  # 4.302653 x 0.0707107 / sqrt(3) = 0.1757 on 0.05 beside the middle
    }
    assert (other["accuracy_verdict"], other["n_seeds"], other["checks"], other["accuracy_low"]) == ("not run", 0, "", None)


def test_energies_in_their_units(tmp_path):
    """Pins made up for a cell that runs: formula energy as power in mJ, exact events in uJ, hours, operations."""
    line = lines.of_table("table1_ldd", PAPER)[0]
    printed = {"power_mJ": "5.3", "energy_uJ": "9400", "training_time_h": "3", "ops_G": "0.70", "ops_M": "800", "params_M": "9.32"}
    numbers = tuple(replace(line.first, metric=metric, value=value) for metric, value in printed.items())
    made.structure(tmp_path, structures.path("spikformer-4-384", "CIFAR10"))
    for run in line.runs:
        made.write(tmp_path, run)
    (row,) = tables.rows([Measured.of(replace(line, numbers=numbers), tmp_path)], "paper")
    obtained = {"power_mJ": 5.275, "energy_uJ": 9460.0, "training_time_h": 2.0, "ops_G": 0.75, "ops_M": 750.0, "params_M": 9.32}
    assert {name: row[name] for name in printed} == pytest.approx(obtained)
    assert {row[f"{name}_verdict"] for name in printed} == {"match"} and {row[f"{name}_published"] for name in printed} == set(
        printed.values()
    )


def test_a_table_of_a_twin_says_so_in_every_line(tmp_path):
    line = lines.of_table("table1_ldd", SMOKE)[0]
    made.accuracy(tmp_path, line.runs[0], 93.5, parameters=1_000)
    made.structure(tmp_path, structures.path("spikformer-4-384", "CIFAR10"))
    row = tables.build("table1_ldd", SMOKE, tmp_path)[0]
    assert (row["data"], row["model"], row["scale"]) == ("digits", "twin", "smoke")
    assert (row["params_M"], row["run_params_M"]) == (9.32, 0.001)
    assert row["accuracy"] == 93.5 and row["accuracy_verdict"] == "not comparable"
    assert re.match(r"twin; digits for CIFAR10; \d+ of \d+ epochs; ", row["differs"])
    assert re.search(
        r"\| not comparable: twin, digits for CIFAR10, \d+ of \d+ epochs and \d+ more +\|", tables.write("table1_ldd", SMOKE, tmp_path)
    )


# ---- what is compared does not hang on the scale's name


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({}, ""),
        ({"recipe": {"epochs": 1, "warmup_epochs": 0}}, r"1 of \d+ epochs; warmup_epochs 0 for \d+"),
        ({"data": {"CIFAR10": "digits"}}, "digits for CIFAR10"),
        ({"twin": "tiny"}, "twin"),
        ({"recipe": {"lr": 0.5}}, r"lr 0\.5 for [\d.e-]+"),
    ],
)
@pytest.mark.parametrize("scale", ["paper", "smoke"])
def test_comparable_is_what_ran(overrides, said, scale, tmp_path):
    chosen = settings({"scale": "paper", "seeds": 2, **overrides})
    line = lines.of_table("table1_ldd", chosen)[0]
    for run in line.runs:
        made.accuracy(tmp_path, run, 93.5)
    (row,) = tables.rows([Measured.of(line, tmp_path)], scale)
    assert re.fullmatch(said, row["differs"]) and row["accuracy_verdict"] == ("not comparable" if said else "match")


def test_what_a_run_says_of_itself_counts_too(tmp_path):
    """A specification as printed, but a run of a part of the images, or one that stopped early."""
    line = lines.of_table("table1_ldd", PAPER)[0]
    whole = len(made.ending(line.runs[0]))
    made.write(tmp_path, line.runs[0], [93.5] * 30, images={"train": 1024, "test": 10_000})
    made.accuracy(tmp_path, line.runs[1], 93.5, images={"train": 50_000, "test": 500})
    (row,) = tables.rows([Measured.of(line, tmp_path)], "paper")
    assert row["differs"] == f"1024 of 50000 training images; 30 of {whole} epochs; 500 of 10000 test images"
    assert row["accuracy_verdict"] == "not comparable"
    assert fewer(made.metrics(line.runs[0]), line.resolved.spec) == []


def test_what_layers_decide_is_compared_at_every_scale(tmp_path):
    """Also before anything ran; and not by a run's own network."""
    operations = {"syops_ops": 2.2268e9 / 4, "syops_macs": 12.2e6 / 4}
    made.structure(tmp_path, structures.path("resnet-18", "CIFAR100"), **operations)
    row = tables.build("table4_tser", SMOKE, tmp_path)[0]
    assert (row["ops_G_verdict"], row["macs_M_verdict"], row["acs_M_verdict"]) == ("match", "match", "not run")
    assert (row["ops_G"], row["params_M"], row["macs_G"]) == (pytest.approx(2.2268), 9.32, 14.0)
    other = tables.build("table4_tser", SMOKE, tmp_path)[5]  # VGG-16, not counted yet
    assert (other["backbone"], other["ops_G"], other["ops_G_verdict"]) == ("VGG16", None, "not run")
    made.write(tmp_path, lines.of_table("table4_tser", SMOKE)[5].runs[0])
    done = tables.build("table4_tser", SMOKE, tmp_path)[5]
    assert (done["ops_G_verdict"], done["acs_M_verdict"]) == ("not run", "not comparable")


# ---- readings


def test_an_epoch_of_the_curve_is_read_where_the_row_says(tmp_path):
    """`at_epoch=14` of IDSNN's Table 4 and the whole run are one cell."""
    schedule = "schedule=10-20-30"
    curve = [float(epoch) / 10 for epoch in range(1, 201)]
    pretend(tmp_path, "table4_idsnn", {("IDSNN", schedule, "CIFAR100"): {0: curve, 1: curve}})
    found = rows(tmp_path, "table4_idsnn")
    part, whole = found["IDSNN", f"{schedule} at_epoch=14", "CIFAR100"], found["IDSNN", schedule, "CIFAR100"]
    assert part["run"] == whole["run"] and (part["accuracy"], whole["accuracy"]) == (1.4, 20.0)
    assert (whole["epoch"], whole["accuracy_best"]) == (200, 20.0)


@pytest.mark.parametrize(("options", "accuracy", "energy"), [("", 50.0, 9.46), ("up_to_step=2", 61.0, None), ("at_step=2", 11.0, None)])
def test_steps_of_a_run_are_read_where_the_row_says(options, accuracy, energy, tmp_path):
    """The mean up to a step is not the step itself; operations are counted over all four."""
    line = next(line for line in lines.of_table("table1_tser", replace(PAPER, seeds=1)) if line.resolved and line.first.time_steps == "4")
    made.write(tmp_path, line.runs[0], accuracy_up_to=[60.0, 61.0, 62.0, 63.0], accuracy_by_step=[10.0, 11.0, 12.0, 13.0])
    read = replace(line, numbers=(replace(line.first, options=options),))
    (row,) = tables.rows([Measured.of(read, tmp_path)], "paper")
    assert (row["accuracy"], row["energy_mJ"]) == (accuracy, energy and pytest.approx(energy))


def test_a_row_with_an_option_is_another_run(tmp_path):
    """LDD's Table 2: the same row with four projections; each line has its own run's value."""
    options = ["", "projection=last", "projection=mean", "projection=max"]
    found = {("Spikformer-8-512", "CIFAR10", text): 60.0 + index for index, text in enumerate(options)}
    for line in lines.of_table("table2_ldd", PAPER):
        value = found.get((line.first.backbone, line.first.dataset, line.first.options))
        for run in line.runs if value else ():
            made.accuracy(tmp_path, run, value)
    table = tables.build("table2_ldd", PAPER, tmp_path)
    assert {key: row["accuracy"] for row in table if (key := (row["backbone"], row["dataset"], row["options"])) in found} == found
    text = tables.write("table2_ldd", PAPER, tmp_path)
    assert "| options " in text and "| projection=max " in text
    assert "| options " not in tables.write("table1_ldd", PAPER, tmp_path)


def test_a_printed_spread_stands_beside_its_accuracy_and_gets_no_verdict(tmp_path):
    row = next(row for row in tables.build("table1_tser", PAPER, tmp_path) if row["accuracy_std_published"])
    assert (row["accuracy_published"], row["accuracy_std_published"]) == ("78.30", "0.08") and "accuracy_std_verdict" not in row


# ---- gains over the first row, and the epoch at which it is passed


def test_gains_are_points_above_the_first_row_of_the_data_set(tmp_path):
    names = {"baseline": "", "+ initialization": "kd=0", "IDSNN": ""}
    ends = {"baseline": (70.0, 71.0), "+ initialization": (73.16, 74.16), "IDSNN": (60.0, 60.9)}
    curves = {(name, options, "CIFAR100"): dict(enumerate([end] for end in ends[name])) for name, options in names.items()}
    pretend(tmp_path, "table3_idsnn", curves)
    found = rows(tmp_path, "table3_idsnn")
    gain = found["+ initialization", "kd=0", "CIFAR100"]
    assert (gain["accuracy_gain"], gain["accuracy_gain_verdict"]) == (
        pytest.approx(3.16),
        "match",
    )  # of each seed, whatever the seeds' own spread
    assert gain["accuracy_verdict"] == "undecided"
    assert found["IDSNN", "", "CIFAR100"]["accuracy_gain_verdict"] == "worse"  # -10 and -10.1 against 4.10
    assert found["IDSNN", "", "CIFAR10"]["accuracy_gain"] is None and found["IDSNN", "", "CIFAR10"]["accuracy_gain_verdict"] == "not run"


def test_a_gain_of_one_seed_is_as_good_as_its_test_images(tmp_path):
    chosen = replace(PAPER, seeds=1)
    curves = {("baseline", "", "CIFAR100"): {0: [71.31]}, ("+ initialization", "kd=0", "CIFAR100"): {0: [74.47]}}
    pretend(tmp_path, "table3_idsnn", curves, chosen)
    gain = rows(tmp_path, "table3_idsnn", chosen)["+ initialization", "kd=0", "CIFAR100"]
    low, high = comparison.interval([3.16], [74.47, 71.31], 10_000)
    assert (gain["accuracy_gain_low"], gain["accuracy_gain_high"]) == (pytest.approx(low), pytest.approx(high))
    assert high - low > 2.4 and gain["accuracy_gain_verdict"] == "undecided"  # the printed gain itself, on 10,000 images


@pytest.mark.parametrize(
    ("quick", "epoch", "verdict"),
    [
        (([1, 80, 71, 71], [1, 1, 80, 71]), 2.5, "worse"),  # 2.5 +- 6.35, below 14 - 3.5; the baseline's best over both seeds is 75
        (([1, 80, 71, 71], [1, 80, 71, 71]), 2, "worse"),  # an epoch has no good side
        (([1, 1, 1, 80], [1, 1, 1, 74]), 4, "worse"),  # one seed never passes it
        (([1, 2, 3, 4], [75, 75, 75, 75]), None, "missing"),
    ],
)
def test_the_epoch_at_which_the_first_row_is_passed(quick, epoch, verdict, tmp_path):
    schedule = "schedule=10-20-30"
    quick = {seed: [float(value) for value in curve] for seed, curve in enumerate(quick)}
    baseline = {0: [70.0, 76.0, 74.0], 1: [74.0, 73.0]}
    pretend(tmp_path, "table4_idsnn", {("baseline", "", "CIFAR100"): baseline, ("IDSNN", schedule, "CIFAR100"): quick})
    row = rows(tmp_path, "table4_idsnn")["IDSNN", f"{schedule} at_epoch=14", "CIFAR100"]
    assert row["epoch"] == epoch and row["epoch_verdict"] == verdict and row["epoch_published"] == "14"


# ---- what is wrong with a line


def line_of(root, chosen=SMOKE):
    return tables.build("table1_ldd", chosen, root)[0]


def test_a_line_without_a_value_says_why(tmp_path):
    line = lines.of_table("table1_ldd", SMOKE)[0]
    folder = tmp_path / line.runs[0].folder
    assert (line_of(tmp_path)["accuracy_verdict"], line_of(tmp_path)["why"]) == ("not run", "")
    folder.mkdir(parents=True)
    (folder / "error.txt").write_text("RuntimeError: out of memory\n")
    assert (line_of(tmp_path)["accuracy_verdict"], line_of(tmp_path)["why"]) == ("failed", "RuntimeError: out of memory")
    path = made.accuracy(tmp_path, line.runs[0], 93.5)
    path.write_text(path.read_text().replace("93.5", "94.5"))
    found = line_of(tmp_path)
    assert (found["accuracy_verdict"], found["accuracy"], found["n_seeds"], found["checks"]) == ("damaged", None, 0, "")
    assert found["why"].startswith(f"{line.runs[0].folder}/metrics.json: its checksum is ")
    text = tables.write("table1_ldd", SMOKE, tmp_path)
    assert f"- row 1: {line.runs[0].folder}/metrics.json: its checksum" in text and "1 damaged, 17 not run" in text


def test_a_row_that_learns_from_what_failed_says_so(tmp_path):
    """Until it has run all the same."""
    line = lines.of_table("table1_ldd", settings())[1]
    ((role, teacher),) = line.resolved.upstream
    folder = tmp_path / Run(teacher, 0).folder
    folder.mkdir(parents=True)
    (folder / "error.txt").write_text("RuntimeError: out of memory\n")
    assert (
        Measured.of(line, tmp_path).why == f"its {role}: RuntimeError: out of memory"
        and Measured.of(line, tmp_path).unfinished == "not run"
    )
    made.accuracy(tmp_path, line.runs[0], 50.0)
    assert Measured.of(line, tmp_path).why == ""


def test_what_cannot_run_says_why_in_the_file_and_not_to_the_reader(tmp_path):
    text = tables.write("table1_tser", SMOKE, tmp_path)
    row = next(row for row in tables.build("table1_tser", SMOKE, tmp_path) if row["method"] == "IM-LIF")
    assert row["accuracy_verdict"] == "not implemented" and row["why"].startswith("method im-lif: ") and row["why"] not in text


def test_one_damaged_seed_is_told_even_if_others_are_whole(tmp_path):
    line = lines.of_table("table1_ldd", PAPER)[0]
    made.accuracy(tmp_path, line.runs[0], 93.5)
    made.accuracy(tmp_path, line.runs[1], 93.5).write_text("{")
    found = line_of(tmp_path, PAPER)
    assert (found["accuracy_verdict"], found["n_seeds"]) == ("damaged", 1) and f"{line.runs[1].folder}/metrics.json" in found["why"]


def test_a_failed_seed_leaves_the_others(tmp_path):
    chosen = replace(PAPER, seeds=3)
    line = lines.of_table("table1_ldd", chosen)[0]
    for run in line.runs[:2]:
        made.accuracy(tmp_path, run, 93.5)
    (tmp_path / line.runs[2].folder).mkdir()
    (tmp_path / line.runs[2].folder / "error.txt").write_text("KeyError: 'x'\n")
    found = line_of(tmp_path, chosen)
    assert (found["accuracy_verdict"], found["n_seeds"], found["why"]) == ("match", 2, "KeyError: 'x'")


@pytest.mark.parametrize(
    ("states", "lacking", "expected"),
    [
        (("missing",), "", "not run"),
        (("running",), "", "not run"),
        (("failed",), "", "failed"),
        (("failed", "missing"), "", "failed"),
        (("damaged", "failed"), "", "damaged"),
        ((), "method x: to be built", "not implemented"),
        ((), "", "missing"),
    ],
)
def test_states_without_a_value(states, lacking, expected):
    number = published.read("table1_ldd")[0]
    measured = Measured(Line((number,), None, (), lacking), states, {}, lacking, None, {})
    assert measured.unfinished == expected and measured.verdict(number, {}).word == expected


def test_what_a_run_does_not_measure_is_missing(tmp_path):
    line = lines.of_table("table1_ldd", PAPER)[0]
    numbers = (replace(line.first, metric="mask_ratio_pct", value="2.0"),)
    made.accuracy(tmp_path, line.runs[0], 93.5)
    (row,) = tables.rows([Measured.of(replace(line, numbers=numbers), tmp_path)], "paper")
    assert (row["mask_ratio_pct"], row["mask_ratio_pct_verdict"]) == (None, "missing")


def test_a_speed_up_is_measured_against_the_line_that_trains_from_scratch(tmp_path):
    """Table III: pre-training 60 s and fine-tuning 30 s against 180 s of plain training of the same network, and of no other."""
    entries = lines.of_table("table3_spikformer_v2", SMOKE)
    by_row = {entry.first.row: entry for entry in entries}
    for row, seconds in ((8, 999.0), (10, 180.0), (12, 720.0), (13, 30.0)):
        made.write(tmp_path, by_row[row].runs[0], seconds=seconds)
    ((_, encoder),) = by_row[13].resolved.upstream
    made.write(tmp_path, Run(encoder, 0), seconds=60.0)
    found = {row["row"]: row for row in tables.build("table3_spikformer_v2", SMOKE, tmp_path)}
    assert (found[13]["speedup_published"], found[13]["speedup"]) == ("1.03", pytest.approx(2.0))
    assert found[13]["training_time_h"] == pytest.approx(90 / 3600) and found[10]["training_time_h"] == pytest.approx(180 / 3600)
    assert [found[row]["speedup"] for row in (8, 10, 12)] == [1.0, 1.0, 1.0]  # the reference itself, in print too
    assert (found[13]["epoch_pretrain"], found[13]["epoch_finetune"]) == (3, 8)
    assert found[14]["speedup"] is None and found[17]["speedup"] is None
    text = tables.write("table3_spikformer_v2", SMOKE, tmp_path)
    assert re.search(r"\| 1.03, 2.00 +\|", text) and re.search(r"\| 96.7, 0.0250 +\|", text)
    assert "speed-up" not in tables.write("table1_ldd", SMOKE, tmp_path)


def test_failed_checks_are_named_and_marked(tmp_path):
    entries = lines.of_table("table1_ldd", SMOKE)
    made.accuracy(tmp_path, entries[0].runs[0], 93.5, checks={"failed": ["silent_layers", "binary"]})
    made.accuracy(tmp_path, entries[2].runs[0], 61.25)
    found = tables.build("table1_ldd", SMOKE, tmp_path)
    assert [row["checks"] for row in found[:3]] == ["binary, silent_layers", "", "passed"]
    text = tables.write("table1_ldd", SMOKE, tmp_path)
    first, second, third = text.splitlines()[4:7]
    assert "| 93.50 ! " in first and "!" not in second and "| 61.25 " in third and "!" not in third
    assert "! a check of the network that ran failed (row 1: binary, silent_layers)." in text


def test_a_line_that_is_undecided_says_how_many_seeds(tmp_path):
    line = lines.of_table("table1_ldd", PAPER)[0]
    for run, value in zip(line.runs, (93.3, 93.7), strict=True):
        made.accuracy(tmp_path, run, value)
    assert "| undecided (6 seeds) " in tables.write("table1_ldd", PAPER, tmp_path)


# ---- how it is written


def test_the_files_of_a_table(tmp_path):
    for line in lines.of_table("table1_ldd", SMOKE)[:1]:
        made.accuracy(tmp_path, line.runs[0], 200 / 3, seconds=12.345)
    text = tables.write("table1_ldd", SMOKE, tmp_path)
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["table1_ldd.csv", "table1_ldd.md", "table1_ldd.meta.json"]
    with (tmp_path / "results" / "table1_ldd.csv").open(newline="") as file:
        first, second, *_ = csv.DictReader(file)
    assert (first["accuracy"], first["train_seconds"], first["firing_rate"], first["energy_mJ"]) == ("66.67", "12.3", "25.0", "9.46")
    assert (second["accuracy"], second["accuracy_verdict"], second["run_params_M"]) == ("", "not run", "")
    assert (tmp_path / "results" / "table1_ldd.md").read_text() == text
    heads = "row method backbone data set T run on published obtained last, best verdict params M rate % energy uJ"
    assert " ".join(text.splitlines()[2].replace("|", " ").split()) == heads
    cells = [cell.strip() for cell in text.splitlines()[4].strip("|").split("|")]
    assert cells[:9] == ["1", "Spikformer", "Spikformer-4-384", "CIFAR10", "2", "digits", "93.5", "66.67", "66.67, 66.67"]
    assert cells[10:] == ["-", "25.00", "9460.000"] and "nothing about the paper" in text


def test_what_is_said_of_tiny_twins_is_not_said_of_the_paper_size(tmp_path):
    assert "nothing about the paper" not in tables.write("table1_ldd", PAPER, tmp_path)
    renamed = replace(settings(), scale="paper")
    assert "nothing about the paper" in tables.write("table1_ldd", renamed, tmp_path)


def test_part_of_a_table_leaves_the_whole_one(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    for name in ("table1_ldd.csv", "table1_ldd.md", "table1_ldd.meta.json"):
        (tmp_path / "results" / name).write_text("whole")
    assert main(["table", "table1_ldd", "--directory", str(tmp_path)]) == 0
    found = {path.name: path.read_text() == "whole" for path in (tmp_path / "results").iterdir()}
    assert found == {f"table1_ldd{part}{end}": not part for part in ("", ".partial") for end in (".csv", ".md", ".meta.json")}


def test_a_file_takes_the_place_of_the_old_one_at_once(tmp_path):
    """Renamed, not copied over: who has the old file open, or another name of it, keeps it whole."""
    path, other = tmp_path / "table.csv", tmp_path / "link"
    path.write_text("old")
    os.link(path, other)
    with path.open() as before:
        with replacing(path) as file:
            file.write("new")
            assert path.read_text() == "old"
        assert before.read() == "old"
    assert path.read_text() == "new" and other.read_text() == "old"
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(str(1 / 0))
    assert path.read_text() == "new" and sorted(one.name for one in tmp_path.iterdir()) == ["link", "table.csv"]


def test_every_run_behind_a_table_says_what_made_it(tmp_path):
    entries = lines.of_table("table1_ldd", SMOKE)
    made.accuracy(tmp_path, entries[1].runs[0], 50.0)
    tables.write("table1_ldd", SMOKE, tmp_path)
    found = json.loads((tmp_path / "results" / "table1_ldd.meta.json").read_text())
    assert found["runs"].keys() == {str(folder) for folder in lines.runs_of(["table1_ldd"], SMOKE)}
    run = found["runs"][str(entries[1].runs[0].folder)]
    assert (run["state"], run["trained"], run["measured"], run["weights"]) == ("done", [{"commit": "t"}], {"commit": "m"}, "w")
    epochs = {"value": entries[1].resolved.spec["recipe"]["epochs"], "source": "smoke scale or config"}
    assert run["spec"] == entries[1].resolved.spec and run["recipe"]["epochs"] == epochs
    assert found["runs"][str(entries[0].runs[0].folder)]["state"] == "missing"
    assert found["columns"]["params_M"].startswith("parameters of the paper-size model") and "differs" in found["columns"]


# ---- whose values a recipe has


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("printed, idsnn.txt:162; official: 16 on each of 4 GPUs", "printed"),
        ("official Spikformer CIFAR10 configuration; the paper names none", "official"),
        ("official: timm's full list", "official"),
        ("group", "group"),
        ("group: SGD with momentum, not Nesterov's", "group"),
        ("ours; the official configurations train in fp16", "ours"),
        ("smoke scale or config", "other"),
        ("not printed for Table 2", "other"),
        ("", "other"),
    ],
)
def test_the_origin_of_a_value_is_its_first_word(source, expected):
    assert provenance.origin(source) == expected


def test_values_that_cells_share_count_once(monkeypatch):
    line = lines.of_table("table3_ldd", PAPER)[0]
    spec = {**line.resolved.spec, "recipe": {"epochs": 300, "lr": 0.1}}
    a = replace(line.resolved, spec=spec, sources={"epochs": "printed, x:1", "lr": "ours"}, upstream=())
    b = replace(a, sources={"epochs": "printed, x:1", "lr": "official"})
    c = replace(a, spec={**spec, "recipe": {"epochs": 200, "lr": 0.1}})
    runs = {index: replace(line.runs[0], resolved=resolved) for index, resolved in enumerate((a, b, c))}
    monkeypatch.setattr(provenance.lines, "runs_of", lambda tables, settings: runs)
    assert provenance.origins("table3_ldd", PAPER) == {"printed": 2, "official": 1, "group": 0, "ours": 1, "other": 0}


def test_scales_change_whose_values_they_are():
    assert provenance.origins("table1_ldd", PAPER)["printed"] > 0 and provenance.origins("table1_ldd", SMOKE)["printed"] == 0


def test_differences_are_cut_short():
    assert shortened(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert shortened(["a", "b", "c"]) == "a, b, c" and shortened(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_one_stand_in_is_enough_to_say_so():
    def measured(stand_in):
        spec = {"network": {"twin": "tiny"}, "data": {"stand_in": stand_in}}
        return SimpleNamespace(line=SimpleNamespace(resolved=SimpleNamespace(spec=spec), lacking=""))

    line = {"row": 1, "checks": "passed", "why": "", "break_even": ""}
    assert "nothing about the paper" in tables.notes([line, line], [measured(True), measured(False)], settings())
