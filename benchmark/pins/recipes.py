"""Training recipes: data beside the pins, each value with where it comes from, chosen by what a rule is `for`.

`benchmark/papers/<paper>/recipes.yaml` is a list of rules `{for: {...}, set: {key: [value, source]}}`; later rules override
earlier ones. `for` may name dataset, method, backbone, table and options (shell patterns; `"*epochs=400*"` for the rows that print so,
which makes that option the recipe's instead of the method's). There is no default: a recipe that lacks a value
is an error, because a half-stated recipe is what this project exists against.
"""

import re
from fnmatch import fnmatchcase
from functools import cache

import yaml

from benchmark.pins.published import PAPERS
from benchmark.shared.errors import UserError, unknown

KEYS = {
    "epochs": "passes over the training set (warm-up included, cool-down not)",
    "batch_size": "images per update, over all devices",
    "optimizer": "timm's name: adamw, lamb, momentum (SGD with momentum), sgd (the same, Nesterov's)",
    "lr": "peak learning rate at this batch size",
    "momentum": "SGD momentum; null for others",
    "weight_decay": "of weights; biases and normalisation have none",
    "schedule": "cosine or multistep, as timm steps them once per epoch",
    "min_lr": "floor of the cosine schedule",
    "warmup_epochs": "linear warm-up, inside `epochs`",
    "warmup_lr": "learning rate at the start of the warm-up",
    "cooldown_epochs": "epochs at min_lr after `epochs`",
    "milestones": "numbers of epochs after which multistep multiplies by decay_rate; null for cosine",
    "decay_rate": "factor at each milestone; null for cosine",
    "clip_grad": "maximal gradient norm; null for none",
    "crop": "random crop: padding in pixels for small images (0: none), or [min scale, max scale] of a resized crop",
    "flip": "probability of a horizontal flip",
    "randaugment": "timm's RandAugment string, or null",
    "randaugment_ops": "operations it may draw, or null for timm's list",
    "autoaugment": "AutoAugment's policy, cifar10, imagenet or svhn, before cutout (small images), or null",
    "cutout": "side in pixels of the square that cutout blanks (small images), 0 for none",
    "erasing": "probability of random erasing",
    "mixup": "alpha of mixup, 0 for none",
    "cutmix": "alpha of cutmix, 0 for none",
    "mixup_prob": "probability per batch that mixup or cutmix is applied",
    "mixup_off_epoch": "epoch from which it is off, 0 for never",
    "label_smoothing": "mass spread over all classes",
    "eval_crop": "share of the shorter side that the test crop keeps (large images)",
    "precision": "fp32, bf16 or fp16 (automatic mixed precision)",
    "pretrained": "start from timm's published weights",
}

ABOUT = ("dataset", "method", "backbone", "table", "options")  # what a rule may be `for`
NUMBER, TEXT, LIST, NOTHING = (int, float), (str,), (list,), (type(None),)
TYPES = {  # of a value; every other key takes a number
    **dict.fromkeys(("epochs", "batch_size", "warmup_epochs", "cooldown_epochs", "mixup_off_epoch", "cutout"), (int,)),
    **dict.fromkeys(("optimizer", "schedule", "precision"), TEXT),
    **dict.fromkeys(("momentum", "decay_rate", "clip_grad"), NUMBER + NOTHING),
    **dict.fromkeys(("milestones", "randaugment_ops"), LIST + NOTHING),
    **dict.fromkeys(("randaugment", "autoaugment"), TEXT + NOTHING),
    "crop": (int, *LIST),
    "pretrained": (bool,),
}
CHOICES = {"schedule": ("cosine", "multistep"), "precision": ("fp32", "bf16", "fp16")}


def check(rule: dict, where: str = "") -> None:
    """UserError for a condition or key that does not exist, or a value of the wrong type."""
    for what in rule["for"]:
        if what not in ABOUT:
            raise UserError(f"{where}{unknown('recipe condition', str(what), ABOUT)}")
    for key, value in rule["set"].items():
        if key not in KEYS:
            raise UserError(f"{where}{unknown('recipe key', str(key), KEYS)}")
        types = TYPES.get(key, NUMBER)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise UserError(f"{where}recipe key '{key}' ({KEYS[key]}) cannot be {value!r}")
        if key in CHOICES and value not in CHOICES[key]:
            raise UserError(f"{where}{unknown(f'value of recipe key {key}', value, CHOICES[key])}")


def recipe(paper: str, **about) -> dict[str, tuple]:
    """key -> (value, source) for a cell described by dataset, method, backbone, table and options. UserError for a missing key."""
    chosen = {}
    for rule in rules(paper):
        if matches(rule, about):
            chosen.update({key: tuple(value) for key, value in rule["set"].items()})
    missing = [key for key in KEYS if key not in chosen]
    if missing:
        what = ", ".join(f"{key} {value}" for key, value in about.items() if value)
        raise UserError(f"papers/{paper}/recipes.yaml says no {', '.join(missing)} for {what}: add a rule")
    return chosen


def options(paper: str, **about) -> set[str]:
    """The names of a row's options that a matching rule of the paper is `for`."""
    patterns = [rule["for"]["options"] for rule in rules(paper) if "options" in rule["for"] and matches(rule, about)]
    return {name for pattern in patterns for name in re.findall(r"(\w+)=", pattern)}


def exist(paper: str) -> bool:
    """True once a paper's recipes are written down."""
    return (PAPERS / paper / "recipes.yaml").exists()


@cache
def rules(paper: str) -> list[dict]:
    """The checked rules of one paper. UserError: an unknown key, a value without its source."""
    path = PAPERS / paper / "recipes.yaml"
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    for rule in found:
        for key, value in rule["set"].items():
            if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], str)):
                raise UserError(f"{path.name} of {paper}: '{key}' must be [value, where it comes from], not {value!r}")
        values = {key: value for key, (value, _) in rule["set"].items() if key != "time_steps"}
        check({**rule, "set": values}, f"{path.name} of {paper}: ")
    return found


def override(values: dict[str, tuple], rules_: list[dict], source: str, **about) -> dict[str, tuple]:
    """The recipe with the matching rules' values in place, `source` saying by what. UserError as `check` has it."""
    for rule in rules_:
        check(rule)
        if matches(rule, about):
            values = {**values, **{key: (value, source) for key, value in rule["set"].items()}}
    return values


def matches(rule: dict, about: dict) -> bool:
    """True if every pattern of the rule's `for` fits."""
    return all(fnmatchcase(str(about.get(what) or ""), pattern) for what, pattern in rule["for"].items())
