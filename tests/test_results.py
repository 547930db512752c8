"""One test per printed number: `pytest -m published --results DIR` turns any run's tables into a gate.

Outside its tolerance fails; not run, not comparable at its scale or not implemented is skipped with the reason.
"""

import csv
from functools import cache

import pytest

from benchmark import comparison, published
from benchmark.published import Number

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
@pytest.mark.parametrize("number", published.numbers(), ids=name_of)
def test_number(number, results):
    path = results / f"{number.name}.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {results}")
    key = (str(number.row), number.dataset, number.time_steps, number.options)
    found = [line for line in lines(path) if (line["row"], line["dataset"], line["time_steps"], line["options"]) == key and line.get(f"{number.metric}_published")]
    assert found, f"{path.name} has no line for row {number.row}, {number.dataset}, T={number.time_steps}: was it written from other pins?"
    verdict = compare(number, found[0])
    if verdict in SKIPPED:
        pytest.skip(f"{verdict}: {comparison.VERDICTS[verdict]}")
    allowed = comparison.tolerance(number)
    assert verdict == "match", f"printed {number.value}, obtained {found[0][number.metric]}, tolerance {allowed:g}: {verdict}"
