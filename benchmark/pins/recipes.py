"""Recipes: data beside the pins, each value with where it comes from, chosen by what a rule is `for`.

`benchmark/papers/<paper>/recipes.yaml` has `rules`, a list of {for: {...}, set: {key: [value, source]}}, later ones overriding earlier ones,
and `options`, the names of row options that these rules read (all others are the method's, or readings of a run). `for` may name
dataset, method, backbone and table by shell patterns, and options as {name: pattern}. Where a paper can be read in several ways,
`readings` names the others and what they are; rules `for: {reading: <name>}` hold their values, and the configuration chooses one.
A row that another work ran first, a quoted one, is run by that work's recipe, papers/cited/<work>/recipes.yaml. A rule may also have
`params`, values of the method's parameters, and `network`, values of the network's size or layout, with sources too, where a work uses
a method or a network otherwise than its own paper.

What a cell does says which groups of keys it needs, and of those every key must be stated, none is left to a default: a half-stated
recipe is what this project exists against. In a specification a value that means "not done" (neutral) is left out, so that a key which
is new tomorrow changes no id.
"""

import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import yaml

from benchmark.pins.code import shown
from benchmark.pins.kinds import PAPERS
from benchmark.shared.errors import UserError, unknown

DEMANDED = object()  # in place of a neutral value: there is none


@dataclass(frozen=True)
class Key:
    """A recipe key: its meaning; kind of value; the value that means "not done"; what it may be."""

    about: str
    kind: tuple
    neutral: object = DEMANDED
    low: float = -math.inf
    high: float = math.inf
    choices: tuple = ()
    optional: bool = False  # may be left unsaid, and is neutral then: for keys that came after recipes were written


WHOLE, NUMBER, TEXT, YES_OR_NO, LIST = (int,), (int, float), (str,), (bool,), (list,)
NOTHING = (type(None),)
OPTIMIZERS = ("adamw", "adam", "adamax", "lamb", "momentum", "sgd")
PRECISIONS = ("fp32", "bf16", "fp16")
POLICIES = ("cifar10", "imagenet", "svhn")
EVENT_POLICIES = ("spikformer", "nda")

