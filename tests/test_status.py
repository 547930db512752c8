"""`status`: what became of every run, how far those are that are under way or stopped, again and again if asked."""

import json
import os
import subprocess
import sys

import pytest

from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.runs import lines
from benchmark.runs.progress import Progress, duration, stopped
from benchmark.shared.errors import UserError
from benchmark.shared.files import lock
from benchmark.workflow import command
from benchmark.workflow.command import main, parser
from tests import made

TABLE = "table1_ldd"
TEACHER, STUDENT = lines.behind([lines.of_table(TABLE, settings())[1]]).values()  # row 2
EPOCHS, STEPS = 5, 16


def status(root, capsys, *words) -> list[str]:
    assert main(["status", TABLE, "--row", "2", "--directory", str(root), *words]) == 0
    return capsys.readouterr().out.splitlines()


def folder(root, run):
    (root / run.folder).mkdir(parents=True, exist_ok=True)
    return root / run.folder


def test_a_stopped_run_says_where(tmp_path, capsys):
    """Of its checkpoints the newest, by name; a copy that someone made is none."""
    for name in ("00000.0000030.0123456789abcdef", "00001.0000007.0123456789abcdef", "old", "00002.x.y"):
        (folder(tmp_path, STUDENT) / f"checkpoint.{name}.pt").write_text("")
    said = status(tmp_path, capsys)
    assert f"stopped  {STUDENT.folder}/metrics.json  epoch 2/{EPOCHS}, step 7 of {STEPS}" in said
    assert f"missing  {TEACHER.folder}/metrics.json" in said and "0 running, 1 stopped, 0 failed, 0 damaged, 1 missing" in said[-2]


def test_a_run_of_which_only_a_copy_of_a_checkpoint_is_left_is_missing(tmp_path):
    (folder(tmp_path, STUDENT) / "checkpoint.old.pt").write_text("")
    assert stopped(tmp_path / STUDENT.folder) is None and STUDENT.state(tmp_path) == "missing"


def test_a_running_run_says_how_far_it_is_inside_its_first_epoch(tmp_path, capsys):
    told = {"epoch": 0, "step": 8, "steps": 16, "seconds": 4.0}  # half an epoch of five took 4 s
    with lock(folder(tmp_path, STUDENT) / ".lock"):
        assert f"running  {STUDENT.folder}/metrics.json" in status(tmp_path, capsys)
        (tmp_path / STUDENT.folder / "progress.json").write_text(json.dumps(told))
        assert f"running  {STUDENT.folder}/metrics.json  epoch 1/{EPOCHS}, step 8 of 16, about 36 s left" in status(tmp_path, capsys)
        (tmp_path / STUDENT.folder / "progress.json").write_text("{")
        assert f"running  {STUDENT.folder}/metrics.json" in status(tmp_path, capsys)


def test_a_failed_run_says_why(tmp_path, capsys):
    (folder(tmp_path, STUDENT) / "error.txt").write_text("FloatingPointError: the loss is not a number\n")
    assert f"failed   {STUDENT.folder}/metrics.json  FloatingPointError: the loss is not a number" in status(tmp_path, capsys)


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress(0, 0), "epoch 1/5, step 0 of 16"),
        (Progress(1, 0, 16, 60.0), "epoch 2/5, step 0 of 16, about 4 min left"),
        (Progress(5, 0), "epoch 5/5, to be measured"),
    ],
)
def test_progress_in_words(progress, said):
    assert progress.shown(EPOCHS, STEPS) == said


def test_durations_as_people_say_them():
    assert [duration(s) for s in (40, 119, 720, 7199, 12_600, 200_000)] == ["40 s", "119 s", "12 min", "120 min", "3.5 h", "2.3 days"]


def test_watching_ends_with_the_last_run(tmp_path, capsys, monkeypatch):
    left, slept = [TEACHER, STUDENT], []

    def sleep(seconds):
        slept.append(seconds)
        made.accuracy(tmp_path, left.pop(), 50.0)

    monkeypatch.setattr(command.time, "sleep", sleep)
    said = status(tmp_path, capsys, "--watch", "3")
    assert slept == [3.0, 3.0]
    assert [line.rpartition(": ")[2].split(",")[0] for line in said if "runs asked for" in line] == ["0 done", "1 done", "2 done"]


def test_watching_does_not_wait_for_what_failed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.time, "sleep", None)
    made.accuracy(tmp_path, TEACHER, 50.0)
    (folder(tmp_path, STUDENT) / "error.txt").write_text("OSError: no space left\n")
    assert "1 failed" in status(tmp_path, capsys, "--watch")[-2]


def test_ending_the_watch_by_hand_is_no_mistake(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.time, "sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert "2 missing" in status(tmp_path, capsys, "--watch")[-2]


def test_who_reads_only_the_head_sees_no_traceback(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "benchmark", "status", TABLE, "--directory", str(tmp_path)]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_no_more_threads_are_started_than_there_are_cores():
    here = len(os.sched_getaffinity(0))
    chosen = [parser().parse_args(["run", "x", "--seed", "0", "--threads", str(asked)]).threads for asked in (1, here, 9999)]
    assert chosen == [1, here, here]
    with pytest.raises(UserError, match="from 1 on"):
        parser().parse_args(["run", "x", "--seed", "0", "--threads", "0"])
