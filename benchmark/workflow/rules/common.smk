# What the rules share: settings from the configuration, and the runs of every table, resolved once.
import functools
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
from benchmark.shared.files import claim, locked
from benchmark.workflow import cluster, handed, kept, needs, stopping, warm


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
    warm.ADDRESS: warm.address(),
}
EXPORTS = " ".join(f"{key}={shlex.quote(str(value))}" for key, value in ENVIRONMENT.items())
# `tell <log> <command>`: what a command says goes to its log, and of a failed one the line that matters to the terminal too.
TELL = 'tell() { local log=$1; shift; "$@" 2> "$log" || { local status=$?; tail -n 3 "$log" >&2; return $status; }; }'
shell.prefix(f"set -euo pipefail; export {EXPORTS}; {TELL}; ".replace("{", "{{").replace("}", "}}"))


def one_of(names):
    """A wildcard constraint that matches these names and nothing else."""
    return "|".join(sorted(names)) or "none"


@functools.cache
def need(cell):
    """What a cell's job asks for."""
    return needs.of(CELLS[cell], lambda *network: structures.macs(structures.read(Path(), *network)))


CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None  # jobs are submitted: `workflow.local_exec` is not known yet
ALIKE = SETTINGS.twin and not CLUSTER  # cells of which one asks for about as much as another; a function for each job has its price
CPUS = 1 if SETTINGS.twin else lambda wildcards: need(wildcards.cell).threads
GPUS = 0 if SETTINGS.twin else 1
MEMORY = needs.IDLE["cpu"] + needs.STEP if ALIKE else lambda wildcards: need(wildcards.cell).memory
MINUTES = needs.SHORTEST if ALIKE else lambda wildcards: need(wildcards.cell).runtime


def small(wildcards):
    """The group of cells that share a submission; of a large one none."""
    return "small" if need(wildcards.cell).small else None


SHARED = small if CLUSTER else None


def upstream_weights(wildcards):
    """Input of a run: the weights of what ran before it, by role."""
    run = Run(CELLS[wildcards.cell], int(wildcards.seed))
    return {role: f"{above.folder}/weights.pt" for role, above in run.upstream}


def stands_for_events(data):
    """Whether this data set of a specification is a stand-in for event recordings."""
    return data["stand_in"] and data["form"] == "events"


def behind(table):
    """Input of a table: the metrics of every run behind it, and the structures of its networks at paper size."""
    entries = SOUND[table] if table in SOUND else told(lines.of_table, table, SETTINGS)
    runs = [str(folder / "metrics.json") for folder in lines.behind(entries)]
    return runs + [str(path) for path in told(structures.behind, table)]


def look():
    """Before the first job of runs that take hours: the end of the workflow if they had better not start."""
    runs = [f"runs/{job.wildcards.cell}/seed{job.wildcards.seed}" for job in workflow.dag.needrun_jobs() if job.rule.name in TRAINS]
    words = [sys.executable, "-m", "benchmark", "look", *runs, *([] if workflow.local_exec else ["--elsewhere"])]
    words += ["--directory", ".", "--config", *CONFIG, *([] if "scale" in config else [f"scale={SETTINGS.scale}"])]
    if runs and (ended := subprocess.run(words, env={**os.environ, **{key: str(value) for key, value in ENVIRONMENT.items()}}).returncode):
        raise SystemExit(ended)


def submitted():
    """What a cluster is asked for: a request for each job, those that share a submission as many at a time as it has CPUs."""
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    wide = {job: workflow.resource_settings.cores or 1 if job.group else 1 for job in jobs}
    return [
        cluster.Request(wide[job] * job.threads, wide[job] * job.resources.mem_mb, job.resources.gpu, job.resources.runtime) for job in jobs
    ]


def queue():
    """The name that all submitted jobs of this workflow have; the plugin has no other place for it."""
    return getattr(workflow.scheduler._executor, "run_uuid", "")


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


if any(word.startswith("--delete-") for word in sys.argv):  # these never come to `onstart`
    told(claim, Path(".snakemake"))
elif not locked(Path(".snakemake/workflow.lock")):
    kept.outlived(RUNS.values(), Path(".snakemake"), Path())


FORKS = SETTINGS.scale == "smoke" and sys.platform == "linux"  # elsewhere a fork of what torch has loaded is not safe
if FORKS and workflow.remote_exec:  # in a job on a cluster, where `onstart` is not called: small cells share one process
    warm.start(warm.address(), Path(os.devnull))


onstart:
    told(claim, Path(".snakemake"))
    stopping.on_first_signal(functools.partial(cluster.leave, queue()) if queue() else None)
    handed.write(Path("runs"), CELLS.values())
    if SETTINGS.scale != "smoke":
        look()
    if queue():
        for line in cluster.unmet(submitted(), SETTINGS.partition):
            print(f"queue   {line}", file=sys.stderr)
        cluster.Watch(queue()).start()
    kept.keep(Path("results"), Path(".snakemake/kept"))
    if FORKS and workflow.local_exec:
        warm.start(warm.address(), Path("logs/warm.log"))


onerror:
    if queue():
        cluster.cancel(queue())
    kept.restore(Path("results"), Path(".snakemake/kept"))
    waiting = [job.wildcards[0] for job in workflow.dag.needrun_jobs() if job.rule.name in ("table", "figure")]
    for name in kept.mark(waiting, SETTINGS, Path()):
        print(f"results/{name}.csv is written without what failed, which its rows say", file=sys.stderr)
