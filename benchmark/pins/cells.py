"""Printed row -> cell -> everything a job needs, as one sorted JSON -> id. Never loads torch.

A cell is method x backbone x data set x T x recipe, and what it needs above it by role (a teacher, an ANN to convert, an encoder), each a
cell itself. `resolve` turns it into a specification at a scale; equal specifications have equal ids and run once, whichever rows, tables
and papers ask for them. Where on its run a number is read (readings.py) is no part of a cell.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property

from benchmark.pins import code, kinds, readings, recipes
from benchmark.pins.published import Number, read
from benchmark.pins.settings import Settings, printed
from benchmark.shared.errors import UserError, unknown

TRAINING = code.ROOT / "benchmark" / "training" / "run.py"  # the code of every run starts here


class Lacking(Exception):
    """The row cannot run, for a reason that stands on a reviewed list or that a method gives; says which."""


@dataclass(frozen=True)
class Cell:
    """What has to run for a printed row. `work`: whose recipe, in which named `reading` (empty: the likely one); `above`: backbones of the
    roles that the method needs, in its order; `params`, `options` and `network` as sorted (name, value) pairs: what of a row's options is
    the method's, the recipe's and the network's."""

    work: str
    table: str
    method: str
    backbone: str
    above: tuple
    dataset: str
    time_steps: int
    params: tuple = ()
    options: tuple = ()
    reading: str = ""
    network: tuple = ()

    @property
    def about(self) -> dict:
        """What the rules of recipes are `for`."""
        return {
            "table": self.table,
            "dataset": self.dataset,
            "method": self.method,
            "backbone": self.backbone,
            "options": dict(self.options),
            "reading": self.reading,
        }


@dataclass(frozen=True)
class Resolved:
    """A cell at a scale: `spec` is what its job needs, `sources` where each recipe value came from, `upstream` what runs before, by role."""

    cell: Cell
    spec: dict
    sources: dict
    upstream: tuple  # of (role, Resolved)

    @cached_property
    def json(self) -> str:
        return canonical(self.spec)

    @cached_property
    def id(self) -> str:
        return id_of(self.spec)

    @cached_property
    def differences(self) -> list[str]:
        """What was run otherwise than printed, in short phrases; empty if nothing was: then its numbers are compared."""
        from benchmark.pins import comparable

        return comparable.differences(self, resolve(self.cell, printed()))

    def with_upstream(self) -> list["Resolved"]:
        """This and everything that runs before it."""
        return [self, *(found for _, above in self.upstream for found in above.with_upstream())]


def canonical(spec: dict) -> str:
    """A specification as its one text."""
    return json.dumps(spec, sort_keys=True, allow_nan=False)


def id_of(spec: dict) -> str:
    """The name of a specification, and of its runs' folder."""
    names = (spec["method"]["name"], spec["network"]["name"], spec["data"]["name"], f"T{spec['time_steps']}", digest(canonical(spec)))
    return "-".join(names)


def digest(text: str) -> str:
    """Eight hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


# ---- from a printed number to its cell


def cell_of(number: Number, readings_: dict | None = None) -> Cell | None:
    """The cell behind a printed number, None if nothing has to run for it. Lacking if it cannot run; UserError for a misspelt name.

    readings_: work -> name of the reading of its recipe, where it is not the likely one.
    """
    if not number.cell:
        return None
    method, backbone, *above = number.cell.split(":")
    where = f"{number.name}, row {number.row}"
    for kind, name in (("method", method), ("backbone", backbone), *(("backbone", name) for name in above), ("data set", number.dataset)):
        require(kind, name, where)
    work = work_of(number)
    if not recipes.exist(work):
        require("recipe", work, where)
    declared = kinds.method(method)
    roles = kinds.needs(method)
    check_roles(where, number.cell, above, roles)
    params, options, network = owned(number, kinds.backbone(backbone), work, where)
    reading = reading_of(work, readings_ or {})
    cell = Cell(work, number.name, method, backbone, tuple(above), number.dataset, 0, params, options, reading, network)
    cell = replace(cell, time_steps=steps_of(number, cell, declared.tables.get("any_time", False)))
    if reason := misfit(cell):
        raise Lacking(f"does not fit: {reason}")
    return cell


def misfit(cell: Cell) -> str:
    """Why a cell's networks, or those of a cell above it, do not go together; empty if they do."""
    above = {role: kinds.backbone(name) for role, _, name in above_of(cell)}
    reasons = (kinds.fits(cell.method, kinds.backbone(cell.backbone), above), *(misfit(other) for _, other in cells_above(cell)))
    return next(filter(None, reasons), "")


