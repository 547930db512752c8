"""What tests share: a specification by hand of a tiny network on the bars of datasets/_template.py, its whole recipe, and a run of it."""

import copy
import importlib
import sys
import types
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from benchmark.training import device
from benchmark.training.batches import load
from benchmark.training.run import run as run_one

ROOT = Path(__file__).resolve().parent.parent
device.prepare(torch.device("cpu"), 1)  # tiny networks are slower on more threads
RECIPE = {  # whole: every key that training reads, neutral but for what a tiny run needs
    "epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 3e-2, "momentum": None, "weight_decay": 0.02, "schedule": "cosine",
    "min_lr": 1e-4, "warmup_epochs": 0, "warmup_lr": 0.0, "cooldown_epochs": 0, "milestones": None, "decay_rate": None, "clip_grad": None,
    "crop": 0, "flip": 0.0, "randaugment": None, "randaugment_ops": None, "autoaugment": None, "cutout": 0, "erasing": 0.0, "mixup": 0.0,
    "cutmix": 0.0, "mixup_prob": 1.0, "mixup_off_epoch": 0, "label_smoothing": 0.0, "eval_crop": 1.0, "precision": "fp32",
    "pretrained": False, "micro_batch": None, "recompute": "none",
}  # fmt: skip
NETWORKS = {  # name -> (family, size, layout)
    "spikformer": ("spikformer", {"depth": 1, "dim": 32, "heads": 4}, "cifar"),
    "spikformer-dvs": ("spikformer", {"depth": 1, "dim": 32, "heads": 4}, "dvs"),
    "resnet": ("resnet", {"stem": 4, "widths": [4, 8], "depths": [1, 1], "hidden": 0}, "cifar"),
    "idsnn-resnet": ("idsnn_resnet", {"stem": 4, "widths": [4, 8], "depths": [1, 1]}, "cifar"),
    "ann-resnet": ("ann_resnet", {"stem": 4, "widths": [4, 8], "depths": [2, 1], "hidden": 0}, "cifar"),
    "vit": ("vit", {"patch": 8, "dim": 32, "depth": 2, "heads": 4, "resolution": None, "pretrained": None}, "cifar"),
}


def network(name: str, **size) -> dict:
    """A specification's `network`: one of NETWORKS, with changes of its size."""
    family, chosen, layout = NETWORKS[name]
    module = importlib.import_module(f"benchmark.backbones.{family}")
    return {
        "name": name,
        "file": f"benchmark/backbones/{family}.py",
        "size": {**chosen, **size},
        "layout": module.LAYOUTS[layout],
        "neuron": {"name": "lif", **module.NEURON} if module.NEURON else {},
        "twin": "tiny",
    }


def data(name: str = "bars", file: str = "_template", **changes) -> dict:
    """A specification's `data`, as the file declares it."""
    declared = importlib.import_module(f"benchmark.datasets.{file}").DATASETS[name]
    return {"name": name, "file": f"benchmark/datasets/{file}.py", **declared, **changes}


def method(name: str, file: str | None = None, **params) -> dict:
    """A specification's `method` with its default parameters and these."""
    from benchmark.networks.build import module_of

    path = f"methods/{file or name}.py"
    classes = [
        value for value in vars(module_of(path)).values() if isinstance(value, type) and value.__module__ == f"methods.{file or name}"
    ]
    defaults = next(found.params for found in classes if hasattr(found, "params"))
    return {"name": name, "file": path, "params": {**defaults, **params}}


def specification(**changes) -> dict:
    """`direct` on a spiking ResNet, T = 2. A change replaces a key, or of a mapping some of its keys: recipe={"epochs": 1}."""
    spec = {
        "method": method("direct"),
        "network": network("resnet"),
        "data": data(),
        "time_steps": 2,
        "recipe": {"epochs": 2, "batch_size": 16, "optimizer": "adamw", "lr": 3e-2},
        "above": {},
        "code": {"method": "1", "network": "2", "neuron": "3", "data": "4", "training": "5"},
    }
    for key, value in changes.items():
        whole = key in ("method", "network", "data") or not isinstance(value, dict)
        spec[key] = value if whole else {**spec[key], **value}
    return copy.deepcopy(spec)


def recipe(spec: dict) -> dict:
    """A specification's recipe, whole."""
    return {**RECIPE, **spec["recipe"]}


def run(spec: dict, out: Path, seed: int = 0, on: str = "cpu", data_root: Path = ROOT / "data") -> dict:
    """Train and measure in this process; what is above lies at out.parent.parent / <id> / seed0."""
    return run_one(spec, recipe(spec), seed, out, data_root, on, 1)


def enliven(module: nn.Module) -> nn.Module:
    """The network with normalisations that let every neuron fire: as it is built, few reach their threshold."""
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 1.0, 2.0)
        nn.init.uniform_(norm.bias, 0.0, 0.5)
    return module


def made_up(patch, method_class: type) -> dict:
    """A specification's `method` for a class of a test, as if it lay in methods/made_up.py."""
    module = types.ModuleType("methods.made_up")
    method_class.__module__ = module.__name__
    module.Made = method_class
    patch.setitem(sys.modules, module.__name__, module)
    return {"name": "made-up", "file": "methods/made_up.py", "params": method_class.params}


def same_weights(folder: Path, other: Path) -> bool:
    """Are all values of two runs' weights equal?"""
    one, two = (torch.load(path / "weights.pt", weights_only=True) for path in (folder, other))
    return one.keys() == two.keys() and all(torch.equal(value, two[key]) for key, value in one.items())


def bar_files(root: Path) -> None:
    """The bars of datasets/_template.py as a folder of pictures, <root>/bar-files/{train,val}/<class>/<n>.png."""
    bars = load(data(), root)
    for split, images in (("train", bars.train), ("val", bars.test)):
        for index, (image, label) in enumerate(zip(images.images, images.labels, strict=True)):
            place = root / "bar-files" / split / str(int(label))
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(place / f"{index}.png")
