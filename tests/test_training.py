"""One run from its specification to metrics.json: what it writes, and that stops, kills, damage and company change nothing."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from benchmark.datasets import digits
from benchmark.pins import cells
from benchmark.pins.cells import Cell
from benchmark.pins.kinds import ROOT
from benchmark.pins.settings import settings
from benchmark.runs import lines as ledger
from benchmark.shared.errors import UserError
from benchmark.shared.files import lock, replacing
from benchmark.training import run as running
from benchmark.training import teacher as teaching
from benchmark.training.batches import Batches
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.loop import INTERRUPTED, Training
from benchmark.training.run import run

SMALL = {"train": 128, "test": 60}  # images of the stand-in
RECIPE = {"epochs": 2, "batch_size": 32, "warmup_epochs": 0, "flip": 0.5, "mixup": 0.5, "randaugment": "rand-m9-mstd0.5-inc1"}
STEPS = 4  # of one epoch


@pytest.fixture(autouse=True)
def small_digits(monkeypatch):
    for name in ("digits", "digit-pairs"):
        monkeypatch.setitem(digits.DATASETS, name, {**digits.DATASETS[name], **SMALL})


def resolved(method="direct", backbone="spikformer-4-384", teacher=None, steps=2, **recipe):
    cell = Cell("ldd", "table1_ldd", method, backbone, teacher, "CIFAR10", steps)
    return cells.resolve(cell, settings({"recipe": {**RECIPE, **recipe}}))


def go(cell, folder, upstream=None, root=ROOT / "data", seed=0):
    """Train in this process."""
    return run(cell.spec, seed, folder, upstream or {}, root, "cpu", 1)


def curve(folder):
    """The learning curve without its clock."""
    with (folder / "curve.csv").open() as file:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]


def same_weights(folder, other):
    one, two = (torch.load(path / "weights.pt", weights_only=True) for path in (folder, other))
    return one.keys() == two.keys() and all(torch.equal(value, two[key]) for key, value in one.items())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed: its cell and folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(digits.DATASETS, "digits", {**digits.DATASETS["digits"], **SMALL})
        folder = tmp_path_factory.mktemp("whole")
        cell = resolved()
        go(cell, folder)
    return cell, folder


FIELDS = {
    *("accuracy", "accuracy_best", "epoch_best", "epochs", "parameters", "structure", "macs_dense", "macs", "acs", "sops", "energy_mJ"),
    *("energy_convention", "firing_rate", "firing_rate_by_layer", "seconds", "peak_memory_MB", "images_per_second", "seed", "scale"),
    *("data", "data_checksum", "spec", "commit", "dirty", "python", "packages", "hardware", "finished"),
}


def test_a_run_writes_what_it_is_for(whole):
    cell, folder = whole
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics.keys() >= FIELDS and not [key for key in FIELDS if metrics[key] is None]
    assert metrics["spec"] == cell.spec and metrics["seed"] == 0 and metrics["scale"] == "smoke" and metrics["data"] == "digits"
    assert metrics["spec"]["recipe"]["epochs"] == metrics["epochs"] == 2
    assert metrics["structure"]["parameters"] == 9_324_730 > metrics["parameters"] > 1000
    assert metrics["macs_dense"] > metrics["sops"] > 0 and metrics["acs"] > 0 and metrics["energy_mJ"] > 0
    assert 0 < metrics["firing_rate"] < 100 and len(metrics["firing_rate_by_layer"]) > 10
    assert metrics["images_per_second"] > 2 * 128 / metrics["seconds"]  # which counts the tests too
    assert metrics["hardware"]["device"] == "cpu" and {"torch", "spikingjelly", "timm"} <= metrics["packages"].keys()
    assert not list(folder.glob(".*.partial")) and not (folder / "error.txt").exists()


def test_the_curve_has_every_epoch_and_metrics_its_last_and_best(whole):
    _, folder = whole
    metrics, lines = json.loads((folder / "metrics.json").read_text()), curve(folder)
    accuracies = [float(line["accuracy"]) for line in lines]
    assert [line["epoch"] for line in lines] == ["1", "2"] and all(float(line["loss_task"]) > 0 for line in lines)
    assert metrics["accuracy"] == accuracies[-1] and metrics["accuracy_best"] == max(accuracies) == accuracies[metrics["epoch_best"] - 1]
    assert metrics["accuracy_counted"] == metrics["accuracy"] and len(metrics["accuracy_by_step"]) == 2
    with (folder / "layers.csv").open() as file:
        layers = list(csv.DictReader(file))
    assert sum(float(line["dense"]) for line in layers if line["kind"] in ("conv", "linear", "product")) == metrics["macs_dense"]


def test_the_best_epoch_is_not_always_the_last(tmp_path, monkeypatch):
    accuracies = iter([30.0, 20.0, 20.0])
    monkeypatch.setattr("benchmark.training.loop.evaluate", lambda *_: (next(accuracies), []))
    metrics = go(resolved(), tmp_path)
    assert (metrics["accuracy"], metrics["accuracy_best"], metrics["epoch_best"]) == (20.0, 30.0, 1)


def test_another_seed_is_another_run_and_the_same_seed_the_same(whole, tmp_path):
    cell, folder = whole
    go(cell, tmp_path / "same")
    go(cell, tmp_path / "other", seed=1)
    assert curve(tmp_path / "same") == curve(folder) and same_weights(tmp_path / "same", folder)
    assert curve(tmp_path / "other") != curve(folder)


# ---- stops


@pytest.fixture
def stop_at(monkeypatch):
    """A function that has this process sent a signal in a step of the training, counted from its start."""

    def arrange(step, number=signal.SIGTERM):
        done, train_step = [], Training.train_step

        def counting(self, *batch):
            done.append(1)
            if len(done) == step:
                os.kill(os.getpid(), number)
            return train_step(self, *batch)

        monkeypatch.setattr(Training, "train_step", counting)
        return done

    return arrange


@pytest.mark.parametrize(("step", "number"), [(2, signal.SIGTERM), (STEPS + 2, signal.SIGINT), (STEPS, signal.SIGUSR1)])
def test_a_stopped_run_goes_on_to_the_same_weights(step, number, whole, tmp_path, stop_at, capfd):
    cell, folder = whole
    steps = stop_at(step, number)
    with pytest.raises(SystemExit) as stopped:
        go(cell, tmp_path)
    assert stopped.value.code == INTERRUPTED == 75
    assert len(steps) == step and not (tmp_path / "metrics.json").exists() and not (tmp_path / "error.txt").exists()
    assert f"stopped by {number.name} at epoch {1 + (step - 1) // STEPS}, step {(step - 1) % STEPS + 1}" in capfd.readouterr().err
    metrics = go(cell, tmp_path)
    assert len(steps) == 2 * STEPS and "resumed at epoch" in capfd.readouterr().err
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder)
    assert metrics["images_per_second"] > 2 * 128 / metrics["seconds"]  # which counts the tests too
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def process(code, *words):
    """Start Python from the repository's root; its own small digits."""
    small = f"from benchmark.datasets import digits; digits.DATASETS['digits'].update({SMALL}); "
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", small + code, *words], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


