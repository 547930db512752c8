"""What is believed of a run's folder: its state, damaged files by name of the damage, lines with their runs, networks at paper size."""

import copy
import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark.pins import cells, kinds, published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports.measured import Measured
from benchmark.runs import lines, structures
from benchmark.runs.run import KEYS, STATES, Run, number
from benchmark.shared.errors import UserError
from benchmark.shared.files import lock, write_sealed
from tests import made

SMOKE = settings({"seeds": 2})
LINES = lines.of_table("table1_ldd", SMOKE)
RUN, OTHER = LINES[0].runs  # of one cell, seeds 0 and 1


# ---- states


def test_states_of_a_folder(tmp_path):
    assert RUN.state(tmp_path) == "missing" and RUN.metrics(tmp_path) is None and RUN.why(tmp_path) == ""
    folder = tmp_path / RUN.folder
    folder.mkdir(parents=True)
    (folder / "error.txt").write_text("RuntimeError: out of memory\nmore\n")
    assert (RUN.state(tmp_path), RUN.why(tmp_path), RUN.progress(tmp_path)) == ("failed", *["RuntimeError: out of memory"] * 2)
    with lock(folder / ".lock"):
        assert RUN.state(tmp_path) == "running"
    (folder / "error.txt").unlink()
    (folder / "checkpoint.00001.0000003.0123456789abcdef.pt").write_text("")
    assert (RUN.state(tmp_path), RUN.progress(tmp_path)) == ("stopped", "epoch 2/5, step 3 of 16")
    found = made.metrics(RUN, [10.0, 20.0, 30.0, 50.0, 40.0])
    write_sealed(folder / "metrics.json", found)
    kept = {key: value for key, value in RUN.metrics(tmp_path).items() if key != "records"}
    assert RUN.state(tmp_path) == "done" and kept == found and RUN.why(tmp_path) == ""
    assert {"done", "running", "stopped", "failed", "damaged", "missing"} == set(STATES)


def test_a_file_that_changes_is_read_again(tmp_path):
    made.accuracy(tmp_path, RUN, 50.0)
    assert RUN.metrics(tmp_path)["accuracy"] == 50.0
    made.accuracy(tmp_path, RUN, 60.0)
    assert RUN.metrics(tmp_path)["accuracy"] == 60.0
    (tmp_path / RUN.folder / "metrics.json").unlink()
    assert RUN.state(tmp_path) == "missing"


# ---- what lies above


def test_students_share_a_teacher_and_conversions_do_not_share_a_network():
    """Two seeds of a conversion of one network would agree whatever the method is worth, and a claim would be called supported."""
    above = {}
    for table, method in (("table1_ldd", "ldd"), ("table2_ecmt", "qcfs")):
        line = next(line for line in lines.of_table(table, SMOKE) if line.resolved and line.resolved.spec["method"]["name"] == method)
        above[method] = [[run.seed for _, run in run.upstream] for run in line.runs]
        needed = [run.seed for run in lines.behind([line]).values()]
        assert sorted(needed) == ([0, 0, 1] if method == "ldd" else [0, 0, 1, 1])
    assert above == {"ldd": [[0], [0]], "qcfs": [[0], [1]]}


def test_what_ran_before_a_conversion_is_of_its_own_seed(tmp_path):
    line = next(line for line in lines.of_table("table2_ecmt", SMOKE) if line.resolved and line.resolved.spec["method"]["name"] == "qcfs")
    for run in line.runs:
        for _, above in run.upstream:
            made.accuracy(tmp_path, above, 60.0 + run.seed)
    found = Measured.of(line, tmp_path).before
    assert [found[seed]["ann"]["accuracy"] for seed in (0, 1)] == [60.0, 61.0]


# ---- damage


def damage(tmp_path, **changes) -> str:
    """Why a run with these values, sealed as if it had written them, is not believed."""
    values = {**made.metrics(RUN, [10.0, 20.0, 30.0, 50.0, 40.0]), **changes}
    write_sealed(tmp_path / RUN.folder / "metrics.json", {key: value for key, value in values.items() if value is not KeyError})
    return told(tmp_path)


def told(tmp_path) -> str:
    """The reason, if the run is damaged in every way in which one can ask."""
    assert RUN.state(tmp_path) == "damaged" and RUN.metrics(tmp_path) is None
    said = RUN.why(tmp_path)
    assert said.startswith(f"{RUN.folder}/metrics.json: ") and "\n" not in said and said == RUN.progress(tmp_path)
    return said.partition(": ")[2]


