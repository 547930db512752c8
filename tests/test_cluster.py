"""What a cell asks for; what is said of a queue: by commands that answer like SLURM's, and on a real one (mark `slurm`)."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmark.pins.kinds import ROOT
from benchmark.pins.settings import settings
from benchmark.runs import lines
from benchmark.workflow import cluster, needs
from benchmark.workflow.cluster import Request
from tests.tree import Tree, copy_tree

NETWORK = "structures/vit-l-32/CIFAR10.json"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A function that puts a command into the search path, which prints a text and writes down how it was called."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name: str, text: str, status: int = 0):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho {name} \"$@\" >> {tmp_path}/called\ncat <<'END'\n{text.strip()}\nEND\nexit {status}\n")
        path.chmod(0o755)
        return tmp_path / "called"

    return put


# ---- what a cell asks for


def asked(scale: str, table: str, **wanted) -> needs.Needs:
    """Of the first such cell."""
    runs = lines.runs_of([table], settings({"scale": scale})).values()
    return needs.of(next(run.resolved for run in runs if wanted.items() <= vars(run.resolved.cell).items()), lambda *_: None)


def test_needs_follow_from_network_data_and_scale():
    cifar, imagenet = ({"dataset": name, "method": "ldd"} for name in ("CIFAR10", "ImageNet"))
    smoke, reduced, paper = (asked(scale, "table1_ldd", **cifar) for scale in ("smoke", "reduced", "paper"))
    assert smoke.small and (smoke.gpu, smoke.threads) == (0, 1) and not paper.small and paper.gpu == 1
    assert smoke.runtime == needs.SHORTEST < reduced.runtime < paper.runtime <= needs.LONGEST and smoke.memory < paper.memory
    large = asked("paper", "table1_ldd", **imagenet)
    assert large.threads > paper.threads and large.memory > paper.memory and large.runtime == needs.LONGEST


def test_a_counted_network_decides_its_time():
    (run, *_) = lines.runs_of(["table1_ldd"], settings({"scale": "reduced"})).values()
    little, more, much = (needs.of(run.resolved, lambda *_, n=n: n).runtime for n in (1e6, 3e8, 1e13))
    assert little == needs.SHORTEST < more < much == needs.LONGEST


# ---- what no node can meet


@pytest.mark.parametrize(
    ("gres", "gpus"), [("gpu:2", 2), ("gpu:a100:4(S:0-1)", 4), ("(null)", 0), ("gpu:a:1,gpu:b:2,shard:8", 3), ("nic:2", 0)]
)
def test_gpus_of_a_node(gres, gpus):
    assert cluster.gpus_of(gres) == gpus


@pytest.mark.parametrize(
    ("text", "seconds"), [("1-02:00:00", 93600), ("30:00", 1800), ("1:30", 90), ("infinite", None), ("UNLIMITED", None)]
)
def test_times_of_slurm(text, seconds):
    assert cluster.seconds_of(text) == seconds


def test_what_no_node_can_meet_is_said_once_for_all_jobs_alike(commands):
    commands("sinfo", "2|23081|gpu:2|1:00:00|main*\n64|500000|gpu:a100:8(S:0)|1-00:00:00|big\n")
    small, wide, long = Request(2, 8000, 1, 60), Request(8, 32000, 1, 60), Request(1, 1000, 0, 61)
    said = cluster.unmet([small, wide, wide, long])
    assert len(said) == 2 and said[0].startswith(
        "2 jobs ask for 8 CPUs, 32000 MB, 1 GPUs, 60 minutes, and no node of the default partition"
    )
    assert "2 CPUs, 23081 MB, 2 GPUs, 60 minutes" in said[0] and said[1].startswith("1 jobs ask for 1 CPUs")
    assert cluster.unmet([small, wide, long], "big") == []


def test_without_slurm_nothing_is_said(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert cluster.unmet([Request(10**6, 1, 1)]) == [] and not cluster.requeued()


# ---- while it waits, and when time is up


def test_why_jobs_wait_is_said_when_it_changes(commands, capsys, tmp_path):
    watch = cluster.Watch("abc", tmp_path, threading.Event())
    called = commands("squeue", "Resources\nPriority\nPriority\n")
    watch.waiting()
    watch.waiting()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("queue   3 submitted jobs wait: 2 for Priority, 1 for Resources")
    assert "-n abc" in called.read_text()
    commands("squeue", "PartitionTimeLimit\n")
    watch.waiting()
    assert "1 for PartitionTimeLimit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("left", "again"), [("RUNNING|1:58", True), ("COMPLETING|1:58", False), ("RUNNING|5:01", False), ("RUNNING|UNLIMITED", False)]
)
def test_a_job_whose_time_is_up_requeues_itself(left, again, commands, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    commands("squeue", left)
    called = commands("scontrol", "")
    assert cluster.requeued() == again and ("scontrol requeue 7" in called.read_text()) == again


def test_where_requeueing_is_forbidden_it_says_so(commands, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    commands("squeue", "RUNNING|0:30")
    commands("scontrol", "", status=1)
    assert not cluster.requeued() and "not taken back into the queue" in capsys.readouterr().err


# ---- the profile


OTHERS = ("structures/spikformer-4-384/CIFAR10.json", "structures/resnet-18/CIFAR100.json")
PROFILE = {  # words of the command line: CPUs that the one submission asks for
    ("--set-threads", "network=16", "--", NETWORK): 16,  # `cores` would cap it: of what is submitted too
    ("--", NETWORK, *OTHERS): 1,  # `place`: the plugin runs them one after another
}


def submitted(words, limit, tmp_path_factory, commands) -> tuple[str, str]:
    """How sbatch is called for these words where the partition has such a time limit, and what is said on the terminal."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    answers = {"sbatch": "7", "sinfo": f"64|64000|(null)|{limit}|all*", "squeue": "", "scancel": "", "scontrol": "", "sacct": ""}
    called = [commands(name, text) for name, text in answers.items()][0]
    tree = Tree(copy_tree(tmp_path_factory.mktemp("tree")).resolve())
    said = tree.folder / "said"
    words = ["snakemake", "--profile", "profiles/slurm", *words]
    with said.open("w") as file:
        workflow = subprocess.Popen(words, cwd=tree.folder, env=tree.environment, stderr=file, start_new_session=True)
    try:
        until(lambda: (called.exists() and "sbatch " in called.read_text()) or workflow.poll() is not None)
        return called.read_text(), said.read_text()
    finally:
        workflow.terminate()
        workflow.wait(90)


