"""The configuration: config.yaml, then the scale's file, then what the command line overrides, every key checked."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from benchmark.pins import kinds, published, recipes
from benchmark.pins.code import ROOT
from benchmark.shared.errors import UserError, unknown

TYPES = {"string": str, "integer": int, "boolean": bool, "mapping": dict, "rules": (list, dict), "conditions": list}
CONFIG = ROOT / "config"
LINES = ("table", "row", "dataset", "method", "backbone", "time_steps", "options")  # what a condition of `only` may name


@dataclass(frozen=True)
class Settings:
    """What to run; keys as in config/schema.yaml. `data` may name a data set that does not exist: only who asks for it fails."""

    scale: str
    seeds: int
    data_root: str
    device: str
    twin: str  # empty: the printed networks
    data: dict = field(hash=False)
    recipe: list = field(hash=False)  # rules {for, set}, later ones override
    params: dict = field(hash=False)
    readings: dict = field(hash=False)
    only: list = field(default_factory=list, hash=False)  # conditions; a line has to meet one of them
    compare: str = ""
    cpu: bool = False
    neurons: str = "auto"


def settings(overrides: dict | None = None, here: Path | None = None) -> Settings:
    """config/config.yaml with `overrides` on top; the scale, if nothing names it, is that whose working directory `here` is.

    UserError: an unknown key, scale or name in a mapping, or a value of the wrong type.
    """
    overrides = {**({"scale": scale_of(here)} if here else {}), **(overrides or {})}
    texts = [key for key, entry in _read(CONFIG / "schema.yaml").items() if entry["type"] == "string"]
    overrides = {key: value if key in texts else plain(value) for key, value in overrides.items()}
    chosen = {**_read(CONFIG / "config.yaml"), **overrides}
    check(chosen, "config")
    if chosen["scale"] not in scales():
        raise unknown("scale", chosen["scale"], scales())
    if chosen["seeds"] < 1:
        raise UserError(f"config key 'seeds': at least 1 run per cell, not {chosen['seeds']}")
    scale = _read(scales()[chosen["scale"]])
    check(scale, f"config/scales/{chosen['scale']}.yaml")
    merged = {"params": {}, "readings": {}, **scale, **chosen}
    for key in ("data", "params", "readings"):  # an override adds to the scale's mapping
        merged[key] = {**scale.get(key, {}), **chosen.get(key, {})}
    merged["recipe"] = [*_rules(scale.get("recipe", [])), *_rules(chosen.get("recipe", []))]
    merged["twin"] = twin_of(merged["twin"])
    return Settings(**merged)


def twin_of(chosen: str) -> str:
    """The setting, empty for none. UserError for another word."""
    if chosen not in ("none", *kinds.TWINS):
        raise UserError(f"config key 'twin': {unknown('kind of network', chosen, ('none', *kinds.TWINS))}")
    return "" if chosen == "none" else chosen


def _rules(recipe) -> list:
    return [{"for": {}, "set": recipe}] if isinstance(recipe, dict) else recipe


def scale_of(here: Path, root: Path = ROOT) -> str:
    """The scale that owns a working directory: work/<scale> of the repository, else what config.yaml says."""
    here = here.resolve()
    owned = here.name if here.parent == root.resolve() / "work" and here.name in scales() else None
    return owned or _read(CONFIG / "config.yaml")["scale"]


@cache
def scales() -> dict[str, Path]:
    """The scales by name."""
    return {path.stem: path for path in sorted((CONFIG / "scales").glob("*.yaml"))}


def check(values: dict, where: str) -> None:
    """Every key known and of its type, else a UserError that names it."""
    schema = _read(CONFIG / "schema.yaml")
    for key, value in values.items():
        if key not in schema:
            raise UserError(f"{where}: {unknown('key', key, schema)}")
        kind = schema[key]["type"]
        if not isinstance(value, TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
            raise UserError(f"{where}: key '{key}' must be a {kind} ({schema[key]['about']}), not {value!r}")
    for rule in _rules(values.get("recipe", [])):
        recipes.check(rule, f"{where}: key 'recipe'")
        if wrong := [part for part in ("params", "network") if part in rule] + ["time_steps"] * ("time_steps" in rule["set"]):
            raise UserError(f"{where}: key 'recipe' replaces recipe values alone, not {wrong[0]}: a method's are under key 'params'")
    for condition in values.get("only", []):
        for what in condition if isinstance(condition, dict) else [condition]:
            if what not in LINES:
                raise UserError(f"{where}: key 'only': {unknown('condition', str(what), LINES)}")
    if values.get("compare") and values["compare"] not in kinds.files("method"):
        raise UserError(f"{where}: key 'compare': {unknown('method', values['compare'], kinds.files('method'))}")
    for printed, used in values.get("data", {}).items():
        if not isinstance(used, str):
            raise UserError(f"{where}: key 'data': {printed} needs the name of a data set, not {used!r}")
        if str(printed) not in published.datasets():
            raise UserError(f"{where}: key 'data': {unknown('printed data set', str(printed), published.datasets())}")
    for work, name in values.get("readings", {}).items():
        recipes.sheet(str(work))
        if not isinstance(name, str):
            raise UserError(f"{where}: key 'readings': {work} needs the name of one reading, not {name!r}")
    for method, chosen in values.get("params", {}).items():
        if str(method) not in kinds.files("method"):
            raise UserError(f"{where}: key 'params': {unknown('method', str(method), kinds.files('method'))}")
        if not isinstance(chosen, dict):
            raise UserError(f"{where}: key 'params': {method} needs {{parameter: value}}, not {chosen!r}")


def plain(value):
    """A value from the command line as it was meant: snakemake leaves everything inside braces as text, YAML leaves 1e-3 so."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value):
        return float(value)
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def check_directory(scale: str, here: Path, root: Path = ROOT) -> None:
    """Each scale owns its working directory: smoke the repository's, the others work/<scale>; mixing them queues every training again."""
    home = root if scale == "smoke" else root / "work" / scale
    others = {root.resolve(), *(root.resolve() / "work" / name for name in scales())} - {home.resolve()}
    if here.resolve() in others:
        raise UserError(
            f"scale={scale} does not belong in this directory ({here}), which holds another scale's runs: use --profile profiles/{scale}"
            if scale != "smoke"
            else f"scale=smoke does not belong in {here}: run it without a profile"
        )


@cache
def _read(path: Path) -> dict:
    return recipes.mapping(path)


def printed() -> Settings:
    """What was printed, nothing replaced, whatever a scale's file says: what a run must have been for its numbers to be compared."""
    return Settings(scale="printed", seeds=1, data_root="", device="", twin="", data={}, recipe=[], params={}, readings={})
