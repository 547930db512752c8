"""One run from its specification to metrics.json: what it writes, and that stops, kills, damage and company change nothing."""

import contextlib
import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import RECIPE, ROOT, data, enliven, made_up, method, network, recipe, run, same_weights, specification
from torch import nn

from benchmark.measuring import checks
from benchmark.measuring.counter import Counter
from benchmark.method import Method, cross_entropy
from benchmark.networks import build as networks
from benchmark.runs import progress
from benchmark.shared.errors import Damaged, UserError
from benchmark.shared.files import lock, locked, read_sealed, replacing, sha256, write_sealed
from benchmark.training import device as devices
from benchmark.training import evaluation, loop, surface
from benchmark.training import run as running
from benchmark.training import teacher as teaching
from benchmark.training.batches import Batches, load
from benchmark.training.checkpoint import Checkpoint, differences
from benchmark.training.evaluation import evaluate
from benchmark.training.forms._base import seed_everything
from benchmark.training.loop import INTERRUPTED, Training
from benchmark.training.optimiser import Precision
from benchmark.training.pulse import EVERY, Pulse
from benchmark.training.world import ALONE

STEPS, TRAIN, TEST = 4, 64, 32  # steps of one epoch, images
AUGMENTED = {"flip": 0.5, "mixup": 0.2, "randaugment": "rand-m9-mstd0.5-inc1"}
EVENTS = {"data": data("moving-bars"), "network": network("spikformer-dvs"), "time_steps": 4}
BARS = load(data(), ROOT)


def curve(folder):
    """The learning curve without its clock."""
    with (folder / "curve.csv").open() as file:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in csv.DictReader(file)]


