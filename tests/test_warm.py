"""Runs that fork from a warm process: the same results, signals and failures as those that start by themselves."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from benchmark.pins import cells
from benchmark.pins.cells import Cell
from benchmark.pins.kinds import ROOT
from benchmark.pins.settings import settings
from benchmark.shared.files import locked
from benchmark.workflow import handed, warm

WAIT = 90


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


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that has had its first request, and the environment of its clients."""
    path = tmp_path_factory.mktemp("warm") / "sock"
    process = warm.start(path)
    until(path.exists)
    clients = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", warm.ADDRESS: str(path)}
    os.environ[warm.ADDRESS] = str(path)
    assert warm.ask(["status"]) is None, "the first client is left to itself"
    del os.environ[warm.ADDRESS]
    yield process, clients
    process.stdin.close()
    assert process.wait(WAIT) == 0 and not path.exists()


def test_without_a_server_a_run_starts_by_itself(monkeypatch, tmp_path):
    monkeypatch.delenv(warm.ADDRESS, raising=False)
    assert warm.ask(["status"]) is None
    monkeypatch.setenv(warm.ADDRESS, str(tmp_path / "nobody"))
    assert warm.ask(["status"]) is None


def test_a_server_of_another_python_is_not_asked(server, monkeypatch):
    monkeypatch.setenv(warm.ADDRESS, server[1][warm.ADDRESS])
    monkeypatch.setattr(warm, "python", lambda: ["another"])
    assert warm.ask(["status"]) is None


def test_a_forked_run_is_the_same_run(server, tmp_path):
    _, clients = server
    alone = {key: value for key, value in clients.items() if key != warm.ADDRESS}
    times, found = {}, {}
    for name, environment in (("warm", clients), ("cold", alone)):
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
        return subprocess.run(command, cwd=tmp_path, env=server[1], capture_output=True, text=True, timeout=WAIT)

    mistake = fails("--device", "cuda:9")
    assert mistake.returncode == 2 and mistake.stderr.startswith("error: device 'cuda:9' is not there")
    (tmp_path / "run" / ".specs" / f"{cell(1).id}.json").write_text("{}")
    broken = subprocess.run(
        [sys.executable, "-m", "benchmark", "run", cell(1).id, "--seed", "0", "--runs", "run"],
        cwd=tmp_path, env=server[1], capture_output=True, text=True, timeout=WAIT,
    )  # fmt: skip
    assert broken.returncode == 2 and "is damaged" in broken.stderr and broken.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGKILL, -9)])
def test_a_signal_to_the_client_stops_the_run_with_its_checkpoint(server, number, status, tmp_path):
    run = folder(tmp_path / "runs", epochs=50)
    client = subprocess.Popen(words(tmp_path / "runs", epochs=50), cwd=tmp_path, env=server[1], stderr=subprocess.DEVNULL)
    until((run / "curve.csv").exists)
    client.send_signal(number)
    assert client.wait(WAIT) == status
    until(lambda: not locked(run / ".lock"))
    assert list(run.glob("checkpoint.*.pt")) and not (run / "metrics.json").exists() and not (run / "error.txt").exists()


def test_the_end_of_the_workflow_stops_runs_and_server(tmp_path):
    path, runs, long = tmp_path / "s", tmp_path / "runs", folder(tmp_path / "runs", epochs=50)
    process = warm.start(path)
    until(path.exists)
    clients = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", warm.ADDRESS: str(path)}
    subprocess.run(words(runs, epochs=0), cwd=tmp_path, env={**clients, "PATH": ""}, capture_output=True, timeout=WAIT)  # the first one
    client = subprocess.Popen(words(runs, epochs=50), cwd=tmp_path, env=clients, stderr=subprocess.DEVNULL)
    until((long / "curve.csv").exists)
    process.stdin.close()
    assert process.wait(WAIT) == 0 and client.wait(WAIT) == 75 and not path.exists()
    assert list(long.glob("checkpoint.*.pt"))