def test_a_whole_run_is_believed(tmp_path):
    write_sealed(tmp_path / RUN.folder / "metrics.json", made.metrics(RUN, [10.0, 20.0, 30.0, 50.0, 40.0]))
    assert RUN.state(tmp_path) == "done"


def test_the_file_of_another_cell(tmp_path):
    other = LINES[1].runs[0]
    path = tmp_path / RUN.folder / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(made.write(tmp_path, other).read_bytes())
    assert "is of another cell: above, code, method of its specification" in told(tmp_path)


def test_the_file_of_another_seed(tmp_path):
    path = tmp_path / RUN.folder / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(made.write(tmp_path, OTHER).read_bytes())
    assert told(tmp_path) == "is of seed 1"


@pytest.mark.parametrize("key", ["method", "network", "data", "time_steps", "recipe", "above", "code"])
def test_one_changed_word_of_the_specification(key, tmp_path):
    spec = copy.deepcopy(RUN.resolved.spec)
    spec[key] = {**spec[key], "more": 1} if isinstance(spec[key], dict) else spec[key] + 1
    assert damage(tmp_path, spec=spec) == f"is of another cell: {key} of its specification are not this folder's"


def test_a_twin_does_not_pass_for_the_paper_size(tmp_path):
    network = {**RUN.resolved.spec["network"], "twin": "mini"}
    assert "network of its specification" in damage(tmp_path, spec={**RUN.resolved.spec, "network": network})


@pytest.mark.parametrize("old", ["50.0", '"seed": 0', '"failed": []'])
def test_an_edited_file(old, tmp_path):
    path = made.accuracy(tmp_path, RUN, 50.0)
    new = {"50.0": "51.0", '"seed": 0': '"seed": 1', '"failed": []': '"failed": ["binary"]'}[old]
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert "its checksum is" in told(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"accuracy": 50.0}', '{"accuracy": NaN, "seal": ""}'])
def test_a_file_that_is_none(text, tmp_path):
    path = made.accuracy(tmp_path, RUN, 50.0)
    path.write_text(text)
    assert told(tmp_path)


def test_a_truncated_file(tmp_path):
    path = made.accuracy(tmp_path, RUN, 50.0)
    path.write_text(path.read_text()[:-30])
    assert told(tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite(value, tmp_path):
    path = made.accuracy(tmp_path, RUN, 50.0)
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, "seconds": value}))
    assert "seconds" in told(tmp_path)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_missing(key, tmp_path):
    assert damage(tmp_path, **{key: KeyError}) == f"lacks {key}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": "0"}, "is of seed 0"),
        ({"spec": None}, "is of another cell"),
        ({"accuracy": 93.5}, "accuracy 93.5 is not that of the last epoch, 40.0"),
        ({"accuracy_best": 93.5}, "accuracy_best 93.5 is not the best of its epochs, 50.0"),
        ({"epoch_best": 3}, "epoch_best 3 is not the best one"),
        ({"epoch_best": 0}, "epoch_best 0 is not the best one"),
        ({"epoch_best": -1}, "epochs are no whole numbers"),
        ({"accuracy": 101.0, "accuracy_by_epoch": [10.0, 20.0, 30.0, 50.0, 101.0]}, "accuracy is no percentage"),
        ({"accuracy": -1.0, "accuracy_by_epoch": [10.0, 20.0, 30.0, 50.0, -1.0]}, "accuracy is no percentage"),
        ({"accuracy": "40.0"}, "accuracy is no percentage"),
        ({"accuracy": True}, "accuracy is no percentage"),
        ({"accuracy_by_epoch": [10.0, 20.0, 30.0, 50.0]}, "accuracy_by_epoch has not 5 values"),
        ({"accuracy_by_epoch": None}, "accuracy_by_epoch has not 5 values"),
        ({"accuracy_by_step": [40.0]}, "accuracy_by_step has not 2 values"),
        ({"accuracy_by_step": [40.0, 100.1]}, "accuracy_by_step is no percentage"),
        ({"accuracy_up_to": [40.0] * 3}, "accuracy_up_to has not 2 values"),
        ({"firing_by_threshold": {"fc1": [3, 2]}}, "firing_by_threshold are no counts of spikes"),
        ({"firing_by_threshold": {"fc1": [3, 2, 4]}}, "firing_by_threshold are no counts of spikes"),
        ({"accuracy_up_to": [40.0, None]}, "accuracy_up_to is no percentage"),
        ({"accuracy_counted": 200.0}, "accuracy_counted is no percentage"),
        ({"epochs": 5.0}, "epochs are no whole numbers"),
        ({"parameters": 0}, "parameters is no number of them"),
        ({"images": {"train": 1024}}, "images: no number of test images"),
        ({"images": 1524}, "images: no number of train images"),
        ({"images": {"train": 0, "test": 500}}, "images: no number of train images"),
        ({"seconds": -1.0}, "seconds is no time"),
        ({"images_per_second": -1.0}, "images_per_second is no rate"),
        ({"checks": {}}, "checks do not say which failed"),
        ({"checks": None}, "checks do not say which failed"),
        ({"layers": []}, "has no layers"),
        ({"layers": [{"kind": "conv"}]}, "a layer is no record"),
        ({"layers": [{**made.LAYERS[0], "unheard": 1}]}, "a layer is no record"),
        ({"layers": [{**made.LAYERS[1], "spikes": 1001}]}, "layer fire is out of range"),
        ({"layers": [{**made.LAYERS[0], "dense": -1}]}, "layer stem is out of range"),
    ],
)
def test_values_that_cannot_be(changes, said, tmp_path):
    assert damage(tmp_path, **changes).startswith(said)