KILLED = """
import os, signal, sys
from benchmark.training.loop import Training
from benchmark.workflow.command import main
step = Training.train_step
def counting(self, *batch):
    if (self.epoch, self.step) == (1, 2):
        os.kill(os.getpid(), signal.Signals[sys.argv[1]])
    return step(self, *batch)
Training.train_step = counting
sys.exit(main(["run", "--spec", sys.argv[2], "--seed", "0", "--out", sys.argv[3], "--device", "cpu"]))
"""


@pytest.mark.parametrize(("name", "status"), [("SIGKILL", -9), ("SIGTERM", INTERRUPTED)])
def test_a_killed_process_is_resumed(name, status, whole, tmp_path, capfd):
    cell, folder = whole
    killed = process(KILLED, name, cell.json, str(tmp_path))
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == status, said
    assert ledger.Run(cell, 0).state(tmp_path) == "missing" and not (tmp_path / "metrics.json").exists()
    go(cell, tmp_path)
    step = 3 if name == "SIGTERM" else 0  # nothing is written on SIGKILL: back to the last whole epoch
    assert f"resumed at epoch 2, step {step}" in capfd.readouterr().err
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder)


def test_a_run_killed_after_its_last_epoch_only_measures(whole, tmp_path, monkeypatch):
    """The workflow deletes the outputs of a failed job; the checkpoint stays."""
    cell, folder = whole
    monkeypatch.setattr(running, "measure", lambda *_: (_ for _ in ()).throw(MemoryError("no more")))
    with pytest.raises(MemoryError):
        go(cell, tmp_path)
    assert (tmp_path / "error.txt").read_text() == "MemoryError: no more\n"
    (tmp_path / "curve.csv").unlink()
    monkeypatch.undo()
    monkeypatch.setattr(Training, "train_step", None)
    monkeypatch.setitem(digits.DATASETS, "digits", {**digits.DATASETS["digits"], **SMALL})
    go(cell, tmp_path)
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder) and not (tmp_path / "error.txt").exists()


