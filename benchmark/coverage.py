"""results/coverage.csv: for every printed row, is it implemented, at which scales has it run, and what are the verdicts. No torch."""

from pathlib import Path

from benchmark import ledger, published, tables
from benchmark.files import write_csv
from benchmark.ledger import Line
from benchmark.settings import scales, settings

COLUMNS = ("table", "row", "dataset", "time_steps", "options", "cell", "origin", "numbers", "implemented", "lacking", "ran_at", "verdicts")


def lines(root: Path) -> list[dict]:
    """One line per line of each table; `root` is the repository, whose scales' working directories are looked into."""
    found = []
    for table in published.tables():
        per_scale = {scale: ledger.lines(table, settings({"scale": scale})) for scale in scales()}
        found += [line(table, dict(zip(per_scale, same, strict=True)), root) for same in zip(*per_scale.values(), strict=True)]
    return found


def line(table: str, entries: dict[str, Line], root: Path) -> dict:
    """One printed line at every scale."""
    entry = next(iter(entries.values()))
    first = entry.first
    ran = {scale: found for scale, found in entries.items() if any(run.state(home(scale, root)) == "done" for run in found.runs)}
    judged = [f"{scale} {number.metric}: {verdict(found, number, scale, root)}" for scale, found in ran.items() for number in found.numbers]
    about = {key: getattr(first, key) for key in ("row", "dataset", "time_steps", "options", "cell", "origin")}
    implemented = "no" if entry.lacking else "yes" if entry.resolved else "nothing to run"
    return {
        "table": table,
        **about,
        "numbers": len(entry.numbers),
        "implemented": implemented,
        "lacking": entry.lacking,
        "ran_at": " ".join(ran),
        "verdicts": "; ".join(judged),
    }


def home(scale: str, root: Path) -> Path:
    """The working directory of a scale."""
    return root if scale == "smoke" else root / "work" / scale


def verdict(entry: Line, number, scale: str, root: Path) -> str:
    """The verdict of one number from the runs of one scale."""
    return tables.verdict_of(entry, number, settings({"scale": scale}), home(scale, root))


def write(out: Path, root: Path) -> str:
    """Write the CSV; returns the counts per table, readable."""
    rows = lines(root)
    write_csv(out, rows, list(COLUMNS))
    heads = ("table", "lines", "numbers", "implemented", "nothing to run", "ran at smoke", "reduced", "paper")
    return tables.aligned(heads, [counts(table, [row for row in rows if row["table"] == table]) for table in published.tables()])


def counts(table: str, rows: list[dict]) -> tuple:
    """One line of the summary."""
    said = [row["implemented"] for row in rows]
    ran = [sum(scale in row["ran_at"].split() for row in rows) for scale in ("smoke", "reduced", "paper")]
    return (table, len(rows), sum(row["numbers"] for row in rows), said.count("yes"), said.count("nothing to run"), *ran)