def test_a_run_without_epochs_is_whole(tmp_path):
    """Pretrained weights, evaluated only: its accuracy is that of the pass that counted."""
    resolved = replace(RUN.resolved, spec={**RUN.resolved.spec, "recipe": {"epochs": 0}})
    run = Run(resolved, 0)
    made.write(tmp_path, run, [], images_per_second=None)
    assert run.state(tmp_path) == "done"
    made.write(tmp_path, run, [], images_per_second=None, accuracy=51.0)
    assert run.why(tmp_path).endswith("accuracy 51.0 is not that of the last epoch, 50.0")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 101, "50", None, True, [50]])
def test_what_is_no_number_in_range(value):
    assert not number(value, 0, 100) and number(100, 0, 100) and number(0.0, 0) and not number(math.inf, 0)


def test_a_damaged_run_that_is_being_done_again_is_running(tmp_path):
    path = made.accuracy(tmp_path, RUN, 50.0)
    path.write_text("{")
    with lock(path.parent / ".lock"):
        assert RUN.state(tmp_path) == "running"


# ---- lines


def test_lines_share_numbers_of_one_cell_and_no_more():
    found = lines.of_table("table3_idsnn", SMOKE)
    assert [(line.first.row, line.first.dataset, len(line.numbers)) for line in found[:4]] == [
        (1, "CIFAR10", 1),
        (1, "CIFAR100", 1),
        (2, "CIFAR10", 2),  # accuracy and gain
        (2, "CIFAR100", 2),
    ]
    assert len({line.resolved.id for line in found}) == len(found) and all(len(line.runs) == 2 for line in found)


def test_steps_of_a_row_are_lines_of_their_own():
    """TSER's own ResNet-18 on CIFAR100 at T = 2 and 4: two accuracies, two spreads, two cells."""
    found = [line for line in lines.of_table("table1_tser", SMOKE) if line.first.cell == "tser:resnet-18:ann-resnet-34"]
    found = [line for line in found if line.first.dataset == "CIFAR100"]
    assert [line.first.time_steps for line in found] == ["2", "4"] and found[0].resolved.id != found[1].resolved.id
    assert [[number.metric for number in line.numbers] for line in found] == [["accuracy", "accuracy_std"]] * 2


def test_rows_that_differ_by_an_option_run_other_cells():
    """The default and three other projections: four cells, each with its own parameter."""
    found = [line for line in lines.of_table("table2_ldd", SMOKE) if (line.first.row, line.first.dataset) == (1, "CIFAR10")]
    chosen = {line.first.options: line.resolved.spec["method"]["params"]["projection"] for line in found}
    assert {chosen[f"projection={name}"] for name in ("last", "mean", "max")} == {"last", "mean", "max"} and len(set(chosen.values())) == 4
    assert len({line.resolved.id for line in found}) == 4


def test_runs_of_tables_hold_what_lies_above_once():
    found = lines.runs_of(["table1_ldd", "table1_ldd"], SMOKE)
    teachers = [run for run in found.values() if run.resolved.spec["network"]["name"].startswith("vit")]
    assert {run.seed for run in teachers} == {0} and {run.seed for run in found.values()} == {0, 1}
    assert {RUN.folder, OTHER.folder} <= found.keys() and all(folder == run.folder for folder, run in found.items())
    assert all(Run(above, 0).folder in found for run in found.values() for _, above in run.resolved.upstream)