def test_no_epochs_measure_the_network_as_it_is(tmp_path):
    metrics = go(resolved(backbone="vit-l-32", epochs=0), tmp_path)
    assert metrics["epochs"] == 0 and metrics["accuracy"] == metrics["accuracy_counted"] and metrics["firing_rate"] is None
    assert [line["epoch"] for line in curve(tmp_path)] == ["0"]


# ---- damage


@pytest.fixture
def stopped(whole, tmp_path, monkeypatch):
    """A run stopped in its second epoch, with the checkpoints of the first epoch and of the stop, newest first."""
    monkeypatch.setattr(Training, "train_step", stopping(Training.train_step))
    with pytest.raises(SystemExit):
        go(whole[0], tmp_path)
    files = Checkpoint(tmp_path).files()
    assert [path.name.split(".")[1:3] for path in files] == [["00001", "0000003"], ["00001", "0000000"]]
    return tmp_path, files


def stopping(train_step):
    def step(self, *batch):
        if (self.epoch, self.step) == (1, 2) and not hasattr(Training, "has_stopped"):
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, *batch)

    return step


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(stopped, whole, capfd, monkeypatch):
    folder, (newest, before) = stopped
    damage(newest)
    monkeypatch.setattr(Training, "has_stopped", True, raising=False)
    go(whole[0], folder)
    said = capfd.readouterr().err
    (line,) = (line for line in said.splitlines() if "is damaged" in line)
    assert newest.name in line and newest.name.split(".")[3] in line.replace(newest.name, "") and line.count("checksum") >= 1
    assert "resumed at epoch 2, step 0" in said
    assert curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])


def test_without_a_whole_checkpoint_a_run_starts_from_scratch(stopped, whole, capfd, monkeypatch):
    folder, files = stopped
    damage(files[0])
    files[1].write_bytes(files[1].read_bytes()[:1000])
    monkeypatch.setattr(Training, "has_stopped", True, raising=False)
    go(whole[0], folder)
    said = capfd.readouterr().err
    assert said.count("is damaged") == 2 and "resumed" not in said and "from scratch" in said
    assert curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])


def test_two_checkpoints_are_kept(tmp_path):
    checkpoint = Checkpoint(tmp_path)
    for epoch in range(4):
        checkpoint.save({"epoch": epoch}, epoch, 0)
    assert len(list(tmp_path.iterdir())) == 2
    assert Checkpoint(tmp_path).load(torch.device("cpu")) == {"epoch": 3}


def test_what_is_half_written_is_never_taken_for_a_result(whole, tmp_path):
    cell, _ = whole
    entry = ledger.Run(cell, 0)
    folder = tmp_path / entry.folder
    folder.mkdir(parents=True)
    with contextlib.suppress(OSError), replacing(folder / "metrics.json") as file:
        file.write("{")
        raise OSError("disk full")
    assert not list(folder.iterdir())
    for name in (".metrics.json.1.partial", ".weights.pt.1.partial", ".checkpoint.partial"):
        (folder / name).write_text("{")
    assert entry.state(tmp_path) == "missing" and entry.metrics(tmp_path) is None and Checkpoint(folder).load("cpu") is None


