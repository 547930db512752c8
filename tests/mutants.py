"""Planted faults: does a test notice? `uv run --with coverage python tests/mutants.py [room ...] [--count N]`, by hand: an hour or two.

Each mutant is one small edit of one place (a sign, a comparison, a constant, a dropped call, argument or condition), drawn with a fixed seed
from the files of a room, in a copy of the tree; the tests that ran the line, quickest first, are run on it until one fails. What survives is
written to docs/mutations.csv and judged there by a reader: `equivalent` with the reason, or a test is missing. docs/mutations.md is the table.
"""

import argparse
import ast
import copy
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
ROOMS = {  # room: files, and the tests that are about them
    "methods": ("methods/[a-z]*.py benchmark/method.py", "methods distillation conversion masking"),
    "neurons": ("benchmark/neurons/*.py", "neurons triton conversion"),
    "datasets": ("benchmark/datasets/[!_]*.py benchmark/datasets/_[!t]*.py", "datasets events"),
    "training": ("benchmark/training/*.py benchmark/training/forms/*.py", "training augment distillation events"),
    "operations": (
        "benchmark/conventions/*.py benchmark/measuring/*.py benchmark/metrics/*.py",
        "operations lemaire structure checks metrics",
    ),
    "tables": ("benchmark/reports/*.py benchmark/runs/*.py", "tables break_even figures claims comparison runs implemented"),
    "audit": ("benchmark/reports/audit/*.py", "audit sources"),
    "cells": ("benchmark/pins/*.py", "cells recipes settings published readings code"),
}
SKIPPED = ("_template.py", "__init__.py")
LIMIT = 240  # seconds for the tests of one mutant; more counts as noticed and is told apart
WIDER = {  # of rooms whose files others use too: where else a mutant that survived may be noticed
    "tables": "structure results reference",
    "operations": "attention_variants conversion converted_runs",
    "audit": "results regression",
    "training": "pretrained exercise memory",
}
QUICK = 2.0  # seconds of a test that is run on lines that no test runs: what a module does when it is imported
COMPARED = {ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
COMPARED |= {ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
COMPUTED = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult,
    ast.Mod: ast.Add,
}
NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "mean": "sum",
    "sum": "mean",
    "argmax": "argmin",
    "floor": "ceil",
    "ceil": "floor",
}


# ---- mutants


def mutants(tree: ast.Module) -> list[tuple[int, str, ast.Module]]:
    """(line, what was done, mutated tree) for every place of a module that can be changed."""
    spared = {id(inner) for node in ast.walk(tree) for part in spared_by(node) for inner in ast.walk(part)}
    nodes = list(ast.walk(tree))
    found = []
    for index, node in enumerate(nodes):
        for kind in () if id(node) in spared else changes(node):
            changed = copy.deepcopy(tree)
            place = list(ast.walk(changed))[index]
            line, before = getattr(place, "lineno", 0), ast.unparse(node)
            after = kind(place)
            if line and after is not None:
                found.append((line, f"{shorten(before)} -> {shorten(after)}", ast.fix_missing_locations(changed)))
    return found


def spared_by(node) -> list[ast.AST]:
    """Messages, annotations, decorators, docstrings and scripts: no results."""
    if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert)):
        return [node]
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "UserError", "Damaged", "unknown", "expect", "tqdm"):
        return [node]
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        parts = [*node.decorator_list, getattr(node, "returns", None)]
        return [part for part in (*parts, *(arg.annotation for arg in ast.walk(node) if isinstance(arg, ast.arg))) if part]
    if isinstance(node, ast.AnnAssign):
        return [node.annotation]
    return [node] if isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) else []


