"""A copy of the project and what tests ask of it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from benchmark.pins.code import ROOT


def copy_tree(target: Path) -> Path:
    """What git would commit, and the compiled neuron, which takes ten seconds to make."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / "benchmark").glob("**/__pycache__/*.nb?")]
    for name in [*filter(None, listed.stdout.split("\0")), *compiled]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


class Tree:
    """A copy of the project and what can be asked of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SPIKELEDGER", "PYTEST")) and key != "PYTHONPATH"}
        self.environment = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, *words, timeout=100):
        return subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout)

    def snakemake(self, *words, timeout=100):
        """Standard output and error together."""
        done = self.run("snakemake", "--cores", "1", *words, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def benchmark(self, *words):
        return self.run(sys.executable, "-m", "benchmark", *words)

    def jobs(self, *words) -> dict[str, int]:
        """What a dry run would do: rule -> number of jobs."""
        status, said = self.snakemake("--dry-run", *words)
        assert status == 0, said
        stats = said.partition("Job stats:")[2].partition("total")[0]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}

    def cells(self, *pairs, table="table1_ldd") -> list[dict]:
        """The runs behind a table: folder, method, backbone and data set."""
        code = """
import json, sys
from benchmark.runs import lines
from benchmark.workflow.command import chosen_settings
runs = lines.runs_of([sys.argv[1]], chosen_settings(sys.argv[2:]))
print(json.dumps([{"folder": str(folder), **vars(run.resolved.cell)} for folder, run in runs.items()]))
"""
        return json.loads(self.run(sys.executable, "-c", code, table, *pairs).stdout)

    def cell(self, *pairs, table="table1_ldd", **wanted) -> dict:
        """The only run like this."""
        (found,) = (cell for cell in self.cells(*pairs, table=table) if wanted.items() <= cell.items())
        return found
