"""Every metric: what its file must say, and its value on one made-up run in which everything differs."""

import importlib
import math

import pytest

from benchmark import conventions, metrics
from benchmark.metrics import _metric, _template
from benchmark.pins import published
from benchmark.pins.readings import Reading
from benchmark.reports import comparison
from benchmark.shared.errors import UserError
from tests.made import LAYERS, STRUCTURE

RUN = {
    "spec": {
        "time_steps": 2,
        "recipe": {"batch_size": 128, "epochs": 150},
        "method": {"name": "mae", "params": {}},
        "network": {"neuron": {}},
        "above": {},
    },
    "before": {
        "encoder": {"spec": {"recipe": {"epochs": 200}, "method": {"name": "mae-pretrain", "params": {"mask": 75}}}, "seconds": 3600.0},
        "teacher": {"spec": {"recipe": {"epochs": 1}, "method": {"name": "direct", "params": {}}}, "seconds": 1e6},
    },
    "scratch": {"spec": {}, "seconds": 16200.0},
    "seed": 1,
    "accuracy": 71.0,
    "accuracy_best": 73.0,
    "epoch_best": 2,
    "epochs": 3,
    "accuracy_by_epoch": [70.0, 73.0, 71.0],
    "accuracy_by_step": [61.0, 64.0],
    "accuracy_up_to": [61.0, 71.5],
    "parameters": 123_456,
    "layers": LAYERS,
    "seconds": 7200.0,
    "images_per_second": 640.0,
}
FIRST = {
    0: {
        "accuracy": 1.0,
        "accuracy_best": 69.0,
        "accuracy_by_epoch": [69.0, 1.0],
        "accuracy_by_step": [0.5, 0.6],
        "accuracy_up_to": [0.5, 1.0],
    },
    1: {
        "accuracy": 68.5,
        "accuracy_best": 72.0,
        "accuracy_by_epoch": [72.0, 68.5],
        "accuracy_by_step": [60.0, 61.0],
        "accuracy_up_to": [60.0, 68.5],
    },
}

# By hand, per image (a tenth of the sums of made.LAYERS): stem 2.0 G dense, 1.9 G events, real inputs; head 5.0 G dense, 300 of 2000
# inputs are spikes, 0.8 G events. Structure: one of two steps.
EXPECTED = {
    "accuracy": 71.0,
    "accuracy_std": None,
    "accuracy_best": 73.0,
    "accuracy_ann": 71.0,
    "accuracy_gain": 2.5,  # over the first row's run of the same seed
    "accuracy_step_mean": 62.5,
    "accuracy_step_spread": 3.0,
    "params_M": 9.32,
    "run_params_M": 0.123456,
    "ops_G": 0.75,  # 5.0 x 300 / 2000
    "ops_M": 750.0,
    "macs_M": 1900.0,
    "acs_M": 800.0,
    "macs_G": 7.0,  # 2 x (3.0 + 0.5)
    "run_macs_G": 7.0,  # 2.0 + 5.0
    "acs_G": 0.8,
    "sops_G": 0.75,
    "power_mJ": 5.275,  # 4.6 x 2.0 / 2 + 0.9 x 0.75
    "energy_mJ": 9.46,  # 4.6 x 1.9 + 0.9 x 0.8
    "energy_uJ": 9460.0,
    "energy_ratio": 0.72 / 11.5,  # 0.9 x 0.8, over 4.6 x 5.0 / 2 of one step
    "firing_rate_pct": 25.0,  # 250 of 1000
    "training_time_s": 0.2,  # 128 images at 640 a second
    "training_time_h": 3.0,  # with the pre-training's hour, without a teacher's
    "epoch_pretrain": 200,
    "epoch_finetune": 150,
    "mask_ratio_pct": 75,
    "train_seconds": 7200.0,
    "epoch": 2,
    "speedup": 1.5,  # 4.5 hours from scratch, 3 with the pre-training's
    "complexity_M": None,  # of a layer alone
    **dict.fromkeys(("curve", "loss_surface", "pictures")),  # drawn from files of their own
}
SYOPS = {"ops_G": 2.22, "macs_M": 12.2, "acs_M": 750.0, "energy_mJ": 9.875}  # 2 x 1.11; 2 x 6.1; 4.6 x 2.0 + 0.9 x 0.75


