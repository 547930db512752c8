"""Fills the README's marked blocks from the files: the smoke table, the coverage, whose recipe values are, the audit's findings."""

import re
from pathlib import Path

from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import audit, provenance
from benchmark.reports import implemented as coverage
from benchmark.reports.markdown import aligned

README = ROOT / "README.md"


def blocks(root: Path = ROOT) -> dict[str, str]:
    """Marker name -> text. The table is left out while there is none."""
    found = {"coverage": covered(root), "recipes": recipe_values(), "audit": most_important()}
    table = root / "results" / "table1_ldd.md"
    if table.exists():
        found["table1_ldd"] = table.read_text(encoding="utf-8").partition("\n\n")[2].strip()
    return found


def covered(root: Path) -> str:
    """Lines of each table: how many there are and how many can run."""
    rows = coverage.lines(root)
    heads = ("table", "printed numbers", "lines", "can run", "nothing to run")
    counted = [coverage.counts(table, [row for row in rows if row["table"] == table]) for table in published.tables()]
    return aligned(heads, [(line[0], line[2], line[1], line[3], line[4]) for line in counted]).strip()


def recipe_values() -> str:
    """Of each table that can run, how many of its recipe's values are printed, and whose the others are."""
    as_printed = settings({"scale": "paper"})
    counted = {table: provenance.origins(table, as_printed) for table in published.tables()}
    return aligned(("table", *provenance.ORIGINS), [(table, *of.values()) for table, of in counted.items() if any(of.values())]).strip()


def most_important() -> str:
    """The ten most important facts as a list."""
    intro = f"{audit.summary()}. The ten that matter most to a reader:"
    lines = [f"{index}. {fact.sentence}" for index, fact in enumerate(audit.ten_most_important(), 1)]
    return "\n".join([intro, "", *lines])


def filled(text: str, found: dict[str, str]) -> str:
    """The README with these blocks in place."""
    for name, block in found.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8"), blocks()), encoding="utf-8")
