"""Reference tables: our networks on real recordings, each run with its interval, and what so few recordings cannot tell."""

import csv
import json
import os
import shutil
from pathlib import Path

import made
import pytest

from benchmark.pins import cells, recipes
from benchmark.reports import comparison, reference
from benchmark.runs import references
from benchmark.shared.errors import UserError
from benchmark.workflow import command

IMAGES = {"train": 1000, "test": 100}
RATES = {"spikes": 270, "neurons": 1_000, "rates": [float(step) for step in range(6, 60, 5)][:10]}
LAYERS = [{**layer, **(RATES if layer["kind"] == "neuron" else {}), "steps": 10} for layer in made.LAYERS]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the reference files, to be changed."""
    shutil.copytree(references.FOLDER, tmp_path / "reference")
    monkeypatch.setattr(references, "FOLDER", tmp_path / "reference")
    references.read.cache_clear()
    yield tmp_path / "reference"
    references.read.cache_clear()


@pytest.fixture
def done(tmp_path):
    """A working directory in which every run of N-MNIST's table is done, with these accuracies."""
    for run, accuracy in zip(references.runs_of("n_mnist"), (90.0, 96.0, 60.0, 64.0), strict=True):
        made.accuracy(tmp_path, run, accuracy, images=IMAGES, layers=LAYERS)
    return tmp_path


@pytest.mark.parametrize("name", references.names())
def test_every_table_runs_networks_of_full_size_on_real_recordings(name):
    for line in references.read(name):
        spec = line.resolved.spec
        assert not spec["network"]["twin"] and not spec["data"]["stand_in"] and not line.resolved.differences
        least = 1 if references.pictured(name) else 2  # of an accuracy one seed says too little; a pre-training has none
        assert len(line.runs) >= least and [run.seed for run in line.runs] == list(range(len(line.runs)))


def test_nothing_is_said_to_be_printed():
    values = recipes.recipe(references.FOLDER.name, ("training", "augmentation", "evaluation"), {})
    assert not [source for _, source in values.values() if "printed" in source or "official" in source]


def test_a_line_for_each_run_with_its_interval(done):
    found = reference.build("n_mnist", done)
    assert [(line["row"], line["seed"], line["accuracy"]) for line in found] == [(1, 0, 90.0), (1, 1, 96.0), (2, 0, 60.0), (2, 1, 64.0)]
    for line in found:
        assert (line["accuracy_low"], line["accuracy_high"]) == comparison.wilson(line["accuracy"], 100)
        assert line["accuracy_low"] < line["accuracy"] < line["accuracy_high"]
    # made.LAYERS, ten images: the head's 8e9 events are accumulates, the stem's 19e9, on pixels, multiply-accumulates
    assert (found[0]["sops_M"], found[0]["macs_M"]) == (800.0, 1900.0)
    assert found[0]["energy_uJ"] == pytest.approx(0.9 * 800 + 4.6 * 1900)
    assert [found[0][f"firing_rate_t{step}"] for step in (1, 10)] == [6.0, 51.0] and found[0]["firing_rate"] == 27.0


def test_what_a_hundred_recordings_tell(done):
    said = reference.write("n_mnist", done)
    low, high = comparison.interval([93.0 - 62.0], (93.0, 62.0), 100)
    assert "93.0 %, its 2 seeds 6.0 points apart" in said
    assert f"+31.0 points, 95 % interval {low:+.1f} to {high:+.1f}: they differ" in said and low > 15
    for run, accuracy in zip(references.runs_of("n_mnist"), (90.0, 92.0, 86.0, 90.0), strict=True):
        made.accuracy(done, run, accuracy, images=IMAGES, layers=LAYERS)
    assert "+3.0 points" in (again := reference.write("n_mnist", done)) and "cannot be told" in again


