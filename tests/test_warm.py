"""Runs that fork from a warm process: the same results, signals and failures as those that start by themselves."""

import contextlib
import csv
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmark.pins import cells
from benchmark.pins.cells import Cell
from benchmark.pins.kinds import ROOT
from benchmark.pins.settings import settings
from benchmark.shared.files import locked, sha256
from benchmark.workflow import handed, warm

WAIT = 150


def cell(epochs):
    made = Cell("ldd", "table1_ldd", "direct", "spikformer-4-384", (), "CIFAR10", 2)
    return cells.resolve(made, settings({"recipe": {"epochs": epochs}}))


def words(runs, epochs=1):
    handed.write(runs, [cell(epochs)])
    return [sys.executable, "-m", "benchmark", "run", cell(epochs).id, "--seed", "0", "--runs", str(runs), "--device", "cpu"]


def folder(runs, epochs=1):
    """Where the run's files lie."""
    return runs / cell(epochs).id / "seed0"


def until(condition):
    """Wait for it."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def listening(name) -> bool:
    """Does a server answer to this name? What asks is a client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(f"\0{name}") == 0


def started(folder) -> SimpleNamespace:
    """A server that has had its first client, the environment of the others, and what it says."""
    name = f"{warm.address()}-{next(NUMBERS)}"
    process = warm.start(name, folder / "warm.log")
    until(lambda: listening(name))
    clients = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", warm.ADDRESS: name}
    return SimpleNamespace(process=process, clients=clients, name=name, log=folder / "warm.log")


NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for all tests that leave it as it is: every one of them says that it still serves."""
    made = started(tmp_path_factory.mktemp("warm"))
    yield made
    made.process.stdin.close()
    assert made.process.wait(WAIT) == 0 and not listening(made.name)


def test_without_a_server_a_run_starts_by_itself(monkeypatch, tmp_path):
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    assert warm.ask(["status"]) is None
    monkeypatch.setenv(warm.ADDRESS, str(tmp_path / "nobody"))
    assert warm.ask(["status"]) is None


def test_a_server_of_another_python_is_not_asked(server, monkeypatch):
    monkeypatch.setenv(warm.ADDRESS, server.name)
    monkeypatch.setattr(warm, "python", lambda: ["another"])
    assert warm.ask(["status"]) is None
    assert "refused: a request of another Python, ['another']\n" in server.log.read_text()


def test_a_forked_run_is_the_same_run(server, tmp_path):
    alone = {key: value for key, value in server.clients.items() if key != warm.ADDRESS}
    times, found = {}, {}
    for name, environment in (("warm", server.clients), ("cold", alone)):
        before = time.monotonic()
        done = subprocess.run(words(tmp_path / name), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=WAIT)
        times[name] = time.monotonic() - before
        assert done.returncode == 0 and "epoch 1/1" in done.stderr and f"  {cell(1).id}  seed 0" in done.stdout
        with (folder(tmp_path / name) / "curve.csv").open() as file:
            (line,) = csv.DictReader(file)
        found[name] = (
            {key: value for key, value in line.items() if key != "seconds"},
            json.loads((folder(tmp_path / name) / "metrics.json").read_text()),
        )
    assert found["warm"][0] == found["cold"][0]
    assert found["warm"][1]["accuracy_by_step"] == found["cold"][1]["accuracy_by_step"]
    weights = [torch.load(folder(tmp_path / name) / "weights.pt", weights_only=True) for name in times]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_a_mistake_and_a_failure_reach_the_client(server, tmp_path):
    def fails(*changed):
        command = [*words(tmp_path / "run"), *changed]
        return subprocess.run(command, cwd=tmp_path, env=server.clients, capture_output=True, text=True, timeout=WAIT)

    mistake = fails("--device", "cuda:9")
    assert mistake.returncode == 2 and mistake.stderr.startswith("error: device 'cuda:9' is not there")
    (tmp_path / "run" / ".specs" / f"{cell(1).id}.json").write_text("{}")
    broken = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", cell(1).id, "--seed", "0", "--runs", "run"],
        cwd=tmp_path, env=server.clients, capture_output=True, text=True, timeout=WAIT,
    )  # fmt: skip
    assert broken.returncode == 2 and "is damaged" in broken.stderr and broken.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_signal_to_the_client_stops_the_run_with_its_checkpoint(server, number, status, tmp_path):
    run = folder(tmp_path / "runs", epochs=50)
    client = subprocess.Popen(words(tmp_path / "runs", epochs=50), cwd=tmp_path, env=server.clients, stderr=subprocess.DEVNULL)
    until((run / "curve.csv").exists)
    client.send_signal(number)
    assert client.wait(WAIT) == status
    until(lambda: not locked(run / ".lock"))
    assert list(run.glob("checkpoint.*.pt")) and not (run / "metrics.json").exists() and not (run / "error.txt").exists()


# ---- servers of a command that only waits, so that nothing has to be imported

WAITING = """
import signal, sys, time
from pathlib import Path
from benchmark.workflow import warm

def main(words):
    signal.signal(signal.SIGTERM, lambda *_: (Path(words[0]).write_text("stopped"), sys.exit(75)))
    Path(words[0]).write_text("begun")
    time.sleep(300)

