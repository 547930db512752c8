"""Killed anywhere: is anything lost? `uv run python tests/kills.py [--kills N] [--seed S]`, by hand: about ten seconds a kill.

A small workflow at the smoke scale (a teacher, its student and a network from scratch, two at a time) is run once in peace, then again and
again from nothing, while at random moments SIGKILL ends what is there: the process that trains, the client that waits for it, the warm
server before and after a run forked from it, the workflow, or all of them together; and Ctrl-C the workflow. What was killed is started
again. In the end every run's weights and all that it measured, clocks aside, must be those of the run in peace, byte for byte, with nothing
else beside them and no process left. docs/kills.csv has every kill, docs/kills.md is the table.
"""

import argparse
import csv
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmark.shared.files import write_csv  # noqa: E402
from tests.tree import Tree, copy_tree  # noqa: E402

EPOCHS = "recipe={epochs: 4, warmup_epochs: 0}"
SCRATCH = {"method": "direct", "backbone": "spikformer-4-384"}
STUDENT = {"method": "ldd", "backbone": "spikformer-4-384"}
TEACHER = {"method": "direct", "backbone": "vit-l-32"}
CLOCKS = (
    "seconds",
    "images_per_second",
    "waiting_share",
    "peak_memory_MB",
    "trained",
    "measured",
    "seal",
)  # of metrics.json: not of the result
FILES = {".lock", "curve.csv", "layers.csv", "metrics.json", "predictions.npz", "weights.pt"}  # of a run that is done
KINDS = {
    "trainer": "the process that trains",
    "client": "the job that waits for it",
    "server, idle": "the warm server before a run forked from it",
    "server, busy": "the warm server after a run forked from it",
    "workflow": "Snakemake",
    "all": "all of them together",
    "Ctrl-C": "SIGINT to Snakemake and its jobs",
}
PER_ROUND = 12  # kills between nothing and the end
TORCH = 3e8  # bytes that a job which trains by itself takes at least, and one that waits never does
PATIENCE = 900  # seconds for what has to come


