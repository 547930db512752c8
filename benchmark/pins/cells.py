"""Published row -> cell -> everything a job needs, as one sorted JSON -> id. Never loads torch.

A cell is method x backbone x data set x T x teacher x recipe. `resolve` turns it into a specification at a scale; equal
specifications have equal ids and run once, whichever rows, tables and papers ask for them.
"""

import hashlib
import json
from dataclasses import dataclass, replace

from benchmark.pins import kinds as catalogue
from benchmark.pins import recipes
from benchmark.pins.published import Number
from benchmark.pins.settings import Settings
from benchmark.shared.errors import UserError, unknown

PROTOCOL = 3  # raise it when a change to shared code (training, operations, layers, neurons) changes results

READINGS = {"at_epoch"}  # options that say where on a run's curve a number is read, not how it is trained


@dataclass(frozen=True)
class Cell:
    """What has to run for a printed row. Steps as an integer; options as sorted (parameter, value) pairs."""

    paper: str
    table: str
    method: str
    backbone: str
    teacher: str | None
    dataset: str
    time_steps: int
    options: tuple = ()

    @property
    def about(self) -> dict[str, str]:
        """What the rules of recipes are `for`."""
        options = " ".join(f"{key}={value}" for key, value in self.options)
        return {"table": self.table, "dataset": self.dataset, "method": self.method, "backbone": self.backbone, "options": options}


@dataclass(frozen=True)
class Resolved:
    """A cell at a scale: `spec` is what its job needs, `sources` where each recipe value came from, `upstream` what runs before."""

    cell: Cell
    spec: dict
    sources: dict
    upstream: tuple  # of (role, Resolved)

    @property
    def json(self) -> str:
        return json.dumps(self.spec, sort_keys=True)

    @property
    def id(self) -> str:
        return f"{self.spec['method']}-{self.spec['backbone']}-{self.spec['data']}-T{self.spec['time_steps']}-{digest(self.json)}"

    def with_upstream(self) -> list["Resolved"]:
        """This and everything that runs before it."""
        return [self, *(found for _, above in self.upstream for found in above.with_upstream())]


def digest(text: str) -> str:
    """Eight hex digits that name a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class Lacking(Exception):
    """The row needs a method, backbone or data set whose file does not exist (yet); says which."""


def cell_of(number: Number) -> Cell | None:
    """The cell behind a printed number, None if nothing has to run for it. Lacking if a file for it is missing."""
    if not number.cell:
        return None
    method, backbone, *teacher = number.cell.split(":")
    for kind, name in (("method", method), ("backbone", backbone), *(("backbone", name) for name in teacher), ("data set", number.dataset)):
        require(kind, name)
    if "teacher" in catalogue.method(method).tables.get("needs", {}) and not teacher:
        raise Lacking(f"teacher of {number.cell}, which the paper does not print")
    if not recipes.exist(number.paper):
        raise Lacking(f"recipes of paper {number.paper}")
    time_steps = "1" if is_ann(backbone) and number.time_steps == "-" else number.time_steps
    options = tuple(sorted(parse_options(number.options).items()))
    cell = Cell(number.paper, number.name, method, backbone, teacher[0] if teacher else None, number.dataset, 0, options)
    if time_steps != "-" and not time_steps.isdigit():
        raise Lacking(f"a reading of '{time_steps}' time steps")
    return replace(cell, time_steps=read_steps(cell) if time_steps == "-" else int(time_steps))


def require(kind: str, name: str) -> None:
    """Lacking unless a file declares this method, backbone or data set."""
    look_up = {"method": catalogue.method, "backbone": catalogue.backbone, "data set": catalogue.dataset}[kind]
    try:
        look_up(name)
    except UserError:
        raise Lacking(f"{kind} {name}") from None


def is_ann(backbone: str) -> bool:
    """True for a backbone without neurons, which has one time step."""
    return not catalogue.backbone(backbone).family.tables["NEURON"]


def read_steps(cell: Cell) -> int:
    """The number of time steps where the table prints none: a named reading in the paper's recipes."""
    found = recipes.recipe(cell.paper, **cell.about).get("time_steps")
    if found is None:
        raise Lacking(f"time steps of {cell.table}, which prints none")
    return found[0]


