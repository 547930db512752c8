"""obtained.csv and disagreements.csv: every number that has a value, those that differ, nothing else; curves as TensorBoard logs."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.conventions import Record
from benchmark.pins import published
from benchmark.pins.code import ROOT
from benchmark.pins.settings import printed, settings
from benchmark.reports import curves, obtained, tables
from benchmark.runs import lines, structures
from benchmark.workflow.command import main
from tests import made

TABLE = "table1_ldd"


def read(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def root(tmp_path) -> Path:
    """The first two lines of LDD's Table 1, run as printed: one as accurate as printed, one 5 points worse; the first network counted."""
    for line, less in zip(lines.of_table(TABLE, printed()), (0.0, 5.0), strict=False):
        made.accuracy(tmp_path, line.runs[0], line.first.number - less)
    made.structure(tmp_path, structures.path("spikformer-4-384", "CIFAR10"))
    return tmp_path


def test_what_has_a_value_is_listed_and_what_differs_stands_apart(root):
    assert re.match(r"\d+ numbers obtained, 1 of them another one than is printed", obtained.write(printed(), root))
    first, second = (line for line in read(root / "results/obtained.csv") if (line["paper"], line["table"]) == ("ldd", "1"))
    assert (first["paper"], first["table"], first["row"], first["metric"]) == ("ldd", "1", "1", "accuracy")
    assert (first["published"], first["obtained"], first["difference"], first["verdict"]) == ("93.5", "93.5", "0.0", "undecided")
    assert (second["published"], second["obtained"], second["difference"], second["verdict"]) == ("94.6", "89.6", "-5.0", "worse")
    assert read(root / "results/disagreements.csv") == [second]


def test_what_is_not_comparable_is_obtained_and_no_disagreement(tmp_path):
    made.accuracy(tmp_path, lines.of_table(TABLE, settings())[0].runs[0], 12.0)
    obtained.write(settings(), tmp_path)
    found = read(tmp_path / "results/obtained.csv")  # other tables print this cell too
    assert {line["verdict"] for line in found} == {"not comparable"} and ("ldd", "1", "1") in {
        (a["paper"], a["table"], a["row"]) for a in found
    }
    assert read(tmp_path / "results/disagreements.csv") == []


def test_every_value_of_the_tables_is_there(root):
    """Numbers that structures decide too, each as its table has it."""
    for path in structures.of_all_pins():
        made.structure(root, path)
    found = {(line["table"], line["paper"], line["row"], line["dataset"], line["time_steps"], line["options"], line["metric"]): line
             for line in obtained.numbers(settings(), root)}  # fmt: skip
    sizes = [line for line in found.values() if line["metric"] == "params_M"]
    assert sizes and {(line["model"], line["differs"], line["run"]) for line in sizes} == {("paper size", "", "")}
    count = 0
    for name in published.tables():
        for line, row in zip(lines.of_table(name, settings()), tables.build(name, settings(), root), strict=True):
            for number in line.numbers:
                place = (number.table, number.paper, number.row, number.dataset, number.time_steps, number.options, number.metric)
                has = row.get(number.metric) is not None and f"{number.metric}_verdict" in row
                assert (place in found) == has, place
                count += has
    assert count > 80


def test_the_command(root, capsys):
    assert main(["obtained", "--directory", str(root)]) == 0
    assert "numbers obtained" in capsys.readouterr().out and (root / "results/disagreements.csv").exists()


# ---- curves


def test_curves_are_logs_that_tensorboard_reads(tmp_path):
    """Written without torch; a second call leaves one log, not two."""
    run = lines.of_table("table3_tser", settings())[0].runs[0]
    folder = tmp_path / run.folder
    folder.mkdir(parents=True)
    (folder / "curve.csv").write_text("epoch,lr,loss_task,accuracy,seconds\n1,0.01,4.05162,6.6,2.28\n2,0.005,3.60909,12.4,4.37\n")
    code = (
        "import sys\nfrom benchmark.workflow.command import main\n"
        f"words = ['curves', 'table3_tser', '--directory', {str(tmp_path)!r}]\nassert main(words) == main(words) == 0\n"
        "assert not {'torch', 'pandas', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "1 runs of table3_tser" in done.stdout, done.stderr
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs = list((tmp_path / "results/curves" / run.folder.relative_to("runs")).iterdir())
    assert len(logs) == 1
    events = EventAccumulator(str(logs[0])).Reload()
    assert set(events.Tags()["scalars"]) == {"lr", "loss_task", "accuracy", "seconds"}
    assert [(each.step, round(each.value, 4)) for each in events.Scalars("accuracy")] == [(1, 6.6), (2, 12.4)]


def test_a_run_without_training_has_no_curve(tmp_path):
    run = lines.of_table("table3_tser", settings())[0].runs[0]
    (tmp_path / run.folder).mkdir(parents=True)
    (tmp_path / run.folder / "curve.csv").write_text("epoch,accuracy\n0,12.0\n")
    assert curves.points(run, tmp_path) == []


# ---- what a run's files mean


def test_every_column_of_layers_csv_is_explained():
    line = Record(name="a", kind="neuron", steps=2, neurons=10, spikes=3, rates=[1, 2]).line()
    text = (ROOT / "docs/runs.md").read_text(encoding="utf-8").partition("## layers.csv")[2]
    named = {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert set(line) - {"firing_rate_t2"} == named