@pytest.mark.parametrize("name", EXPECTED)
def test_the_value_of_a_run(name):
    value = metrics.metric(name).read(RUN, STRUCTURE, Reading(), FIRST)
    assert value == (None if EXPECTED[name] is None else pytest.approx(EXPECTED[name], rel=1e-12))


@pytest.mark.parametrize("name", metrics.offered())
def test_every_metric_reads_a_number_or_nothing(name):
    for structure in (STRUCTURE, None):
        for reading in (Reading(), Reading(steps=1), Reading(steps=2, alone=True), Reading(epoch=9), Reading(epoch="best")):
            for first in (FIRST, {}, None):
                value = metrics.metric(name).read(RUN, structure, reading, first)
                assert value is None or (isinstance(value, (int, float)) and math.isfinite(value))


@pytest.mark.parametrize("name", SYOPS)
def test_the_value_by_another_convention(name):
    metric = metrics.metric(name).by("syops")
    assert metric.read(RUN, STRUCTURE, Reading()) == pytest.approx(SYOPS[name], rel=1e-12)
    assert metric.of == ("structure" if name in ("ops_G", "macs_M") else "run")
    assert metric.least("CIFAR100", 10.0) == (0.0 if metric.of == "structure" else pytest.approx(1.0))


def test_operations_of_a_layer_are_those_that_the_row_names():
    read, counted = metrics.metric("complexity_M").read, {**STRUCTURE, "block": {"qkv": 2_500_000, "fc1": 4_000_000}}
    assert (read({}, counted, Reading(layer="qkv")), read({}, counted, Reading(layer="softmax"))) == (2.5, None)


def test_what_layers_decide_needs_no_run_and_nothing_without_the_network():
    steps = {"spec": {"time_steps": 2}}
    for name, metric in metrics.offered().items():
        if metric.of == "structure":
            assert metric.read(steps, STRUCTURE, Reading()) == metric.read(RUN, STRUCTURE, Reading()), name
            assert metric.read(RUN, None, Reading()) is None


def test_amounts_are_of_all_steps_or_none():
    """Of a run of 2 steps read at the first, only what layers decide and the accuracy are known."""
    known = {name for name, metric in metrics.offered().items() if metric.read(RUN, STRUCTURE, Reading(steps=1), FIRST) is not None}
    assert {"ops_G", "energy_mJ", "firing_rate_pct", "acs_G", "run_macs_G", "power_mJ"} & known == set()
    assert metrics.metric("accuracy").read(RUN, STRUCTURE, Reading(steps=1)) == 61.0
    assert metrics.metric("accuracy").read(RUN, STRUCTURE, Reading(steps=2)) == 71.5
    assert metrics.metric("macs_G").read(RUN, STRUCTURE, Reading(steps=1)) == pytest.approx(3.5)
    assert metrics.metric("energy_mJ").read(RUN, STRUCTURE, Reading(steps=2)) == pytest.approx(9.46)
    assert metrics.metric("energy_mJ").read(RUN, STRUCTURE, Reading(steps=2, alone=True)) is None


def test_operations_of_a_converted_network_are_not_those_of_its_ann():
    ann = {**STRUCTURE, "ann": True}
    for metric in (metrics.metric("macs_G"), metrics.metric("ops_G").by("syops"), metrics.metric("macs_M").by("syops")):
        assert metric.read(RUN, ann, Reading()) is None
        assert metric.read({"spec": {"time_steps": 1}}, ann, Reading()) is not None
    assert metrics.metric("params_M").read(RUN, ann, Reading()) == 9.32