def test_the_command_writes_three_files_or_says_what_is_not_done(done, capsys):
    assert command.main(["reference", "n_mnist", "--directory", str(done)]) == 0
    target = done / "results" / "reference"
    with (target / "n_mnist.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    meta = json.loads((target / "n_mnist.meta.json").read_text())
    assert all(run["state"] == "done" and run["measured"] == {"commit": "m"} for run in meta["runs"].values())
    (done / references.runs_of("n_mnist")[3].folder / "metrics.json").unlink()
    assert command.main(["reference", "n_mnist", "--directory", str(done)]) == command.main(["reference", "mnist"]) == 2
    said = capsys.readouterr().err
    assert "not done: runs/direct-sew-resnet-dvs-3b-16" in said and "seed1; run: snakemake" in said and "did you mean n_mnist" in said


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("row,cell", "cell,row", "n_mnist.csv: the header must be row,cell"),
        ("1,direct:spikformer-2-64", "1,direct", "n_mnist.csv:2: a line is a row, method:backbone"),
        (",10,2", ",10,0", "n_mnist.csv:2: a line is a row, method:backbone"),
        ("spikformer-2-64", "spikformer-2-46", "did you mean spikformer-2-64"),
    ],
)
def test_a_broken_file_is_one_line_and_stops_only_itself(folder, old, new, says):
    shutil.copy(folder / "n_mnist.csv", folder / "other.csv")
    path = folder / "n_mnist.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=says):
        references.read("n_mnist")
    assert len(references.sound()) == 4 + len(references.sound("photographs"))


# ---- pre-trainings


def pretrained(root, losses, pictures=True):
    """A pre-training that is done, with these losses by epoch, and pictures of two test images."""
    (run,) = references.runs_of("photographs")
    made.accuracy(root, run, 10.0)
    folder = root / run.folder
    lines = [f"{epoch},0.001,{loss},10.0,{9 * epoch}" for epoch, loss in enumerate(losses, 1)]
    (folder / "curve.csv").write_text("\n".join(["epoch,lr,loss_reconstruction,accuracy,seconds", *lines, ""]))
    if pictures:
        (folder / "pictures.csv").write_text("image,label,error,error_of_mean\n0,0,0.5,0.9\n1,0,0.7,1.1\n")
        (folder / "pictures.png").write_bytes(b"a picture")
    return folder


def test_a_pre_training_has_a_line_for_each_epoch_and_its_picture(tmp_path):
    folder = pretrained(tmp_path, [1.2, 0.9, 1.01, 0.98, 0.8])
    said = reference.write("photographs", tmp_path)
    target = tmp_path / "results" / "reference"
    with (target / "photographs.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [(line["epoch"], line["loss"]) for line in found] == [("1", "1.2"), ("2", "0.9"), ("3", "1.01"), ("4", "0.98"), ("5", "0.8")]
    assert found[4]["seconds"] == "45.0" and "accuracy" not in found[0]
    assert "of the last 0.8000; from epoch 4 on below that of predicting the mean." in said
    assert (
        "On 2 test images 0.6000, predicting the mean 1.0000." in said and "400 images of 128 x 128, 75 % of their patches hidden" in said
    )
    assert (target / "photographs.png").read_bytes() == (folder / "pictures.png").read_bytes()
    assert "loss" in json.loads((target / "photographs.meta.json").read_text())["columns"]


@pytest.mark.parametrize(("losses", "says"), [([1.2, 0.9, 1.0], "never below"), ([0.9, 0.8], "from epoch 1 on below")])
def test_below_the_mean_is_said_of_the_end(tmp_path, losses, says):
    pretrained(tmp_path, losses)
    assert says in reference.write("photographs", tmp_path)


def test_a_pre_training_without_pictures_says_how_they_are_made(tmp_path):
    folder = pretrained(tmp_path, [1.0], pictures=False)
    with pytest.raises(UserError, match=rf"pictures.csv is not there: run: python -m benchmark pictures {folder}$"):
        reference.write("photographs", tmp_path)
    assert {path.name for path in references.inputs("photographs")} == {"metrics.json", "pictures.csv", "pictures.png"}
    assert {path.name for path in references.inputs("n_mnist")} == {"metrics.json"}


def test_the_committed_picture_is_small():
    for name in references.names():
        if references.pictured(name):
            picture = Path(__file__).parents[1] / "results" / "reference" / f"{name}.png"
            assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 300_000


def test_the_committed_tables_are_of_the_networks_and_recipes_that_the_files_name():
    """Code may have moved on since they ran; what was asked for may not."""
    for name in references.names():
        meta = json.loads((Path(__file__).parents[1] / "results" / "reference" / f"{name}.meta.json").read_text())
        ran = {(cells.canonical({**run["spec"], "code": {}}), os.path.basename(folder)) for folder, run in meta["runs"].items()}
        asked = {(cells.canonical({**run.resolved.spec, "code": {}}), f"seed{run.seed}") for run in references.runs_of(name)}
        assert ran == asked
        assert all(run["state"] == "done" and not session["dirty"] for run in meta["runs"].values() for session in run["trained"])
