"""Which methods, backbones, neurons, data sets, conventions and metrics there are, and what their files declare, read without importing.

A file declares its literal tables: upper-case names at the top level, or attributes of its method class. A file that is no valid Python
stops only what asks for it.
"""

import ast
import csv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.pins import code
from benchmark.pins.code import ROOT, shown
from benchmark.shared.errors import UserError, unknown
from benchmark.shared.sizes import smaller

FOLDERS = {
    "method": ROOT / "methods",
    "backbone": ROOT / "benchmark" / "backbones",
    "neuron": ROOT / "benchmark" / "neurons",
    "data set": ROOT / "benchmark" / "datasets",
    "convention": ROOT / "benchmark" / "conventions",
    "metric": ROOT / "benchmark" / "metrics",
}
PAPERS = ROOT / "benchmark" / "papers"
TWINS = {"tiny": "TWIN", "mini": "MINI"}  # smaller networks by the table of their file that says what is smaller


@dataclass(frozen=True)
class Declared:
    """What one file says of itself; `code` is the hash of everything that it runs."""

    path: Path
    doc: str
    tables: dict = field(hash=False)

    @property
    def code(self) -> str:
        return code.of_closure(self.path)

    @property
    def file(self) -> str:
        """The path as specifications have it."""
        return self.path.relative_to(ROOT).as_posix()

    def table(self, name: str) -> dict:
        """A literal table that this kind of file must have. UserError if it has none."""
        if name not in self.tables:
            raise UserError(f"{shown(self.path)}: has no table {name} of plain values; see _template.py beside it")
        return self.tables[name]


@dataclass(frozen=True)
class Backbone:
    """A backbone by its full name: `family` file, `size` entry of its table."""

    name: str
    family: Declared
    size_name: str

    @property
    def size(self) -> dict:
        return self.family.table("SIZES")[self.size_name]

    @property
    def ann(self) -> bool:
        """True for a network without neurons, which has one time step."""
        return not self.family.table("NEURON")

    @property
    def twin(self) -> dict:
        """The size that the smoke scale runs: the same code, other widths."""
        return self.sized("tiny")

    def sized(self, twin: str) -> dict:
        """The size of a twin, of TWINS; the printed one for "". UserError if the family has none of this kind."""
        return smaller(self.size, self.family.table(TWINS[twin])) if twin else self.size

    def layout(self, kind: str) -> dict:
        """What this kind of data (cifar, imagenet, dvs) changes. UserError if the family has no form for it."""
        layouts = self.family.table("LAYOUTS")
        if kind not in layouts:
            raise UserError(f"{self.name} has no form for {kind} images; it has: {', '.join(layouts)}")
        return layouts[kind]


@cache
def declared(path: Path) -> Declared:
    """Read one Python file without importing it. UserError: not valid Python."""
    tree = code.tree(path)
    statements = [*tree.body, *(item for node in tree.body if isinstance(node, ast.ClassDef) for item in node.body)]
    return Declared(path, ast.get_docstring(tree) or "", dict(_literals(statements)))


def _literals(statements):
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and value is not None and isinstance(targets[0], ast.Name):
            try:
                yield targets[0].id, ast.literal_eval(value)
            except ValueError:
                continue  # an expression, not a table


@cache
def files(kind: str) -> dict[str, Path]:
    """Files of one kind by the name that their file name stands for, those with a leading underscore left out."""
    return {path.stem.replace("_", "-"): path for path in sorted(FOLDERS[kind].glob("[!_]*.py"))}


def named(kind: str, name: str) -> Declared:
    """A method, neuron, convention or metric file by its name. UserError for an unknown one."""
    if name not in files(kind):
        raise unknown(kind, name, files(kind))
    return declared(files(kind)[name])


def method(name: str) -> Declared:
    """A training, distillation or conversion method by its file name. UserError for an unknown one."""
    return named("method", name)


@cache
def fits_of(path: Path) -> Callable[..., str] | None:
    """`fits` of a method's file, `fits(student, **above) -> str`, compiled alone with the builtins only; None if there is none."""
    found = [node for node in code.tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "fits"]
    space: dict = {}
    exec(compile(ast.Module(found, []), str(path), "exec"), space)
    return space.get("fits")


def fits(name: str, student: Backbone, above: dict[str, Backbone]) -> str:
    """Why this student and these networks above do not go together under a method; empty if they do."""
    ask = fits_of(method(name).path)
    return ask(student, **above) if ask else ""


@cache
def backbone(name: str) -> Backbone:
    """A backbone by family and size, `spikformer-4-384`. UserError for an unknown one."""
    for family in sorted(files("backbone"), key=len, reverse=True):
        size = name.removeprefix(family + "-")
        if size != name and size in declared(files("backbone")[family]).table("SIZES"):
            return Backbone(name, declared(files("backbone")[family]), size)
    raise unknown("backbone", name, backbones())


def backbones() -> list[str]:
    """Full names of all backbones whose files can be read."""
    return [f"{family}-{size}" for family, file in readable("backbone").items() for size in file.tables.get("SIZES", {})]


def readable(kind: str) -> dict[str, Declared]:
    """What can be read of a kind; a broken file is left to whoever asks for it by name."""
    found = {}
    for name, path in files(kind).items():
        try:
            found[name] = declared(path)
        except UserError:
            continue
    return found


@cache
def datasets() -> dict[str, Declared]:
    """Every data set and stand-in by name."""
    return {name: file for file in readable("data set").values() for name in file.tables.get("DATASETS", {})}


def dataset(name: str) -> tuple[dict, Declared]:
    """A data set's table entry and its file. UserError for an unknown one, naming files that cannot be read."""
    if name not in datasets():
        for path in files("data set").values():
            declared(path).table("DATASETS")  # what cannot be read may be what was meant
        raise unknown("data set", name, datasets())
    file = datasets()[name]
    return file.tables["DATASETS"][name], file


@cache
def not_built() -> dict[tuple[str, str], str]:
    """(kind, name) -> why it does not exist: papers/not_built.csv, the reviewed list. UserError for a line without a reason."""
    path = PAPERS / "not_built.csv"
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for number, line in enumerate(lines, 2):
        if not all((line.get(key) or "").strip() for key in ("kind", "name", "why")):
            raise UserError(f"{shown(path)}:{number}: a line needs kind, name and why")
    return {(line["kind"], line["name"]): line["why"] for line in lines}
