"""Which methods, backbones and data sets exist, and what their files declare, read without importing (and so without torch).

A file declares its literal tables (upper-case names at the top level, or attributes of its method class). Its `code` is a hash
of its syntax tree without docstrings: comments, formatting and `touch` change nothing, a changed line of code does. Shared code
(layers, neurons, training) is covered by `cells.PROTOCOL` instead.
"""

import ast
import hashlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.shared.errors import UserError, unknown
from benchmark.shared.sizes import twin

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = {"method": ROOT / "methods", "backbone": ROOT / "benchmark" / "backbones", "data set": ROOT / "benchmark" / "datasets"}
SIBLINGS = ("methods.", "benchmark.backbones.", "benchmark.datasets.")


@dataclass(frozen=True)
class Declared:
    """What one file says of itself."""

    path: Path
    doc: str
    tables: dict = field(hash=False)
    code: str


@dataclass(frozen=True)
class Backbone:
    """A backbone by its full name: `family` file, `size` entry of its table."""

    name: str
    family: Declared
    size_name: str

    @property
    def size(self) -> dict:
        return self.family.tables["SIZES"][self.size_name]

    @property
    def twin(self) -> dict:
        """The size that the smoke scale runs: the same code, other widths."""
        return twin(self.size, self.family.tables["TWIN"])

    def layout(self, kind: str) -> dict:
        """What this kind of data (cifar, imagenet, dvs) changes. UserError if the family has no form for it."""
        layouts = self.family.tables["LAYOUTS"]
        if kind not in layouts:
            raise UserError(f"{self.name} has no form for {kind} images; it has: {', '.join(layouts)}")
        return layouts[kind]


@cache
def declared(path: Path) -> Declared:
    """Read one Python file without importing it."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    doc = ast.get_docstring(tree) or ""
    statements = [*tree.body, *(item for node in tree.body if isinstance(node, ast.ClassDef) for item in node.body)]
    tables = dict(_literals(statements))
    siblings = [declared(path.with_name(f"{name}.py")).code for name in _siblings(tree)]
    return Declared(path, doc, tables, hashlib.sha256("".join([code_hash(tree), *siblings]).encode()).hexdigest()[:8])


def _siblings(tree: ast.Module) -> list[str]:
    """Files of the same folder that this one builds on (ann_resnet on resnet): their code is part of its own."""
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return sorted({module.rpartition(".")[2] for module in imports if module.startswith(SIBLINGS)})


def _literals(statements):
    for statement in statements:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                yield statement.targets[0].id, ast.literal_eval(statement.value)
            except ValueError:
                continue  # an expression, not a table


def code_hash(tree: ast.Module) -> str:
    """Eight hex digits of the code without docstrings, comments and formatting."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(_dump(tree).encode()).hexdigest()[:8]


def _dump(node) -> str:
    """A syntax tree as text that is the same in every Python version (ast.dump and ast.unparse are not)."""
    if isinstance(node, list):
        return f"[{' '.join(_dump(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    filled = (
        (name, value) for name, value in ast.iter_fields(node) if value not in (None, []) and name not in ("ctx", "kind", "type_comment")
    )
    return f"({type(node).__name__} {' '.join(f'{name}={_dump(value)}' for name, value in filled)})"


@cache
def files(kind: str) -> dict[str, Path]:
    """Files of one kind by the name that their file name stands for, those with a leading underscore left out."""
    paths = sorted(FOLDERS[kind].glob("[!_]*.py"))
    return {path.stem.replace("_", "-"): path for path in paths}


def method(name: str) -> Declared:
    """A training or conversion method by its file name. UserError for an unknown one."""
    if name not in files("method"):
        raise unknown("method", name, files("method"))
    return declared(files("method")[name])


@cache
def backbone(name: str) -> Backbone:
    """A backbone by family and size, `spikformer-4-384`. UserError for an unknown one."""
    for family in sorted(files("backbone"), key=len, reverse=True):
        size = name.removeprefix(family + "-")
        if size != name and size in declared(files("backbone")[family]).tables["SIZES"]:
            return Backbone(name, declared(files("backbone")[family]), size)
    raise unknown("backbone", name, backbones())


def backbones() -> list[str]:
    """Full names of all backbones."""
    return [f"{family}-{size}" for family, path in files("backbone").items() for size in declared(path).tables["SIZES"]]


def dataset(name: str) -> tuple[dict, Declared]:
    """A data set's table entry (classes, image, layout, stand_in) and its file. UserError for an unknown one."""
    if name not in datasets():
        raise unknown("data set", name, datasets())
    file = datasets()[name]
    return file.tables["DATASETS"][name], file


@cache
def datasets() -> dict[str, Declared]:
    """Every data set and stand-in by name."""
    return {name: declared(path) for path in files("data set").values() for name in declared(path).tables["DATASETS"]}
