"""The README says what the files say."""

from benchmark.pins.kinds import ROOT
from benchmark.reports import readme

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_coverage_and_findings_are_the_files_own():
    found = {name: block for name, block in readme.blocks().items() if name in ("coverage", "audit")}
    assert readme.filled(TEXT, found) == TEXT, "run: python -m benchmark.readme"


def test_a_stale_block_is_replaced():
    stale = "before\n<!-- audit -->\nold\n<!-- end -->\nafter"
    assert readme.filled(stale, {"audit": "new"}) == "before\n<!-- audit -->\nnew\n<!-- end -->\nafter"


def test_the_printed_commands_are_those_that_ci_runs():
    assert "pip install uv && uv run snakemake --cores 2 results/table1_ldd.csv" in TEXT
    assert "uv run pytest" in TEXT
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