def changes(node) -> list:
    """What can be done to one node; each edits it in place and says what it became."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED:
        return [lambda n: put(n, "ops", [COMPARED[type(n.ops[0])](), *n.ops[1:]])]
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED and not isinstance(node.left, (ast.Constant, ast.JoinedStr)):
        return [lambda n: put(n, "op", COMPUTED[type(n.op)]())]
    if isinstance(node, ast.BoolOp):
        return [lambda n: put(n, "op", ast.Or() if isinstance(n.op, ast.And) else ast.And())]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        return [lambda n: put(n, "op", ast.UAdd() if isinstance(n.op, ast.USub) else None) if isinstance(n.op, ast.USub) else negated(n)]
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        return [lambda n: put(n, "value", not n.value if isinstance(n.value, bool) else n.value * 2 if n.value * 2 != n.value else 1)]
    if isinstance(node, ast.IfExp):
        return [lambda n: swapped(n)]
    if isinstance(node, ast.comprehension) and node.ifs:
        return [lambda n: put(n, "ifs", [])]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [lambda n: put(n, "value", ast.Constant(None))]
    if isinstance(node, ast.Call) and node.keywords and node.keywords[-1].arg:
        return [lambda n: put(n, "keywords", n.keywords[:-1])]
    if isinstance(node, ast.Attribute) and node.attr in NAMES:
        return [lambda n: put(n, "attr", NAMES[n.attr])]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max", "any", "all"):
        return [lambda n: put(n, "func", ast.Name(NAMES[n.func.id], ast.Load()))]
    return []


def put(node, name: str, value) -> str:
    setattr(node, name, value)
    return ast.unparse(node)


def negated(node) -> str:
    """`not x` -> `not not x`."""
    return put(node, "operand", ast.UnaryOp(ast.Not(), node.operand))


def swapped(node) -> str:
    node.body, node.orelse = node.orelse, node.body
    return ast.unparse(node)


def shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else f"{text[:87]}..."


# ---- which tests ran a line


def tests_by_line(tree: Path, tests: list[str]) -> tuple[dict[tuple[str, int], set[str]], dict[str, float]]:
    """(file, line) -> the tests that ran it, by coverage; and each test's seconds."""
    import coverage

    (tree / ".coveragerc").write_text("[run]\ndynamic_context = test_function\nsource =\n    benchmark\n    methods\n")
    words = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=times.xml", *tests]
    done = subprocess.run(words, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the tests fail without any mutant:\n{done.stdout[-3000:]}")
    data = coverage.CoverageData(str(tree / ".coverage"))
    data.read()
    ran: dict[tuple[str, int], set[str]] = {}
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            ran[str(Path(file).relative_to(tree)), line] = {node_id(context) for context in contexts if context}
    seconds: Counter = Counter()
    for case in ElementTree.parse(tree / "times.xml").iter("testcase"):
        seconds[node_id(f"{case.get('classname')}.{case.get('name').partition('[')[0]}")] += float(case.get("time"))
    return ran, seconds


def node_id(context: str) -> str:
    """coverage's `test_x.test_name` or `tests.test_x.test_name` as pytest wants it."""
    module, _, name = context.rpartition(".")
    return f"tests/{module.rpartition('.')[2]}.py::{name}"


# ---- running


def outcome(tree: Path, words: list[str]) -> str:
    """killed, survived or timeout. Runs in a fork that has torch already and the project not yet."""
    child = os.fork()
    if not child:
        os.chdir(tree)
        os.setsid()
        signal.alarm(LIMIT)
        sys.path.insert(0, str(tree))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *words])))
    status = os.waitpid(child, 0)[1]
    return "timeout" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM else "killed" if status else "survived"


def preload() -> None:
    """What takes long to import and is not the project's."""
    import numba  # noqa: F401
    import pytest  # noqa: F401
    import timm  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)


def try_room(room: str, count: int, tree: Path, write) -> None:
    """Draw and try `count` mutants of a room."""
    globs, names = ROOMS[room]
    files = sorted({path for glob in globs.split() for path in tree.glob(glob) if path.name not in SKIPPED})
    tests = [f"tests/test_{name}.py" for name in names.split()]
    ran, seconds = tests_by_line(tree, tests)
    places = []
    for path in files:
        name, source = str(path.relative_to(tree)), path.read_text(encoding="utf-8")
        places += [(name, *mutant) for mutant in mutants(ast.parse(source))]
    for name, line, what, mutated in random.Random(f"mutants of {room}").sample(places, min(count, len(places))):
        found = ran.get((name, line)) or {test for test, time in seconds.items() if time < QUICK}
        target = tree / name
        before = target.read_text(encoding="utf-8")
        try:
            target.write_text(ast.unparse(mutated), encoding="utf-8")
            write(room, name, line, what, outcome(tree, sorted(found, key=seconds.get)))
        finally:
            target.write_text(before, encoding="utf-8")


