"""What runs at the paper scale use and smoke does not, each part of a recipe in a whole run of seconds: streamed photographs, every
augmentation and mixing, LAMB and SGD, clipping, bf16, warm-up and milestones. Take a part out, and other weights have to come out."""

import csv
import importlib
import math

import pytest
import torch
from helpers import ROOT, data, made_up, network, run, specification
from PIL import Image

from benchmark.method import Method, cross_entropy
from benchmark.training.optimiser import Precision

FOLDER = {
    "epochs": 2, "batch_size": 8, "optimizer": "lamb", "lr": 2e-2, "weight_decay": 0.05, "schedule": "cosine", "min_lr": 1e-3, "clip_grad": 0.05,
    "crop": [0.3, 0.9], "flip": 0.5, "randaugment": "rand-m9-n2-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.8, "cutmix": 1.0, "mixup_prob": 0.9,
    "label_smoothing": 0.1, "eval_crop": 0.875, "precision": "bf16",
}  # fmt: skip
IMAGES = {
    "epochs": 3, "batch_size": 16, "optimizer": "momentum", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "decay": "all",
    "schedule": "multistep", "milestones": [1, 2], "decay_rate": 0.1, "crop": 2, "flip": 0.5, "autoaugment": "cifar10", "cutout": 4,
    "randaugment": "rand-m9-n2-mstd0.5-inc1", "randaugment_ops": ["Rotate", "Color"], "erasing": 0.5, "mixup": 0.5, "cutmix": 0.5,
    "mixup_prob": 0.9, "mixup_off_epoch": 2, "label_smoothing": 0.1, "statistics": [[0.4, 0.5, 0.6], [0.2, 0.3, 0.4]],
}  # fmt: skip
NEUTRAL = {
    "optimizer": "adamw", "momentum": 0.5, "weight_decay": 0.0, "decay": "weights", "milestones": [2], "decay_rate": 0.5, "clip_grad": None,
    "flip": 0.0, "randaugment": None, "randaugment_ops": None, "autoaugment": None, "cutout": 0, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0,
    "mixup_prob": 0.2, "mixup_off_epoch": 0, "label_smoothing": 0.0, "precision": "fp32", "statistics": None, "min_lr": 1e-2,
}  # fmt: skip


