"""Adding as a new user would: a backbone, an event set, a method and a table as four files, no edit anywhere else."""

import csv
import json
import subprocess
import sys

import pytest

from benchmark.pins import published
from tests.tree import Tree, copy_tree

BACKBONE = '''"""A spiking MLP on flattened frames (an example, of no paper)."""

from torch import nn

from benchmark.networks.layers import SpikingBackbone

SIZES = {"2-64": {"width": 64, "depth": 2}}
TWIN = {"divide": {"width": 2}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "sigmoid", "alpha": 4.0
}
LAYOUTS = {"dvs": {}, "cifar": {}}


class Frames(nn.Module):
    """[T, B, C, H, W], or [B, C, H, W] repeated, to [T, B, C * H * W, 1, 1]."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def forward(self, x):
        x = x if x.dim() == 5 else x.unsqueeze(0).expand(self.steps, *x.shape)
        return x.flatten(2)[..., None, None]


class Layer(nn.Module):
    """Linear, batch normalisation, neuron."""

    def __init__(self, before, width, fire):
        super().__init__()
        self.linear, self.norm, self.neuron = nn.Linear(before, width), nn.BatchNorm1d(width), fire()

    def forward(self, x):
        y = self.norm(self.linear(x.flatten(2).flatten(0, 1)))
        return self.neuron(y.unflatten(0, x.shape[:2]))[..., None, None]


class Answer(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        return self.classifier(x.flatten(2))


def build(size, layout, fire, classes, shape, steps):
    """A spiking MLP for images or frames of shape (channels, height, width)."""
    width, before, blocks = size["width"], shape[0] * shape[1] * shape[2], []
    for _ in range(size["depth"]):
        blocks.append(Layer(before, width, fire))
        before = width
    return SpikingBackbone(Frames(steps), blocks, [width] * size["depth"], Answer(width, classes), steps)
'''

DATA = '''"""Bars that move to the left or to the right before an event camera: frames of on and off events, the direction is the label."""

import torch

from benchmark.datasets import Data, Images, checksum

DATASETS = {
    "moving-bars": {
        "classes": 2, "shape": [2, 8, 8], "form": "events", "layout": "dvs", "stand_in": True, "steps": 4, "train": 256, "test": 64
    }
}


def load(name, root):
    entry = DATASETS[name]
    train, test = (bars(entry, entry[split], seed) for seed, split in enumerate(("train", "test")))
    return Data(train, test, (), (), checksum(train, test))


def bars(entry, count, seed):
    """Frames [N, T, 2, 8, 8]: where the bar has come is an on event, where it was an off event."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    start = torch.randint(8, (count,), generator=draw)
    frames = (torch.rand(count, entry["steps"], *entry["shape"], generator=draw) < 0.02).to(torch.uint8)  # and a little noise
    for n in range(count):
        for t in range(entry["steps"]):
            way = 1 if labels[n] else -1
            frames[n, t, 0, :, (start[n] + way * (t + 1)) % 8] = 1
            frames[n, t, 1, :, (start[n] + way * t) % 8] = 1
    return Images(frames, labels)
'''

METHOD = '''"""Labels and a teacher's answers at every step (an example, of no paper).

Paper: none.
Equations: L = (1 - weight) CE(mean z, y) + weight KL(teacher || student), averaged over steps.
Expected: nothing.
Command: snakemake --cores 2 results/table9_ldd.csv
"""

from benchmark.method import Method, cross_entropy, divergence, log_probabilities


class Echo(Method):
    """Half of each."""

    params = {"weight": 0.5}
    ranges = {"weight": [0.0, 1.0]}
    needs = {"teacher": {"method": "direct"}}

    def loss(self, student, teacher, target, parts):
        soft = divergence(log_probabilities(student.logits), log_probabilities(teacher.logits))
        return {"task": (1 - self.weight) * cross_entropy(student.logits.mean(0), target), "teacher": self.weight * soft}
'''

ROW = "{row},toys,{method},MLP,moving-bars,4,accuracy,{value},%,measured,ldd.txt:245,{cell},{options},\n"
TABLE = ",".join(published.COLUMNS) + "\n" + "".join(
    ROW.format(**row)
    for row in (
        {"row": 1, "method": "direct", "value": "78.1", "cell": "direct:spiking-mlp-2-64", "options": ""},
        {"row": 2, "method": "Echo", "value": "90.6", "cell": "echo:spiking-mlp-2-64:spiking-mlp-2-64", "options": ""},
        {"row": 3, "method": "Echo", "value": "92.2", "cell": "echo:spiking-mlp-2-64:spiking-mlp-2-64", "options": "weight=0.25"},
    )
)  # fmt: skip
FILES = {
    "benchmark/backbones/spiking_mlp.py": BACKBONE,
    "benchmark/datasets/moving_bars.py": DATA,
    "methods/echo.py": METHOD,
    "benchmark/papers/ldd/table9.csv": TABLE,
}
CONFIG = "recipe={epochs: 8, batch_size: 16, lr: 1e-2}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = Tree(copy_tree(tmp_path_factory.mktemp("adding")))
    for name, text in FILES.items():
        assert not (tree.folder / name).exists()
        (tree.folder / name).write_text(text)
    return tree


def test_the_workflow_runs_the_table(tree):
    status, said = tree.snakemake("--config", CONFIG, "--", "results/table9_ldd.csv", timeout=300)
    assert status == 0, said
    lines = list(csv.DictReader((tree.folder / "results/table9_ldd.csv").open()))
    assert [line["run"].rpartition("-")[0] for line in lines] == [
        "direct-spiking-mlp-2-64-moving-bars-T4",
        *["echo-spiking-mlp-2-64-moving-bars-T4"] * 2,
    ]
    assert lines[1]["run"] != lines[2]["run"] and all(float(line["accuracy"]) >= 70 for line in lines), lines
    metrics = json.loads((tree.folder / "runs" / lines[2]["run"] / "seed0" / "metrics.json").read_text())
    assert metrics["spec"]["method"]["params"] == {"weight": 0.25} and len(metrics["accuracy_by_step"]) == 4
    assert metrics["checks"]["failed"] == [] and len(metrics["layers"]) > 4
    assert all(float(line["params_M"]) > 0 and float(line["firing_rate"]) > 0 for line in lines)


def test_contract_tests_find_the_new_files(tree):
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "echo or spiking_mlp or spiking-mlp or moving or table9"]
    files = [f"tests/test_{name}.py" for name in ("methods", "backbones", "datasets", "published")]
    done = subprocess.run([*words, *files], cwd=tree.folder, env=tree.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.rpartition(" passed")[0].rpartition("\n")[2].rpartition(" ")[2])
    assert passed >= 12, done.stdout[-500:]


@pytest.mark.parametrize("name", ["published", "audit", "cells", "rooms", "code", "settings"])
def test_no_test_of_what_stood_before_breaks(tree, name):
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/test_{name}.py"]
    done = subprocess.run(words, cwd=tree.folder, env=tree.environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