# ---- the table


COLUMNS = ("room", "file", "line", "mutant", "outcome", "judged")  # judged, of what survived: `equivalent: why`, or `killed by: test`


def table(lines: list[dict]) -> str:
    """docs/mutations.md: how many mutants of each room were noticed, and every one that was not."""
    rows = [f"| {room} | " + " | ".join(map(str, counted([line for line in lines if line["room"] == room]))) + " |" for room in ROOMS]
    left = [line for line in lines if line["outcome"] == "survived" and line["judged"]]
    head = "| room | planted | noticed by a test | test written since | same behaviour | not noticed | of those that change behaviour |"
    return "\n".join(
        [
            "# Planted faults",
            "",
            f"{__doc__.partition(chr(10))[0]}",
            "",
            head,
            "|---" * 7 + "|",
            *rows,
            "| all | " + " | ".join(map(str, counted(lines))) + " |",
            "",
            "What no test noticed when it was planted, as far as it was judged, and why it may stay or what notices it now:",
            "",
            *(f"- `{line['file']}` `{line['mutant']}`: {line['judged']}" for line in left),
            "",
        ]
    )


def again(lines: list[dict], tree: Path, write) -> None:
    """What survived, planted once more and held against all tests of its room and of those that use it, as they are now."""
    for line in (line for line in lines if line["outcome"] == "survived" and not line["judged"]):
        target, names = tree / line["file"], f"{ROOMS[line['room']][1]} {WIDER.get(line['room'], '')}".split()
        before = target.read_text(encoding="utf-8")
        found = [mutated for number, what, mutated in mutants(ast.parse(before)) if (str(number), what) == (line["line"], line["mutant"])]
        if not found:
            continue
        try:
            target.write_text(ast.unparse(found[0]), encoding="utf-8")
            write(*(line[key] for key in COLUMNS[:4]), outcome(tree, [f"tests/test_{name}.py" for name in names]))
        finally:
            target.write_text(before, encoding="utf-8")


def counted(lines: list[dict]) -> tuple:
    noticed = sum(line["outcome"] in ("killed", "timeout") for line in lines)
    since = sum(line["judged"].startswith("killed by") for line in lines)
    same = sum(line["judged"].startswith("equivalent") for line in lines)
    left = len(lines) - noticed - since - same
    return len(lines), noticed, since, same, left, f"{100 * left / max(1, len(lines) - same):.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", default=list(ROOMS))
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument(
        "--again", action="store_true", help="try what survived in --out against all tests of its room and its users, into <out>.again.csv"
    )
    parser.add_argument("--table", action="store_true", help="write docs/mutations.md from what --out has, and plant nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "mutations.csv")
    arguments = parser.parse_args()
    if arguments.table:
        with arguments.out.open(newline="", encoding="utf-8") as file:
            arguments.out.with_suffix(".md").write_text(table(list(csv.DictReader(file, COLUMNS))), encoding="utf-8")
        return
    sys.path.insert(0, str(ROOT))
    from tree import copy_tree

    for name in [name for name in sys.modules if name.partition(".")[0] in ("benchmark", "methods")]:
        del sys.modules[name]
    sys.path.remove(str(ROOT))
    preload()
    known = []
    if arguments.again:
        with arguments.out.open(newline="", encoding="utf-8") as file:
            known = list(csv.DictReader(file, COLUMNS))
        arguments.out = arguments.out.with_suffix(".again.csv")
    with tempfile.TemporaryDirectory() as folder, arguments.out.open("a", newline="", encoding="utf-8") as file:
        tree, writer = copy_tree(Path(folder)), csv.writer(file, lineterminator="\n")

        def write(*values):
            writer.writerow([*values, ""])
            file.flush()
            print(*values[1:], flush=True)

        if arguments.again:
            again(known, tree, write)
            return
        for room in arguments.rooms:
            try_room(room, arguments.count, tree, write)


if __name__ == "__main__":
    main()