def require(kind: str, name: str, where: str) -> None:
    """Lacking if something has no file for a reason on the reviewed list; UserError, with near names, if it is on neither."""
    look_up = {"method": kinds.method, "backbone": kinds.backbone, "data set": kinds.dataset}
    if (kind, name) in kinds.not_built():
        raise Lacking(f"{kind} {name}: {kinds.not_built()[kind, name]}")
    if kind == "recipe":
        raise UserError(
            f"{where}: no recipe of {name}: write papers/cited/{name}/recipes.yaml, or put it on papers/not_built.csv with the reason"
        )
    try:
        look_up[kind](name)
    except UserError as error:
        listed = [other for of, other in kinds.not_built() if of == kind]
        known = {"method": kinds.files("method"), "backbone": kinds.backbones(), "data set": kinds.datasets()}[kind]
        raise UserError(f"{where}: {unknown(kind, name, [*known, *listed])}" if f"'{name}'" in str(error) else str(error)) from None


def work_of(number: Number) -> str:
    """Whose recipe a row runs by: the paper's own, or of a quoted row the cited work's.

    A cited work is named like its method, an ANN's row like the method that shares its printed row, plain training like the network.
    """
    if number.origin != "quoted":
        return number.paper
    same_row = [other.cell.split(":")[0] for other in read(number.name) if other.row == number.row and other.cell]
    methods = [name for name in (number.cell.split(":")[0], *same_row) if name != "direct"]
    known = [name for name in methods if recipes.exist(name)]  # what only prepares another method has none of its own
    return (known or methods)[0] if methods else kinds.backbone(number.cell.split(":")[1]).family.path.stem.replace("_", "-")


def reading_of(work: str, chosen: dict) -> str:
    """The reading of a work's recipe. UserError for a name that the work does not have."""
    name, known = chosen.get(work, ""), recipes.sheet(work).readings
    if name and name not in known:
        raise UserError(f"config key 'readings': {work}: {unknown('reading', str(name), known)}")
    return name


def check_roles(where: str, text: str, above: list, roles: dict) -> None:
    """UserError if a cell names fewer or more networks above than its method needs."""
    named = [role for role, of in roles.items() if of.get("backbone") != "same"]
    if len(above) != len(named):
        method, backbone = text.split(":")[:2]
        form = ":".join([method, backbone, *(f"<{role}>" for role in named)])
        raise UserError(f"{where}: cell '{text}' must be {form}: {method} needs {', '.join(named) or 'nothing'} above it")


def owned(number: Number, backbone: kinds.Backbone, work: str, where: str) -> tuple[tuple, tuple, tuple]:
    """A row's options by who owns them: the method's parameters, the recipe's options, the network's; readings are left out.

    UserError for nobody's, and for a value that the network does not have.
    """
    method, network = kinds.method(number.cell.split(":")[0]).tables.get("params", {}), backbone.family.tables.get("OPTIONS", {})
    owners = {"recipe": recipes.sheet(work).options, "network": network, "method": method}
    found: dict[str, dict] = {owner: {} for owner in owners}
    for key, value in parse_options(number.options).items():
        if key in readings.OPTIONS:
            continue
        owner = next((owner for owner, names in owners.items() if key in names), None)
        if owner is None:
            raise UserError(f"{where}: {unknown('option', key, [*method, *owners['recipe'], *network, *readings.OPTIONS])}")
        if owner == "network" and value not in network[key]:
            raise UserError(f"{where}: {unknown(f'{key} of {backbone.name}', str(value), map(str, network[key]))}")
        found[owner][key] = value
    return tuple(tuple(sorted(found[owner].items())) for owner in ("method", "recipe", "network"))


def steps_of(number: Number, cell: Cell, any_time: bool) -> int:
    """The steps that a cell runs: as printed, the largest that any row reads where one run has them all, as the recipe says, or 1 of an
    artificial network that is not converted. Parameters printed once for two runs, 32(256), are those of the longer one.
    """
    if kinds.backbone(cell.backbone).ann and not any_time and "ann" not in kinds.needs(cell.method):
        return 1
    if any_time:
        return readings.largest(number)
    if number.metric == "params_M" and None not in readings.parts(number.time_steps):
        return max(readings.parts(number.time_steps))
    if number.time_steps != "-":
        if not number.time_steps.isdigit():
            raise UserError(
                f"{number.name}, row {number.row}: '{number.time_steps}' time steps, but {cell.method} runs a fixed number of them"
            )
        return int(number.time_steps)
    found = recipes.time_steps(cell.work, cell.about)
    if found is None:
        raise UserError(f"{number.name}, row {number.row} prints no time steps, and the recipes of {cell.work} have no time_steps for it")
    return found


def parse_options(text: str) -> dict:
    """`entropy=0 projection=last` -> {'entropy': 0, 'projection': 'last'}."""
    pairs = (item.partition("=") for item in text.split())
    return {key: plain(value) for key, _, value in pairs}