# ---- company


def test_a_second_process_waits_for_the_first(whole, tmp_path, monkeypatch):
    cell, _ = whole
    entry = ledger.Run(cell, 0)
    folder = tmp_path / entry.folder
    hold = "import sys, pathlib, benchmark.files as f\nwith f.lock(pathlib.Path(sys.argv[1])): input(print('held', flush=True))"
    words = [sys.executable, "-c", hold, str(folder / ".lock")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert holder.stdout.readline() == "held\n"
    assert entry.state(tmp_path) == "running"
    began = []
    monkeypatch.setattr(running, "_run", lambda *_: began.append(time.monotonic()) or {})
    second = threading.Thread(target=go, args=(cell, folder), daemon=True)
    second.start()
    second.join(0.5)
    assert not began
    holder.kill()  # a killed process leaves no lock behind
    second.join(10)
    assert began and entry.state(tmp_path) == "missing"
    holder.communicate()


def test_a_failed_run_says_why_until_it_is_run_again(whole, tmp_path, monkeypatch):
    cell, _ = whole
    entry = ledger.Run(cell, 0)
    monkeypatch.setattr(running, "_run", lambda *_: (_ for _ in ()).throw(FloatingPointError("the loss is not a number")))
    with pytest.raises(FloatingPointError):
        go(cell, tmp_path / entry.folder)
    assert entry.state(tmp_path) == "failed" and entry.progress(tmp_path) == "FloatingPointError: the loss is not a number"
    with lock(tmp_path / entry.folder / ".lock"):
        assert entry.state(tmp_path) == "running"


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="not a number in epoch 1"):
        go(resolved(lr=1e30, clip_grad=None), tmp_path)


def test_waiting_threads_sleep():
    """OpenMP reads its settings when torch loads it; spinning threads make runs on shared cores several times slower."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    words = [sys.executable, "-c", "import benchmark.training.run"]
    done = subprocess.run(words, cwd=ROOT, env={**kept, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "true"}, capture_output=True, text=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr


# ---- bad input


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pretrained_weights_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    cell = resolved(backbone="vit-l-32", pretrained=True)
    with pytest.raises(UserError) as error:
        go(cell, tmp_path)
    assert "'pretrained'" in one_line(error) and "vit-l-32" in one_line(error)
    cell.spec["size"]["pretrained"] = "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    with pytest.raises(UserError) as error:
        go(cell, tmp_path, root=tmp_path)
    assert f"{tmp_path}/weights/vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors" in one_line(error)
    with pytest.raises(UserError) as error:
        go(resolved(pretrained=True), tmp_path)
    assert "spikformer-4-384 has no published weights" in one_line(error)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A teacher's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(digits.DATASETS, "digits", {**digits.DATASETS["digits"], **SMALL})
        folder = tmp_path_factory.mktemp("teacher")
        go(resolved(backbone="vit-l-32", steps=1, epochs=1), folder)
    return folder


def test_a_student_learns_from_its_teacher(teacher, tmp_path):
    metrics = go(resolved("ldd", teacher="vit-l-32", epochs=1), tmp_path, {"teacher": teacher / "weights.pt"})
    assert float(curve(tmp_path)[0]["loss_alignment"]) > 0 and metrics["spec"]["upstream"]["teacher"].startswith(
        "direct-vit-l-32-digits-T1-"
    )
    alone = go(resolved(epochs=1), tmp_path / "alone")
    assert metrics["parameters"] == alone["parameters"]  # the projections are thrown away


def test_a_method_without_its_teacher_says_so(tmp_path):
    with pytest.raises(UserError, match="method ldd needs a teacher"):
        go(resolved("ldd"), tmp_path)
    assert (tmp_path / "error.txt").read_text().startswith("UserError: method ldd needs a teacher")


def test_a_teacher_of_other_classes_is_refused(teacher, tmp_path):
    spec = json.loads((teacher / "metrics.json").read_text())
    spec["spec"]["data"] = "digit-pairs"
    (tmp_path / "metrics.json").write_text(json.dumps(spec))
    with pytest.raises(UserError) as error:
        go(resolved("ldd", teacher="vit-l-32"), tmp_path / "run", {"teacher": tmp_path / "weights.pt"})
    assert "100 classes of digit-pairs" in one_line(error) and "has 10" in one_line(error)


def test_damaged_teacher_weights_are_named(teacher, tmp_path):
    for name in ("metrics.json", "weights.pt"):
        (tmp_path / name).write_bytes((teacher / name).read_bytes())
    damage(tmp_path / "weights.pt")
    (tmp_path / "weights.pt").write_bytes((tmp_path / "weights.pt").read_bytes()[:-500])
    with pytest.raises(UserError) as error:
        go(resolved("ldd", teacher="vit-l-32"), tmp_path / "run", {"teacher": tmp_path / "weights.pt"})
    assert "weights.pt is not a readable weights file" in one_line(error) and "run again" in one_line(error)


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="device 'cuda:99' is not there"):
        run(resolved().spec, 0, tmp_path, {}, ROOT / "data", "cuda:99", 1)


# ---- teacher


class Counting(torch.nn.Module):
    """Answers with the mean of each image and says how many it saw; features [B, 3] without a time axis, as a ViT's."""

    def __init__(self):
        super().__init__()
        self.blocks, self.asked = torch.nn.ModuleList([torch.nn.Identity()]), 0

    def forward(self, images):
        self.asked += len(images)
        return self.blocks[0](images.mean((2, 3)))[None]

    def token(self, feature):
        return 2 * feature[None]


