# What jobs ask a machine or a cluster for, and what is done as a workflow begins and fails.
import functools

from benchmark.shared.files import claim, locked
from benchmark.workflow import cluster, handed, kept, needs, stopping


@functools.cache
def need(cell):
    """What a cell's job asks for."""
    return needs.of(CELLS[cell], lambda *network: structures.macs(structures.read(Path(), *network)))


CLUSTER = workflow.remote_exec or workflow.resource_settings.nodes is not None  # jobs are submitted: `workflow.local_exec` is not known yet
ALIKE = SETTINGS.twin and not CLUSTER  # cells of which one asks for about as much as another; a function for each job has its price
CPUS = 1 if SETTINGS.twin else lambda wildcards: need(wildcards.cell).threads
GPUS = 0 if SETTINGS.twin else 1
MEMORY = needs.IDLE["cpu"] + needs.STEP if ALIKE else lambda wildcards: need(wildcards.cell).memory
WHERE, ROOM = {}, dict(gpu=GPUS, mem_mb=MEMORY)  # of every job, and of a cell's
if CLUSTER:
    WHERE = dict(slurm_partition=SETTINGS.partition, slurm_account=SETTINGS.account, place=1, runtime=needs.SHORTEST)
    workflow.register_resource("place", 1)  # a submission has one: its cells run one after another, in the room of the largest
    ROOM |= WHERE | dict(runtime=lambda wildcards: need(wildcards.cell).runtime)


def small(wildcards):
    """The group of cells that share a submission; of a large one none."""
    return "small" if need(wildcards.cell).small else None


SHARED = small if CLUSTER else None


resource_scopes:
    place="local",


def look():
    """Before the first job of runs that take hours: the end of the workflow if they had better not start."""
    runs = [f"runs/{job.wildcards.cell}/seed{job.wildcards.seed}" for job in workflow.dag.needrun_jobs() if job.rule.name in TRAINS]
    words = [sys.executable, "-m", "benchmark", "look", *runs, *([] if workflow.local_exec else ["--elsewhere"])]
    words += ["--directory", ".", "--config", *CONFIG, *([] if "scale" in config else [f"scale={SETTINGS.scale}"])]
    if runs and (ended := subprocess.run(words, env={**os.environ, **{key: str(value) for key, value in ENVIRONMENT.items()}}).returncode):
        raise SystemExit(ended)


def submitted():
    """What a cluster is asked for, a request for each submission: of a group the room of its largest job and the minutes of all."""
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    each = {id(one): one for one in (workflow.dag.get_job_group(job) or job for job in jobs)}
    return [cluster.Request(one.threads, one.resources.mem_mb, one.resources.gpu, one.resources.runtime) for one in each.values()]


def queue():
    """The name that all submitted jobs of this workflow have; the plugin has no other place for it."""
    return getattr(workflow.scheduler._executor, "run_uuid", "")


@functools.cache
def watch():
    return cluster.Watch(queue(), Path(".snakemake/slurm_logs"), stopping.stopped)


if any(word.startswith("--delete-") for word in sys.argv):  # these never come to `onstart`
    told(claim, Path(".snakemake"))
elif not locked(Path(".snakemake/workflow.lock")):
    kept.outlived(RUNS.values(), Path(".snakemake"), Path())


if workflow.remote_exec:
    cluster.keep_going()
FORKS = SETTINGS.scale == "smoke" and sys.platform == "linux"  # elsewhere a fork of what torch has loaded is not safe
if FORKS and workflow.remote_exec and warm.ADDRESS not in os.environ:  # in a submission, where `onstart` is not called: its cells, each
    os.environ[warm.ADDRESS] = warm.address()  # with a Snakemake of its own below this one, share one process
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
        watch().start()
        cluster.steady()
    kept.keep(Path("results"), Path(".snakemake/kept"))
    if FORKS and workflow.local_exec:
        warm.start(warm.address(), Path("logs/warm.log"))


onerror:
    if queue():
        watch().failed()
        cluster.cancel(queue())
    kept.restore(Path("results"), Path(".snakemake/kept"))
    waiting = [job.wildcards[0] for job in workflow.dag.needrun_jobs() if job.rule.name in ("table", "figure")]
    for name in kept.mark(waiting, SETTINGS, Path()):
        print(f"results/{name}.csv is written without what failed, which its rows say", file=sys.stderr)
