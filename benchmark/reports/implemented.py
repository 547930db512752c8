"""results/coverage.csv: for every printed row, is it implemented, at which scales has it run, and what are the verdicts. No torch."""

from pathlib import Path

from benchmark import metrics
from benchmark.pins import published
from benchmark.pins.settings import scales, settings
from benchmark.reports import tables
from benchmark.reports.markdown import aligned
from benchmark.runs.lines import Line, of_table
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv

COLUMNS = ("table", "row", "dataset", "time_steps", "options", "cell", "origin", "numbers", "implemented", "lacking", "ran_at", "verdicts")


def lines(root: Path) -> list[dict]:
    """One line per line of each table; `root` is the repository, whose scales' working directories are looked into."""
    return [line for table in published.tables() for line in told(table, root)]


def told(table: str, root: Path) -> list[dict]:
    """The lines of one table; of a table that cannot be read one line, which says why."""
    try:
        return lines_of(table, root)
    except UserError as error:
        return [{"table": table, "numbers": 0, "implemented": "no", "lacking": f"cannot be read: {error}", "ran_at": "", "verdicts": ""}]


def lines_of(table: str, root: Path) -> list[dict]:
    """The lines of one table, with the verdicts at every scale at which something ran."""
    chosen = {scale: settings({"scale": scale}) for scale in scales()}
    entries = {scale: of_table(table, of) for scale, of in chosen.items()}
    ran = {
        scale: [any(run.state(home(scale, root)) == "done" for run in entry.runs) for entry in found] for scale, found in entries.items()
    }
    rows = {scale: tables.build(table, chosen[scale], home(scale, root)) for scale, done in ran.items() if any(done)}
    found = []
    for index, entry in enumerate(entries["smoke"]):
        at = [scale for scale in rows if ran[scale][index]]
        said = [f"{scale} {number.metric}: {rows[scale][index][number.metric + '_verdict']}" for scale in at for number in judged(entry)]
        found.append({"table": table, **about(entry), "ran_at": " ".join(at), "verdicts": "; ".join(said)})
    return found


def judged(entry: Line) -> list:
    """The printed numbers of a line that are compared; a printed spread only widens a tolerance."""
    spreads = {metrics.metric(number.metric).spread for number in entry.numbers}
    return [number for number in entry.numbers if number.metric not in spreads]


def about(entry: Line) -> dict:
    """What was printed, and whether it can run."""
    described = {key: getattr(entry.first, key) for key in ("row", "dataset", "time_steps", "options", "cell", "origin")}
    implemented = "no" if entry.lacking else "yes" if entry.resolved else "nothing to run"
    return {**described, "numbers": len(entry.numbers), "implemented": implemented, "lacking": entry.lacking}


def home(scale: str, root: Path) -> Path:
    """The working directory of a scale."""
    return root if scale == "smoke" else root / "work" / scale


def write(out: Path, root: Path) -> str:
    """Write the CSV; returns the counts per table, readable."""
    rows = lines(root)
    write_csv(out, rows, list(COLUMNS))
    heads = ("table", "lines", "numbers", "implemented", "nothing to run", "ran at smoke", "reduced", "paper")
    return aligned(heads, [counts(table, [row for row in rows if row["table"] == table]) for table in published.tables()])


def counts(table: str, rows: list[dict]) -> tuple:
    """One line of the summary."""
    said = [row["implemented"] for row in rows]
    ran = [sum(scale in row["ran_at"].split() for row in rows) for scale in ("smoke", "reduced", "paper")]
    return (table, len(rows), sum(row["numbers"] for row in rows), said.count("yes"), said.count("nothing to run"), *ran)
