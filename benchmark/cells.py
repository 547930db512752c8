"""Published row -> cell -> everything a job needs, as one sorted JSON -> id. Never loads torch.

A cell is method x backbone x data set x T x teacher x recipe. `resolve` turns it into a specification at a scale; equal
specifications have equal ids and run once, whichever rows, tables and papers ask for them.
"""

import hashlib
import json
from dataclasses import dataclass

from benchmark import catalogue, recipes
from benchmark.errors import UserError, unknown
from benchmark.published import Number
from benchmark.settings import Settings

PROTOCOL = 1  # raise it when a change to shared code (training, operations, layers, neurons) changes results


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


class NotImplemented(Exception):
    """The row needs a method, backbone or data set whose file does not exist (yet); says which."""


def cell_of(number: Number) -> Cell | None:
    """The cell behind a printed number, None if nothing has to run for it. NotImplemented if a file for it is missing."""
    if not number.cell:
        return None
    method, backbone, *teacher = number.cell.split(":")
    for kind, name in (("method", method), ("backbone", backbone), *(("backbone", name) for name in teacher), ("data set", number.dataset)):
        require(kind, name)
    if not recipes.exist(number.paper):
        raise NotImplemented(f"recipes of paper {number.paper}")
    time_steps = "1" if is_ann(backbone) and number.time_steps == "-" else number.time_steps
    about = {"table": number.name, "dataset": number.dataset, "method": method, "backbone": backbone}
    if time_steps == "-":
        time_steps = str(read_steps(number.paper, about))
    options = tuple(sorted(parse_options(number.options).items()))
    teacher = teacher[0] if teacher else None
    return Cell(number.paper, number.name, method, backbone, teacher, number.dataset, int(time_steps), options)


def require(kind: str, name: str) -> None:
    """NotImplemented unless a file declares this method, backbone or data set."""
    look_up = {"method": catalogue.method, "backbone": catalogue.backbone, "data set": catalogue.dataset}[kind]
    try:
        look_up(name)
    except UserError:
        raise NotImplemented(f"{kind} {name}") from None


def is_ann(backbone: str) -> bool:
    """True for a backbone without neurons, which has one time step."""
    return not catalogue.backbone(backbone).family.tables["NEURON"]


def read_steps(paper: str, about: dict) -> int:
    """The number of time steps where the table prints none: a named reading in the paper's recipes."""
    found = recipes.recipe(paper, **about).get("time_steps")
    if found is None:
        raise NotImplemented(f"time steps of {about['table']}, which prints none")
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
    about = {"table": cell.table, "dataset": cell.dataset, "method": cell.method, "backbone": cell.backbone}
    recipe = {key: value for key, value in recipes.recipe(cell.paper, **about).items() if key in recipes.KEYS}
    recipe = recipes.override(recipe, settings.recipe, f"{settings.scale} scale or config", **about)
    upstream = _upstream(cell, settings)
    tables = backbone.family.tables
    spec = {
        "protocol": PROTOCOL,
        "scale": settings.scale,
        "method": cell.method,
        "params": parameters(cell, method.tables.get("params", {}), settings),
        "backbone": cell.backbone,
        "twin": settings.twin,
        "size": backbone.twin if settings.twin else backbone.size,
        "layout": backbone.layout(entry["layout"]),
        "neuron": tables["NEURON"],
        "structure": {"size": backbone.size, "layout": backbone.layout(printed["layout"]), "classes": printed["classes"], "image": printed["image"]},
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


def parameters(cell: Cell, defaults: dict, settings: Settings) -> dict:
    """The method's parameters: its defaults, then the config's, then what the row changes. UserError for an unknown one."""
    chosen = {**settings.params.get(cell.method, {}), **dict(cell.options)}
    for key in chosen:
        if key not in defaults:
            raise UserError(f"method {cell.method}: {unknown('parameter', key, defaults)}")
    values = {**defaults, **chosen}
    tables = catalogue.method(cell.method).tables
    for key, allowed in tables.get("choices", {}).items():
        if values[key] not in allowed:
            raise UserError(f"method {cell.method}: {unknown(f'value of {key}', str(values[key]), allowed)}")
    for key, (low, high) in tables.get("ranges", {}).items():
        if not isinstance(values[key], (int, float)) or not low <= values[key] <= high:
            raise UserError(f"method {cell.method}: {key} must be a number from {low} to {high}, not {values[key]}")
    return values
