"""One test per printed number: `pytest -m published --results DIR` turns any run's tables into a gate.

Outside its tolerance, failed and damaged fail; what is undecided, not run, not comparable or not implemented is skipped with the reason.
"""

import csv
import subprocess
import sys
from functools import cache

import pytest

from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.published import Number
from benchmark.pins.settings import settings
from benchmark.reports import comparison, tables
from benchmark.runs import lines as runs_lines
from tests import made

SKIPPED = ("undecided", "missing", "not run", "not comparable", "not implemented")
WITHOUT = ("failed", "damaged", "not run", "not implemented")  # verdicts that no value has made


def name_of(number: Number) -> str:
    return f"{number.name}-row{number.row}-{number.dataset}-T{number.time_steps}-{number.options}-{number.metric}"


@cache
def lines(path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def compare(number: Number, line: dict) -> str:
    """The verdict, made anew from the table's values where there are any."""
    said, value = line[f"{number.metric}_verdict"], line[number.metric]
    if said in WITHOUT or not value:
        return said
    if comparison.metric_of(number).of == "structure":
        return comparison.decided(number, float(value), float(value))
    low, high = (float(line[f"{number.metric}_{end}"]) for end in ("low", "high"))
    assert low - 0.01 <= float(value) <= high + 0.01, f"{value} does not lie in its own interval, {low:g} to {high:g}: was the file edited?"
    return "not comparable" if line["differs"] else comparison.decided(number, low, high)


@pytest.mark.published
@pytest.mark.parametrize("number", [n for n in published.numbers() if n.metric != "accuracy_std"], ids=name_of)  # a spread is a tolerance
def test_number(number, results, compared):
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
    if verdict not in SKIPPED:
        compared.append(number)
    if verdict in SKIPPED:
        pytest.skip(f"{verdict}: {found[0]['differs'] or found[0]['why'] or comparison.VERDICTS[verdict]}")
    allowed = comparison.tolerance(number)
    assert verdict == "match", f"printed {number.value}, obtained {found[0][number.metric]}, tolerance {allowed:g}: {verdict}"


HEAD = "row,dataset,time_steps,options,accuracy_published,accuracy,accuracy_low,accuracy_high,accuracy_verdict,differs,why\n"


def gate(folder, *lines_):
    """Exit status and summary of `pytest -m published` on a made-up Table 1 of LDD with these lines."""
    (folder / "table1_ldd.csv").write_text(HEAD + "\n".join(lines_) + "\n")
    words = ["-q", "-m", "published", f"--results={folder}", "-k", "table1_ldd-row1-", "-p", "no:cacheprovider", __file__]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout


def test_the_gate_passes_inside_the_tolerance(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,93.5,93.6,93.5,93.7,worse,,")
    assert (status, "1 passed" in said) == (0, True)


def test_the_gate_fails_outside_whatever_the_file_says(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,93.5,92.0,91.8,92.2,match,,")
    assert status == 1
    assert "printed 93.5, obtained 92.0, tolerance 0.3: worse" in said


def test_the_gate_fails_on_an_edited_value(tmp_path):
    status, said = gate(tmp_path, "1,CIFAR10,2,,93.5,93.5,91.8,92.2,match,,")
    assert (status, "93.5 does not lie in its own interval, 91.8 to 92.2" in said) == (1, True)


@pytest.mark.parametrize("word", ["failed", "damaged"])
def test_the_gate_fails_on_a_run_that_has_none(word, tmp_path):
    status, said = gate(tmp_path, f"1,CIFAR10,2,,93.5,,,,{word},,out of memory")
    assert (status, f"tolerance 0.3: {word}" in said) == (1, True)


@pytest.mark.parametrize(
    "line",
    [
        "1,CIFAR10,2,,93.5,93.5,93.4,93.6,not comparable,twin; digits for CIFAR10,",
        "1,CIFAR10,2,,93.5,93.5,93.4,93.6,match,twin,",  # whatever the file says
        "1,CIFAR10,2,,93.5,93.5,92.0,95.0,match,,",
        "1,CIFAR10,2,,93.5,,,,not run,,",
        "1,CIFAR10,2,,93.5,,,,not implemented,,method x: to be built",
    ],
)
def test_the_gate_skips_what_cannot_be_compared(line, tmp_path):
    status, said = gate(tmp_path, line)
    assert (status, "1 skipped" in said, "no number of" in said) == (1, True, True)  # a gate that compared nothing is none


@pytest.mark.parametrize(("folder", "said"), [("nowhere", "does not exist"), (".", "holds no result table")])
def test_the_gate_refuses_a_folder_without_tables(folder, said, tmp_path):
    words = ["-q", "-m", "published", f"--results={tmp_path / folder}", "-p", "no:cacheprovider"]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 4 and said in done.stderr and "Traceback" not in done.stderr


def test_the_gate_reads_what_tables_write(tmp_path):
    """A whole table of runs: each printed number gets the verdict that stands in it."""
    chosen = settings({"scale": "paper", "seeds": 2})
    entries = runs_lines.of_table("table3_ldd", chosen)
    for entry, value in zip(entries, (50.0, 60.0, 70.0, 80.0), strict=False):
        for run in entry.runs:
            made.accuracy(tmp_path, run, value)
    tables.write("table3_ldd", chosen, tmp_path)
    found = lines(tmp_path / "results" / "table3_ldd.csv")
    assert [compare(entry.first, line) for entry, line in zip(entries, found, strict=True)] == [line["accuracy_verdict"] for line in found]
    assert "worse" in {line["accuracy_verdict"] for line in found}
