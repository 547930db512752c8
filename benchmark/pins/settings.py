"""The configuration: config.yaml, then the scale's file, then what the command line overrides, every key checked."""

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.pins import kinds, published, recipes, schema, texts
from benchmark.pins.texts import ROOT, shown
from benchmark.shared.errors import UserError

CONFIG = ROOT / "config"
SCHEMA = schema.read(CONFIG / "schema.yaml")
KEYS = SCHEMA["properties"]
FITTING = {  # conditions of rules name something that there is
    **{what: {**recipes.PATTERN, "known": what, "like": True} for what in ("method", "backbone", "table")},
    "dataset": {**recipes.PATTERN, "known": "printed data set", "like": True},
}
NAMED = {  # in rules of one's own; for a scale's, a test looks this up: every recipe would have to be read
    "reading": {**recipes.PATTERN, "known": "reading"},
    "options": {**recipes.OPTIONS, "propertyNames": {"known": "option of a recipe"}},
}


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
    partition: str = ""
    account: str = ""
    asked: tuple = field(default=(), hash=False)  # those of the rules that are no scale's: each must change something


def settings(overrides: dict | None = None, here: Path | None = None) -> Settings:
    """config/config.yaml with `overrides` on top; the scale, if nothing names it, is that whose working directory `here` is.

    UserError: an unknown key, scale or name in a mapping, or a value of the wrong type.
    """
    overrides = {**({"scale": scale_of(here)} if here else {}), **(overrides or {})}
    overrides = {key: value if KEYS.get(key, {}).get("type") == "string" else plain(value, key) for key, value in overrides.items()}
    check(overrides, "config")
    chosen = {**config(), **overrides}
    scale = _read(scales()[chosen["scale"]])
    merged = {"params": {}, "readings": {}, **config(), **scale, **overrides}
    for key in ("data", "params", "readings"):  # an override adds to the scale's mapping
        merged[key] = {**scale.get(key, {}), **chosen.get(key, {})}
    own = _rules(chosen.get("recipe", []))
    merged["recipe"] = [*_rules(scale.get("recipe", [])), *own]
    merged["twin"] = "" if merged["twin"] == "none" else merged["twin"]
    return Settings(**merged, asked=tuple(own))


@cache
def config() -> dict:
    """config.yaml, which says all that no scale does."""
    found = _read(CONFIG / "config.yaml")
    if missing := [key for key in ("scale", "seeds", "data_root", "device", "neurons") if key not in found]:
        raise UserError(f"{shown(CONFIG / 'config.yaml')}: lacks key '{missing[0]}' ({KEYS[missing[0]]['description']})")
    return found


def _rules(recipe) -> list:
    return [{"for": {}, "set": recipe}] if isinstance(recipe, dict) else recipe


def scale_of(here: Path, root: Path = ROOT) -> str:
    """The scale that owns a working directory: work/<scale> of the repository, else what config.yaml says."""
    here = here.resolve()
    owned = here.name if here.parent == root.resolve() / "work" and here.name in scales() else None
    return owned or config()["scale"]


@cache
def scales() -> dict[str, Path]:
    """The scales by name."""
    return {path.stem: path for path in sorted((CONFIG / "scales").glob("*.yaml"))}


def check(values: dict, where: str, path: Path | None = None, own: bool = True) -> None:
    """Every key known and of its kind, and names in them that something has, else a UserError that says where.

    own: not a scale's file.
    """
    recipe = {"set": recipes.values(recipes.KEYS)}
    rules = {"items": recipes.rule({**recipes.CONDITIONS, **FITTING, **(NAMED if own else {})}, recipe)}
    given = recipe["set"] if isinstance(values.get("recipe"), dict) else rules
    schema.check(
        values, {**SCHEMA, "properties": {**KEYS, "recipe": {**KEYS["recipe"], **given, "type": KEYS["recipe"]["type"]}}}, where, path
    )


def plain(value, name: str):
    """A value from the command line as it was meant: snakemake leaves everything inside braces as text, YAML leaves 1e-3 so."""
    if isinstance(value, dict):
        return {key: plain(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", value):
        return float(value)
    try:
        return texts.value(value, f"config key '{name}'")
    except UserError:
        if value.strip().startswith(("{", "[")):  # meant as a mapping or a list
            raise
        return value


def check_directory(scale: str, here: Path, root: Path = ROOT) -> None:
    """Each scale owns its working directory: smoke the repository's, the others work/<scale>; mixing them queues every training again."""
    if os.pathsep in str(root):
        raise UserError(f"the path of this checkout, {root}, has a '{os.pathsep}', at which Python parts its search path: move it")
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
    """A checked file of config/."""
    found = texts.mapping(path)
    check(found, shown(path), path, own=path.parent == CONFIG)
    return found


def options() -> set[str]:
    """Options that the rules of some work read."""
    return {name for work in recipes.works() for name in recipes.sheet(work).options}


def readings() -> set[str]:
    """Readings that some work has."""
    return {name for work in recipes.works() for name in recipes.sheet(work).readings}


schema.KNOWN |= {
    "kind of network": lambda: ("none", *kinds.TWINS),
    "scale": lambda: scales(),
    "table": lambda: [*published.tables(), *published.figures()],
    "work": recipes.works,
    "option of a recipe": options,
    "reading": readings,
}


def printed() -> Settings:
    """What was printed, nothing replaced, whatever a scale's file says: what a run must have been for its numbers to be compared."""
    return Settings(scale="printed", seeds=1, data_root="", device="", twin="", data={}, recipe=[], params={}, readings={})
