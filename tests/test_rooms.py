"""The house: every room says at its door what is inside, arrows run one way, and a new file of a kind needs no other file touched."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark.pins import kinds
from benchmark.pins.code import ROOT

ROOMS = sorted(path.parent for path in (ROOT / "benchmark").glob("*/__init__.py"))
LAYERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]


def test_arrows_run_one_way_and_in_no_circle():
    done = subprocess.run([str(Path(sys.executable).parent / "lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: 4 kept, 0 broken", done.stdout), done.stdout


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_a_room_says_what_is_inside(room):
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
    assert said and 40 < len(said.partition("\n\n")[0]) < 400


def test_every_room_has_its_place_in_the_order_and_in_the_readme():
    placed = {name for layer in LAYERS for name in re.split(r" \| ", layer)}
    assert {room.name for room in ROOMS} | {"method"} == placed
    readme = (ROOT / "README.md").read_text()
    built = readme[readme.index("## How it is built") :]
    assert all(re.search(rf"\b{room.name}/", built) for room in ROOMS), [room.name for room in ROOMS if f"{room.name}/" not in built]


def test_no_alias_dodges_another_name():
    """`import x as y` only where a library's own habit has it."""
    for path in [*(ROOT / "benchmark").rglob("*.py"), *(ROOT / "methods").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmark"):
                renamed = {alias.name: alias.asname for alias in node.names if alias.asname}
                assert len(renamed) <= 1, f"{path}: {renamed}"


@pytest.mark.parametrize("kind", kinds.FOLDERS)
def test_each_kind_of_file_has_a_template(kind):
    template = kinds.FOLDERS[kind] / "_template.py"
    assert template.exists(), f"no {template.relative_to(ROOT)}"
    assert len(ast.get_docstring(ast.parse(template.read_text())) or "") > 200
