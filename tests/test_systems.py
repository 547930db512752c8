"""docs/systems.md: what the files say of their sources, and nothing else."""

import ast

import pytest

from benchmark.pins import kinds
from benchmark.reports import systems


def test_a_field_ends_at_the_next_one_or_at_a_blank_line():
    doc = """A neuron.

Source: owner/name@1234567, model.py
  and more of it.
Parity: logits to 1e-6,
gradients to 1e-5.
Expected: nothing.

Deviations is no field here.
"""
    assert systems.said(doc) == {
        "Source": "owner/name@1234567, model.py and more of it.",
        "Parity": "logits to 1e-6, gradients to 1e-5.",
        "Deviations": "",
        "Guessed": "",
    }


def test_the_page_is_what_the_files_say():
    assert systems.TARGET.read_text(encoding="utf-8") == systems.text(), "run python -m benchmark.reports.systems"


def test_every_file_is_on_the_page():
    found = {kind: [file for file, _, _ in systems.lines(kind)] for kind in systems.KINDS}
    assert "methods/tser.py" in found["method"] and "benchmark/neurons/lif.py" in found["neuron"]
    assert all(f"**{file}**" in systems.text() for files in found.values() for file in files)


FILES = [(file, found) for kind in systems.KINDS for file, _, found in systems.lines(kind)]


@pytest.mark.parametrize(("file", "found"), FILES, ids=[file for file, _ in FILES])
def test_a_file_says_its_source(file, found):
    assert found["Source"], f"{file} needs a line `Source: ...` in its docstring, see _template.py beside it"


def test_templates_show_the_fields():
    for kind in systems.KINDS:
        doc = ast.get_docstring(ast.parse((kinds.FOLDERS[kind] / "_template.py").read_text(encoding="utf-8")))
        assert all(systems.said(doc).values()), kind