GROUPS: dict[str, dict[str, Key]] = {
    "training": {
        "epochs": Key("passes over the training set (warm-up included, cool-down not)", WHOLE, low=0),
        "batch_size": Key("images per update, over all devices", WHOLE, low=1),
        "optimizer": Key(
            "timm's name: adamw, adamax, lamb, momentum (SGD with momentum), sgd (the same, Nesterov's)", TEXT, choices=OPTIMIZERS
        ),
        "lr": Key("peak learning rate at this batch size", NUMBER, low=0),
        "momentum": Key("SGD momentum; null for others", NUMBER + NOTHING, None, low=0, high=0.9999),
        "weight_decay": Key("of weights; biases and normalisation have none", NUMBER, low=0, high=10),
        "schedule": Key("cosine or multistep, as timm steps them once per epoch", TEXT, choices=("cosine", "multistep")),
        "min_lr": Key("floor of the cosine schedule", NUMBER, 0.0, low=0),
        "warmup_epochs": Key("linear warm-up, inside `epochs`", WHOLE, 0, low=0),
        "warmup_lr": Key("learning rate at the start of the warm-up", NUMBER, 0.0, low=0),
        "cooldown_epochs": Key("epochs at min_lr after `epochs`", WHOLE, 0, low=0),
        "milestones": Key("numbers of epochs after which multistep multiplies by decay_rate; null for cosine", LIST + NOTHING, None),
        "decay_rate": Key("factor at each milestone; null for cosine", NUMBER + NOTHING, None, low=0, high=1),
        "clip_grad": Key("maximal gradient norm; null for none", NUMBER + NOTHING, None, low=0),
        "label_smoothing": Key("mass spread over all classes", NUMBER, 0.0, low=0, high=0.999),
        "precision": Key("fp32, bf16 or fp16 (automatic mixed precision)", TEXT, "fp32", choices=PRECISIONS),
        "pretrained": Key("start from timm's published weights", YES_OR_NO, False),
        "train_images": Key(
            "images of the training set that are trained on, from the first on; null for all of them",
            WHOLE + NOTHING,
            None,
            low=1,
            optional=True,
        ),
        "decay": Key(
            "what weight_decay decays: weights, or all, biases and normalisation too",
            TEXT,
            "weights",
            choices=("weights", "all"),
            optional=True,
        ),
        "micro_batch": Key(
            "images per forward pass: a batch goes through in such parts, equal to the whole but for batch normalisation; null for the whole",
            WHOLE + NOTHING,
            None,
            low=1,
            optional=True,
        ),
        "recompute": Key(
            "what a forward pass forgets and the backward pass computes again: none, or the inside of blocks; changes no result",
            TEXT,
            "none",
            choices=("none", "blocks"),
            optional=True,
        ),
    },
    "augmentation": {
        "crop": Key(
            "random crop: padding in pixels for small images (0: none), or [min, max] scale of a resized crop", (int, list), 0, low=0
        ),
        "flip": Key("probability of a horizontal flip", NUMBER, 0.0, low=0, high=1),
        "randaugment": Key("timm's RandAugment string, or null", TEXT + NOTHING, None),
        "randaugment_ops": Key("operations it may draw, or null for timm's list", LIST + NOTHING, None),
        "autoaugment": Key("AutoAugment's policy, before cutout (small images), or null", TEXT + NOTHING, None, choices=(*POLICIES, None)),
        "cutout": Key("side in pixels of the square that cutout blanks (small images), 0 for none", WHOLE, 0, low=0),
        "event_augment": Key(
            "policy of which one operation changes each recording of events (datasets/_event_augment.py), or null",
            TEXT + NOTHING,
            None,
            choices=(*EVENT_POLICIES, None),
            optional=True,
        ),
        "erasing": Key("probability of random erasing", NUMBER, 0.0, low=0, high=1),
        "mixup": Key("alpha of mixup, 0 for none", NUMBER, 0.0, low=0, high=100),
        "cutmix": Key("alpha of cutmix, 0 for none", NUMBER, 0.0, low=0, high=100),
        "mixup_prob": Key("probability per batch that mixup or cutmix is applied", NUMBER, 1.0, low=0, high=1),
        "mixup_off_epoch": Key("epoch from which it is off, 0 for never", WHOLE, 0, low=0),
    },
    "fine-tuning": {
        "layer_decay": Key("factor on the learning rate of each layer below the one above it, 1 for none", NUMBER, 1.0, low=0.01, high=1),
    },
    "evaluation": {
        "eval_crop": Key(
            "share of the shorter side that the test crop keeps (large images), null for that of the network's published weights",
            NUMBER + NOTHING,
            1.0,
            low=0.01,
            high=1,
        ),
        "test_images": Key(
            "images of the test set that are tested, from the first on; null for all of them", WHOLE + NOTHING, None, low=2, optional=True
        ),
        "test_precision": Key("of the test after each epoch: fp32, bf16 or fp16", TEXT, "fp32", choices=PRECISIONS, optional=True),
        "statistics": Key(
            "[mean, deviation] per channel that images are normalised by, null for those of the network's published weights, "
            "or else the data set's own",
            LIST + NOTHING,
            None,
            optional=True,
        ),
    },
}
KEYS = {key: about for group in GROUPS.values() for key, about in group.items()}
BESIDE = {"time_steps": Key("steps where the table prints none", WHOLE, low=1)}  # of the cell, not of its training

VALUES = ("set", "params", "network")  # parts of a rule that hold values: the recipe's, the method's, the network's
ABOUT = ("dataset", "method", "backbone", "table", "options", "reading")  # what a rule may be `for`


# ---- checking


def check(rule: dict, where: str) -> None:
    """UserError for a rule that is none, a condition or key that does not exist, or a value that makes no sense."""
    parts = rule.keys() if isinstance(rule, dict) else set()
    if not ({"for", "set"} <= parts <= {"for", *VALUES} and all(isinstance(part, dict) for part in rule.values())):
        raise UserError(f"{where}: a rule is {{for: {{...}}, set: {{...}}}}, perhaps with params: or network: {{...}}, not {rule!r}")
    for what, pattern in rule["for"].items():
        if what not in ABOUT:
            raise UserError(f"{where}: {unknown('recipe condition', str(what), ABOUT)}")
        if isinstance(pattern, dict) != (what == "options"):
            raise UserError(
                f"{where}: condition '{what}' must be {'{option: pattern}' if what == 'options' else 'a pattern'}, not {pattern!r}"
            )
    for key, value in rule["set"].items():
        check_value(key, value, where)


