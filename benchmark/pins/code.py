"""What code a run depends on, as a hash: the import closure of its method, backbone, neuron, data set and the training loop.

A file counts by its syntax tree without docstrings, so comments, formatting and `touch` change nothing and every Python version agrees.
An edit that changes no result (a rename, a faster way to the same bits) can be written down in equivalent_edits.csv, with the reason:
the file then goes on counting as it did before, and finished runs stay what they are. A line there is reviewed like any other code.
"""

import ast
import csv
import hashlib
from functools import cache
from pathlib import Path

from benchmark.shared.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent
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


def shown(path: Path) -> str:
    """A path as people know it: from the repository's root if it lies there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


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
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = path.relative_to(ROOT).with_suffix("").parts[: -node.level]
                base = ".".join([*here, *([base] if base else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(dict.fromkeys(file for name in names for file in files_of(name)))


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
    with EQUIVALENT.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for number, line in enumerate(lines, 2):
        if not all((line.get(key) or "").strip() for key in ("file", "before", "after", "why")) or line["before"] == line["after"]:
            raise UserError(f"{shown(EQUIVALENT)}:{number}: write file, before, after (two hashes) and why the edit changes no result")
    return {(line["file"], line["after"]): line["before"] for line in lines}


def of_tree(module: ast.Module) -> str:
    """Eight hex digits of the code without docstrings, comments and formatting."""
    return hashlib.sha256(dump(module).encode()).hexdigest()[:8]


def dump(node) -> str:
    """A syntax tree as text that is the same in every Python version (ast.dump and ast.unparse are not), docstrings left out."""
    if isinstance(node, list):
        return f"[{' '.join(dump(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    filled = ((name, without_docstring(node, name, value)) for name, value in ast.iter_fields(node) if name not in SKIPPED)
    return f"({type(node).__name__} {' '.join(f'{name}={dump(value)}' for name, value in filled if value not in (None, []))})"


def without_docstring(node, name: str, value):
    """The body of a module, class or function without its docstring; any other field as it is."""
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and name == "body"
    return value[1:] if documented and ast.get_docstring(node, clean=False) is not None else value
