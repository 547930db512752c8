"""Bad input, a table of it (bad_input.yaml): each is one line that says what is wrong and where, an exit status, and nothing is lost."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmark.pins.code import ROOT
from benchmark.pins.settings import settings
from benchmark.runs.lines import of_table
from benchmark.runs.run import Run
from benchmark.shared.files import replacing
from tests import made
from tests.spoiling import Spoiling
from tests.tree import Tree, copy_tree

TABLE = yaml.safe_load(Path(__file__).with_name("bad_input.yaml").read_text(encoding="utf-8"))
CASES = [
    pytest.param({**group, **case}, id=f"{case.get('file', group.get('file', 'command'))}: {name}")
    for group in TABLE
    for name, case in group["cases"].items()
]
RUN = of_table("table1_ldd", settings())[0].runs[0]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with a finished run, the specification that it was handed, and a table."""
    folder = copy_tree(tmp_path_factory.mktemp("bad"))
    made.write(folder, RUN)
    for path, text in ((f"runs/.specs/{RUN.resolved.id}.json", RUN.resolved.json), ("results/table1_ldd.csv", "a table\n")):
        with replacing(folder / path) as file:
            file.write(text)
    spoiling = Spoiling(Tree(folder))
    yield spoiling
    spoiling.close()


def named(text: str) -> str:
    """A text of the table with the run's names."""
    return text.replace("<run>", RUN.folder.as_posix()).replace("<cell>", RUN.resolved.id)


def placed(word: str, case: dict) -> str:
    """A word with the numbers of the lines behind the end of the file that is spoiled."""
    if "<end" not in word:
        return word
    lines = len((ROOT / case["file"]).read_text(encoding="utf-8").splitlines())
    return re.sub(r"<end\+(\d)>", lambda more: str(lines + int(more[1])), word)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_line(case, project):
    status, said, lost = project.ask(named(case["ask"]), named(case.get("file", "")), case if "file" in case else None)
    if case["ask"].startswith("snakemake"):  # which says more than the mistake
        said = "\n".join(line for line in said.splitlines() if line.startswith(("error: ", "Traceback")))
    assert status == 2 or (status and case["ask"].startswith("snakemake")), said
    assert said.startswith("error: ") and len(said.splitlines()) == 1, said
    assert all(placed(word, case) in said for word in case["says"]), said
    assert not lost


def test_the_table_is_long():
    assert len(CASES) >= 400 and all(case.values[0]["says"] for case in CASES)


@pytest.mark.parametrize(
    ("file", "content", "state"),
    [
        ("error.txt", b"", "failed   runs/.* error.txt says nothing"),
        ("error.txt", b"\xff\x00", "failed   runs/"),
        ("curve.csv", b"\xff\x00\x01", "missing  runs/"),
        ("curve.csv", b"", "missing  runs/"),
        ("metrics.json", b"{", "damaged  runs/"),
        ("metrics.json", b"\xff", "damaged  runs/"),
    ],
)
def test_what_a_run_left_spoiled_is_its_state(project, file, content, state):
    run = Run(RUN.resolved, 1)
    place = project.tree.folder / run.folder / file
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(content)
    try:
        found = run.state(project.tree.folder)
        assert re.match(state, f"{found:8} {run.folder} {run.progress(project.tree.folder)}")
    finally:
        place.unlink()


def test_whoever_reads_only_the_beginning_leaves_no_trace(project):
    words = f"{sys.executable} -m benchmark status | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", words], cwd=project.tree.folder, env=project.tree.environment, capture_output=True, text=True
    )
    assert done.stdout.count("\n") == 1 and not done.stderr and done.returncode == 141