def plain(text: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


# ---- from a cell to its specification


def resolve(cell: Cell, settings: Settings) -> Resolved:
    """Everything the cell's job needs at this scale. UserError for an unknown name, parameter or recipe key."""
    method, backbone = kinds.method(cell.method), kinds.backbone(cell.backbone)
    entry, data = kinds.dataset(settings.data.get(cell.dataset, cell.dataset))
    recipe, sources = recipe_of(cell, settings)
    upstream = tuple((role, resolve(above, settings)) for role, above in cells_above(cell))
    neuron = kinds.constants(backbone.family.table("NEURON"), backbone.family)
    neuron = kinds.constants(method.tables.get("neuron", {}), method) or neuron
    spec = {
        "method": {"name": cell.method, "file": method.file, "params": parameters(cell, settings)},
        "network": {
            "name": cell.backbone,
            "file": backbone.family.file,
            "size": size_of(cell, backbone, settings.twin, entry["layout"]),
            "layout": backbone.layout(entry["layout"]),
            "neuron": neuron,
            "twin": settings.twin or False,
        },
        "data": {"name": settings.data.get(cell.dataset, cell.dataset), "file": data.file, **entry},
        "time_steps": cell.time_steps,
        "recipe": recipes.without_neutral(recipe),
        "above": {role: above.id for role, above in upstream},
        "code": {
            "method": method.code,
            "network": backbone.family.code,
            "data": data.code,
            "training": code.of_closure(TRAINING),
            **({"neuron": kinds.named("neuron", neuron["name"]).code} if neuron else {}),
        },
    }
    return Resolved(cell, spec, sources, upstream)


def size_of(cell: Cell, backbone: kinds.Backbone, twin: str, layout: str) -> dict:
    """A network's size with what the work's recipe and the row change of it; a twin keeps what is its own.

    UserError for a value of the recipe's that neither the network's size nor its layout has.
    """
    changed, own = recipes.parameters(cell.work, cell.about, "network"), backbone.sized(twin)
    known = {**backbone.size, **backbone.layout(layout)}
    for key in changed:
        if key not in known:
            raise UserError(f"recipes of {cell.work}, {backbone.name}: {unknown('value of the network', key, known)}")
    return {**own, **{key: value for key, value in changed.items() if not (twin and key in own)}, **dict(cell.network)}


def recipe_of(cell: Cell, settings: Settings) -> tuple[dict, dict]:
    """The recipe's values and where each came from."""
    groups = tuple(kinds.method(cell.method).tables.get("recipe", ("training", "augmentation", "evaluation")))
    found = recipes.recipe(cell.work, groups, cell.about)
    found = recipes.override(found, settings.recipe, f"{settings.scale} scale or config", cell.about)
    values = {key: value for key, (value, _) in found.items()}
    recipes.check_together(values, f"recipe of {cell.method} {cell.backbone} on {cell.dataset} ({cell.table}) at scale {settings.scale}")
    return values, {key: source for key, (_, source) in found.items()}


def above_of(cell: Cell) -> list[tuple[str, str, str]]:
    """(role, method, backbone) of what a cell needs above it."""
    named, found = iter(cell.above), []
    for role, of in kinds.needs(cell.method).items():
        found.append((role, of["method"], cell.backbone if of.get("backbone") == "same" else next(named)))
    return found


def cells_above(cell: Cell) -> list[tuple[str, Cell]]:
    """The cells above, by role: on the same data set, by the same work's recipe, without the row's options but for those that the
    method's `needs` hands on (how long a pre-training was, and how much it hid, are the pre-training's).

    An artificial network has one time step; a spiking one as many as the cell, unless the method says how many.
    """
    roles, found = kinds.needs(cell.method), []
    for role, method, backbone in above_of(cell):
        steps = 1 if kinds.backbone(backbone).ann else roles[role].get("time_steps", cell.time_steps)
        handed = tuple((name, value) for name, value in cell.options if name in roles[role].get("options", ()))
        found.append((role, Cell(cell.work, cell.table, method, backbone, (), cell.dataset, steps, (), handed, cell.reading)))
    return found


def parameters(cell: Cell, settings: Settings) -> dict:
    """The method's parameters: its defaults (`params_for` a printed data set before the general ones), then the work's recipe's, then
    the config's, then what the row changes. UserError for an unknown one, or a value that it cannot have."""
    tables = kinds.method(cell.method).tables
    defaults = {**tables.get("params", {}), **tables.get("params_for", {}).get(cell.dataset, {})}
    chosen = {**recipes.parameters(cell.work, cell.about), **settings.params.get(cell.method, {}), **dict(cell.params)}
    for key in chosen:
        if key not in defaults:
            raise UserError(f"method {cell.method}: {unknown('parameter', key, defaults)}")
    values = {**defaults, **chosen}
    for key, allowed in tables.get("choices", {}).items():
        if values.get(key) not in allowed:
            raise UserError(f"method {cell.method}: {unknown(f'value of {key}', str(values.get(key)), map(str, allowed))}")
    for key, (low, high) in tables.get("ranges", {}).items():
        value = values.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise UserError(f"method {cell.method}: {key} must be a number from {low} to {high}, not {value}")
        if type(defaults[key]) is int and type(value) is not int:
            raise UserError(f"method {cell.method}: {key} must be a whole number, not {value}")
    return values
