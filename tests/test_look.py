"""The look before the first job: what it says of data, device and hours, what it stops; a few timed steps; the workflow asks for it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import costs
from benchmark.runs.lines import behind, of_table
from benchmark.training import throughput
from benchmark.workflow import looking
from tests import made

PAPER = settings({"scale": "paper", "device": "cpu"})


def runs(table="table3_tser", chosen=PAPER):
    return list(behind(of_table(table, chosen)).values())


def macs(backbone, dataset):
    return {"resnet-18": 1.0e6, "ann-resnet-34": 4.0e6}[backbone]


def look(capsys, tmp_path, chosen=PAPER, elsewhere=False, some=None):
    """(what it answers, its lines)"""
    answer = looking.look(runs() if some is None else some, chosen, tmp_path, tmp_path / "data", macs, elsewhere)
    return answer, capsys.readouterr().err.splitlines()


def test_without_data_nothing_starts(tmp_path, capsys):
    answer, said = look(capsys, tmp_path)
    assert answer == 2 and said[0] == "runs    6 to do at scale paper" and said[-1] == "error: no data set of these runs is there"
    assert said[1].startswith(f"data    CIFAR100: its 6 runs will fail: CIFAR100 is not in {tmp_path / 'data'}")
    assert "python -m benchmark download CIFAR100" in said[1]


def test_some_data_is_enough_to_start(tmp_path, capsys, monkeypatch):
    """The other data set's runs fail by themselves, and that is said."""
    monkeypatch.setattr(looking, "absent", lambda entry, root: "gone" if entry["name"] == "CIFAR100" else "")
    both = [*runs(), *runs("table1_ldd")]
    answer, said = look(capsys, tmp_path, elsewhere=True, some=both)
    assert answer == 0 and any("CIFAR100: its" in line and line.endswith("gone") for line in said)
    assert "data    CIFAR10: there" in said


def test_a_cpu_has_to_be_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(looking, "absent", lambda entry, root: "")
    monkeypatch.setattr(throughput, "images_per_second", lambda spec, device: pytest.fail("timed before it may start"))
    answer, said = look(capsys, tmp_path)
    assert answer == 2 and said[-1].startswith("error: 6 real networks would train on real data without a GPU")
    assert "--config cpu=yes" in said[-1]
    assert look(capsys, tmp_path, elsewhere=True)[0] == 0  # a cluster's nodes have what they have


def test_hours_by_timed_steps(tmp_path, capsys, monkeypatch):
    """3 passes of 2e6 at 100 images a second make 6e8 MAC/s."""
    monkeypatch.setattr(looking, "absent", lambda entry, root: "")
    monkeypatch.setattr(throughput, "images_per_second", lambda spec, device: [90.0, 100.0, 500.0])
    answer, said = look(capsys, tmp_path, replace(PAPER, cpu=True))
    whole = sum(each.macs for each in costs.costs(runs(), tmp_path, macs)) / 6e8 / 3600
    assert answer == 0 and said[-2].startswith("device  cpu: ")
    assert (
        said[-1] == f"hours   {whole:.3g} hours left on one device (by timed steps of resnet-18 in fp32, 6e+08 MAC/s, and what ran so far)"
    )


def test_finished_runs_need_no_timing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(looking, "absent", lambda entry, root: "")
    monkeypatch.setattr(throughput, "images_per_second", lambda spec, device: pytest.fail("timed"))
    made.write(tmp_path, runs()[1], seconds=7200.0, images_per_second=1000.0)
    answer, said = look(capsys, tmp_path, replace(PAPER, cpu=True))
    assert answer == 0 and said[-1].endswith("hours left on one device (by finished runs)")


def test_twins_on_stand_ins_start_anywhere(tmp_path, capsys):
    answer, said = look(capsys, tmp_path, settings({"device": "cpu"}), some=runs(chosen=settings()))
    assert answer == 0 and "data    digit-pairs: there" in said


@pytest.mark.parametrize("table", ["table3_tser", "table5_spikformer_v2"])
def test_steps_are_timed_on_images_and_on_events(table, monkeypatch):
    """Real training steps of the network, one that is not counted before them; membranes are forgotten after each."""
    forgotten = []
    monkeypatch.setattr(throughput.build, "reset", forgotten.append)
    torch.set_num_threads(1)
    spec = runs(table, settings())[-1].resolved.spec
    speeds = throughput.images_per_second(spec, torch.device("cpu"), batch=2, steps=2)
    assert len(speeds) == 2 and all(speed > 0 for speed in speeds) and len(forgotten) == 3


def test_more_images_take_longer():
    spec = runs("table3_tser", settings())[-1].resolved.spec
    few, many = (max(throughput.images_per_second(spec, torch.device("cpu"), batch, 3)) / batch for batch in (2, 64))
    assert many < few  # steps a second


@pytest.mark.slow
def test_the_workflow_looks_first(tmp_path):
    """Without data: the reason in a line, no job begun."""
    words = [
        "-m",
        "snakemake",
        "-s",
        str(ROOT / "Snakefile"),
        "--cores",
        "1",
        "-d",
        str(tmp_path),
        "--config",
        "scale=reduced",
        "device=cpu",
    ]
    run = runs("table3_tser", settings({"scale": "reduced"}))[0]
    done = subprocess.run([sys.executable, *words, "--", f"{run.folder}/metrics.json"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0 and "error: no data set of these runs is there" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / run.folder).exists()