@pytest.mark.parametrize(("words", "cpus"), PROFILE.items(), ids=["one of many threads", "three after one another"])
def test_what_the_profile_asks_for(words, cpus, tmp_path_factory, commands):
    called, said = submitted(words, "infinite", tmp_path_factory, commands)
    assert re.findall(r"--cpus-per-task=(\d+)", called) == [str(cpus)] and "no node" not in said


def test_a_submission_asks_for_the_minutes_of_all_its_cells(tmp_path_factory, commands):
    called, said = submitted(("--", NETWORK, *OTHERS), "25:00", tmp_path_factory, commands)
    assert re.findall(r" -t (\d+)", called) == ["30"]
    assert re.search(r"queue   1 jobs ask for 1 CPUs, 6000 MB, 0 GPUs, 30 minutes, and no node", said), said


def test_of_what_was_not_completed_the_first_error_is_told(commands, tmp_path):
    called = commands("squeue", "7|COMPLETED|None\n8|FAILED|NonZeroExitCode\n9|CANCELLED|None\n10|RUNNING|None\n11|NODE_FAIL|None")
    for number, words in {
        "8": "[x]\nsrun: error: vm: task 0: Exited with exit code 1\nerror: the reason\nerror: another",
        "9": "slurmstepd: JOB 9 ON vm CANCELLED AT 12:00",
    }.items():
        (tmp_path / "logs" / number).mkdir(parents=True)
        (tmp_path / "logs" / number / f"{number}.log").write_text(words)
    assert list(cluster.ended_badly("abc", tmp_path / "logs").values()) == [
        f"job 8 ended as FAILED (NonZeroExitCode): error: the reason ({tmp_path}/logs/8/8.log)",
        f"job 9 ended as CANCELLED: slurmstepd: JOB 9 ON vm CANCELLED AT 12:00 ({tmp_path}/logs/9/9.log)",
        f"job 11 ended as NODE_FAIL: it left no log below {tmp_path}/logs",
    ]
    assert "-n abc" in called.read_text()


def test_what_was_not_completed_is_told_once_and_not_while_all_is_cancelled(commands, tmp_path, capsys):
    commands("squeue", "8|FAILED|NonZeroExitCode")
    stopped = threading.Event()
    watch = cluster.Watch("abc", tmp_path, stopped)
    watch.failed()
    watch.failed()
    assert capsys.readouterr().err.count("job 8 ended as FAILED") == 1
    commands("squeue", "9|CANCELLED|None")
    stopped.set()
    watch.failed()
    assert not capsys.readouterr().err


def test_a_controller_that_is_away_is_not_taken_for_one_without_a_memory(monkeypatch):
    plugin = pytest.importorskip("snakemake_executor_plugin_slurm")
    answers = iter([None, 600, None, 300, None])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    cluster.steady()
    assert [plugin.get_min_job_age() for _ in range(5)] == [None, 600, 600, 300, 300]


# ---- on a real one


