"""What a second reader found false, held true from then on: each test is one finding."""

import ast
import re
from pathlib import Path

import pytest

from benchmark import conventions
from benchmark.conventions import Record
from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.reports import costs
from benchmark.runs import imported
from benchmark.runs.lines import of_table
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError
from benchmark.shared.files import sha256
from tests.test_imported import SMOKE, elsewhere, runs, said

ROOT = Path(__file__).resolve().parent.parent
DESCRIBED = [path for folder in ("methods", "benchmark/neurons", "benchmark/backbones") for path in sorted((ROOT / folder).glob("*.py"))]


def test_a_file_that_a_docstring_names_as_its_proof_is_there():
    named = {
        (path.name, file)
        for path in DESCRIBED
        for file in re.findall(r"tests/\w+\.py", ast.get_docstring(ast.parse(path.read_text())) or "")
    }
    assert len(named) > 5 and not [(name, file) for name, file in named if not (ROOT / file).is_file()]


# ---- energy by the papers' convention


def layers(sent: str, kind: str):
    """An image's layer, neurons, and a layer of 1000 operations behind them whose inputs have a mean of a tenth."""
    return [
        Record("stem", "conv", 2, first=True, images=1, dense=200, inputs=20, nonzero=20, total=20.0, events=200, input_kind="real"),
        Record("fire", "neuron", 2, images=1, spikes=10, neurons=100, sends="graded", sent=sent),
        Record("next", "conv", 2, images=1, dense=1000, inputs=100, nonzero=50, total=10.0, events=500, values=100.0, input_kind=kind),
    ]


@pytest.mark.parametrize(
    ("sent", "kind", "macs", "acs"),
    [
        ("binary", "fraction", 100, 100),  # pooled spikes: their mean is a rate
        ("unit", "unit", 100, 500),
        ("fraction", "fraction", 1100, 0),  # LIAF's membranes, TSSL-BP's traces
        ("real", "fraction", 1100, 0),
        ("real", "real", 1100, 0),
    ],
)
def test_graded_values_are_no_spikes_however_small_their_mean(sent, kind, macs, acs):
    counted = conventions.count("papers", layers(sent, kind))
    assert (counted["macs"], counted["acs"]) == (macs, acs)


# ---- runs made elsewhere


def pretrained():
    """A pre-training, whose decoder is a part of its result."""
    lines = [line for line in of_table("figure8_spikformer_v2", SMOKE) if line.resolved]
    return lines[0].runs[0]


def test_trained_parts_come_with_their_run(tmp_path, monkeypatch):
    run = pretrained()
    monkeypatch.setattr(imported, "known_cells", lambda _: {run.resolved.id: run.resolved})
    there, here = tmp_path / "there", tmp_path / "here"
    (tmp_path / "parts").write_bytes(b"parts")
    folder = elsewhere(there, run, parts=sha256(tmp_path / "parts"))
    assert said(imported.bring(there, here, SMOKE)) == {run.folder: ("refused", "it lacks parts.pt")}
    (folder / "parts.pt").write_bytes(b"others")
    ((word, why),) = said(imported.bring(there, here, SMOKE)).values()
    assert word == "refused" and why.startswith("its parts.pt is damaged: its checksum is ") and not (here / run.folder).exists()
    (folder / "parts.pt").write_bytes(b"parts")
    assert said(imported.bring(there, here, SMOKE)) == {run.folder: ("taken", "")}
    assert (here / run.folder / "parts.pt").read_bytes() == b"parts"


@pytest.mark.parametrize("name", ["seedx", "seed", "seed00", "seed٠", "seed²", "seed-1"])
def test_a_folder_of_no_seed_is_told_so(tmp_path, monkeypatch, name):
    _, teacher = runs()
    monkeypatch.setattr(imported, "known_cells", lambda _: {teacher.resolved.id: teacher.resolved})
    folder = elsewhere(tmp_path / "there", teacher)
    folder.rename(folder.with_name(name))
    assert said(imported.bring(tmp_path / "there", tmp_path, SMOKE)) == {
        Path("runs") / teacher.resolved.id / name: ("refused", "its folder is not named seed<n>")
    }


def test_a_folder_of_another_name_than_its_specification_is_told_so(tmp_path, monkeypatch):
    _, teacher = runs()
    monkeypatch.setattr(imported, "known_cells", lambda _: {teacher.resolved.id: teacher.resolved})
    folder = elsewhere(tmp_path / "there", teacher)
    folder.parent.rename(folder.parent.with_name(f"{folder.parent.name[:-8]}00000000"))
    ((word, why),) = said(imported.bring(tmp_path / "there", tmp_path, SMOKE)).values()
    assert (word, why) == ("refused", "its folder is not that of its specification")


def test_runs_of_ones_own_method_are_known_where_it_is_compared(monkeypatch):
    one = {"table3_tser": published.tables()["table3_tser"]}
    monkeypatch.setattr(published, "tables", lambda: one)
    monkeypatch.setattr(published, "figures", dict)
    alone, compared = (imported.known_cells(settings(values)) for values in ({}, {"compare": "li-kd"}))
    assert {id for id in compared if id not in alone} and all(id.startswith("li-kd-") for id in compared.keys() - alone.keys())


# ---- what a table costs, and whose it is


def test_a_test_of_some_images_costs_these_alone():
    def macs(*_):
        return 1.0

    chosen = settings({"scale": "paper", "recipe": {"test_images": 16}})
    some, every = (
        next(line.runs[0] for line in of_table("table2_ecmt", each) if line.first.cell.startswith("rmp:"))
        for each in (chosen, settings({"scale": "paper"}))
    )
    assert isinstance(some, Run) and (costs.operations(some.resolved, macs), costs.operations(every.resolved, macs)) == (
        16 * 4096,
        50_000 * 4096,
    )


def test_a_name_that_ends_in_a_dot_is_no_table():
    with pytest.raises(UserError, match="unknown method ''"):
        published.read("table1_tser.")
