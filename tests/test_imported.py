"""Runs made elsewhere: what is taken, what is refused and with which words, and that nothing here is lost."""

import csv
import json

import pytest

from benchmark.pins.settings import settings
from benchmark.reports import provenance
from benchmark.runs import imported
from benchmark.runs.lines import of_table
from benchmark.runs.run import Run
from benchmark.shared.errors import UserError
from benchmark.shared.files import sha256, write_sealed
from benchmark.workflow.command import main
from tests import made

SMOKE = settings()


def runs():
    """A student of LDD's Table 1 and its teacher."""
    student = next(entry.runs[0] for entry in of_table("table1_ldd", SMOKE) if entry.resolved and entry.resolved.upstream)
    return student, Run(student.resolved.upstream[0][1], 0)


def elsewhere(root, run, weights=b"weights", **changes):
    """A whole finished run below `root`."""
    folder = root / run.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.pt").write_bytes(weights)
    values = made.metrics(run, weights=sha256(folder / "weights.pt"), **changes)
    write_sealed(folder / "metrics.json", values)
    with (folder / "curve.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "accuracy"])
        writer.writeheader()
        writer.writerows({"epoch": epoch, "accuracy": value} for epoch, value in enumerate(values["accuracy_by_epoch"], 1))
    (folder / "layers.csv").write_text("layer\n")
    return folder


def test_answers_to_the_test_images_come_along_and_are_held_against_their_checksum(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    _, teacher = runs()
    folder = tmp_path / "there" / teacher.folder
    folder.mkdir(parents=True)
    (folder / "predictions.npz").write_bytes(b"answers")
    elsewhere(there, teacher, predictions=sha256(folder / "predictions.npz"))
    (folder / "predictions.npz").write_bytes(b"others")
    (answer,) = imported.bring(there, here, SMOKE)
    assert answer.word == "refused" and "predictions.npz is damaged: its checksum is" in answer.why
    (folder / "predictions.npz").write_bytes(b"answers")
    (answer,) = imported.bring(there, here, SMOKE)
    assert answer.word == "taken" and (here / teacher.folder / "predictions.npz").read_bytes() == b"answers"


def said(answers):
    return {answer.folder: (answer.word, answer.why) for answer in answers}


def test_a_run_and_what_it_learned_from_are_taken_once(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    student, teacher = runs()
    for run in (student, teacher):
        elsewhere(there, run)
    assert [(answer.folder, answer.word) for answer in imported.bring(there, here, SMOKE)] == [
        (teacher.folder, "taken"),
        (student.folder, "taken"),
    ]
    assert student.state(here) == teacher.state(here) == "done"
    assert {word for word, _ in said(imported.bring(there, here, SMOKE)).values()} == {"here already"}
    assert imported.origin_of(student, here) == "there"
    told = provenance.of_runs({student.folder: student}, here)
    assert told[str(student.folder)]["imported"] == "there"


def test_one_that_ran_again_here_is_ours(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    _, teacher = runs()
    elsewhere(there, teacher)
    imported.bring(there, here, SMOKE, "a lab")
    assert imported.origin_of(teacher, here) == "a lab"
    made.write(here, teacher, seconds=1.0)
    assert imported.origin_of(teacher, here) == ""


def change(what):
    """A fault in the student's folder; returns it."""

    def edit(path, found):
        values = json.loads(path.read_text())
        values.update(found)
        path.write_text(json.dumps(values))

    return {
        "accuracy": lambda folder: edit(folder / "metrics.json", {"accuracy": 99.0}),
        "weights": lambda folder: (folder / "weights.pt").write_bytes(b"others"),
        "curve": lambda folder: (folder / "curve.csv").write_text("epoch,accuracy\n1,99.0\n"),
        "no curve": lambda folder: (folder / "curve.csv").unlink(),
    }[what]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("accuracy", "its metrics.json is damaged: its checksum is "),
        ("weights", "its weights.pt is damaged: its checksum is "),
        ("curve", "its curve.csv is damaged: the accuracies are not those of metrics.json"),
        ("no curve", "it lacks curve.csv"),
    ],
)
def test_a_damaged_one_is_refused_and_the_others_are_taken(tmp_path, fault, why):
    there, here = tmp_path / "there", tmp_path / "here"
    student, teacher = runs()
    elsewhere(there, teacher)
    change(fault)(elsewhere(there, student))
    found = said(imported.bring(there, here, SMOKE))
    assert found[teacher.folder] == ("taken", "")
    assert found[student.folder][0] == "refused" and found[student.folder][1].startswith(why)
    assert not (here / student.folder).exists()


def test_a_student_without_its_teacher_or_of_another_one_is_refused(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    student, teacher = runs()
    elsewhere(there, student)
    ((word, why),) = said(imported.bring(there, here, SMOKE)).values()
    assert word == "refused" and why == f"its teacher {teacher.resolved.id} is not beside it: nobody could tell what it learned from"
    elsewhere(there, teacher)
    elsewhere(here, teacher, weights=b"trained here")
    found = said(imported.bring(there, here, SMOKE))
    assert found[teacher.folder] == ("refused", "this run is here already, with other weights: remove it here to take the other")
    assert found[student.folder] == ("refused", f"its teacher {teacher.resolved.id} has other weights than the one here")
    assert (here / teacher.folder / "weights.pt").read_bytes() == b"trained here"


def test_a_run_of_other_code_or_of_no_table_is_refused(tmp_path):
    there = tmp_path / "there"
    _, teacher = runs()
    folder = elsewhere(there, teacher)
    values = made.metrics(teacher)
    values["spec"] = {**values["spec"], "code": "other"}
    other = folder.parent.with_name(f"{folder.parent.name[:-8]}00000000") / "seed0"
    folder.parent.rename(other.parent)
    write_sealed(other / "metrics.json", values)
    (there / "runs" / "made-up-T1-12345678" / "seed0").mkdir(parents=True)
    (there / "runs" / "made-up-T1-12345678" / "seed0" / "metrics.json").write_text("{}")
    whys = sorted(why for _, why in said(imported.bring(there, tmp_path, SMOKE)).values())
    assert whys == ["its specification is another one than here: code", "no table asks for it at this scale"]


def test_a_folder_without_runs_is_one_clear_line(tmp_path, capsys):
    with pytest.raises(UserError, match="has no finished runs: name a working directory"):
        imported.bring(tmp_path, tmp_path, SMOKE)
    assert main(["import", str(tmp_path / "nowhere"), "--directory", str(tmp_path)]) == 2
    assert "has no finished runs" in capsys.readouterr().err


def test_the_command_says_what_it_took_and_fails_if_something_was_refused(tmp_path, capsys):
    there, here = tmp_path / "there", tmp_path / "here"
    here.mkdir()
    student, teacher = runs()
    elsewhere(there, teacher)
    words = ["import", str(there), "--directory", str(here), "--origin", "a lab"]
    assert main(words) == 0 and capsys.readouterr().out == f"taken        {teacher.folder}\n"
    elsewhere(there, student)
    (there / student.folder / "weights.pt").write_bytes(b"others")
    assert main(words) == 1 and "refused" in capsys.readouterr().out
