"""Which methods, backbones, neurons, data sets, conventions and metrics there are, and what their files declare, read without importing.

A file declares its literal tables: upper-case names at the top level, or attributes of its method class. A file that is no valid Python
stops only what asks for it.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.pins import code, schema, texts
from benchmark.pins.texts import ROOT, shown
from benchmark.shared.errors import UserError, in_one_line, unknown
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
    """Read one Python file without importing it. UserError: not valid Python, or a table that is not what its kind of file has."""
    tree = code.tree(path)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = dict(_values([*tree.body, *(item for node in classes for item in node.body)]))
    kind = next((kind for kind, folder in FOLDERS.items() if folder == path.parent), "")
    if kind in DECLARED and not path.stem.startswith("_"):
        check(kind, path, found)
        if kind == "method" and not classes:
            raise UserError(f"{shown(path)}: has no class, so no method; see _template.py beside it")
    return Declared(path, ast.get_docstring(tree) or "", {name: value for name, (_, value) in found.items() if value is not EXPRESSION})


DECLARED = schema.named("declared")
EXPRESSION = object()  # in place of a value that is no literal


def check(kind: str, path: Path, found: dict[str, tuple]) -> None:
    """UserError for tables that are not what this kind of file has."""
    known = DECLARED[kind]["properties"]
    for name, (line, value) in found.items():
        where = f"{shown(path)}:{line}"
        if name in known and value is EXPRESSION:
            raise UserError(f"{where}: {name} must be plain values, since it is read without running the file")
        if name in known:
            schema.check({name: value}, {"type": "object", "properties": known, "$defs": DECLARED["$defs"]}, where)
    if missing := [name for name in DECLARED[kind].get("required", ()) if name not in found]:
        raise UserError(f"{shown(path)}: has no table {missing[0]} of plain values; see _template.py beside it")
    tables = {name: value for name, (_, value) in found.items()}
    for name, key, names in names_in(kind, tables):
        if key not in names:
            raise UserError(
                f"{shown(path)}:{found[name][0]}: {name}: {unknown('value' if kind == 'backbone' else 'parameter', str(key), names)}"
            )


def names_in(kind: str, tables: dict) -> Iterator[tuple]:
    """(table, name in it, names that it must be one of): what one table of a file says of another."""
    if kind == "method":
        params = tables.get("params", {})
        for name in ("choices", "ranges"):
            yield from ((name, key, params) for key in tables.get(name, {}))
        yield from (("params_for", key, params) for changed in tables.get("params_for", {}).values() for key in changed)
    if kind == "backbone":
        sizes = {key for size in tables["SIZES"].values() for key in size}
        yield from (("TWIN", key, sizes) for key in tables["TWIN"].get("divide", {}))


def _values(statements) -> Iterator[tuple]:
    """(name, (line, value)) of every assignment; the value of an expression is EXPRESSION."""
    for statement in statements:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and value is not None and isinstance(targets[0], ast.Name):
            try:
                yield targets[0].id, (statement.lineno, ast.literal_eval(value))
            except (ValueError, TypeError):
                yield targets[0].id, (statement.lineno, EXPRESSION)


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
def needs(name: str, below: tuple = ()) -> dict:
    """role -> {"method": ..., perhaps "backbone": "same"}: what a method needs above it. UserError: itself, in the end."""
    if name in below:
        raise UserError(f"{shown(method(name).path)}: needs go in a circle: {' needs '.join((*below, name))}")
    found = method(name).tables.get("needs", {})
    for of in found.values():
        needs(of["method"], (*below, name))
    return found


def constants(values: dict, of: Declared) -> dict:
    """A neuron's constants, all of them, as a backbone's or a method's file gives them. UserError: one too few or too many."""
    if values:
        known = {"name": "", **named("neuron", values["name"]).table("CONSTANTS")}
        for key in values:
            if key not in known:
                raise UserError(f"{shown(of.path)}: NEURON: {unknown('constant', str(key), known)}")
        if missing := [key for key in known if key not in values]:
            raise UserError(f"{shown(of.path)}: NEURON lacks {', '.join(missing)} of {values['name']}: all its constants must be given")
    return values


@cache
def fits_of(path: Path) -> Callable[..., str] | None:
    """`fits` of a method's file, `fits(student, **above) -> str`, compiled alone with the builtins only; None if there is none."""
    found = [node for node in code.tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "fits"]
    space: dict = {}
    exec(compile(ast.Module(found, []), str(path), "exec"), space)
    return space.get("fits")


def fits(name: str, student: Backbone, above: dict[str, Backbone]) -> str:
    """Why this student and these networks above do not go together under a method; empty if they do. UserError: it does not say."""
    path = method(name).path
    ask = fits_of(path)
    try:
        said = ask(student, **above) if ask else ""
    except Exception as error:
        raise UserError(f"{shown(path)}: fits(student, ...) fails for {student.name}: {in_one_line(error)}") from None
    if not isinstance(said, str):
        raise UserError(f"{shown(path)}: fits(student, ...) must answer a text, empty if they go together, not {said!r}")
    return said


@cache
def backbone(name: str) -> Backbone:
    """A backbone by family and size, `spikformer-4-384`. UserError for an unknown one."""
    for family in sorted(files("backbone"), key=len, reverse=True):
        size = name.removeprefix(family + "-")
        if size != name and size in declared(files("backbone")[family]).table("SIZES"):
            return Backbone(name, declared(files("backbone")[family]), size)
    raise unknown("backbone", name, backbones())


def backbones() -> Iterator[str]:
    """Full names of all backbones whose files can be read."""
    return (f"{family}-{size}" for family, file in readable("backbone") for size in file.tables.get("SIZES", {}))


def readable(kind: str) -> Iterator[tuple[str, Declared]]:
    """What can be read of a kind, by name; a broken file is left to whoever asks for it by name."""
    for name, path in files(kind).items():
        with suppress(UserError):
            yield name, declared(path)


@cache
def datasets() -> dict[str, Declared]:
    """Every data set and stand-in by name."""
    return {name: file for _, file in readable("data set") for name in file.tables.get("DATASETS", {})}


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
    lines = texts.table(path, ("kind", "name", "why"))
    for number, line in lines:
        if not all(value.strip() for value in line.values()):
            raise UserError(f"{shown(path)}:{number}: a line needs kind, name and why")
        if line["kind"] not in (*FOLDERS, "recipe"):
            raise UserError(f"{shown(path)}:{number}: {unknown('kind', line['kind'], (*FOLDERS, 'recipe'))}")
    return {(line["kind"], line["name"]): line["why"] for _, line in lines}


def built_or_not(kind: str, built: Callable) -> Callable:
    """Names of a kind, those on the list of what is not built too; any name while a file of that kind cannot be read."""

    def names() -> Iterator:
        yield from built()
        yield from (name for of, name in not_built() if of == kind)
        if len(list(readable(kind))) < len(files(kind)):
            yield schema.ANY

    return names


schema.KNOWN |= {
    "method": lambda: (*files("method"), *(name for of, name in not_built() if of == "method")),
    "backbone": built_or_not("backbone", backbones),
    "neuron": lambda: files("neuron"),
    "convention": lambda: files("convention"),
    "method file": lambda: files("method"),
    "printed data set": built_or_not("data set", lambda: ("-", *datasets())),
    "group of recipe keys": lambda: schema.named("recipe"),
}