def test_hours_of_training_go_through_what_a_run_goes_on_from():
    hours = metrics.metric("training_time_h")
    encoder = {"spec": RUN["spec"], "seconds": 1800.0, "before": {}}
    steps = {**RUN, "before": {"start": {**RUN, "seconds": 3600.0, "before": {"encoder": encoder}}}}
    assert hours.read(steps, None, Reading()) == pytest.approx(2 + 1 + 0.5)
    unknown = {**RUN, "before": {"encoder": {"spec": RUN["spec"]}}}  # its run is not there
    assert hours.read(unknown, None, Reading()) is None


def test_a_speed_up_is_over_training_the_same_network_from_scratch():
    faster = metrics.metric("speedup")
    alone = {**RUN, "before": {}}
    assert faster.read({**alone, "scratch": alone}, None, Reading()) == 1.0
    assert faster.read({**RUN, "scratch": {**alone, "seconds": 5400.0}}, None, Reading()) == pytest.approx(0.5)
    for scratch in (None, {**alone, "seconds": None}):
        assert faster.read({**RUN, "scratch": scratch}, None, Reading()) is None


def test_a_spiking_networks_accuracy_is_not_an_artificial_ones():
    metric = metrics.metric("accuracy_ann")
    for changed in ({"network": {"neuron": {"name": "lif"}}}, {"above": {"ann": "direct-vit"}}):
        assert metric.read({**RUN, "spec": {**RUN["spec"], **changed}}, None, Reading()) is None


def test_a_gain_is_over_the_first_row_read_alike():
    """Best over best, last over last: the run has 71.0 and 73.0 (seed 1's first row 68.5 and 72.0)."""
    gain = metrics.metric("accuracy_gain")
    assert gain.read(RUN, None, Reading(), FIRST) == pytest.approx(71.0 - FIRST[RUN["seed"]]["accuracy"])
    assert gain.read(RUN, None, Reading(epoch="best"), FIRST) == pytest.approx(73.0 - FIRST[RUN["seed"]]["accuracy_best"])


def test_the_epoch_at_which_the_first_row_is_passed():
    """The first row's best is 70.5 on average: epoch 2 is the first above it. Without `at_epoch`, the best epoch."""
    epoch = metrics.metric("epoch")
    assert epoch.read(RUN, None, Reading(epoch=14), FIRST) == 2
    assert epoch.read({**RUN, "accuracy_by_epoch": [70.5, 70.5, 70.6]}, None, Reading(epoch=14), FIRST) == 3
    assert epoch.read({**RUN, "accuracy_by_epoch": [1.0]}, None, Reading(epoch=14), FIRST) is None
    assert epoch.read(RUN, None, Reading(epoch=14), {}) is None
    assert epoch.read(RUN, None, Reading(epoch="best"), FIRST) == 2


def test_a_gain_needs_the_first_row_of_the_same_seed():
    gain = metrics.metric("accuracy_gain")
    assert gain.read({**RUN, "seed": 2}, None, Reading(), FIRST) is None and gain.read(RUN, None, Reading()) is None
    assert gain.shares(RUN, None, Reading(), FIRST) == [71.0, 68.5]


def test_a_run_without_training_has_no_time_of_a_batch():
    assert metrics.metric("training_time_s").read({**RUN, "images_per_second": None}, None, Reading()) is None


# ---- what a file says


@pytest.mark.parametrize("name", [*metrics.families(), "_template"])
def test_every_file_says_what_its_metrics_are(name):
    file = importlib.import_module(f"benchmark.metrics.{name}")
    assert file.__doc__ and file.METRICS
    for metric in file.METRICS:
        assert metric.name.isidentifier() and metric.meaning and metric.of in ("run", "structure") and metric.good in (-1, 0, 1)
        assert not (metric.reader and metric.shares) and set(metric.pinned) <= {"table", "figure"}
        assert metric.pinned or metric.column or any(metric.name in other.beside for other in metrics.offered().values())
        assert all(other in metrics.offered() for other in (*metric.beside, *filter(None, [metric.spread])))
        for convention in metric.conventions:
            assert convention in conventions.names() or (metric.name, convention) == ("epoch", "trained")
            metric.by(convention)