class Noting(Method):
    """Plain training that notes what each step works with."""

    params = {}
    sees = ("images",)
    steps: list = []

    def loss(self, student, teacher, target, parts):
        self.steps.append({"shape": student.images.shape, "dtype": student.logits.dtype, "target": target})
        return {"task": cross_entropy(student.logits.mean(0), target)}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Forty photographs in the layout of ImageNet, and the folder that the runs lie in."""
    root = tmp_path_factory.mktemp("exercise")
    torch.manual_seed(0)
    for split, count in (("train", 8), ("val", 2)):
        for label in range(4):
            folder = root / "bar-files" / split / f"n0{label}"
            folder.mkdir(parents=True)
            for index in range(count):
                coarse = (torch.rand(4, 5, 3) * 255).byte().numpy()
                Image.fromarray(coarse).resize((60 + 5 * index, 48), Image.BICUBIC).save(folder / f"{index}.JPEG", quality=95)
    return root


@pytest.fixture(scope="module")
def trained(root):
    """A function that runs a cell with a part of its recipe changed, once; gives its metrics, its curve and its steps."""
    known = {}

    def cell(kind, again=0, **changes):
        key = (kind, again, str(changes))
        if key not in known:
            known[key] = carried_out(kind, root, f"{kind}{len(known)}", changes)
        return known[key]

    return cell


def carried_out(kind, root, name, changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Noting, "steps", [])
        patch.setattr(Precision, "step", noting(Precision.step))
        chosen = {"method": made_up(patch, Noting), "recipe": {**(FOLDER if kind == "folder" else IMAGES), **changes}}
        if kind == "folder":
            layout = importlib.import_module("benchmark.backbones.spikformer").LAYOUTS["imagenet"]
            chosen |= {"network": {**network("spikformer"), "layout": layout}, "data": data("bar-files")}
        folder = root / "runs" / name / "seed0"
        metrics = run(specification(**chosen), folder, data_root=root if kind == "folder" else ROOT)
        with (folder / "curve.csv").open() as file:
            return metrics, list(csv.DictReader(file)), Noting.steps


def noting(step):
    """An update that leaves the norm of the gradients that it used with the last forward pass."""

    def stepped(precision, optimizer, parameters, clip):
        parameters = list(parameters)
        step(precision, optimizer, parameters, clip)
        norms = [weight.grad.norm() for weight in parameters if weight.grad is not None]
        Noting.steps[-1]["norm"] = torch.linalg.vector_norm(torch.stack(norms)).item()

    return stepped


ACTING = [("folder", key) for key in FOLDER if key in NEUTRAL] + [("images", key) for key in IMAGES if key in NEUTRAL]


@pytest.mark.parametrize(("kind", "key"), ACTING)
def test_every_part_of_a_recipe_acts(kind, key, trained):
    changed = trained(kind, **{key: NEUTRAL[key]})[0]
    assert changed["weights"] != trained(kind)[0]["weights"]
    assert changed["epochs"] == trained(kind)[0]["epochs"] == {"folder": 2, "images": 3}[kind]


@pytest.mark.parametrize("kind", ["folder", "images"])
def test_the_same_recipe_gives_the_same_weights(kind, trained):
    """Or nothing above would say anything."""
    assert trained(kind)[0]["weights"] == trained(kind, again=1)[0]["weights"]


@pytest.mark.parametrize("crop", [[1.0, 1.0], [0.3, 0.4]])
def test_a_resized_crop_acts(crop, trained):
    assert trained("folder", crop=crop)[0]["weights"] != trained("folder")[0]["weights"]


def test_a_padded_crop_acts(trained):
    assert trained("images", crop=0)[0]["weights"] != trained("images")[0]["weights"]


def test_streamed_photographs_are_all_seen_in_batches_of_their_size(trained):
    metrics, curve, steps = trained("folder")
    assert metrics["images"] == {"train": 32, "test": 8} and len(steps) == 2 * 4 and len(curve) == 2
    assert {tuple(step["shape"]) for step in steps} == {(8, 3, 32, 32)}


def test_bf16_is_what_the_network_computes_in(trained):
    assert {step["dtype"] for step in trained("folder")[2]} == {torch.bfloat16}
    assert {step["dtype"] for step in trained("images")[2]} == {torch.float32}


def test_a_clipped_step_is_as_long_as_the_recipe_says(trained):
    clipped, free = ([step["norm"] for step in trained("folder", **changes)[2]] for changes in ({}, {"clip_grad": None}))
    assert max(clipped) == pytest.approx(0.05, rel=1e-3) and min(free) > 0.06


def test_rates_are_the_schedules(trained):
    """Ten times less after each milestone; half a cosine between lr and min_lr, at the epochs' beginnings."""
    assert [float(line["lr"]) for line in trained("images")[1]] == pytest.approx([0.1, 0.01, 0.001])
    cosine = [1e-3 + (2e-2 - 1e-3) * (1 + math.cos(math.pi * epoch / 2)) / 2 for epoch in (0, 1)]
    assert [float(line["lr"]) for line in trained("folder")[1]] == pytest.approx(cosine)


def test_mixed_targets_hold_two_classes_until_mixing_is_off(trained):
    """Label smoothing 0.1 over four classes: 0.925 of one class, and 0.025 of each other where nothing is mixed."""
    _, _, steps = trained("images")
    largest = [[step["target"].amax(1) for step in steps[4 * epoch : 4 * epoch + 4]] for epoch in range(3)]
    for epoch in (0, 1):
        assert min(value.min() for value in largest[epoch]) < 0.9
    assert all(torch.allclose(value, torch.tensor(0.925)) for value in largest[2])
    assert all(torch.allclose(step["target"].sum(1), torch.ones(16)) for step in steps)


def test_a_batch_goes_through_in_parts(trained):
    """Parts of six, six and four of sixteen images; the batch's normalisation makes other weights of them."""
    metrics, _, steps = trained("images", micro_batch=6)
    sizes = [step["shape"][0] for step in steps]
    assert sizes[:3] == [6, 6, 4] and sum(sizes) == sum(step["shape"][0] for step in trained("images")[2])
    assert metrics["weights"] != trained("images")[0]["weights"] and metrics["epochs"] == 3