def checkpoints(folder):
    return sorted(path.name for path in folder.glob("checkpoint*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed: its specification, folder and metrics."""
    folder = tmp_path_factory.mktemp("whole") / "runs" / "whole" / "seed3"
    spec = specification(recipe=AUGMENTED)
    return spec, folder, run(spec, folder, seed=3)


# ---- sealed files


def test_what_is_sealed_is_read_as_it_was(tmp_path):
    values = {"b": [1, 2.5, None, True], "a": {"ü": "x", "1": 1e-300}, "t": (1, 2)}
    write_sealed(tmp_path / "x.json", values)
    assert read_sealed(tmp_path / "x.json") == {**values, "t": [1, 2]}
    written = json.loads((tmp_path / "x.json").read_text())
    # echo -n '{"a":{"1":1e-300,"\u00fc":"x"},"b":[1,2.5,null,true],"t":[1,2]}' | sha256sum
    assert written["seal"] == "0062a5fb3000da05a5d3571fc481b100133e92fec00a386eb3560ee938076e5b"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(("text", "said"), [
    ('{"accuracy": 99.0, "seal": "SEALED"}', "its checksum is [0-9a-f]{64}, it was sealed as [0-9a-f]{64}$"),
    ('{"accuracy": 42.0}', "it was sealed as None"),
    ('{"accuracy": NaN, "seal": "SEALED"}', "accuracy is not a finite number"),
    ('{"accuracy": {"by": [1, -Infinity]}, "seal": "SEALED"}', r"accuracy.by.1 is not a finite number"),
    ('{"accuracy": 1e999, "seal": "SEALED"}', "accuracy is not a finite number"),
    ('{"accuracy": 42.0', "Expecting"),
    ("", "Expecting value"),
    ("[]", "list"),
    ("\x00\xff", "Expecting value"),
])  # fmt: skip
def test_a_sealed_file_that_was_changed_is_damaged(text, said, tmp_path):
    path = tmp_path / "metrics.json"
    write_sealed(path, {"accuracy": 42.0})
    path.write_text(text.replace("SEALED", json.loads(path.read_text())["seal"]))
    with pytest.raises(Damaged, match=said) as error:
        read_sealed(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_sealed_file_that_cannot_be_read_is_damaged_and_one_that_is_not_there_is_not(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("folder", "bytes"):
        with pytest.raises(Damaged):
            read_sealed(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_sealed(tmp_path / "nothing")


def test_nan_is_not_sealed_and_leaves_what_was_there(tmp_path):
    write_sealed(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="checks.gap, by_step.1 is not a finite number"):
        write_sealed(tmp_path / "x.json", {"checks": {"gap": float("nan")}, "by_step": [1.0, float("inf")]})
    assert read_sealed(tmp_path / "x.json") == {"a": 1}


# ---- what a run writes

FIELDS = {
    *("spec", "seed", "accuracy", "accuracy_best", "epoch_best", "epochs", "accuracy_by_epoch", "accuracy_by_step", "accuracy_up_to"),
    "firing_by_threshold",
    *(
        "accuracy_counted",
        "parameters",
        "layers",
        "checks",
        "images",
        "data_checksum",
        "seconds",
        "images_per_second",
        "waiting_share",
        "peak_memory_MB",
    ),
    *("normalisation", "predictions", "weights", "trained", "measured"),
}
SESSION = {"commit", "dirty", "python", "packages", "hardware", "neurons"}


def test_a_run_writes_what_it_is_for(whole):
    spec, folder, returned = whole
    metrics = read_sealed(folder / "metrics.json")
    assert metrics.keys() == FIELDS and metrics == json.loads(json.dumps(returned))
    assert metrics["spec"] == spec and metrics["seed"] == 3 and metrics["epochs"] == 2
    assert metrics["images"] == {"train": TRAIN, "test": TEST}
    assert metrics["normalisation"] == [list(BARS.mean), list(BARS.std)]
    assert metrics["data_checksum"] == BARS.checksum and metrics["weights"] == sha256(folder / "weights.pt")
    assert metrics["images_per_second"] > 2 * TRAIN / metrics["seconds"]  # which counts the tests too
    assert 0 < metrics["waiting_share"] < 0.5  # of the steps' time, waiting for images
    assert metrics["peak_memory_MB"] > 50
    (session,) = metrics["trained"]
    assert session.keys() == SESSION | {"from_epoch", "from_step"} and (session["from_epoch"], session["from_step"]) == (0, 0)
    assert metrics["measured"].keys() == SESSION | {"finished"}
    assert session["neurons"] == metrics["measured"]["neurons"] == ["numba"]
    assert session["hardware"]["device"] == "cpu" and session["packages"]["torch"] == torch.__version__.split("+")[0]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", metrics["measured"]["finished"])
    assert sorted(path.name for path in folder.iterdir()) == [
        ".lock",
        "curve.csv",
        "layers.csv",
        "metrics.json",
        "predictions.npz",
        "weights.pt",
    ]


def by_hand(folder):
    """A run's network from its weights file alone, in evaluation mode."""
    module = networks.network(read_sealed(folder / "metrics.json")["spec"])
    module.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    return module.eval()


def shown(images):
    """Bars as a network sees them."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (BARS.mean, BARS.std))
    return (images.float() / 255 - mean) / std


def shares(answers, labels):
    return [100 * sum(int(a) == int(b) for a, b in zip(row, labels, strict=True)) / len(labels) for row in answers]


@torch.no_grad()
def test_accuracies_are_what_one_image_at_a_time_gives(whole):
    _, folder, metrics = whole
    module, labels, logits = by_hand(folder), BARS.test.labels, []
    for image in shown(BARS.test.images):
        logits.append(module(image[None])[:, 0])
        networks.reset(module)
    logits = torch.stack(logits, 1)  # [T, N, classes]
    assert len(set(logits.mean(0).argmax(1).tolist())) > 1, "a network that always says the same shows nothing"
    assert metrics["accuracy_by_step"] == pytest.approx(shares(logits.argmax(2), labels))
    up_to = [logits[: t + 1].mean(0).argmax(1) for t in range(2)]
    assert metrics["accuracy_up_to"] == pytest.approx(shares(up_to, labels))
    assert metrics["accuracy"] == metrics["accuracy_counted"] == metrics["accuracy_up_to"][-1] == metrics["accuracy_by_epoch"][-1]


def test_layers_and_checks_are_those_of_the_trained_network(whole):
    spec, folder, metrics = whole
    module, images, counter = by_hand(folder), shown(BARS.test.images), Counter()
    with torch.no_grad(), counter.watching(module, 2):
        for batch in images.split(16):
            module(batch)
            networks.reset(module)
            counter.seen(len(batch))
    assert metrics["layers"] == json.loads(json.dumps([asdict(record) for record in counter.records.values()]))
    assert metrics["checks"].keys() >= {"failed", "dead_parameters"}
    assert metrics["checks"] == json.loads(json.dumps(checks.check(module, images[:16])))
    assert metrics["parameters"] == sum(value.numel() for value in module.parameters())
    with (folder / "layers.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["name"] for line in lines] == [layer["name"] for layer in metrics["layers"]]
    assert float(lines[0]["dense"]) == metrics["layers"][0]["dense"] / TEST


def test_checks_that_fail_are_written_down(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(checks, "check", lambda module, images: asked.append((module, images)) or {"gap": 1.0, "failed": ["gap"]})
    metrics = run(specification(recipe={"epochs": 0}), tmp_path)
    assert metrics["checks"] == {"gap": 1.0, "failed": ["gap"]} and len(asked) == 1 and asked[0][1].shape == (16, 3, 16, 16)


def test_the_curve_has_every_epoch_and_metrics_its_last_and_best(whole):
    _, folder, metrics = whole
    accuracies = [float(line["accuracy"]) for line in curve(folder)]
    assert [line["epoch"] for line in curve(folder)] == ["1", "2"] and all(float(line["loss_task"]) > 0 for line in curve(folder))
    assert metrics["accuracy_by_epoch"] == accuracies
    assert metrics["accuracy"] == accuracies[-1] and metrics["accuracy_best"] == max(accuracies) == accuracies[metrics["epoch_best"] - 1]


def test_the_best_epoch_is_not_always_the_last(tmp_path, monkeypatch):
    accuracies = iter([30.0, 40.0, 20.0, 10.0])
    monkeypatch.setattr(loop, "evaluate", lambda *_: SimpleNamespace(mean=next(accuracies)))
    metrics = run(specification(recipe={"epochs": 4}), tmp_path)
    assert (metrics["accuracy"], metrics["accuracy_best"], metrics["epoch_best"]) == (10.0, 40.0, 2)
    assert metrics["accuracy_by_epoch"] == [30.0, 40.0, 20.0, 10.0] and metrics["epochs"] == 4


@pytest.mark.parametrize(("chosen", "dtype"), [({}, None), ({"test_precision": "bf16"}, torch.bfloat16)])
def test_epochs_are_tested_in_the_recipes_precision_and_spikes_counted_in_fp32(chosen, dtype, tmp_path, monkeypatch):
    asked = []

    def watched(module, batches, precision, counter=None, kept=None):
        asked.append((precision.dtype, counter is not None))
        return evaluate(module, batches, precision, counter, kept)

    monkeypatch.setattr(loop, "evaluate", watched)
    monkeypatch.setattr(running, "evaluate", watched)
    run(specification(recipe={"epochs": 1, "precision": "bf16", **chosen}), tmp_path)
    assert asked == [(dtype, False), (None, True)]


class Answering(nn.Module):
    """Gives the next of these logits [T, B, classes] whatever it sees; says in which mode it was asked."""

    def __init__(self, *logits):
        super().__init__()
        self.logits, self.modes = iter(logits), []

    def forward(self, images):
        self.modes.append((self.training, torch.is_grad_enabled()))
        return next(self.logits)


def test_accuracies_over_time_by_hand():
    # logits (of label 0, of another) at three steps of four images, all of label 0, in batches of three and one:
    steady = [(1, 0), (1, 0), (1, 0)]  # right alone at every step, right up to every step
    fading = [(3, 0), (0, 1), (0, 4)]  # right, wrong, wrong alone; right up to 1 and 2 (3 against 1), wrong in the end (3 against 5)
    late = [(0, 1), (0, 1), (9, 0)]  # wrong, wrong, right alone; right in the end (9 against 2)
    lucky = [(0, 2), (0, 2), (1, 0)]  # wrong, wrong, right alone; wrong in the end (1 against 4)
    first, second = (torch.tensor(each).float().transpose(0, 1) for each in ([steady, fading, late], [lucky]))
    module = Answering(first, second).train()
    images = torch.zeros(4, 3, 2, 2)
    batches = list(zip(images.split(3), torch.zeros(4, dtype=torch.int64).split(3), strict=True))
    shown = SimpleNamespace(test=lambda: batches, form=SimpleNamespace(world=ALONE, axis=0))
    seen = []
    found = evaluate(module, shown, Precision("fp32", torch.device("cpu")), SimpleNamespace(seen=seen.append))
    assert found.by_step == [50.0, 25.0, 75.0]
    assert found.up_to == [50.0, 50.0, 50.0] and found.mean == 50.0
    assert module.modes == [(False, False)] * 2 and seen == [3, 1]
    assert found.logits.shape == (4, 2) and torch.equal(found.logits[1], torch.tensor([1.0, 5 / 3]))


def test_what_a_run_answers_to_each_image_is_kept_and_is_its_accuracy(whole):
    spec, folder, metrics = whole
    logits = np.load(folder / "predictions.npz")["logits"]
    labels = load(spec["data"], ROOT / "data").test.labels.numpy()
    assert (
        logits.shape == (len(labels), spec["data"]["classes"]) and 100 * (logits.argmax(1) == labels).mean() == metrics["accuracy_counted"]
    )


def test_a_part_of_the_training_images_is_the_first_ones_and_every_epoch_draws_all_of_them():
    entry = data()
    batches = Batches(load(entry, ROOT / "data"), {**RECIPE, "batch_size": 8, "train_images": 40}, entry, 1, torch.device("cpu"), 0)
    for epoch in (0, 1):
        assert sorted(batches.order(epoch).flatten().tolist()) == list(range(40)) and batches.steps == 5
    assert batches.trained == 40 and not torch.equal(batches.order(0), batches.order(1))


def test_a_killed_pass_over_the_test_set_goes_on_and_says_how_far_it_is(whole, tmp_path, monkeypatch, capsys):
    """Killed at the second batch, asked again: the first one is not computed anew, and accuracies, answers and operations are the same."""
    spec, folder, metrics = whole
    monkeypatch.setattr(evaluation, "PAUSE", 0.0)
    counted, seen = Counter.seen, []

    def killed(self, images):
        seen.append(images)
        if len(seen) == 2:
            raise KeyboardInterrupt
        counted(self, images)

    monkeypatch.setattr(Counter, "seen", killed)
    with pytest.raises(KeyboardInterrupt):
        run(spec, tmp_path, seed=3)
    (kept,) = {path.name.split(".")[0] for path in tmp_path.glob("*.pt")} - {"checkpoint", "weights"}
    assert kept == "evaluation" and f"tested {seen[0]} of {TEST} images" in capsys.readouterr().err
    before = len(seen)
    again = run(spec, tmp_path, seed=3)
    whole_pass = -(-metrics["images"]["test"] // seen[0])
    assert whole_pass > 1 and len(seen) - before == whole_pass - 1
    for key in ("accuracy_counted", "accuracy_by_step", "accuracy_up_to", "layers", "predictions"):
        assert again[key] == metrics[key], key
    assert not list(tmp_path.glob("evaluation*")) and not list(tmp_path.glob("checkpoint*"))


def test_another_seed_is_another_run_and_the_same_seed_the_same(whole, tmp_path):
    spec, folder, _ = whole
    assert run(spec, tmp_path / "same", seed=3)["seed"] == 3 and run(spec, tmp_path / "other", seed=4)["seed"] == 4
    assert curve(tmp_path / "same") == curve(folder) and same_weights(tmp_path / "same", folder)
    assert curve(tmp_path / "other") != curve(folder)


def test_a_run_shows_the_images_in_its_seeds_order(tmp_path, monkeypatch):
    shown, train_step = [], Training.train_step
    monkeypatch.setattr(Training, "train_step", lambda self, *batch: shown.append(batch[2]) or train_step(self, *batch))
    run(specification(), tmp_path, seed=3)
    assert torch.equal(torch.stack(shown), torch.cat([bar_batches(seed=3).order(epoch) for epoch in (0, 1)]))


def test_no_epochs_measure_the_network_as_the_seed_makes_it(tmp_path):
    spec = specification(recipe={"epochs": 0})
    for seed in (0, 5):
        metrics = run(spec, tmp_path / str(seed), seed=seed)
        seed_everything(seed, 0, -2)
        fresh = networks.network(spec).state_dict()
        weights = torch.load(tmp_path / str(seed) / "weights.pt", weights_only=True)
        assert all(torch.equal(value, fresh[key]) for key, value in weights.items())
        assert metrics["epochs"] == 0 and metrics["accuracy"] == metrics["accuracy_counted"] and metrics["accuracy_by_epoch"] == []
        assert [line["epoch"] for line in curve(tmp_path / str(seed))] == ["0"] and len(metrics["trained"]) == 1
        assert metrics["images_per_second"] is None
    assert not same_weights(tmp_path / "0", tmp_path / "5")


def test_a_recipe_that_is_not_the_specifications_is_refused(tmp_path):
    spec = specification()
    with pytest.raises(ValueError, match="lr"):
        running.run(spec, {**recipe(spec), "lr": 1.0}, 0, tmp_path, ROOT, "cpu", 1)


def test_seconds_are_seconds(tmp_path, monkeypatch):
    """Two seconds a step and ten a test: three epochs of four steps make 54 seconds, 24 of them for 3 * 64 images."""
    now = [1000.0]
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def taking(seconds, function):
        def slow(*arguments):
            now[0] += seconds
            return function(*arguments)

        return slow

    monkeypatch.setattr(Training, "train_step", taking(2.0, Training.train_step))
    monkeypatch.setattr(loop, "evaluate", taking(10.0, evaluate))
    metrics = run(specification(recipe={"epochs": 3}), tmp_path)
    assert metrics["seconds"] == 3 * (STEPS * 2.0 + 10.0) and metrics["images_per_second"] == TRAIN * 3 / (3 * STEPS * 2.0)
    with (tmp_path / "curve.csv").open() as file:
        assert [float(line["seconds"]) for line in csv.DictReader(file)] == [18.0, 36.0, 54.0]


# ---- the loop, by hand


class Line(nn.Module):
    """Two logits from one weight w, which starts at 1/2: (w * mean of the image's absolute values, 0); [1, B, 2]."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5]))

    def forward(self, images):
        x = images.abs().mean((1, 2, 3))
        return torch.stack([self.weight * x, torch.zeros_like(x)], 1)[None]


class Plain(Method):
    """The loss is the first logit's mean: its gradient is the mean of the images' absolute values."""

    def loss(self, student, teacher, target, parts):
        return {"task": student.logits[..., 0].mean()}


def tiny_training(folder, learned=None, module=None, **changes):
    """A training of `Line` on bars."""
    chosen = {**RECIPE, "optimizer": "momentum", "momentum": 0.0, "weight_decay": 0.0, "lr": 0.5, **changes}
    batches = Batches(BARS, chosen, data(), 1, torch.device("cpu"), 0)
    return Training(learned or Plain(), module or Line(), None, batches, Checkpoint(folder, {}), {})


def steps_of(training, count):
    """The weight after each of `count` steps, and the gradient that each had."""
    weights, gradients = [], []
    for images, target, chosen in training.batches.train(0):
        gradients.append(float(images.abs().mean()))
        training.train_step(images, target, chosen)
        weights.append(float(training.student.weight.detach()))
        if len(weights) == count:
            return weights, gradients
    raise AssertionError("too few steps")


def test_a_step_of_sgd_with_momentum_by_hand(tmp_path):
    weights, (g1, g2, g3) = steps_of(tiny_training(tmp_path, momentum=0.8), 3)
    v2, v3 = 0.8 * g1 + g2, 0.64 * g1 + 0.8 * g2 + g3
    assert weights == pytest.approx([0.5 - 0.5 * g1, 0.5 - 0.5 * (g1 + v2), 0.5 - 0.5 * (g1 + v2 + v3)], abs=1e-6)


def test_a_clipped_step_by_hand(tmp_path):
    _, (g, *_) = steps_of(tiny_training(tmp_path, momentum=0.0), 1)
    for limit, length in ((g / 4, g / 4), (4 * g, g), (None, g)):
        (weight,), _ = steps_of(tiny_training(tmp_path, momentum=0.0, clip_grad=limit), 1)
        assert 0.5 - weight == pytest.approx(0.5 * length, rel=1e-4) and g > 0.1


def test_clipping_is_by_the_norm_of_all_gradients_together():
    """Gradients 3 and 4 of two parameters, of norm 5, clipped to 1: steps of 0.6 and 0.8 at a rate of 1."""
    one, two = (nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = torch.optim.SGD([one, two], lr=1.0)
    precision = Precision("fp32", torch.device("cpu"))
    precision.backward((3 * one + 4 * two).sum())
    precision.step(optimizer, [one, two], 1.0)
    assert (one.item(), two.item()) == pytest.approx((-0.6, -0.8), rel=1e-5)


def rates(folder, epochs, **changes):
    """The learning rate of each epoch as the curve has it."""
    training = tiny_training(folder, epochs=epochs, batch_size=64, **changes)
    training.train()
    return [line["lr"] for line in training.curve]


def test_rates_of_a_cosine_schedule_by_hand(tmp_path):
    # two epochs of warm-up from 0.1 towards 1, then 0.2 + 0.8 (1 + cos(pi e / 6)) / 2 for e = 2 ... 5, then two of cool-down at 0.2
    found = rates(tmp_path, 6, lr=1.0, min_lr=0.2, warmup_epochs=2, warmup_lr=0.1, cooldown_epochs=2)
    half, root = 0.5, 3**0.5 / 2
    cosines = [half, 0.0, -half, -root]
    assert found == pytest.approx([0.1, 0.55, *(0.2 + 0.4 * (1 + cosine) for cosine in cosines), 0.2, 0.2])


def test_rates_of_milestones_by_hand(tmp_path):
    found = rates(tmp_path, 6, lr=1.0, schedule="multistep", milestones=[1, 4], decay_rate=0.3, warmup_lr=0.0)
    assert found == pytest.approx([1.0, 0.3, 0.3, 0.3, 0.09, 0.09])


def test_a_methods_parts_are_trained(tmp_path):
    class Scaled(Method):
        def parts(self, student, teacher):
            return nn.Linear(1, 1, bias=False)

        def loss(self, student, teacher, target, parts):
            return {"task": parts(student.logits[0, :, :1]).mean()}

    training = tiny_training(tmp_path, Scaled(), epochs=1)
    before = training.parts.weight.item()
    training.train()
    assert training.parts.weight.item() != before and training.student.weight.item() != 0.5


def test_before_every_epoch_its_first_batch_is_shown_once(tmp_path, monkeypatch, stop_at):
    """A run that goes on within an epoch is not shown it again."""
    seen = []

    class Before(Method):
        def before_epoch(self, network, images, target):
            seen.append((network.training, images.clone(), target.clone()))

        def loss(self, student, teacher, target, parts):
            return {"task": cross_entropy(student.logits.mean(0), target)}

    spec = specification(method=made_up(monkeypatch, Before))
    stop_at(STEPS + 2)
    stop(spec, tmp_path)
    run(spec, tmp_path, seed=3)
    batches = bar_batches(seed=3)
    assert [training for training, _, _ in seen] == [True, True]
    for epoch, (_, images, target) in enumerate(seen):
        wanted, labels, _ = next(batches.train(epoch))
        assert torch.equal(images, wanted) and torch.equal(target, labels)


class Watched(Method):
    """Notes the mode of both networks whenever one is asked, and whether gradients were wanted."""

    needs = {"teacher": {"method": "direct"}}
    sees = ("images",)
    modes: dict = {}
    answers: list = []

    def parts(self, student, teacher):
        assert not any(weight.requires_grad for weight in teacher.parameters())
        for name, module in (("student", student), ("teacher", teacher)):
            module.register_forward_pre_hook(lambda module, _, name=name: self.note(name, module))
        return nn.Identity()

    def note(self, name, module):
        modes = {part.training for part in module.modules()}
        self.modes.setdefault(name, []).append((modes, torch.is_grad_enabled()))

    def loss(self, student, teacher, target, parts):
        self.answers.append((teacher.images.clone(), teacher.logits.clone()))
        assert student.images is teacher.images
        return {"task": cross_entropy(student.logits.mean(0), target)}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A teacher with batch normalisation and its student's place: runs/teacher/seed0 in a folder."""
    folder = tmp_path_factory.mktemp("teacher") / "runs" / "teacher" / "seed0"
    run(specification(network=network("ann-resnet"), time_steps=1, recipe={"epochs": 1}), folder)
    return folder


@pytest.mark.parametrize("augmentation", [{}, {"flip": 0.5, "mixup": 0.5}], ids=["kept", "asked anew"])
def test_the_teachers_answer_is_that_of_its_weights_file(teacher, augmentation, monkeypatch):
    monkeypatch.setattr(Watched, "modes", {})
    monkeypatch.setattr(Watched, "answers", [])
    spec = specification(method=made_up(monkeypatch, Watched), above={"teacher": "teacher"}, recipe={"epochs": 2, **augmentation})
    run(spec, teacher.parent.parent / f"student{len(augmentation)}" / "seed0")
    module = by_hand(teacher)
    assert len(Watched.answers) == 2 * STEPS
    with torch.no_grad():
        for images, logits in Watched.answers:
            torch.testing.assert_close(logits, module(images), rtol=1e-4, atol=1e-5)
    asked = STEPS if not augmentation else 2 * STEPS
    assert Watched.modes["teacher"] == [({False}, False)] * asked
    epoch = [({True}, True)] * STEPS + [({False}, False)] * 2  # 32 test images in batches of 16
    assert Watched.modes["student"][: 2 * len(epoch)] == epoch * 2
    assert all(mode == ({False}, False) for mode in Watched.modes["student"][2 * len(epoch) :][:2])


def test_start_is_called_once_with_what_it_needs_and_what_it_gives_is_trained(teacher, tmp_path, monkeypatch):
    seen = {}

    class Starting(Method):
        needs = {"teacher": {"method": "direct"}}

        def start(self, network, above, calibration):
            seen["above"] = {role: type(module).__name__ for role, module in above.items()}
            seen["calls"] = seen.get("calls", 0) + 1
            seen["calibration"] = torch.cat(list(calibration))
            other = networks.network(specification())
            nn.init.constant_(other.head.classifier.bias, 7.0)
            return other

        def loss(self, student, teacher, target, parts):
            return {"task": cross_entropy(student.logits.mean(0), target)}

    spec = specification(method=made_up(monkeypatch, Starting), above={"teacher": "teacher"}, recipe={"epochs": 0, **AUGMENTED})
    folder = teacher.parent.parent / "started" / "seed0"
    run(spec, folder)
    assert (torch.load(folder / "weights.pt", weights_only=True)["head.classifier.bias"] == 7).all()
    assert seen["calls"] == 1 and seen["above"] == {"teacher": "SpikingBackbone"}
    given, wanted = (
        {image.numpy().tobytes() for image in images.contiguous()} for images in (seen["calibration"], shown(BARS.train.images))
    )
    assert given == wanted and len(given) == TRAIN


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


def stop(spec, folder):
    """Run until it is stopped."""
    with pytest.raises(SystemExit) as stopped:
        run(spec, folder, seed=3)
    assert stopped.value.code == INTERRUPTED == 75


@pytest.mark.parametrize(("step", "number"), [(2, signal.SIGTERM), (STEPS + 2, signal.SIGINT), (STEPS, signal.SIGUSR1)])
def test_a_stopped_run_goes_on_to_the_same_weights(step, number, whole, tmp_path, stop_at, capfd):
    spec, folder, _ = whole
    steps = stop_at(step, number)
    stop(spec, tmp_path)
    assert len(steps) == step and not (tmp_path / "metrics.json").exists() and not (tmp_path / "error.txt").exists()
    told = json.loads((tmp_path / "progress.json").read_text())
    assert told["seconds"] >= 0 and {**told, "seconds": 0} == {"epoch": 0, "step": 0, "steps": STEPS, "seconds": 0}
    assert f"stopped by {number.name} at epoch {1 + (step - 1) // STEPS}, step {(step - 1) % STEPS + 1}" in capfd.readouterr().err
    metrics = run(spec, tmp_path, seed=3)
    assert len(steps) == 2 * STEPS and "resumed at epoch" in capfd.readouterr().err
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder) and checkpoints(tmp_path) == []
    assert not (tmp_path / "progress.json").exists()
    sessions = [(session["from_epoch"], session["from_step"]) for session in metrics["trained"]]
    assert sessions == [(0, 0), ((step - 1) // STEPS, (step - 1) % STEPS + 1)]
    assert metrics["images_per_second"] > 2 * TRAIN / metrics["seconds"]  # which counts the tests too
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


KILLED = f"""
import json, os, signal, sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from benchmark.training.loop import Training
import helpers
step = Training.train_step
def counting(self, *batch):
    if (self.epoch, self.step) == (1, 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *batch)
Training.train_step = counting
helpers.run(json.loads(sys.argv[1]), Path(sys.argv[2]), seed=3)
"""


def test_a_killed_process_is_resumed(whole, tmp_path, capfd):
    spec, folder, _ = whole
    words = [sys.executable, "-c", KILLED, json.dumps(spec), str(tmp_path)]
    killed = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not locked(tmp_path / ".lock") and not (tmp_path / "metrics.json").exists()
    run(spec, tmp_path, seed=3)
    assert "resumed at epoch 2, step 0" in capfd.readouterr().err  # nothing is written on SIGKILL: back to the last whole epoch
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder)


def test_a_run_killed_after_its_last_epoch_only_measures(whole, tmp_path, monkeypatch):
    """The workflow deletes the outputs of a failed job; the checkpoint stays. Who only measured has trained nothing."""
    spec, folder, _ = whole
    with monkeypatch.context() as patch:
        patch.setattr(running, "measure", lambda *_: (_ for _ in ()).throw(MemoryError("no more")))
        patch.setattr(running, "commit", lambda: {"commit": "trained", "dirty": False})
        with pytest.raises(MemoryError):
            run(spec, tmp_path, seed=3)
    assert (tmp_path / "error.txt").read_text() == "MemoryError: no more\n"
    (tmp_path / "curve.csv").unlink()
    monkeypatch.setattr(Training, "train_step", None)
    monkeypatch.setattr(running, "commit", lambda: {"commit": "measured", "dirty": True})
    metrics = run(spec, tmp_path, seed=3)
    assert curve(tmp_path) == curve(folder) and same_weights(tmp_path, folder) and not (tmp_path / "error.txt").exists()
    assert [session["commit"] for session in metrics["trained"]] == ["trained"]
    assert metrics["measured"]["commit"] == "measured" and metrics["measured"]["dirty"] is True


def test_a_run_that_is_forced_again_trains_from_scratch_and_says_who_trained(whole, tmp_path, stop_at, monkeypatch, capfd):
    spec, folder, _ = whole
    monkeypatch.setattr(running, "commit", lambda: {"commit": "first", "dirty": False})
    run(spec, tmp_path, seed=3)
    Checkpoint(tmp_path, {}).save({}, 2, 0)  # a kill between metrics.json and the end leaves one
    monkeypatch.setattr(running, "commit", lambda: {"commit": "second", "dirty": False})
    steps = stop_at(2 * STEPS)
    stop(spec, tmp_path)
    assert len(steps) == 2 * STEPS and not (tmp_path / "metrics.json").exists(), "what trains anew is not done"
    metrics = run(spec, tmp_path, seed=3)
    assert [session["commit"] for session in metrics["trained"]] == ["second", "second"]
    assert "is damaged" not in capfd.readouterr().err and checkpoints(tmp_path) == [] and same_weights(tmp_path, folder)


def test_a_forced_run_that_cannot_begin_leaves_what_was_there(whole, tmp_path):
    spec, _, _ = whole
    metrics = run(specification(recipe={"epochs": 0}), tmp_path)
    with pytest.raises(UserError):
        run(specification(recipe={"epochs": 0}, above={"teacher": "nobody"}), tmp_path)
    assert read_sealed(tmp_path / "metrics.json")["weights"] == metrics["weights"]


# ---- checkpoints: whose they are


@pytest.fixture(scope="module")
def stopped_once(whole, tmp_path_factory):
    """A run stopped in its second epoch."""
    folder, train_step = tmp_path_factory.mktemp("stopped"), Training.train_step

    def stopping(self, *batch):
        if (self.epoch, self.step) == (1, 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, *batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "train_step", stopping)
        stop(whole[0], folder)
    return folder


@pytest.fixture
def stopped(stopped_once, tmp_path, stop_at):
    """A copy of it, its checkpoints (of the stop and of the first epoch), and a list that grows with each step."""
    folder = shutil.copytree(stopped_once, tmp_path / "runs" / "stopped" / "seed3")
    files = Checkpoint(folder, {}).files()
    assert [path.name.split(".")[1:3] for path in files] == [["00001", "0000003"], ["00001", "0000000"]]
    return folder, files, stop_at(None)


def goes_on(stopped, whole, capfd):
    """What is said of the checkpoints when the stopped run is run again, and how many steps it then takes."""
    folder, _, steps = stopped
    capfd.readouterr()
    metrics = run(whole[0], folder, seed=3)
    said = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("epoch ")]
    assert checkpoints(folder) == []
    return said, len(steps), metrics


@pytest.mark.parametrize(("change", "said"), [
    ({"packages": {"torch": "2.11.0"}}, "torch 2.11.0 then, VERSION now"),
    ({"code": {"training": "9"}}, "code of training changed"),
    ({"recipe": {"lr": 0.5}}, "lr 0.5 then, 0.03 now"),
    ({"seed": 4}, "seed 4 then, 3 now"),
    ({"data_checksum": "abc"}, "data_checksum abc then, [0-9a-f]{64} now"),
    ({"weights": {"teacher": "abc"}}, "weights of teacher changed"),
    ({"packages": {"numba": None}, "code": {"network": "0"}}, "code of network changed, numba None then, .* now"),
])  # fmt: skip
def test_a_checkpoint_of_another_owner_is_refused_in_one_line(change, said, stopped, whole, capfd, monkeypatch):
    folder, files, _ = stopped
    for path in files:
        plant(path, lambda state: merge(state["owner"], change))
    lines, steps, metrics = goes_on(stopped, whole, capfd)
    (line,) = lines
    pattern = said.replace("VERSION", re.escape(metrics["measured"]["packages"]["torch"]))
    assert re.fullmatch(rf"{re.escape(str(folder))}/checkpoint\S+ belongs to another run \({pattern}\): starting from scratch", line)
    assert steps == 2 * STEPS and same_weights(folder, whole[1])
    assert [session["from_step"] for session in metrics["trained"]] == [0]


def merge(owner, change):
    for key, value in change.items():
        owner[key] = {**owner[key], **value} if isinstance(value, dict) else value


def plant(path, change):
    """Change a checkpoint's state and give it the name that goes with its new bytes."""
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    path.rename(path.with_name(".".join([*path.name.split(".")[:3], sha256(path)[:16], "pt"])))


def test_another_seed_specification_or_package_is_another_owner(tmp_path, monkeypatch):
    """The owner that a run gives its checkpoints follows from everything that decides the weights."""
    owners = []
    monkeypatch.setattr(running, "Checkpoint", lambda out, owner: owners.append(owner) or Checkpoint(out, owner))

    def owner(seed=0, **changes):
        run(specification(**{"recipe": {"epochs": 0}, **changes}), tmp_path / "runs" / "x" / "seed0", seed=seed)
        return owners[-1]

    first = owner()
    assert differences(first, owner()) == []
    assert differences(first, owner(seed=1)) == ["seed 0 then, 1 now"]
    assert differences(first, owner(recipe={"epochs": 0, "flip": 0.5})) == ["flip 0.0 then, 0.5 now"]
    assert differences(first, owner(code={"neuron": "x"})) == ["code of neuron changed"]
    assert set(first["packages"]) == {"torch", "torchvision", "timm", "spikingjelly", "numba", "numpy"}
    monkeypatch.setattr(running, "packages", lambda: {**first["packages"], "numpy": "1.0"})
    assert differences(first, owner()) == [f"numpy {first['packages']['numpy']} then, 1.0 now"]


# ---- checkpoints: damage


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(stopped, whole, capfd):
    folder, (newest, _), _ = stopped
    damage(newest)
    (line, resumed), steps, metrics = goes_on(stopped, whole, capfd)
    assert line == (
        f"{newest} is damaged (its checksum is {re.search('is ([0-9a-f]{16}),', line)[1]}, it was written as "
        f"{newest.name.split('.')[3]}): taking the one before"
    )
    assert resumed.startswith("resumed at epoch 2, step 0") and steps == STEPS
    assert curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])
    assert [(s["from_epoch"], s["from_step"]) for s in metrics["trained"]] == [(0, 0), (1, 0)]


def test_without_a_whole_checkpoint_a_run_starts_from_scratch(stopped, whole, capfd):
    folder, files, _ = stopped
    damage(files[0])
    files[1].write_bytes(files[1].read_bytes()[:1000])
    lines, steps, _ = goes_on(stopped, whole, capfd)
    assert len(lines) == 2 and all("is damaged" in line and line.endswith(": starting from scratch") for line in lines)
    assert steps == 2 * STEPS and curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])


def no_pickle(path):
    path.write_bytes(b"not a pickle at all")
    path.rename(path.with_name(f"checkpoint.00001.0000003.{sha256_of(b'not a pickle at all')}.pt"))


def sha256_of(content):
    import hashlib

    return hashlib.sha256(content).hexdigest()[:16]


def a_folder(path):
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("")


UNREADABLE = {
    "no pickle": no_pickle,
    "a folder": a_folder,
    "no owner": lambda path: plant(path, lambda state: state.pop("owner")),
    "a counter lacks": lambda path: plant(path, lambda state: state.pop("images")),
    "the optimiser lacks": lambda path: plant(path, lambda state: state.pop("optimizer")),
    "a weight lacks": lambda path: plant(path, lambda state: state["trained"].popitem()),
    "a weight of another shape": lambda path: plant(path, lambda state: state["trained"].update({"student.head.classifier.bias": torch.zeros(3)})),
    "parameters of the optimiser lack": lambda path: plant(path, lambda state: state["optimizer"]["param_groups"].pop()),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_damage_and_the_one_before_is_taken(kind, stopped, whole, capfd):
    folder, (newest, _), _ = stopped
    UNREADABLE[kind](newest)
    (line, resumed), steps, _ = goes_on(stopped, whole, capfd)
    assert "checkpoint.00001.0000003." in line and " is damaged (" in line and line.endswith("): taking the one before")
    assert resumed.startswith("resumed at epoch 2, step 0") and steps == STEPS
    assert curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])


@pytest.mark.parametrize("kind", ["a folder", "a counter lacks", "a weight lacks"])
def test_and_without_one_before_the_run_starts_from_scratch_as_if_nothing_had_been_there(kind, stopped, whole, capfd):
    folder, files, _ = stopped
    files[1].unlink()
    UNREADABLE[kind](files[0])
    (line,), steps, metrics = goes_on(stopped, whole, capfd)
    assert line.endswith(": starting from scratch") and steps == 2 * STEPS
    assert curve(folder) == curve(whole[1]) and same_weights(folder, whole[1])
    assert len(metrics["trained"]) == 1 and metrics["images_per_second"] > 2 * TRAIN / metrics["seconds"]


def test_a_copy_by_hand_is_said_once_and_keeps_nothing_from_going_on(stopped, whole, capfd, monkeypatch):
    folder, (newest, _), _ = stopped
    (folder / "checkpoint.old.pt").write_bytes(newest.read_bytes())
    train_step = Training.train_step

    def stopping(self, *batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "train_step", stopping)
        capfd.readouterr()
        stop(whole[0], folder)
    said = capfd.readouterr().err
    assert said.count("checkpoint.old.pt is damaged") == 1 and "resumed at epoch 2, step 3" in said
    lines, _, _ = goes_on(stopped, whole, capfd)
    assert len(lines) == 1 and lines[0].startswith("resumed at epoch 2, step 4")
    assert same_weights(folder, whole[1])


def test_a_lack_of_memory_is_not_taken_for_damage(stopped, whole, monkeypatch):
    folder, files, _ = stopped
    with monkeypatch.context() as patch:
        patch.setattr(Training, "put", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            run(whole[0], folder, seed=3)
    assert Checkpoint(folder, {}).files() == files


def test_two_checkpoints_are_kept_whatever_lies_between(tmp_path):
    checkpoint = Checkpoint(tmp_path, {"seed": 1})
    (tmp_path / "checkpoint.00000.0000000.abc.pt").mkdir()
    for epoch in range(1, 5):
        checkpoint.save({"epoch": epoch}, epoch, 0)
    assert len(list(tmp_path.iterdir())) == 2
    states = []
    assert Checkpoint(tmp_path, {"seed": 1}).resume(states.append) and states == [{"epoch": 4}]
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def full_disk(room):
    """No file of this process can grow beyond `room` bytes: a write fails as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_as_that_and_leaves_nothing_half_written(stopped, whole, capfd):
    folder, files, _ = stopped
    for room, error in ((20_000, "OSError: [Errno 27] File too large\n"), (0, None)):
        with full_disk(room), pytest.raises(OSError, match="File too large"):
            run(whole[0], folder, seed=3)
        assert not list(folder.glob(".*partial")) and not (folder / "metrics.json").exists()
        assert Checkpoint(folder, {}).files() == files
        assert (folder / "error.txt").exists() == (error is not None) and (error is None or (folder / "error.txt").read_text() == error)
    (line,), steps, _ = goes_on(stopped, whole, capfd)
    assert line.startswith("resumed at epoch 2, step 3") and same_weights(folder, whole[1])


def test_the_first_error_is_told_even_if_it_cannot_be_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_run", lambda *_: (_ for _ in ()).throw(FloatingPointError("the loss is not a number")))
    with full_disk(0), pytest.raises(FloatingPointError):
        run(specification(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_is_half_written_is_never_taken_for_a_result(whole, tmp_path):
    with contextlib.suppress(OSError), replacing(tmp_path / "metrics.json") as file:
        file.write("{")
        raise OSError("disk full")
    assert not list(tmp_path.iterdir())
    for name in (".metrics.json.1.partial", ".weights.pt.1.partial", ".checkpoint.partial"):
        (tmp_path / name).write_text("{")
    assert not Checkpoint(tmp_path, {}).resume(lambda state: None)


# ---- company


def test_a_second_process_waits_for_the_first(whole, tmp_path, monkeypatch):
    hold = "import sys, pathlib, benchmark.shared.files as f\nwith f.lock(pathlib.Path(sys.argv[1])): input(print('held', flush=True))"
    words = [sys.executable, "-c", hold, str(tmp_path / ".lock")]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert holder.stdout.readline() == "held\n"
    assert locked(tmp_path / ".lock")
    began = []
    monkeypatch.setattr(running, "_run", lambda *_: began.append(time.monotonic()) or {})
    second = threading.Thread(target=run, args=(whole[0], tmp_path), daemon=True)
    second.start()
    second.join(0.5)
    assert not began
    holder.kill()  # a killed process leaves no lock behind
    second.join(10)
    assert began and not locked(tmp_path / ".lock")
    holder.communicate()


@pytest.mark.parametrize("lost", [None, "weights.pt", "curve.csv"])
def test_what_an_orphan_finished_while_one_waited_is_the_result(lost, whole, tmp_path, monkeypatch, stop_at):
    """And what it left half is done again."""
    spec, folder, metrics = whole
    steps = stop_at(None)

    @contextlib.contextmanager
    def waiting(path):
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        Checkpoint(tmp_path, {}).save({}, 2, 0)  # it was killed before it could remove that
        (tmp_path / str(lost)).unlink(missing_ok=True)
        yield

    monkeypatch.setattr(running, "lock", waiting)
    found = run(spec, tmp_path, seed=3)
    assert len(steps) == (2 * STEPS if lost else 0) and (found == metrics) == (not lost)
    assert checkpoints(tmp_path) == [] and same_weights(tmp_path, folder)


def test_how_far_it_is_is_told_every_so_often_and_a_full_disk_ends_nothing(tmp_path):
    pulse = Pulse(tmp_path)
    pulse.beat(0, 1, 4, time.monotonic() - 10)
    pulse.beat(0, 2, 4, time.monotonic() - 10)  # too soon
    assert progress.under_way(tmp_path) == progress.Progress(0, 1, 4, 10.0)
    pulse.told -= EVERY
    with full_disk(0):
        pulse.beat(0, 3, 4, time.monotonic())
    assert progress.under_way(tmp_path).step == 1
    pulse.remove()
    assert list(tmp_path.iterdir()) == [] and progress.under_way(tmp_path) is None


def test_a_failed_run_says_why_until_it_is_run_again(whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(running, "_run", lambda *_: (_ for _ in ()).throw(FloatingPointError("the loss is not a number")))
        with pytest.raises(FloatingPointError):
            run(whole[0], tmp_path)
    assert (tmp_path / "error.txt").read_text() == "FloatingPointError: the loss is not a number\n"
    with lock(tmp_path / ".lock"):
        assert locked(tmp_path / ".lock")
    run(specification(recipe={"epochs": 0}), tmp_path)
    assert not (tmp_path / "error.txt").exists()


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match="not a number in epoch 1"):
        run(specification(recipe={"lr": 1e30}), tmp_path)


def test_fp32_means_fp32():
    flags = (torch.backends.cuda.matmul, torch.backends.cudnn)
    for flag in flags:
        flag.allow_tf32 = True
    devices.prepare(torch.device("cpu"), 1)
    assert [flag.allow_tf32 for flag in flags] == [False, False] and torch.get_num_threads() == 1


def test_training_knows_nothing_of_pins_and_waiting_threads_sleep():
    """OpenMP reads its settings when torch loads it; spinning threads make runs on shared cores several times slower."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OMP")}
    words = [sys.executable, "-c", "import sys, benchmark.training.run, benchmark.training.surface; print(*sys.modules)"]
    environment = {**kept, "PYTHONPATH": str(ROOT), "OMP_DISPLAY_ENV": "true"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr
    rooms = ("pins", "runs", "reports", "workflow", "backbones", "papers")
    assert not [name for name in done.stdout.split() if name.startswith(tuple(f"benchmark.{room}." for room in rooms))], done.stderr
    assert "benchmark.training.loop" in done.stdout


# ---- bad input


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def test_pretrained_weights_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    spec = specification(network=network("vit"), time_steps=1, recipe={"pretrained": True})
    with pytest.raises(UserError) as error:
        run(spec, tmp_path)
    assert "'pretrained'" in one_line(error) and "twin of vit" in one_line(error)
    fed = {"mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9, "crop_mode": "center", "interpolation": "bicubic"}
    spec["network"]["size"]["pretrained"] = {"tag": "vit_tiny_patch16_224.augreg_in21k_ft_in1k", **fed}
    with pytest.raises(UserError) as error:
        run(spec, tmp_path, data_root=tmp_path)
    assert f"{tmp_path}/weights/vit_tiny_patch16_224.augreg_in21k_ft_in1k.safetensors" in one_line(error)
    with pytest.raises(UserError) as error:
        run(specification(recipe={"pretrained": True}), tmp_path)
    assert "resnet has no published weights" in one_line(error)


def test_a_student_learns_from_its_teacher(teacher):
    folder = teacher.parent.parent / "kdsnn" / "seed0"
    spec = specification(method=method("kdsnn"), network=network("resnet"), above={"teacher": "teacher"}, recipe={"epochs": 1})
    metrics = run(spec, folder)
    assert float(curve(folder)[0]["loss_feature"]) > 0 and float(curve(folder)[0]["loss_teacher"]) > 0
    alone = run(specification(network=network("resnet"), recipe={"epochs": 1}), teacher.parent.parent / "alone" / "seed0")
    assert metrics["parameters"] == alone["parameters"]  # the parts are thrown away
    assert not same_weights(folder, teacher.parent.parent / "alone" / "seed0")


def test_a_method_without_its_teacher_says_so(tmp_path):
    with pytest.raises(UserError, match="method ldd needs its teacher above it: write the cell as ldd:<backbone>:<teacher>"):
        run(specification(method=method("ldd")), tmp_path)
    assert (tmp_path / "error.txt").read_text().startswith("UserError: method ldd needs its teacher")


@pytest.fixture
def copied(teacher, tmp_path):
    """runs/teacher/seed0, a copy that may be damaged."""
    folder = tmp_path / "runs" / "teacher" / "seed0"
    folder.mkdir(parents=True)
    for name in ("metrics.json", "weights.pt"):
        (folder / name).write_bytes((teacher / name).read_bytes())
    return folder


def refused(copied):
    """What a student of this teacher is told."""
    with pytest.raises(UserError) as error:
        run(specification(method=method("skd"), above={"teacher": "teacher"}), copied.parent.parent / "student" / "seed0")
    return one_line(error)


def reseal(folder, change):
    """Change a run's metrics as if it had written them so."""
    metrics = read_sealed(folder / "metrics.json")
    change(metrics)
    write_sealed(folder / "metrics.json", metrics)


def test_a_teacher_of_other_classes_is_refused(copied):
    other = specification(data=data("digits", "digits"), network=network("ann-resnet"), time_steps=1, recipe={"epochs": 0})
    run(other, copied)
    assert "10 classes of digits" in refused(copied) and "this run has 4" in refused(copied)


def test_a_teachers_weights_that_are_not_its_runs_are_refused_with_both_checksums(copied, teacher):
    damage(copied / "weights.pt")
    written, found = sha256(teacher / "weights.pt"), sha256(copied / "weights.pt")
    assert f"{copied}/weights.pt" in refused(copied) and written in refused(copied) and found in refused(copied) and written != found


def test_a_teachers_weights_of_another_shape_are_refused_with_both(copied):
    reseal(copied, lambda metrics: metrics["spec"]["network"]["size"].update(widths=[4, 12]))
    assert "weights.pt holds the weights of another network" in refused(copied)
    assert "is [8, 4, 3, 3] in it, [12, 4, 3, 3] in this one" in refused(copied)
    reseal(copied, lambda metrics: metrics["spec"]["network"]["size"].update(widths=[4, 8], depths=[2, 2]))
    assert "is not there in it" in refused(copied)


def test_a_teachers_file_that_is_no_weights_file_is_named(copied):
    (copied / "weights.pt").write_bytes(b"nothing")
    reseal(copied, lambda metrics: metrics.update(weights=sha256(copied / "weights.pt")))
    assert f"{copied}/weights.pt is not a readable weights file" in refused(copied) and "run again" in refused(copied)


def test_a_teacher_whose_metrics_were_edited_or_are_not_there_is_refused(copied):
    path = copied / "metrics.json"
    path.write_text(path.read_text().replace('"accuracy":', '"accuracy" :').replace('"seed": 0', '"seed": 1'))
    assert f"{path} is damaged: its checksum is" in refused(copied)
    path.unlink()
    assert f"{path} cannot be read" in refused(copied)


def test_a_device_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="device 'cuda:99' is not there"):
        run(specification(), tmp_path, on="cuda:99")


# ---- other forms, whole


def test_a_run_on_events_learns(tmp_path, monkeypatch):
    """Frames go through time as they are; throughput counts clips, not frames."""
    now, train_step = [0.0], Training.train_step
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Training, "train_step", lambda self, *batch: now.__setitem__(0, now[0] + 1) or train_step(self, *batch))
    metrics = run(specification(**EVENTS, recipe={"batch_size": 8, "epochs": 3}), tmp_path)
    assert metrics["accuracy"] > 60 and metrics["images_per_second"] == 8.0
    assert metrics["images"] == {"train": 64, "test": 32} and len(metrics["accuracy_up_to"]) == 4 and metrics["checks"]["failed"] == []
    assert metrics["layers"][0]["images"] == 32 and metrics["layers"][0]["steps"] == 4


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