def parse_options(text: str) -> dict:
    """`entropy=0 projection=last` -> {'entropy': 0, 'projection': 'last'}."""
    pairs = (item.partition("=") for item in text.split())
    return {key: _plain(value) for key, _, value in pairs}


def _plain(text: str):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def resolve(cell: Cell, settings: Settings) -> Resolved:
    """Everything the cell's job needs at this scale. UserError for an unknown name, option or recipe key."""
    method, backbone = catalogue.method(cell.method), catalogue.backbone(cell.backbone)
    data = settings.data.get(cell.dataset, cell.dataset)
    entry, data_file = catalogue.dataset(data)
    printed, _ = catalogue.dataset(cell.dataset)
    recipe = {key: value for key, value in recipes.recipe(cell.paper, **cell.about).items() if key in recipes.KEYS}
    recipe = recipes.override(recipe, settings.recipe, f"{settings.scale} scale or config", **cell.about)
    upstream = _upstream(cell, settings)
    tables = backbone.family.tables
    spec = {
        "protocol": PROTOCOL,
        "scale": settings.scale,
        "method": cell.method,
        "params": parameters(of_method(cell), settings),
        "backbone": cell.backbone,
        "twin": settings.twin,
        "size": backbone.twin if settings.twin else backbone.size,
        "layout": backbone.layout(entry["layout"]),
        "neuron": tables["NEURON"],
        "structure": {
            "size": backbone.size,
            "layout": backbone.layout(printed["layout"]),
            "classes": printed["classes"],
            "image": printed["shape"],
        },
        "dataset": cell.dataset,
        "data": data,
        "time_steps": 1 if is_ann(cell.backbone) else cell.time_steps,
        "teacher": cell.teacher,
        "recipe": {key: value for key, (value, _) in recipe.items()},
        "upstream": {role: above.id for role, above in upstream},
        "code": {"method": method.code, "backbone": backbone.family.code, "data": data_file.code},
    }
    return Resolved(cell, spec, {key: source for key, (_, source) in recipe.items()}, upstream)


def _upstream(cell: Cell, settings: Settings) -> tuple:
    if cell.teacher is None:
        return ()
    teacher = Cell(cell.paper, cell.table, "direct", cell.teacher, None, cell.dataset, 1)
    return (("teacher", resolve(teacher, settings)),)


def of_method(cell: Cell) -> Cell:
    """The cell with the options that are its method's: not those which the recipe reads, nor readings of the curve."""
    others = READINGS | recipes.options(cell.paper, **cell.about)
    return replace(cell, options=tuple((key, value) for key, value in cell.options if key not in others))


def parameters(cell: Cell, settings: Settings) -> dict:
    """The method's parameters: its defaults (`params_for` a printed data set before the general ones), then the config's, then what
    the row changes. UserError for an unknown one.
    """
    tables = catalogue.method(cell.method).tables
    defaults = {**tables.get("params", {}), **tables.get("params_for", {}).get(cell.dataset, {})}
    chosen = {**settings.params.get(cell.method, {}), **dict(cell.options)}
    for key in chosen:
        if key not in defaults:
            raise UserError(f"method {cell.method}: {unknown('parameter', key, defaults)}")
    values = {**defaults, **chosen}
    for key, allowed in tables.get("choices", {}).items():
        if values[key] not in allowed:
            raise UserError(f"method {cell.method}: {unknown(f'value of {key}', str(values[key]), map(str, allowed))}")
    for key, (low, high) in tables.get("ranges", {}).items():
        if not isinstance(values[key], (int, float)) or not low <= values[key] <= high:
            raise UserError(f"method {cell.method}: {key} must be a number from {low} to {high}, not {values[key]}")
    return values
