"""What is committed of a scale's runs: every number is one that a run wrote, and what is claimed of them follows from the files beside."""

import csv
import itertools
import json
import statistics
from pathlib import Path

import pytest

from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.reports import evidence
from benchmark.runs import lines
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main
from tests import made

THREE = settings({"seeds": 3})
COMMITTED = ROOT / "results" / "reference" / "mini"


def read(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_runs_steps_claims_and_where_they_come_from(tmp_path):
    entries = [line for line in lines.of_table("table3_tser", THREE) if line.resolved]
    for place, entry in enumerate(entries):
        for run in entry.runs:
            made.accuracy(tmp_path, run, 50.0 + place + run.seed / 4)
    said = evidence.write(THREE, tmp_path, tmp_path / "out")
    found, steps = read(tmp_path / "out/runs.csv"), read(tmp_path / "out/steps.csv")
    assert len(found) == 3 * len(entries) and said.startswith(f"{len(found)} runs in ")
    best = [line for line in found if line["run"] == entries[-1].resolved.id]
    assert [(line["seed"], line["accuracy"], line["commit"]) for line in best] == [
        ("0", "54.0", "m"),
        ("1", "54.25", "m"),
        ("2", "54.5", "m"),
    ]
    assert {line["firing_rate"] for line in found} == {"25.0"} and len(steps) == 2 * len(found)
    assert [line["firing_rate"] for line in steps[:2]] == ["20.0", "30.0"]
    claim = next(line for line in read(tmp_path / "out/claims.csv") if line["verdict"] != "not run" and line["table"] == "3")
    assert (claim["n_seeds"], claim["verdict"]) == ("3", "supported")
    told = json.loads((tmp_path / "out/provenance.json").read_text())
    assert {len(told["runs"]), told["scale"]} == {len(found), "smoke"} and "supported" in (tmp_path / "out/claims.md").read_text()
    assert (tmp_path / "out/claims.svg").read_text().startswith("<svg")


def ran(root: Path, table: str, base: float, row: int | None = None, apart: float = 10.0) -> list:
    """Runs of all lines of a table, each row's accuracy so far above the one before."""
    entries = [line for line in lines.of_table(table, THREE) if line.resolved]
    for place, entry in enumerate(entries):
        for run in entry.runs if row in (None, place) else ():
            made.accuracy(root, run, base + apart * place + run.seed / 4)
    return entries


def test_what_an_earlier_call_wrote_stays_where_nothing_replaces_it(tmp_path):
    ladder = ran(tmp_path / "first", "table3_tser", 10.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    alone = {name: read(tmp_path / f"out/{name}.csv") for name in ("runs", "steps", "claims")}
    other = ran(tmp_path / "second", "table3_idsnn", 20.0)
    ran(tmp_path / "second", "table3_tser", 5.0, row=0)
    said = evidence.write(THREE, tmp_path / "second", tmp_path / "out", keep=True)
    joined = {name: read(tmp_path / f"out/{name}.csv") for name in ("runs", "steps", "claims")}
    assert len(joined["runs"]) == len({line["run"] for line in joined["runs"]}) * 3 and said.startswith(f"{len(joined['runs'])} runs in ")
    accuracy = {(line["run"], line["seed"]): float(line["accuracy"]) for line in joined["runs"]}
    assert accuracy[ladder[0].resolved.id, "1"] == 5.25 and accuracy[ladder[1].resolved.id, "1"] == 20.25  # run again, and not
    assert {(line["run"], line["seed"]) for line in joined["steps"]} == set(accuracy) >= {(line.resolved.id, "2") for line in other}
    decided = {(line["paper"], line["a_row"], line["b_row"]): line for line in joined["claims"] if line["difference"]}
    assert {paper for paper, *_ in decided} == {"tser", "idsnn"}
    again = {(line["paper"], line["a_row"], line["b_row"]): line for line in alone["claims"] if line["difference"]}
    gone = {key for key in again if str(ladder[0].first.row) in key[1:]}  # claims one of whose sides was run again
    assert gone and {key for key in decided if key[0] == "tser"} == again.keys() - gone
    assert all(decided[key]["difference"] == again[key]["difference"] for key in again.keys() - gone)
    told = json.loads((tmp_path / "out/provenance.json").read_text())["runs"]
    assert set(told) == {f"runs/{run}/seed{seed}" for run, seed in accuracy} and "idsnn" in (tmp_path / "out/claims.md").read_text()


def test_cells_that_differ_in_what_their_network_is_made_of_are_not_each_others_second_run(tmp_path):
    """Attention's replacements have one name; the row that is run again replaces itself alone."""
    first = ran(tmp_path / "first", "table1_spikformer_v2", 10.0, apart=1.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    count = len(read(tmp_path / "out/runs.csv"))
    ran(tmp_path / "second", "table1_spikformer_v2", 90.0, row=0)
    evidence.write(THREE, tmp_path / "second", tmp_path / "out", keep=True)
    found = read(tmp_path / "out/runs.csv")
    assert len(found) == count == 3 * len({line.resolved.id for line in first}) > 3
    assert sorted(float(line["accuracy"]) for line in found)[-3:] == [90.0, 90.25, 90.5]


def test_a_named_reading_stands_beside_and_changes_no_claim(tmp_path):
    ran(tmp_path / "first", "table3_tser", 10.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    before, count = read(tmp_path / "out/claims.csv"), len(read(tmp_path / "out/runs.csv"))
    even = settings({"seeds": 3, "readings": {"tser": "even"}})
    (best,) = [
        line for line in lines.of_table("table3_tser", even) if line.resolved and line.resolved.spec["method"]["params"].get("entropy")
    ]
    for run in best.runs:
        made.accuracy(tmp_path / "second", run, 90.0)
    evidence.write(even, tmp_path / "second", tmp_path / "out", keep=True)
    after = read(tmp_path / "out/claims.csv")
    assert [line["verdict"] for line in after] == [line["verdict"] for line in before] and len(read(tmp_path / "out/runs.csv")) == count + 3
    assert [line["difference"] for line in after] == [line["difference"] for line in before]


def test_evidence_of_another_scale_is_not_mixed_in(tmp_path):
    ran(tmp_path / "first", "table3_idsnn", 20.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    told = json.loads((tmp_path / "out/provenance.json").read_text())
    (tmp_path / "out/provenance.json").write_text(json.dumps({**told, "scale": "mini"}))
    with pytest.raises(UserError, match="is of scale mini, not smoke"):
        evidence.write(THREE, tmp_path / "first", tmp_path / "out", keep=True)


def test_kept_claims_are_taken_in_with_the_others(tmp_path):
    """q is of all claims of a paper that stand in the file, whichever call they came with."""
    ran(tmp_path / "first", "table3_idsnn", 20.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    before = read(tmp_path / "out/claims.csv")
    evidence.write(THREE, tmp_path / "first", tmp_path / "out", keep=True)
    assert read(tmp_path / "out/claims.csv") == before
    for line in before:
        line["q"] = ""
    with (tmp_path / "out/claims.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, before[0].keys())
        writer.writeheader()
        writer.writerows(before)
    ran(tmp_path / "second", "table3_tser", 10.0)
    evidence.write(THREE, tmp_path / "second", tmp_path / "out", keep=True)
    assert all(line["q"] for line in read(tmp_path / "out/claims.csv") if line["p"])


SPOILED = {  # file: what it is by then
    "runs.csv": lambda text: "{",
    "steps.csv": lambda text: text + "<<<<<<< HEAD\n",
    "claims.csv": lambda text: text[:-40],
    "provenance.json": lambda text: "[]",
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_cannot_be_kept_is_one_line_and_stays(name, tmp_path, capsys):
    ran(tmp_path / "first", "table3_idsnn", 20.0)
    evidence.write(THREE, tmp_path / "first", tmp_path / "out")
    spoiled = SPOILED[name]((tmp_path / "out" / name).read_text())
    (tmp_path / "out" / name).write_text(spoiled)
    words = ["evidence", "--keep", "--directory", str(tmp_path / "first"), "--out", str(tmp_path / "out"), "--config", "seeds=3"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{tmp_path / 'out'} cannot be kept" in said and "--keep" in said
    assert (tmp_path / "out" / name).read_text() == spoiled


def test_nothing_done_is_one_line_and_writes_nothing(tmp_path, capsys):
    assert main(["evidence", "--directory", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        f"error: no run of scale smoke is done under {tmp_path}: nothing to write; see python -m benchmark status\n"
    )
    assert not (tmp_path / "out").exists()


# ---- what is committed


def test_what_is_committed_says_where_every_run_comes_from():
    runs, told = read(COMMITTED / "runs.csv"), json.loads((COMMITTED / "provenance.json").read_text())["runs"]
    assert len(runs) >= 100 and {f"runs/{line['run']}/seed{line['seed']}" for line in runs} == set(told)
    assert all(told[f"runs/{line['run']}/seed{line['seed']}"]["weights"] == line["weights"] for line in runs)
    assert all(line["checks"] == "passed" and len(line["commit"]) == 40 for line in runs)


def test_committed_claims_follow_from_committed_runs():
    """Each side's mean is that of as many runs of one cell; the difference and the verdict follow from it and its interval."""
    claims = [line for line in read(COMMITTED / "claims.csv") if line["difference"]]
    assert {line["paper"] for line in claims} == {"tser", "ldd", "idsnn", "spikformer_v2", "ecmt"}
    cells = {}
    for line in read(COMMITTED / "runs.csv"):
        cells.setdefault(line["run"], []).append(float(line["accuracy"]))
    for line in read(COMMITTED / "steps.csv"):  # a conversion is read at any of its steps
        cells.setdefault((line["run"], line["step"]), []).append(float(line["accuracy_up_to"]))
    for line in claims:
        count = int(line["n_seeds"])
        means = [statistics.mean(some) for values in cells.values() for some in itertools.combinations(values, count)]
        low, high, difference = (float(line[key]) for key in ("low", "high", "difference"))
        verdict = "supported" if low > 0 else "contradicted" if high < 0 else "undecided"
        assert line["verdict"] == verdict and count > 1
        assert difference == pytest.approx(float(line["a"]) - float(line["b"]), abs=0.002)
        assert all(any(abs(mean - float(line[side])) < 0.002 for mean in means) for side in "ab")