def test_a_broken_table_is_told_to_who_asks_for_it(monkeypatch):
    whole = published.read

    def broken(name):
        if name == "table3_ldd":
            raise UserError("table3.csv:2: not a pin line")
        return whole(name)

    monkeypatch.setattr(published, "read", broken)
    good, wrong = lines.sound(["table1_ldd", "table3_ldd", "figure4_ldd"], SMOKE)
    assert good == ["table1_ldd", "figure4_ldd"] and {name: str(error) for name, error in wrong.items()} == {
        "table3_ldd": "table3.csv:2: not a pin line"
    }


def test_what_cannot_run_says_why(monkeypatch):
    monkeypatch.setattr(kinds, "not_built", lambda: {("method", "ldd"): "to be built"})
    by_method = {line.first.cell.split(":")[0]: line for line in lines.of_table("table1_ldd", SMOKE)}
    assert (by_method["ldd"].lacking, by_method["ldd"].resolved, by_method["ldd"].runs) == ("method ldd: to be built", None, ())
    assert by_method["direct"].lacking == "" and by_method["direct"].resolved


def test_a_method_that_answers_at_every_step_is_read_at_the_printed_one(monkeypatch):
    assert LINES[0].first.time_steps == "2" and LINES[0].reading.steps is None
    tables = {**kinds.method("direct").tables, "any_time": True}
    monkeypatch.setattr(kinds, "method", lambda name: replace(kinds.declared(kinds.files("method")[name]), tables=tables))
    assert replace(LINES[0], runs=()).reading.steps == 2


# ---- networks at paper size


def test_networks_behind_a_table():
    assert [str(path) for path in structures.behind("table3_idsnn")] == [
        "structures/idsnn-resnet-18/CIFAR10.json",
        "structures/idsnn-resnet-18/CIFAR100.json",
    ]
    named = {str(path) for path in structures.of_all_pins()}
    assert {"structures/vit-l-32/ImageNet.json", "structures/resnet-18/CIFAR100.json"} <= named
    assert {str(path) for table in published.tables() for path in structures.behind(table)} <= named


def test_a_network_is_described_at_paper_size_on_the_printed_data():
    network, data = structures.described("spikformer-4-384", "CIFAR100")
    assert not network["twin"] and network["size"] == kinds.backbone("spikformer-4-384").size and data["classes"] == 100
    (run,) = lines.of_table("table1_ldd", settings({"scale": "paper"}))[6].runs
    assert run.resolved.spec["network"] == network and run.resolved.spec["data"] == data


def test_a_network_is_counted_again_if_it_or_the_code_changes(monkeypatch):
    keys = {structures.key(*one) for one in [("spikformer-4-384", "CIFAR10"), ("spikformer-4-384", "CIFAR100"), ("resnet-18", "CIFAR100")]}
    before = structures.key("spikformer-4-384", "CIFAR10")
    assert len(keys) == 3 and before in keys
    monkeypatch.setattr(structures.code, "of_closure", lambda path: "changed" if path == structures.COUNTING else "as before")
    assert "changed" in structures.key("spikformer-4-384", "CIFAR10")


def test_a_network_that_was_counted_is_read(tmp_path):
    assert structures.read(tmp_path, "resnet-18", "CIFAR100") is None
    path = structures.path("resnet-18", "CIFAR100")
    made.structure(tmp_path, path)
    assert structures.read(tmp_path, "resnet-18", "CIFAR100") == made.STRUCTURE
    for text, said in (("{", "is damaged"), ('{"parameters": 1}', "no layers_macs, products_macs, syops_ops"), ("[]", "no parameters")):
        (tmp_path / path).write_text(text)
        with pytest.raises(UserError, match=said):
            structures.read(tmp_path, "resnet-18", "CIFAR100")


# ---- what it loads


@pytest.mark.parametrize(
    "name", ["runs.lines", "runs.structures", "metrics", "reports.tables", "reports.figures", "reports.claims", "reports.implemented"]
)
def test_nothing_heavy_is_loaded(name):
    code = f"import sys, benchmark.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pandas", "scipy", "numba", "timm", "spikingjelly", "sklearn"} & set(done.stdout.split())


def test_an_id_is_that_of_the_specification():
    assert str(RUN.folder) == f"runs/{cells.id_of(RUN.resolved.spec)}/seed0"
