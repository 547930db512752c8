"""One test per printed number: `pytest -m published --results DIR` turns any run's tables into a gate.

Outside its tolerance fails; not run, not comparable at its scale or not implemented is skipped with the reason.
"""

import csv
import subprocess
import sys
from functools import cache

import pytest

from benchmark.pins import kinds as catalogue
from benchmark.pins import published
from benchmark.pins.published import Number
from benchmark.reports import comparison

SKIPPED = ("missing", "not run", "not comparable at this scale", "not implemented")


def name_of(number: Number) -> str:
    return f"{number.name}-row{number.row}-{number.dataset}-T{number.time_steps}-{number.options}-{number.metric}"


@cache
def lines(path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare(number: Number, line: dict) -> str:
    """The verdict, recomputed from the table's values where there are any."""
    said = line[f"{number.metric}_verdict"]
    if said in ("failed", "not run", "not implemented") or not line[number.metric]:
        return said
    spread = float(line.get(f"{number.metric}_std") or 0)
    return comparison.verdict(number, float(line[number.metric]), spread, line["scale"])


@pytest.mark.published
@pytest.mark.parametrize("number", [n for n in published.numbers() if n.metric != "accuracy_std"], ids=name_of)  # a spread is a tolerance
def test_number(number, results):
    path = results / f"{number.name}.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {results}")
    key = (str(number.row), number.dataset, number.time_steps, number.options)
    found = [
        line
        for line in lines(path)
        if (line["row"], line["dataset"], line["time_steps"], line["options"]) == key and line.get(f"{number.metric}_published")
    ]
    assert found, f"{path.name} has no line for row {number.row}, {number.dataset}, T={number.time_steps}: was it written from other pins?"
    verdict = compare(number, found[0])
    if verdict in SKIPPED:
        pytest.skip(f"{verdict}: {comparison.VERDICTS[verdict]}")
    allowed = comparison.tolerance(number)
    assert verdict == "match", f"printed {number.value}, obtained {found[0][number.metric]}, tolerance {allowed:g}: {verdict}"


def gate(folder, *lines_):
    """Exit status and summary of `pytest -m published` on a made-up Table 1 of LDD with these lines."""
    head = "row,dataset,time_steps,options,scale,accuracy_published,accuracy,accuracy_std,accuracy_verdict\n"
    (folder / "table1_ldd.csv").write_text(head + "\n".join(lines_) + "\n")
    words = ["-q", "-m", "published", "--results", str(folder), "-k", "table1_ldd-row1-", "-p", "no:cacheprovider", __file__]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], capture_output=True, text=True, cwd=catalogue.ROOT)
    return done.returncode, done.stdout


def test_the_gate_passes_inside_the_tolerance(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,paper,93.5,93.7,,match")
    assert (status, "1 passed" in said) == (0, True)


def test_the_gate_fails_outside_whatever_the_file_says(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,paper,93.5,92.0,,match")
    assert status == 1
    assert "printed 93.5, obtained 92.0, tolerance 0.3: worse" in said


def test_the_gate_skips_what_cannot_be_compared(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,smoke,93.5,92.0,,not comparable at this scale")
    assert (status, "1 skipped" in said) == (0, True)
