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

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from benchmark.pins import schema
from benchmark.pins.kinds import PAPERS
from benchmark.pins.texts import line_of, mapping, shown
from benchmark.shared.errors import UserError, unknown

GROUPS = {  # group -> key -> what its value may be
    group: {key: {"title": "recipe key", **of} for key, of in keys.items()} for group, keys in schema.named("recipe").items()
}
KEYS = {key: of for group in GROUPS.values() for key, of in group.items()}
BESIDE = {  # of the cell, not of its training
    "time_steps": {"type": "integer", "minimum": 1, "title": "recipe key", "description": "steps where the table prints none"}
}
VALUES = ("set", "params", "network")  # parts of a rule that hold values: the recipe's, the method's, the network's


# ---- what rules may say


def values(keys: dict) -> dict:
    """The schema of {key: value}."""
    return {"type": "object", "additionalProperties": False, "properties": keys, "title": "recipe key"}


def rule(conditions: dict, parts: dict) -> dict:
    """The schema of one rule."""
    about = {"type": "object", "additionalProperties": False, "properties": conditions, "title": "recipe condition"}
    return {
        "type": "object",
        "title": "part of a rule ({for: {...}, set: {...}})",
        "required": ["for", "set"],
        "additionalProperties": False,
        "properties": {"for": about, **parts},
    }


PATTERN = {"type": "string", "title": "condition", "description": "a pattern"}
OPTIONS = {"type": "object", "title": "condition", "description": "{option: pattern}"}
CONDITIONS = {**dict.fromkeys(("dataset", "method", "backbone", "table", "reading"), PATTERN), "options": OPTIONS}
SOURCED = {"type": "array", "minItems": 2, "maxItems": 2, "title": "value", "form": "[value, where it comes from]"}
SOURCE = {"type": "string", "pattern": r"\S", "title": "value", "form": "[value, where it comes from]"}
ANY = {"type": "object", "additionalProperties": {**SOURCED, "prefixItems": [True, SOURCE]}}
SHEET = {
    "type": "object",
    "required": ["rules"],
    "additionalProperties": False,
    "properties": {
        "options": {"type": "object", "description": "names of row options with what they are"},
        "readings": {"type": "object", "description": "names of readings with what they are"},
        "rules": {
            "type": "array",
            "items": rule(
                CONDITIONS,
                {
                    "set": values({key: {**SOURCED, "prefixItems": [of, SOURCE]} for key, of in (KEYS | BESIDE).items()}),
                    "params": ANY,
                    "network": ANY,
                },
            ),
        },
    },
}


def check_value(key: str, value, where: str) -> None:
    """UserError for an unknown key, or a value of another kind or out of range."""
    schema.check({key: value}, values(KEYS | BESIDE), where)


def check_together(values: dict, where: str) -> None:
    """UserError for values that contradict each other."""
    if values.get("schedule") == "multistep" and values.get("milestones") is None:
        raise UserError(f"{where}: schedule multistep needs milestones")
    if values.get("epochs") and values.get("lr") == 0:
        raise UserError(f"{where}: a learning rate (lr) of 0 trains nothing in {values['epochs']} epochs")
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


def works() -> list[str]:
    """Every paper and cited work whose recipes are written down."""
    return sorted(path.parent.name for path in [*PAPERS.glob("*/recipes.yaml"), *PAPERS.glob("cited/*/recipes.yaml")])


@cache
def sheet(work: str) -> Sheet:
    """The checked recipes of one work. UserError: not there, broken YAML, an unknown key, a value without its source."""
    path = folder(work) / "recipes.yaml"
    if not path.exists():
        raise UserError(f"{shown(path)} does not exist: write down the recipe of {work}, each value with its source")
    found = mapping(path)
    schema.check(found, SHEET, shown(path), path)
    readings = found.get("readings", {})
    for number, rule in enumerate(found["rules"]):
        if (reading := rule["for"].get("reading", "")) not in ("", *readings):
            line = line_of(path, ("rules", number, "for", "reading"))
            raise UserError(f"{shown(path)}:{line}: {unknown('reading', reading, readings)}")
    return Sheet(shown(path), tuple(found["rules"]), found.get("options", {}), readings)


def recipe(work: str, groups: tuple, about: dict) -> dict[str, tuple]:
    """key -> (value, source) of these groups for a cell described by `about`. UserError for a missing key or a contradiction."""
    found = sheet(work)
    chosen: dict[str, tuple] = {}
    for rule in found.rules:
        if matches(rule, about):
            chosen.update({key: tuple(value) for key, value in rule["set"].items()})
    wanted = demanded(groups)
    missing = [key for key, of in wanted.items() if key not in chosen and not of.get("optional")]
    if missing:
        what = ", ".join(f"{key} {value}" for key, value in about.items() if value and key != "options")
        raise UserError(f"{found.where} says no {', '.join(missing)} for {what}: add a rule")
    return {key: chosen.get(key, (of.get("default"), "not used")) for key, of in wanted.items()}


def parameters(work: str, about: dict, of: str = "params") -> dict:
    """The method's parameters, or of="network" the network's values, that a work's recipes give for this cell."""
    found = [rule[of] for rule in sheet(work).rules if of in rule and matches(rule, about)]
    return {key: value for values in found for key, (value, _) in values.items()}


def demanded(groups: tuple) -> dict[str, dict]:
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
    return {key: value for key, value in values.items() if "default" not in KEYS[key] or value != KEYS[key]["default"]}


def images(spec: dict, split: str) -> int:
    """Images of a split, `train` or `test`, that a specification's run uses."""
    there = spec["data"][split]
    return min(spec["recipe"].get(f"{split}_images") or there, there)


def whole(values: dict) -> dict:
    """A specification's recipe with every key, as a job needs it."""
    return {**{key: of["default"] for key, of in KEYS.items() if "default" in of}, **values}