class Process:
    """What the system says of a process; of one that has gone, or is another's, nothing."""

    def __init__(self, pid: str):
        self.pid, place = int(pid), Path("/proc", pid)
        self.cwd, self.words, self.parent, self.memory = "", [], 0, 0
        with suppress(OSError):
            self.words = place.joinpath("cmdline").read_text().split("\0")
            self.parent = int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            self.memory = int(place.joinpath("statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self.cwd = os.readlink(place / "cwd")


class Workflow:
    """The workflow in a copy of the tree, and the processes that belong to it."""

    def __init__(self, folder: Path, wanted):
        self.tree = Tree(copy_tree(folder))
        self.folder, self.process = self.tree.folder.resolve(), None
        runs = [self.tree.cell(EPOCHS, dataset="CIFAR10", **each)["folder"] for each in wanted]
        self.targets = [f"{run}/metrics.json" for run in runs]

    def start(self) -> None:
        words = ["snakemake", "--cores", "2", "--config", EPOCHS, "--", *self.targets]
        log = (self.folder / "workflow.log").open("a")
        with log:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=self.tree.environment, stdout=log, stderr=log, start_new_session=True
            )

    def clear(self) -> None:
        """Nothing has run."""
        for name in ("runs", "logs", ".snakemake"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def processes(self) -> dict[str, list[int]]:
        """Who is there, by kind."""
        there = {each.pid: each for each in map(Process, filter(str.isdecimal, os.listdir("/proc"))) if each.cwd == str(self.folder)}
        warm = {pid for pid, each in there.items() if "warm" in each.words}
        forked = {pid for pid in warm if there[pid].parent in warm}
        busy = {there[pid].parent for pid in forked}
        found = {kind: [] for kind in KINDS}
        for pid, each in there.items():
            if pid == self.process.pid:
                found["workflow"].append(pid)
            elif pid in warm:
                found["trainer" if pid in forked else "server, busy" if pid in busy else "server, idle"].append(pid)
            elif each.words[1:4] == ["-m", "benchmark", "run"]:
                found["trainer" if each.memory > TORCH else "client"].append(pid)
        return found

    def strike(self, kind: str) -> bool:
        """End one of a kind, if there is one."""
        found = self.processes()
        victims = {"all": sum(found.values(), []), "Ctrl-C": []}.get(kind, found[kind][:1])
        if kind == "Ctrl-C":
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)
        for victim in victims:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        return bool(victims) or kind == "Ctrl-C"

    def finish(self) -> bool:
        """To the end in peace; False if that takes more than three attempts."""
        for _ in range(3):
            if self.process is None or self.process.poll() is not None:
                self.start()
            if self.process.wait(PATIENCE) == 0:
                return True
        return False

    def results(self) -> dict[str, dict]:
        """Run -> what has to be the same."""
        found = {}
        for path in sorted(self.folder.glob("runs/*/seed*")):
            metrics = json.loads((path / "metrics.json").read_text())
            curve = [{key: value for key, value in line.items() if key != "seconds"} for line in lines(path / "curve.csv")]
            files = {
                name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in ("weights.pt", "layers.csv", "predictions.npz")
            }
            measured = {key: value for key, value in metrics.items() if key not in CLOCKS}
            found[str(path.relative_to(self.folder))] = {**files, "curve": curve, "metrics": measured}
        return found

    def rest(self) -> list[str]:
        """What should not be there any more: files beside the results, processes."""
        until = time.monotonic() + 30
        while any(found := self.left()) and time.monotonic() < until:
            time.sleep(0.2)
        return found + [str(path) for path in self.folder.glob("runs/*/seed*/*") if path.name not in FILES]

    def left(self) -> list[str]:
        return [f"{kind} {pid}" for kind, found in self.processes().items() for pid in found]


def lines(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def round_(workflow: Workflow, kinds: list[str], moment) -> list[tuple[str, str]]:
    """From nothing with one kill of each of `kinds`, as long as there is something left to do; returns those that there were."""
    workflow.clear()
    workflow.start()
    struck = []
    for kind in kinds:
        if workflow.process.poll() == 0:
            break
        if workflow.process.poll() is not None:
            workflow.start()
        time.sleep(moment())
        while workflow.process.poll() is None:
            far = done(workflow)
            if workflow.strike(kind):
                struck.append((kind, far))
                break
            time.sleep(0.02)
        if kind in ("workflow", "all", "Ctrl-C"):
            workflow.process.wait(PATIENCE)
    return struck


def done(workflow: Workflow) -> str:
    """How far the runs were: epochs of each."""
    return " ".join(str(len(lines(path))) for path in sorted(workflow.folder.glob("runs/*/seed*/curve.csv")))


def verdict(workflow: Workflow, peace: dict) -> str:
    """`same`, or what is not."""
    if not workflow.finish():
        return f"does not end: {(workflow.folder / 'workflow.log').read_text()[-300:]}"
    found = workflow.results()
    wrong = [f"{run} {key}" for run in peace for key in peace[run] if found.get(run, {}).get(key) != peace[run][key]]
    return "; ".join([*(f"differs: {name}" for name in wrong), *(f"left: {name}" for name in workflow.rest())]) or "same"


def kill(folder: Path, count: int, seed: int, kinds=tuple(KINDS), wanted=(STUDENT, SCRATCH)) -> Iterator[list[dict]]:
    """`count` kills in as many rounds as that takes; gives those of each round, with its verdict."""
    chance, workflow, struck = random.Random(seed), Workflow(folder, wanted), 0
    try:
        began = time.monotonic()
        if not workflow.finish():
            raise SystemExit((workflow.folder / "workflow.log").read_text())
        most, peace = (time.monotonic() - began) / 4, workflow.results()
        for number in itertools.count(1):
            drawn = [kinds[(struck + place) % len(kinds)] for place in range(min(PER_ROUND, count - struck))]
            chance.shuffle(drawn)
            found = round_(workflow, drawn, lambda: chance.uniform(0, most))
            word = verdict(workflow, peace)
            yield [{"seed": seed, "round": number, "kind": kind, "epochs": far, "verdict": word} for kind, far in found]
            struck += len(found)
            if struck >= count:
                return
    finally:
        workflow.strike("all")


def table(told: list[dict]) -> str:
    """docs/kills.md."""
    count = Counter(line["kind"] for line in told)
    wrong = Counter(line["kind"] for line in told if line["verdict"] != "same")
    rows = [f"| {kind} | {about} | {count[kind]} | {wrong[kind]} |" for kind, about in KINDS.items()]
    rounds = len({(line["seed"], line["round"]) for line in told})
    return "\n".join(
        [
            "# Kills",
            "",
            __doc__.strip(),
            "",
            f"{len(told)} kills in {rounds} rounds. A round counts as other if one byte of its results does.",
            "",
            "| kind | what was killed | kills | of rounds that ended otherwise |",
            "|---|---|---|---|",
            *rows,
            f"| all kinds | | {len(told)} | {sum(wrong.values())} |",
            "",
            *dict.fromkeys(
                f"- seed {each['seed']}, round {each['round']}: {each['verdict']}" for each in told if each["verdict"] != "same"
            ),
            "",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "kills.csv", help="more lines are added to it")
    arguments = parser.parse_args()
    told = lines(arguments.out) if arguments.out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        for found in kill(Path(folder), arguments.kills, arguments.seed):
            print(f"{len(found)} kills: {found[0]['verdict'] if found else 'none came in time'}", flush=True)
            told += found
            write_csv(arguments.out, told, ["seed", "round", "kind", "epochs", "verdict"])
            arguments.out.with_suffix(".md").write_text(table(told), encoding="utf-8")
    return int(any(line["verdict"] != "same" for line in told))


if __name__ == "__main__":
    sys.exit(main())