def test_the_template_reads_a_run():
    (metric,) = _template.METRICS
    assert metric.read(RUN, None, Reading()) == pytest.approx(0.75 / 0.71)
    assert "_template" not in metrics.families()


def test_units_are_those_of_the_pins():
    assert {(number.metric, number.unit) for number in published.numbers()} <= {(m.name, m.unit) for m in metrics.offered().values()}


def test_columns_of_every_table_have_their_order():
    order = ["params_M", "macs_G", "run_params_M", "run_macs_G", "acs_G", "sops_G", "energy_mJ", "firing_rate", "train_seconds"]
    assert [metric.column for metric in metrics.columns() if metric.column in order] == order


@pytest.mark.parametrize(
    ("name", "dataset", "value", "expected"),
    [
        ("accuracy", "CIFAR10", 93.5, 0.3),
        ("accuracy", "CIFAR100", 77.9, 0.6),
        ("accuracy", "ImageNet", 73.7, 0.4),
        ("accuracy", "CIFAR10-DVS", 80.0, 1.5),
        ("accuracy", "DVS128", 98.0, 1.0),
        ("accuracy", "another", 50.0, 0.5),
        ("accuracy_gain", "CIFAR10", 0.1, 0.3),
        ("params_M", "CIFAR10", 9.32, 0.0),
        ("energy_mJ", "ImageNet", 20.0, 2.0),
        ("firing_rate_pct", "CIFAR100", 22.85, 2.285),
        ("training_time_h", "ImageNet", 100.0, 50.0),
        ("epoch", "CIFAR100", 14.0, 3.5),
    ],
)
def test_floors(name, dataset, value, expected):
    assert metrics.metric(name).least(dataset, value) == pytest.approx(expected, rel=1e-12)


def test_an_unknown_metric_or_convention_is_one_line():
    with pytest.raises(UserError, match="unknown metric 'energy_J': did you mean energy_"):
        metrics.metric("energy_J")
    with pytest.raises(UserError, match="unknown convention of ops_G 'syop': did you mean syops"):
        metrics.metric("ops_G").by("syop")


def test_a_paper_says_its_conventions_itself():
    operations = next(number for number in published.read("table4_tser") if number.metric == "ops_G")
    assert comparison.metric_of(operations).of == "structure"
    assert comparison.metric_in("ops_G", "spikformer_v2").of == "run"


def test_a_file_is_found_by_being_there_and_a_broken_one_stops_only_who_asks_for_it(tmp_path, monkeypatch):
    for path in metrics.FOLDER.glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "per_correct.py").write_text((tmp_path / "_template.py").read_text())
    (tmp_path / "broken.py").write_text("METRICS = (")
    monkeypatch.setattr(metrics, "FOLDER", tmp_path)
    monkeypatch.setattr(metrics, "__path__", [str(tmp_path)])
    metrics.offered.cache_clear()
    assert metrics.metric("ops_per_correct_G").unit == "G" and metrics.metric("accuracy").good == 1
    with pytest.raises(UserError, match=r"unknown metric 'joules'.*cannot be read: metrics/broken.py"):
        metrics.metric("joules")
    (tmp_path / "per_correct_again.py").write_text((tmp_path / "_template.py").read_text())
    metrics.offered.cache_clear()
    with pytest.raises(UserError, match="metrics/per_correct_again.py: metric 'ops_per_correct_G' exists already"):
        metrics.offered()
    metrics.offered.cache_clear()


def test_a_metric_is_frozen():
    with pytest.raises(AttributeError):
        metrics.metric("accuracy").good = -1
    assert isinstance(metrics.metric("accuracy"), _metric.Metric)