def check_value(key: str, value, where: str) -> None:
    """UserError for an unknown key, or a value of another kind or out of range."""
    known = KEYS | BESIDE
    if key not in known:
        raise UserError(f"{where}: {unknown('recipe key', str(key), KEYS)}")
    of = known[key]
    said = f"{where}: recipe key '{key}' ({of.about})"
    if not isinstance(value, of.kind) or (isinstance(value, bool) and bool not in of.kind):
        raise UserError(f"{said} cannot be {value!r}")
    if of.choices and value not in of.choices:
        raise UserError(f"{where}: {unknown(f'value of recipe key {key}', str(value), [str(one) for one in of.choices])}")
    if isinstance(value, list):
        check_list(key, value, said)
    elif isinstance(value, (int, float)) and not (math.isfinite(value) and of.low <= value <= of.high):
        raise UserError(f"{said} must be {span(of)}, not {value}")


def check_list(key: str, value: list, said: str) -> None:
    """Lists: milestones rise, a resized crop has two scales, operations are words."""
    good = {
        "milestones": all(type(one) is int and one >= 0 for one in value) and value == sorted(value),
        "crop": len(value) == 2 and all(isinstance(one, (int, float)) and 0 < one <= 1 for one in value) and value[0] <= value[1],
        "randaugment_ops": value and all(isinstance(one, str) for one in value),
        "statistics": are_statistics(value),
    }
    if not good.get(key, True):
        wanted = {
            "milestones": "whole numbers in rising order",
            "crop": "two scales from 0 to 1",
            "randaugment_ops": "names of operations",
            "statistics": "[means, deviations] on the 0..1 scale",
        }
        raise UserError(f"{said} must be {wanted[key]}, not {value!r}")


def are_statistics(value: list) -> bool:
    """[means, deviations], as many of each, the deviations above 0."""
    if len(value) != 2 or not all(isinstance(part, list) and part for part in value) or len(value[0]) != len(value[1]):
        return False
    numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) and 0 <= one <= 1 for part in value for one in part)
    return numbers and min(value[1]) > 0


def span(of: Key) -> str:
    """A range in words."""
    return f"from {of.low:g} to {of.high:g}" if of.high < math.inf else f"{of.low:g} or more"


def check_together(values: dict, where: str) -> None:
    """UserError for values that contradict each other."""
    if values.get("schedule") == "multistep" and values.get("milestones") is None:
        raise UserError(f"{where}: schedule multistep needs milestones")
    if 0 < values.get("epochs", 0) < values.get("warmup_epochs", 0):
        raise UserError(f"{where}: {values['warmup_epochs']} epochs of warm-up do not fit into {values['epochs']}")


# ---- reading


@dataclass(frozen=True)
class Sheet:
    """One recipes.yaml: its rules, the row options that they read, and the other readings of the paper by name."""

    where: str
    rules: tuple
    options: dict
    readings: dict


def folder(work: str) -> Path:
    """Where a paper's or a cited work's recipes lie."""
    own = PAPERS / work
    return own if own.is_dir() else PAPERS / "cited" / work


def exist(work: str) -> bool:
    """True once a paper's or a cited work's recipes are written down."""
    return (folder(work) / "recipes.yaml").exists()


@cache
def sheet(work: str) -> Sheet:
    """The checked recipes of one work. UserError: not there, broken YAML, an unknown key, a value without its source."""
    path = folder(work) / "recipes.yaml"
    if not path.exists():
        raise UserError(f"{shown(path)} does not exist: write down the recipe of {work}, each value with its source")
    found = mapping(path)
    parts = {"options": dict, "readings": dict, "rules": list}
    if "rules" not in found or any(not isinstance(value, parts.get(key, ())) for key, value in found.items()):
        raise UserError(
            f"{shown(path)}: write `rules:`, a list of {{for, set}}, and perhaps `options:` and `readings:`, names with what they are"
        )
    for number, rule in enumerate(found["rules"], 1):
        check(unsourced(rule, f"{shown(path)}, rule {number}"), f"{shown(path)}, rule {number}")
    readings = found.get("readings", {})
    for rule in found["rules"]:
        if rule["for"].get("reading", "") not in ("", *readings):
            raise UserError(f"{shown(path)}: {unknown('reading', str(rule['for']['reading']), readings)}")
    return Sheet(shown(path), tuple(found["rules"]), found.get("options", {}), readings)