@pytest.mark.parametrize(("taps", "augmentation", "limit", "asked"), [
    (False, {}, 2**30, 128),
    (True, {}, 2**30, 128),
    (True, {}, 100, 384),
    (False, {"crop": 1}, 2**30, 384),
    (False, {"flip": 0.5}, 2**30, 384),
    (False, {"mixup": 0.5}, 2**30, 384),
])  # fmt: skip
def test_a_teacher_is_asked_once_per_image_that_never_changes(taps, augmentation, limit, asked, monkeypatch):
    monkeypatch.setattr(teaching, "LIMIT", limit)
    recipe = {**resolved().spec["recipe"], "flip": 0.0, "mixup": 0.0, "randaugment": None, "crop": 0, **augmentation}
    batches = Batches(digits.load("digits", None), recipe, 10, [3, 16, 16], torch.device("cpu"), 0)
    module = Counting()
    teacher = teaching.Teacher(module, taps, batches)
    for epoch in range(3):
        for images, _, chosen in batches.train(epoch):
            answer = teacher(images, chosen)
            assert torch.equal(answer.logits[0], images.mean((2, 3)))
            assert not taps or torch.equal(answer.tokens[0][0], 2 * answer.features[0])
            assert not taps or torch.equal(answer.features[0], images.mean((2, 3)))
    assert len(answer.tokens) == len(answer.features) == taps
    # a first batch that outgrows the limit is asked twice
    assert module.asked == asked + (32 if limit < 2**30 else 0)


def test_a_teacher_of_which_some_images_are_new():
    recipe = {**resolved().spec["recipe"], "flip": 0.0, "mixup": 0.0, "randaugment": None, "crop": 0}
    batches = Batches(digits.load("digits", None), recipe, 10, [3, 16, 16], torch.device("cpu"), 0)
    module, images = Counting(), batches.normalise(batches.data.train.images)
    teacher = teaching.Teacher(module, False, batches)
    for chosen in ([0, 1, 2], [2, 5, 0], [7]):
        assert torch.equal(teacher(images[chosen], torch.tensor(chosen)).logits[0], images[chosen].mean((2, 3)))
    assert module.asked == 5