def bar_batches(seed=0, **changes):
    return Batches(BARS, {**RECIPE, **changes}, data(), 2, torch.device("cpu"), seed)


@pytest.mark.parametrize(("sees", "augmentation", "limit", "asked"), [
    ((), {}, 2**30, TRAIN),
    (("blocks", "images"), {}, 2**30, TRAIN),
    (("blocks",), {}, 100, 3 * TRAIN),
    ((), {"crop": 1}, 2**30, 3 * TRAIN),
    ((), {"flip": 0.5}, 2**30, 3 * TRAIN),
    ((), {"mixup": 0.5}, 2**30, 3 * TRAIN),
])  # fmt: skip
def test_a_teacher_is_asked_once_per_image_that_never_changes(sees, augmentation, limit, asked, monkeypatch):
    monkeypatch.setattr(teaching, "LIMIT", limit)
    batches = bar_batches(**augmentation)
    module = Counting()
    teacher = teaching.Teacher(module, sees, batches)
    taps = "blocks" in sees
    for epoch in range(3):
        for images, _, chosen in batches.train(epoch):
            answer = teacher(images, chosen)
            assert torch.equal(answer.logits[0], images.mean((2, 3)))
            assert not taps or torch.equal(answer.tokens[0][0], 2 * answer.features[0])
            assert not taps or torch.equal(answer.features[0], images.mean((2, 3)))
            assert answer.images is (images if "images" in sees else None)
    assert len(answer.tokens) == len(answer.features) == taps
    # a first batch that outgrows the limit is asked twice
    assert module.asked == asked + (16 if limit < 2**30 else 0)