def unsourced(rule, where: str):
    """A rule with its plain values. UserError for a value without its source."""
    if not isinstance(rule, dict) or not all(isinstance(rule.get(part, {}), dict) for part in VALUES):
        return rule
    for key, value in (item for part in VALUES for item in rule.get(part, {}).items()):
        if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], str) and value[1].strip()):
            raise UserError(f"{where}: '{key}' must be [value, where it comes from], not {value!r}")
    return {part: {key: value for key, (value, _) in values.items()} if part in VALUES else values for part, values in rule.items()}


def mapping(path: Path) -> dict:
    """A YAML file that holds a mapping. UserError in one line otherwise."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{shown(path)}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(found, dict):
        raise UserError(f"{shown(path)}: must be a mapping (key: value), not {type(found).__name__ if found is not None else 'empty'}")
    return found


def recipe(work: str, groups: tuple, about: dict) -> dict[str, tuple]:
    """key -> (value, source) of these groups for a cell described by `about`. UserError for a missing key or a contradiction."""
    found = sheet(work)
    chosen: dict[str, tuple] = {}
    for rule in found.rules:
        if matches(rule, about):
            chosen.update({key: tuple(value) for key, value in rule["set"].items()})
    wanted = demanded(groups)
    missing = [key for key, of in wanted.items() if key not in chosen and not of.optional]
    if missing:
        what = ", ".join(f"{key} {value}" for key, value in about.items() if value and key != "options")
        raise UserError(f"{found.where} says no {', '.join(missing)} for {what}: add a rule")
    return {key: chosen.get(key, (of.neutral, "not used")) for key, of in wanted.items()}


def parameters(work: str, about: dict, of: str = "params") -> dict:
    """The method's parameters, or of="network" the network's values, that a work's recipes give for this cell."""
    found = [rule[of] for rule in sheet(work).rules if of in rule and matches(rule, about)]
    return {key: value for values in found for key, (value, _) in values.items()}


def demanded(groups: tuple) -> dict[str, Key]:
    """The keys of these groups. UserError for a group that does not exist."""
    for group in groups:
        if group not in GROUPS:
            raise unknown("group of recipe keys", str(group), GROUPS)
    return {key: of for group in groups for key, of in GROUPS[group].items()}


def time_steps(work: str, about: dict) -> int | None:
    """The number of time steps where the table prints none, as the recipes read it."""
    read = [rule["set"]["time_steps"][0] for rule in sheet(work).rules if "time_steps" in rule["set"] and matches(rule, about)]
    return read[-1] if read else None


def override(values: dict[str, tuple], rules: list[dict], source: str, about: dict) -> dict[str, tuple]:
    """The recipe with the matching rules' values in place, `source` saying by what; keys that this recipe does not have are left out."""
    for rule in rules:
        check(rule, source)
        if matches(rule, about):
            values = {**values, **{key: (value, source) for key, value in rule["set"].items() if key in values}}
    return values


def matches(rule: dict, about: dict) -> bool:
    """True if every pattern of the rule's `for` fits."""
    return all(fits(pattern, about.get(what)) for what, pattern in rule["for"].items())


def fits(pattern, value) -> bool:
    """A shell pattern on a word, or {name: pattern} on a mapping of options."""
    if isinstance(pattern, dict):
        return all(name in (value or {}) and fits(str(one), (value or {})[name]) for name, one in pattern.items())
    return fnmatchcase("" if value is None else str(value), str(pattern))


# ---- neutral values


def without_neutral(values: dict) -> dict:
    """What a specification keeps: values that do something."""
    return {key: value for key, value in values.items() if value != KEYS[key].neutral}


def whole(values: dict) -> dict:
    """A specification's recipe with every key, as a job needs it."""
    return {**{key: of.neutral for key, of in KEYS.items() if of.neutral is not DEMANDED}, **values}
