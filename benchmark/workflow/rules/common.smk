# What the rules share: settings from the configuration, and the runs of every table, resolved once.
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from benchmark.pins import cells, code, kinds, published
from benchmark.pins.settings import check_directory, settings
from benchmark.reports import figures
from benchmark.runs import lines, references, structures
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError
from benchmark.workflow import warm


def told(function, *arguments):
    """A user's mistake as one clear line instead of a traceback."""
    try:
        return function(*arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


SETTINGS = told(settings, dict(config), Path.cwd())
told(check_directory, SETTINGS.scale, Path.cwd(), Path(workflow.basedir))
OWN = [f"{table}.{SETTINGS.compare}" for table in published.tables()] if SETTINGS.compare else []
SOUND, _ = lines.made([*published.tables(), *published.figures(), *OWN], SETTINGS)  # a broken one is told to who asks for it
RUNS = lines.behind([entry for entries in SOUND.values() for entry in entries])
CELLS = {run.resolved.id: run.resolved for run in (*RUNS.values(), *references.sound())}
DRAWN = [name for name in SOUND if name in published.figures()]
SURFACES, PICTURED = (figures.cells_of(metric, DRAWN, SETTINGS) for metric in ("loss_surface", "pictures"))
PICTURED |= references.pictured()
UPSTREAM = {above.id for cell in CELLS.values() for _, above in cell.upstream} | SURFACES | PICTURED  # whose weights something reads
TRAINS = ("train", "train_upstream", "train_pictured")
CONFIG = [f"{key}={json.dumps(value)}" for key, value in config.items() if key not in ("partition", "account")]  # what, not where

# What must not count for a re-run reaches the commands as environment: where the repository and the data lie, the device,
# and what runs the neurons.
ENVIRONMENT = {
    "PYTHONPATH": workflow.basedir,
    "SPIKELEDGER_DATA_ROOT": Path(workflow.basedir) / SETTINGS.data_root,
    "SPIKELEDGER_DEVICE": SETTINGS.device,
    "SPIKELEDGER_NEURONS": SETTINGS.neurons,
    warm.ADDRESS: os.environ.get(warm.ADDRESS, warm.address()) if workflow.remote_exec else warm.address(),
}
EXPORTS = " ".join(f"{key}={shlex.quote(str(value))}" for key, value in ENVIRONMENT.items())
# `tell <log> <command>`: what a command says goes to its log, and of a failed one the line that matters to the terminal too.
TELL = 'tell() { local log=$1; shift; "$@" 2> "$log" || { local status=$?; tail -n 3 "$log" >&2; return $status; }; }'
shell.prefix(f"set -euo pipefail; export {EXPORTS}; {TELL}; ".replace("{", "{{").replace("}", "}}"))


def one_of(names):
    """A wildcard constraint that matches these names and nothing else."""
    return "|".join(sorted(names)) or "none"


def one_of_cells(ids):
    """The same for cells by the checksum that their names end with: Snakemake goes through a constraint for every path of every job."""
    return rf"[^/]+-(?:{one_of(id.rpartition('-')[2] for id in ids)})"


def cell(name):
    """UserError: of the name only the checksum is a cell's."""
    if name not in CELLS:
        meant = next(id for id in CELLS if id.rpartition("-")[2] == name.rpartition("-")[2])
        raise UserError(f"no cell is named {name}; the one with this checksum is {meant}")
    return CELLS[name]


def upstream_weights(wildcards):
    """Input of a run: the weights of what ran before it, by role."""
    run = Run(told(cell, wildcards.cell), int(wildcards.seed))
    return {role: f"{above.folder}/weights.pt" for role, above in run.upstream}


def stands_for_events(data):
    """Whether this data set of a specification is a stand-in for event recordings."""
    return data["stand_in"] and data["form"] == "events"


def behind(table):
    """Input of a table: the metrics of every run behind it, and the structures of its networks at paper size."""
    entries = SOUND[table] if table in SOUND else told(lines.of_table, table, SETTINGS)
    runs = [str(folder / "metrics.json") for folder in lines.behind(entries)]
    return runs + [str(path) for path in told(structures.behind, table)]


def reported():
    """What `snakemake --report` shows if no target is named: of everything that can be made here, what there is."""
    if not {word.partition("=")[0] for word in sys.argv} & {"--report", "--reporter"}:
        return []
    names = [*SOUND, *(f"reference/{name}" for name in references.names())]
    names += ["published", "audit", "coverage", "structure", "claims", "obtained"]
    files = [f"{name}.csv" for name in names] + [f"{name}.png" for name in DRAWN]
    frames = [f"frames/{name}.png" for name in FRAMES]
    # What a report of each cannot be without.
    beside = {"report.html": [*frames, "figures"], "obtained.csv": ["disagreements.csv"], "audit.csv": ["audit.md"]}
    whole = [
        file
        for file in (*files, *frames, "report.html")
        if all((Path("results") / each).exists() for each in (file, *beside.get(file, [])))
    ]
    return [f"results/{file}" for file in whole]