warm.preload, warm.PATIENCE = lambda: None, float(sys.argv[2])
warm.serve(sys.argv[1], main)
"""
ASKING = "import sys; from benchmark.workflow import warm; sys.exit({None: 33}.get(said := warm.ask(sys.argv[1:]), said))"
COLD = 33  # nobody ran it


@contextlib.contextmanager
def waiter(folder, patience=300.0):
    """Such a server that has had its first client."""
    name, log = f"{warm.address()}-{next(NUMBERS)}", folder / "warm.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), warm.ADDRESS: name}
    with log.open("w") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", WAITING, name, str(patience)], stdin=subprocess.PIPE, stderr=told, env=environment
        )
    until(lambda: listening(name))
    yield SimpleNamespace(process=process, name=name, log=log, environment=environment)
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """One for all tests that do it no harm: every one of them says that it still serves."""
    with waiter(tmp_path_factory.mktemp("patient")) as made:
        yield made


def asks(server, word) -> subprocess.Popen:
    """A client of it."""
    return subprocess.Popen([sys.executable, "-c", ASKING, str(word)], env=server.environment, stderr=subprocess.PIPE, text=True)


# ---- what must not hurt it


def silent(server) -> socket.socket:
    """A client that is connected and has said nothing."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(WAIT)
    connection.connect(f"\0{server.name}")
    return connection


REQUEST = {"python": warm.python(), "words": ["status"], "cwd": "/", "environment": {}}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"garbage\n", "Expecting value: line 1 column 1 (char 0)"),
        (b"\xff\xfe\n", "codec can't decode"),
        (b"[]\n", "not a request"),
        (b"[" * 100_000 + b"\n", "maximum recursion depth exceeded"),
        (json.dumps({**REQUEST, "words": ["status"]}).encode() + b"\n", "not a request"),  # without handles
        (json.dumps({"python": warm.python()}).encode() + b"\n", "not a request"),
        (b"", "Expecting value"),
    ],
)
def test_garbage_is_refused_in_one_line(said, why, patient):
    before = len(patient.log.read_text().splitlines())
    with silent(patient) as client:
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        answer = client.makefile("r").readline()
    assert answer.startswith("refused: ") and why in answer
    assert patient.log.read_text().splitlines()[before:] == [answer.rstrip("\n")]


def test_a_silent_client_keeps_nobody_waiting(patient, tmp_path):
    with silent(patient), asks(patient, tmp_path / "file") as client:
        until((tmp_path / "file").exists)
        client.terminate()
        assert client.wait(WAIT) == 75


def test_a_silent_client_is_sent_away(tmp_path):
    with waiter(tmp_path, patience=0.1) as server, silent(server) as client:
        assert client.makefile("r").read() == "refused: timed out\n1\n"


def test_it_leaves_no_file(patient):
    assert not [path for path in Path(tempfile.gettempdir()).iterdir() if path.is_socket() and patient.name in path.name]


# ---- servers that end


@pytest.fixture
def waiting(tmp_path):
    """A server with a client that it runs a command for: `file` says what has become of that."""
    with waiter(tmp_path) as made:
        made.file = tmp_path / "file"
        made.client = asks(made, made.file)
        until(lambda: made.file.exists() and made.file.read_text() == "begun")
        yield made
        made.client.kill()
        made.client.communicate()


def test_the_end_of_the_workflow_stops_runs_and_server_and_does_not_wait_for_the_silent(waiting):
    with silent(waiting):
        waiting.process.stdin.close()
        assert waiting.process.wait(WAIT) == 0 and waiting.client.wait(WAIT) == 75 and not listening(waiting.name)
    assert waiting.file.read_text() == "stopped"


def test_killed_after_a_run_forked_the_run_has_stopped_before_its_client_goes_on_without(waiting):
    waiting.process.kill()
    assert waiting.client.wait(WAIT) == COLD and waiting.file.read_text() == "stopped"
    assert waiting.client.stderr.read() == "the warm process is gone: going on without it\n" and not listening(waiting.name)


def test_killed_with_its_client_the_run_stops_all_the_same(waiting):
    for each in (waiting.process, waiting.client):
        each.kill()
    until(lambda: waiting.file.read_text() == "stopped")


def test_what_was_asked_to_stop_does_not_start_anew_without_the_server(waiting):
    os.kill(waiting.process.pid, signal.SIGSTOP)  # it tells nobody anything any more
    waiting.client.terminate()
    until(lambda: waiting.file.read_text() == "stopped")
    waiting.process.kill()
    assert waiting.client.wait(WAIT) == 128 + signal.SIGTERM


def test_killed_before_a_run_forked_nobody_runs_it(waiting):
    """But the run itself does, see `ask`."""
    os.kill(waiting.process.pid, signal.SIGSTOP)
    with asks(waiting, "late") as late:
        time.sleep(0.5)  # it asks, and is not answered
        waiting.process.kill()
        assert late.wait(WAIT) == COLD


def test_a_run_whose_server_is_killed_ends_with_the_same_weights(server, tmp_path):
    own, runs = started(tmp_path), {name: folder(tmp_path / name, epochs=6) for name in ("killed", "whole")}
    client = subprocess.Popen(words(tmp_path / "killed", 6), env=own.clients, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until((runs["killed"] / "curve.csv").exists)
    own.process.kill()
    out, said = client.communicate(timeout=WAIT)
    assert client.returncode == 0 and f"  {cell(6).id}  seed 0" in out, said
    assert all(text in said for text in ("stopped by SIGTERM", "going on without it", "resumed at epoch"))
    assert subprocess.run(words(tmp_path / "whole", 6), env=server.clients, capture_output=True, timeout=WAIT).returncode == 0
    assert sha256(runs["killed"] / "weights.pt") == sha256(runs["whole"] / "weights.pt")
