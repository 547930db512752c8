"""Tables as they came out when somebody last looked at them: the pins, the audit, what can run, structures, and three small runs.

What is expected lies in tests/test_regression/ and is reviewed like any line. After a change that is meant, write it anew with

    pytest tests/test_regression.py --regen-all

and read the diff. Columns without a tolerance below must be equal, texts and counts to the last digit.
"""

import csv
from collections import Counter
from pathlib import Path

import pandas
import pytest

from benchmark.measuring.structure import structure as count
from benchmark.pins import published, recipes
from benchmark.pins.settings import settings
from benchmark.reports import audit, implemented, structure, tables
from benchmark.runs import lines, structures
from benchmark.shared.files import write_json
from benchmark.training.run import run as run_one

EXACT = {"rtol": 0, "atol": 0}
# What a test writes lies in tmp_path/made: beside it, in tmp_path, pytest-regressions keeps its copies of the expected files.


@pytest.fixture
def holds(dataframe_regression, original_datadir):
    """Compare lines with the file of a name, column by column. Lines: [dict]; tolerances: column -> numpy.isclose's rtol, atol."""

    def check(name: str, found: list[dict], columns: tuple[str, ...], **tolerances):
        frame = pandas.DataFrame([{column: str(line.get(column, "")) for column in columns} for line in found], columns=columns)
        wide = {column: {**EXACT, **allowed} for column, allowed in tolerances.items()}
        frame = frame.set_index(columns[0])  # no running number: a line more is a line more in the diff
        dataframe_regression.check(frame, basename=name, tolerances=wide, default_tolerance=EXACT)
        with (original_datadir / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            assert tuple(next(csv.reader(file))) == columns  # a column that went is not missed by the comparison above

    return check


# ---- what is written from the pins alone


def test_published(holds):
    """Digits as printed: a number and its unit are one text, so that 93.50 is not 93.5."""
    found = [{**vars(number), "printed": f"{number.value} {number.unit}"} for number in published.numbers()]
    holds(
        "published", found, ("paper", "table", "row", "dataset", "time_steps", "options", "metric", "printed", "origin", "source", "cell")
    )


def test_audit(holds, tmp_path):
    """Every finding, and of the controls that check out how many each check has."""
    audit.write(tmp_path / "made" / "audit.csv", tmp_path / "made" / "audit.md")
    found = read(tmp_path / "made" / "audit.csv")
    place = ("paper", "table", "row", "check")
    said = ("severity", "kind", "fact", "printed", "expected", "difference", "images", "resolves", "rests_on", "lines")
    holds("audit", [line for line in found if line["status"] == "finding"], place + said)
    controls = Counter((line["paper"], line["check"]) for line in found if line["status"] == "ok")
    assert sum(controls.values()) + sum(line["status"] == "finding" for line in found) == len(found)
    counted = [{"paper": paper, "check": check, "ok": ok} for (paper, check), ok in sorted(controls.items())]
    holds("audit_controls", counted, ("paper", "check", "ok"))


def test_coverage(holds, tmp_path):
    """What can run and what lacks, whatever has run in this checkout."""
    implemented.write(tmp_path / "made" / "coverage.csv", tmp_path)
    holds("coverage", read(tmp_path / "made" / "coverage.csv"), implemented.COLUMNS[: implemented.COLUMNS.index("ran_at")])


# ---- networks at paper size: 79 of them, from shapes alone


def test_structure(holds, tmp_path):
    """Counts are exact; operations that the table rounds to six digits may differ in the last."""
    for path in structures.of_all_pins():
        counted(tmp_path, path)
    structure.write(tmp_path / "made" / "structure.csv", tmp_path)
    operations = ("macs_G_per_step", "macs_attention_G_per_step", "ops_syops_G", "macs_syops_M", "implied_rate_pct")
    holds("structure", read(tmp_path / "made" / "structure.csv"), structure.COLUMNS, **dict.fromkeys(operations, {"rtol": 2e-6}))


# ---- small runs


CELLS = {  # a table and the lines of it that run: a method of each kind on a family of its own, seconds each
    "table1_tser": ("12", "CIFAR10", "2", "lasnn:resnet-18:ann-resnet-34"),
    "table1_idsnn": ("8", "CIFAR10", "4", "idsnn:idsnn-resnet-18:ann-resnet-34"),
    "table1_ldd": ("3", "CIFAR10", "2", "direct:spike-driven-transformer-4-384"),
}
POINTS = {"atol": 6.0}  # of the vector instructions of three kinds of CPU, each trains to another accuracy, at most 4.6 points apart,
SHARE = {"rtol": 0.08}  # with rates and counts at most 4 % apart; on one CPU a run repeats to the bit
TRAINED = {
    **dict.fromkeys(("accuracy", "accuracy_low", "accuracy_high", "accuracy_last", "accuracy_best"), POINTS),
    **dict.fromkeys(("firing_rate", "acs_G", "sops_G", "energy_mJ"), SHARE),
}
SHOWN = ("row", "dataset", "time_steps", "data", "n_seeds", "params_M", "run_params_M", "run_macs_G", *TRAINED, "checks", "differs")


@pytest.mark.parametrize("table", CELLS)
def test_smoke_cells(table, holds, tmp_path):
    """The line of a table behind which something ran, on one thread of the CPU; what is above it runs first."""
    chosen = settings({})
    (entry,) = (entry for entry in lines.of_table(table, chosen) if place(vars(entry.first)) == CELLS[table])
    for cell in reversed(entry.resolved.with_upstream()):
        run_one(cell.spec, recipes.whole(cell.spec["recipe"]), 0, tmp_path / "runs" / cell.id / "seed0", tmp_path, "cpu", 1)
    counted(tmp_path, structures.path(entry.resolved.cell.backbone, entry.resolved.cell.dataset))
    tables.write(table, chosen, tmp_path)
    found = [line for line in read(tmp_path / "results" / f"{table}.csv") if line["accuracy"]]
    holds(f"smoke_{table}", found, SHOWN, **TRAINED)


def place(line: dict) -> tuple[str, ...]:
    return tuple(str(line[key]) for key in ("row", "dataset", "time_steps", "cell"))


def counted(root: Path, path: Path) -> None:
    """A network at paper size in its file, as the workflow's rule `network` writes it."""
    described, data = structures.described(path.parent.name, path.stem)
    write_json(root / path, count(described, data["classes"], data["shape"], data["form"]))


def read(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
