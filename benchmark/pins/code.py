"""What code a run depends on, as a hash: the import closure of its method, backbone, neuron, data set and the training loop.

A file counts by its syntax tree without docstrings, so comments, formatting and `touch` change nothing and every Python version agrees.
An edit that changes no result (a rename, a faster way to the same bits) can be written down in equivalent_edits.csv, with the reason:
the file then goes on counting as it did before, and finished runs stay what they are. A line there is reviewed like any other code.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

from benchmark.pins import texts
from benchmark.pins.texts import ROOT, shown
from benchmark.shared.errors import UserError

PACKAGES = ("benchmark", "methods")
EQUIVALENT = Path(__file__).with_name("equivalent_edits.csv")
SKIPPED = ("ctx", "kind", "type_comment")  # fields that are not in every Python version, or say nothing


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file. UserError: not Python, with file and line."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"{shown(path)}{f':{line}' if line else ''}: not valid Python ({getattr(error, 'msg', error)})") from None
    except OSError as error:
        raise UserError(f"{shown(path)}: cannot be read ({error.strerror})") from None


@cache
def closure(path: Path) -> frozenset[Path]:
    """The file and every file of this project that importing and running it can load, imports inside functions included."""
    found, left = set(), [path]
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            left += imported(one)
    return frozenset(found)


@cache
def imported(path: Path) -> tuple[Path, ...]:
    """Files that this one names in its imports, and the __init__ files on the way to them."""
    names = []
    for node in statements(tree(path).body):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join([*here, *([base] if base else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(file for name in names for file in files_of(name)))


def statements(body: list):
    """Every statement, those inside others too: imports are no part of an expression."""
    for node in body:
        yield node
        for inside in ("body", "orelse", "finalbody", "handlers", "cases"):
            yield from statements(getattr(node, inside, []))


@cache
def files_of(module: str) -> tuple[Path, ...]:
    """The files that importing a module of this project runs; none for others and for names that are no modules."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return ()
    places = [ROOT.joinpath(*parts[: index + 1]) for index in range(len(parts))]
    candidates = [place / "__init__.py" for place in places] + [places[-1].with_suffix(".py")]
    return tuple(path for path in candidates if path.is_file())


@cache
def of_closure(path: Path) -> str:
    """Eight hex digits of everything that this file runs."""
    parts = [f"{shown(file)} {canonical(file)}" for file in sorted(closure(path))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]


@cache
def canonical(path: Path) -> str:
    """The hash of one file, or of what it was before edits that are written down as changing no result."""
    found, known = of_tree(tree(path)), equivalent()
    while (shown(path), found) in known:
        found = known[shown(path), found]
    return found


@cache
def equivalent() -> dict[tuple[str, str], str]:
    """(file, hash after the edit) -> hash before it. UserError for a line without a reason."""
    lines = texts.table(EQUIVALENT, ("file", "before", "after", "why"))
    for number, line in lines:
        if not all(value.strip() for value in line.values()) or line["before"] == line["after"]:
            raise UserError(f"{shown(EQUIVALENT)}:{number}: write file, before, after (two hashes) and why the edit changes no result")
    found = {}
    for number, line in lines:
        found[line["file"], line["after"]] = before = line["before"]
        while (before := found.get((line["file"], before))) is not None:
            if before == line["after"]:
                raise UserError(f"{shown(EQUIVALENT)}:{number}: lines of {line['file']} go in a circle: {before} would count as itself")
    return found


def of_tree(module: ast.Module) -> str:
    """Eight hex digits of the code without docstrings, comments and formatting."""
    return hashlib.sha256(dump(module).encode()).hexdigest()[:8]


def dump(node) -> str:
    """A syntax tree as text that is the same in every Python version (ast.dump and ast.unparse are not), docstrings left out."""
    if isinstance(node, list):
        return f"[{' '.join([dump(item) for item in node])}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    filled = []
    for name in node._fields:
        value = without_docstring(node) if name == "body" else getattr(node, name, None)
        if value is not None and value != [] and name not in SKIPPED:
            filled.append(f"{name}={dump(value)}")
    return f"({type(node).__name__} {' '.join(filled)})"


def without_docstring(node):
    """The body of a module, class or function without its docstring; that of any other node as it is."""
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    return node.body[1:] if documented and ast.get_docstring(node, clean=False) is not None else node.body
