"""Every obtained number of all tables in one file, and those that differ from what is printed. Never loads torch or pandas.

A number differs where its interval lies outside the tolerance around the printed one (`better`, `worse`): what is not comparable at a
scale, or undecided, is no disagreement.
"""

from pathlib import Path

from benchmark import metrics
from benchmark.pins import comparable, published
from benchmark.pins.settings import Settings
from benchmark.reports import tables
from benchmark.reports.measured import Measured
from benchmark.runs import lines
from benchmark.shared.files import write_csv

DIFFER = ("better", "worse")  # verdicts
ABOUT = ("row", "group", "method", "backbone", "dataset", "time_steps", "options")
RAN = ("scale", "data", "model", "n_seeds", "differs", "checks", "run")
COLUMNS = (
    *(
        "paper",
        "table",
        *ABOUT,
        "metric",
        "unit",
        "published",
        "obtained",
        "low",
        "high",
        "difference",
        "verdict",
        *RAN,
        "origin",
        "source",
    ),
)


def numbers(settings: Settings, root: Path) -> list[dict]:
    """One line per printed number for which there is a value, in the order of papers and tables; a broken table is left out."""
    names, _ = lines.sound(list(published.tables()), settings)
    return [line for name in names for line in of_table(name, settings, root)]


def of_table(name: str, settings: Settings, root: Path) -> list[dict]:
    measured = [Measured.of(line, root) for line in lines.of_table(name, settings)]
    pairs = zip(measured, tables.rows(measured, settings.scale), strict=True)
    return [found for each, row in pairs for number in each.line.numbers if (found := obtained(number, row))]


def obtained(number: published.Number, row: dict) -> dict | None:
    """One printed number with the columns of its line; None without a value, and for a printed spread, which is not judged by itself."""
    name = number.metric
    value, verdict = row.get(name), row.get(f"{name}_verdict")
    if value is None or verdict is None:
        return None
    values = {"published": number.value, "obtained": value, "low": row.get(f"{name}_low"), "high": row.get(f"{name}_high")}
    values = {key: tables.rounded(name, item) for key, item in values.items()}
    difference = tables.rounded(name, value - number.number)
    about = {"paper": number.paper, "table": number.table, "metric": name, "unit": number.unit, "source": number.source}
    columns = {key: row[key] for key in (*ABOUT, *RAN, "origin")}
    if metrics.metric(name).of == "structure":  # counted on the paper-size network, whatever ran
        columns |= {"data": row["dataset"], "model": comparable.MODELS[False], "n_seeds": 0, "differs": "", "checks": "", "run": ""}
    return {**about, **columns, **values, "difference": difference, "verdict": verdict}


def write(settings: Settings, root: Path) -> str:
    """results/obtained.csv and results/disagreements.csv under `root`; returns how many lines each has."""
    found = numbers(settings, root)
    differing = [line for line in found if line["verdict"] in DIFFER]
    write_csv(root / "results" / "obtained.csv", found, list(COLUMNS))
    write_csv(root / "results" / "disagreements.csv", differing, list(COLUMNS))
    return f"{len(found)} numbers obtained, {len(differing)} of them another one than is printed, in {root / 'results'}"