def absent() -> str:
    """Why there is no SLURM to try this on."""
    if not find_spec("snakemake_executor_plugin_slurm"):
        return "Snakemake's plugin is not installed: uv sync --extra slurm"
    if not shutil.which("sbatch"):
        return "there is no SLURM here: no sbatch"
    return "" if cluster.nodes() else "there is no SLURM here: sinfo does not answer"


@pytest.fixture
def slurm(tmp_path_factory):
    """A copy of the project, in a folder that jobs can write into."""
    if why := absent():
        pytest.skip(why)
    return Tree(copy_tree(tmp_path_factory.mktemp("slurm")).resolve())


def until(true, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.5)


@pytest.mark.slurm
def test_a_job_of_the_profile_is_submitted_and_done(slurm):
    done = slurm.run("snakemake", "--profile", "profiles/slurm", "--", NETWORK, timeout=400)
    assert done.returncode == 0 and "submitted with SLURM jobid" in done.stderr, done.stderr
    assert (slurm.folder / NETWORK).exists()


@pytest.mark.slurm
def test_cells_of_one_submission_share_one_warm_process(slurm):
    words = ["snakemake", "--profile", "profiles/slurm", "--", NETWORK, *OTHERS]
    workflow, servers = subprocess.Popen(words, cwd=slurm.folder, env=slurm.environment, stdout=subprocess.DEVNULL), set()
    try:
        until(lambda: servers.update(warm_processes(slurm.folder)) or workflow.poll() is not None, 400)
        assert workflow.returncode == 0 and len(servers) == 1
    finally:
        workflow.terminate()
    until(lambda: not warm_processes(slurm.folder), 20)


@pytest.mark.slurm
def test_a_cell_that_fails_is_told_and_does_not_stop_those_of_its_submission(slurm):
    for name in ("vit-l-32-CIFAR10", "spikformer-4-384-CIFAR10"):
        (slurm.folder / f"logs/structures/{name}.log/in the way").mkdir(parents=True)
    done = slurm.run("snakemake", "--profile", "profiles/slurm", "--", NETWORK, *OTHERS, timeout=400)
    assert done.returncode != 0 and [path for path in (NETWORK, *OTHERS) if (slurm.folder / path).exists()] == [OTHERS[1]]
    (line,) = [line for line in done.stderr.splitlines() if "ended as FAILED" in line]
    assert "Is a directory (.snakemake/slurm_logs/" in line, line


def warm_processes(folder) -> list[bytes]:
    """The sockets of the warm servers of workflows in this folder; a fork of one has its words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if b"warm" in words and (process / "cwd").readlink() == folder:
                found.append(words[words.index(b"--socket") + 1])
    return found


@pytest.mark.slurm
def test_what_waits_is_said_and_cancelled_by_the_first_signal(slurm):
    hold = ["--default-resources", "slurm_extra='--hold'", "--"]
    log = slurm.folder / "said"
    with log.open("w") as file:
        words = ["snakemake", "--profile", "profiles/slurm", *hold, NETWORK]
        workflow = subprocess.Popen(words, cwd=slurm.folder, env=slurm.environment, stdout=file, stderr=file, start_new_session=True)
    try:
        until(lambda: "1 for JobHeldUser" in log.read_text() or workflow.poll() is not None)
        assert "queue   1 submitted jobs wait: 1 for JobHeldUser" in log.read_text()
        name = log.read_text().partition("SLURM run ID: ")[2].split()[0]
        assert cluster.ask("squeue", "-h", "-n", name)
        workflow.send_signal(signal.SIGTERM)
        assert workflow.wait(90) != 0
    finally:
        workflow.kill()
    assert not cluster.ask("squeue", "-h", "-n", name), "what was submitted is cancelled"


@pytest.mark.slurm
def test_what_no_real_node_can_meet_is_said():
    if why := absent():
        pytest.skip(why)
    assert cluster.unmet([Request(1, 100, 0, 1)]) == []
    (line,) = cluster.unmet([Request(10**6, 10**9, 0, 1)])
    assert "1 jobs ask for 1000000 CPUs" in line


@pytest.mark.slurm
def test_a_real_job_puts_itself_back(slurm):
    code = "from benchmark.workflow import cluster; print(cluster.requeued())"
    job = subprocess.run(
        ["sbatch", "--parsable", "--time=1", "--mem=200", "--requeue", f"--output={slurm.folder}/said", "--open-mode=append"],
        input=f"#!/bin/sh\n[ \"$SLURM_RESTART_COUNT\" ] && echo again || exec {sys.executable} -c '{code}'\n",
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    try:
        until(
            lambda: any(
                "PENDING" in line or "COMPLETED" in line for line in cluster.ask("squeue", "-h", "-t", "all", "-j", job, "-o", "%T")
            )
        )
        until(lambda: "Restarts=1" in " ".join(cluster.ask("scontrol", "show", "job", job)), 60)
    finally:
        cluster.ask("scancel", job)