def test_a_teacher_of_which_some_images_are_new():
    batches = bar_batches()
    module, images = Counting(), batches.form.normalise(batches.form.images)
    teacher = teaching.Teacher(module, (), batches)
    for chosen in ([0, 1, 2], [2, 5, 0], [7]):
        assert torch.equal(teacher(images[chosen], torch.tensor(chosen)).logits[0], images[chosen].mean((2, 3)))
    assert module.asked == 7  # a batch is asked for whole


def test_a_teacher_answers_a_stopped_run_as_one_that_went_on():
    """The last bits of an answer depend on how many images are asked for at once: here the first ones do."""

    class Counted(Counting):
        def forward(self, images):
            return super().forward(images) + len(images)

    def answers(start):
        batches = bar_batches()
        teacher = teaching.Teacher(Counted(), (), batches)
        asked = [teacher(images, chosen).logits for epoch, step in ((0, start), (1, 0)) for images, _, chosen in batches.train(epoch, step)]
        return asked[-STEPS:]

    assert all(torch.equal(one, other) for one, other in zip(answers(0), answers(2), strict=True))


def test_a_spiking_teacher_forgets_and_keeps_events_by_their_clip():
    """Asked for the same clips in another company, a teacher with membranes and T steps answers the same."""
    found = EVENTS["data"]
    batches = Batches(load(found, ROOT), RECIPE, found, 4, torch.device("cpu"), 0)
    torch.manual_seed(0)
    module = enliven(networks.build(EVENTS["network"], 4, found["shape"], 4))
    clips = batches.form.arranged(batches.form.normalise(next(batches.form.plain(torch.arange(8)[None]))[0]))
    with torch.no_grad():
        for _ in range(10):  # normalisations get used to events
            module(clips)
            networks.reset(module)
        teacher = teaching.Teacher(module.eval(), ("blocks",), batches)
        alone = torch.cat([module(clips[:, k : k + 1]) for k in range(8) if networks.reset(module) is None], 1)
    assert alone[-1].std(0).min() > 0
    for chosen in ([0, 1, 2, 3], [4, 5, 6, 7], [7, 3, 0, 2]):
        answer = teacher(clips[:, chosen], torch.tensor(chosen))
        torch.testing.assert_close(answer.logits, alone[:, chosen], rtol=1e-4, atol=1e-5)
        assert answer.features[0].shape[:2] == (4, 4) and torch.equal(answer.tokens[0], module.token(answer.features[0]))


# ---- the loss surface


def drawn(module, seed):
    """Random weights, every filter as long as the network's own; 0 for what has one dimension."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for weight in module.parameters():
        random = torch.randn(weight.shape, generator=draw)
        if weight.dim() > 1:
            for ours, own in zip(random, weight, strict=True):
                ours *= own.norm() / ours.norm()
        found.append(random if weight.dim() > 1 else torch.zeros_like(weight))
    return found


@torch.no_grad()
def test_a_loss_surface_is_of_images_that_are_normalised_as_in_the_run(tmp_path):
    statistics = [[0.2, 0.3, 0.4], [0.5, 0.6, 0.7]]
    with torch.enable_grad():
        run(specification(recipe={"epochs": 1, "statistics": statistics}), tmp_path)
    surface.write(tmp_path, 3, 40, ROOT, "cpu", 1)
    with (tmp_path / "surface.csv").open() as file:
        (centre,) = (float(line["loss"]) for line in csv.DictReader(file) if float(line["a"]) == float(line["b"]) == 0)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in statistics)
    answers = by_hand(tmp_path)((BARS.train.images[:40] / 255 - mean) / std).mean(0)
    assert centre == pytest.approx(float(nn.functional.cross_entropy(answers, BARS.train.labels[:40])), rel=1e-4)


@torch.no_grad()
def test_a_loss_surface_is_the_loss_along_two_directions(whole):
    _, folder, _ = whole
    surface.write(folder, 3, 40, ROOT, "cpu", 1)
    with (folder / "surface.csv").open() as file:
        lines = [{key: float(value) for key, value in line.items()} for line in csv.DictReader(file)]
    (folder / "surface.csv").unlink()
    assert [(line["a"], line["b"]) for line in lines] == [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    assert len({line["loss"] for line in lines}) == 9
    one, two = (drawn(by_hand(folder), seed) for seed in (1, 2))
    images, labels = shown(BARS.train.images[:40]), BARS.train.labels[:40]
    for line in lines:
        module = by_hand(folder)
        for weight, d, e in zip(module.parameters(), one, two, strict=True):
            weight += line["a"] * d + line["b"] * e
        assert line["loss"] == pytest.approx(float(nn.functional.cross_entropy(module(images).mean(0), labels)), rel=1e-4)


def test_a_line_for_every_layer_lies_beside_the_metrics(whole):
    _, folder, metrics = whole
    with (folder / "layers.csv").open() as file:
        assert [line["name"] for line in csv.DictReader(file)] == [layer["name"] for layer in metrics["layers"]]


def test_the_most_memory_of_a_cpu_is_the_resident_set_in_mebibytes():
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert devices.peak_memory_mb(torch.device("cpu")) == pytest.approx(kibibytes / 1024, rel=0.01)
