"""The README says what the files say, and every command that it prints works as printed, or as the table below shortens it.

A command is a line of a fenced block, or a span of code in a sentence, that begins with one of TOOLS. What no entry of STAND_INS
covers fails: whoever prints a new command says there how it is tested.
"""

import csv
import re
import shlex
import shutil
import sys
import tomllib
import zipfile
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from benchmark.pins import published
from benchmark.pins.kinds import ROOT
from benchmark.reports import readme
from tests.tree import Tree, copy_tree

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TOOLS = re.compile(r"(snakemake|python -m benchmark|pytest|uv|pip|--config)\b.*")  # --config: an option printed by itself
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_coverage_and_findings_are_the_files_own():
    found = {name: block for name, block in readme.blocks().items() if name in ("coverage", "audit")}
    assert readme.filled(TEXT, found) == TEXT, "run: python -m benchmark.reports.readme"


def test_a_stale_block_is_replaced():
    stale = "before\n<!-- audit -->\nold\n<!-- end -->\nafter"
    assert readme.filled(stale, {"audit": "new"}) == "before\n<!-- audit -->\nnew\n<!-- end -->\nafter"


def test_ci_runs_the_tests_as_printed():
    assert "uv run pytest" in commands(TEXT)
    assert "uv run pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


# ---- which commands there are


def commands(text: str) -> list[str]:
    """Every command of a text, comments left out, in order and each once."""
    lines = [line.partition(" #")[0] for block in FENCED.findall(text) for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", FENCED.sub("", text))]
    return list(dict.fromkeys(line.strip() for line in [*lines, *spans] if TOOLS.fullmatch(line.strip())))


def test_commands_are_found_in_blocks_and_in_sentences():
    text = "Run\n\n```\nuv run pytest   # all\npapers/  a folder\n```\n\nor `pytest -x`, `python\n-m benchmark status`, and `uvula` in `results/`.\n"
    assert commands(text) == ["uv run pytest", "pytest -x", "python -m benchmark status"]


# ---- what they are run in


class Shell(Tree):
    """A copy of the project whose commands are those of a shell; uv takes the environment that runs the tests."""

    def __init__(self, folder):
        super().__init__(folder)
        self.environment |= {"UV_NO_SYNC": "1", "UV_OFFLINE": "1", "UV_PROJECT_ENVIRONMENT": sys.prefix, "OMP_NUM_THREADS": "1"}

    def does(self, line: str) -> str:
        """Standard output and error of a line that has to succeed."""
        done = self.run("bash", "-c", line, timeout=400)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def fails(self, line: str) -> str:
        """Standard error of a line that a user's mistake stops."""
        done = self.run("bash", "-c", line, timeout=400)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, f"{line}\n{done.stdout}{done.stderr}"
        return done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A copy in which nothing has run."""
    return Shell(copy_tree(tmp_path_factory.mktemp("whole")))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A copy whose Table 1 of LDD is its first row, at the smoke scale one epoch long."""
    folder = copy_tree(tmp_path_factory.mktemp("small"))
    pins, scale = folder / "benchmark/papers/ldd/table1.csv", folder / "config/scales/smoke.yaml"
    pins.write_text("".join(pins.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    scale.write_text(scale.read_text(encoding="utf-8") + "  - for: {}\n    set: {epochs: 1}\n", encoding="utf-8")
    return Shell(folder)


@pytest.fixture(scope="module")
def plans():
    """What dry runs said, by the command without its cores: the same graph is built once."""
    return {}


# ---- how each is tested: run as printed or shortened, with what it must say or leave behind


def planned(line, whole, plans, **_):
    """A dry run lists every file that is asked for and is not there, as the reference tables are."""
    key = re.sub(r"--cores \d+ ", "", line)
    if key not in plans:
        plans[key] = whole.does(line.replace("snakemake", "snakemake --dry-run --quiet host", 1))
    asked = {word for word in whole.does(f"printf '%s\\n' {line}").split() if word.startswith("results/")}
    outputs = re.findall(r"^ +output: (.*)$", plans[key], re.MULTILINE)
    there = {word for word in asked if (whole.folder / word).exists()}
    assert asked and asked - there <= {path for output in outputs for path in output.split(", ")}


def option(line, whole, plans, **_):
    """Options printed by themselves, all in front of the first table at once."""
    pairs = " ".join(each.removeprefix("--config ") for each in commands(TEXT) if each.startswith("--config "))
    assert line.removeprefix("--config ") in pairs
    planned(f"snakemake --cores 2 --config {pairs.replace('/path', str(whole.folder))} -- results/table1_ldd.csv", whole, plans)


def first_table(line, small, **_):
    """For real, but for the installation of uv: one row of the table, its run one epoch long."""
    said = small.does(with_uv(line).replace("pip install uv", "uv --version"))
    (row,) = rows(small.folder / "results/table1_ldd.csv")
    assert row["accuracy_verdict"] == "not comparable" and 0 <= float(row["accuracy"]) <= 100 and row["data"] == "digits"
    assert "| Spikformer" in said and f"| {float(row['accuracy']):.2f}" in said  # it prints the table too
    assert (small.folder / "results/table1_ldd.md").exists() and (small.folder / "results/table1_ldd.meta.json").exists()


def reports(line, whole, **_):
    """As printed."""
    whole.does(line)
    assert len(rows(whole.folder / "results/published.csv")) == len(published.numbers())
    assert len(rows(whole.folder / "results/audit.csv")) > 100 and len(rows(whole.folder / "results/coverage.csv")) > 100


def packed(line, whole, **_):
    """As printed, where there is a table of pins at least."""
    whole.does("snakemake --cores 1 results/published.csv")
    whole.does(line)
    assert zipfile.is_zipfile(whole.folder / "report.zip")


def status(line, whole, **_):
    """As printed, where nothing has run."""
    said = whole.does(line)
    assert "at scale smoke" in said and "0 done" in said and "missing  runs/" in said


def chosen(line, whole, **_):
    """As printed: fewer runs than without the choice, and none done."""
    some, every = (int(re.match(r"\d+", whole.does(each))[0]) for each in (line, line.partition(" --")[0]))
    assert 0 < some < every and "0 done" in whole.does(line)


def cost(line, whole, **_):
    """As printed, where nothing has run."""
    assert "6 runs, 0 done: 90,000,000 training images" in whole.does(line)


def obtained(line, whole, **_):
    """As printed, where nothing has run."""
    assert "0 numbers obtained, 0 of them" in whole.does(line)
    assert rows(whole.folder / "results/disagreements.csv") == []


def curves(line, whole, **_):
    """As printed, where nothing has run."""
    assert "0 runs of table1_tser" in whole.does(line)


def importing(line, whole, **_):
    """As printed, where the other working directory holds one run, of nobody's table."""
    folder = whole.folder.parent / "theirs/runs/made-up-T1-12345678/seed0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text("{}")
    done = whole.run("bash", "-c", line)
    assert (done.returncode, done.stdout) == (1, "refused      runs/made-up-T1-12345678/seed0  no table asks for it at this scale\n")


def page(line, whole, **_):
    """As printed, where nothing has run."""
    whole.does(line)
    text = (whole.folder / "results/report.html").read_text(encoding="utf-8")
    assert text.lower().startswith("<!doctype html>") and "not run" in text


def export(line, whole, **_):
    """As printed, where nothing has run."""
    with own_method(line, whole) as line:
        assert "\\toprule" in whole.does(line)


@contextmanager
def own_method(line, whole):
    """A method of that name in the copy, while the command runs."""
    path = whole.folder / "methods/my_method.py"
    path.write_text((ROOT / "methods/skd.py").read_text(encoding="utf-8"), encoding="utf-8")
    try:
        yield line
    finally:
        path.unlink()


def compare(line, whole, **_):
    """As printed, up to what it hands to the workflow; that runs such a table in tests/test_workflow.py."""
    code = """
import subprocess
import sys
from types import SimpleNamespace
from benchmark.__main__ import main
subprocess.run = lambda words, **_: print(*words) or SimpleNamespace(returncode=0)
sys.exit(main(sys.argv[1:]))
"""
    with own_method(line, whole):
        said = whole.does(line.replace("-m benchmark", f"-c {shlex.quote(code)}"))
    assert said.split()[-5:] == ["--config", "scale=smoke", "compare=my-method", "--", "results/table3_tser.my-method.csv"]


def cache(line, whole, **_):
    """As printed, where nothing is cached."""
    assert "0" in whole.does(line)


def draw(line, whole, **_):
    """As printed."""
    whole.does(line)
    assert (whole.folder / line.split()[-1]).read_bytes()[:4] == b"\x89PNG"


def pictures(line, whole, **_):
    """Of a run that is not there; of one that is, tests/test_reconstructions.py."""
    assert "the run above has to be finished" in whole.fails(line.replace("RUN", "runs/none/seed0"))


def partial_table(line, whole, **_):
    """As printed, where nothing has run."""
    assert "| not run" in whole.does(line)
    found = rows(whole.folder / "results/table1_ldd.partial.csv")
    assert len(found) == 18 and {row["accuracy_verdict"] for row in found} == {"not run"}


def claims(line, whole, **_):
    """As printed, where nothing has run."""
    assert "claims.partial.md" in whole.does(line)
    assert rows(whole.folder / "results/claims.partial.csv")


def gate(line, small, **_):
    """As printed but for this file alone of the tests, on a folder with the one number that the small copy pins."""
    folder = small.folder / "work/paper/results"
    folder.mkdir(parents=True, exist_ok=True)
    head = "row,dataset,time_steps,options,accuracy_published,accuracy,accuracy_low,accuracy_high,accuracy_verdict,differs,why"
    for accuracy, passes in (("93.6,93.5,93.7,match", True), ("90.0,89.9,90.1,match", False)):
        (folder / "table1_ldd.csv").write_text(f"{head}\n1,CIFAR10,2,,93.5,{accuracy},,\n")
        done = small.run("bash", "-c", f"{line} -p no:cacheprovider -k table1_ldd tests/test_results.py")
        assert (done.returncode == 0, "1 passed" in done.stdout, "1 failed" in done.stdout) == (passes, passes, not passes), done.stdout


def suite(line, whole, **_):
    """Collects one file: who runs this test runs the whole."""
    assert "tests collected" in whole.does(f"{with_uv(line)} --collect-only -q -p no:cacheprovider tests/test_rooms.py")


def prefix(line, whole, **_):
    """In front of a command, as its sentence says."""
    assert "at scale smoke" in whole.does(f"{with_uv(line)} python -m benchmark status table1_ldd")


def extra(line, whole, **_):
    """Parsed only: installing needs a network. The extra is there, and is what the profile asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (pin,) = project["project"]["optional-dependencies"][line.split()[-1]]
    (executor,) = re.findall(r"^executor: (\w+)$", (ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    assert pin.partition("==")[0] == f"snakemake-executor-plugin-{executor}"
    assert "--extra" in whole.does(f"{with_uv('uv sync')} --help")


def submitted(line, whole, plans, **_):
    """A dry run too, for which the plugin has to be there; `-m slurm` submits. Its scale is that of the directory."""
    if not find_spec("snakemake_executor_plugin_slurm"):
        pytest.skip("the plugin is not installed: uv sync --extra slurm")
    planned(line, whole, plans)
    where = re.findall(r"--directory (\S+)", line)
    assert all((whole.folder / each).is_dir() and each.startswith("work/") for each in where)


def download(line, whole, **_):
    """As printed, but for torchvision's own fetching: what it is asked for, and where to."""
    code = """
import sys
import torchvision.datasets
from benchmark.__main__ import main
torchvision.datasets.CIFAR10 = lambda root, download: print("fetched" if download else "read", root)
sys.exit(main(sys.argv[1:]))
"""
    said = whole.does(line.replace("-m benchmark", f"-c {shlex.quote(code)}"))
    assert said.splitlines() == ["fetched data/cifar10", "CIFAR10 is in data/cifar10"]


def same_result(line, whole, **_):
    """As printed, after an edit of that file since a commit of the copy: no run gets another id."""
    whole.does("git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm copy")
    edited, before = whole.folder / line.split()[4], whole.cells()
    kept = edited.read_text(encoding="utf-8")
    edited.write_text(kept + "\nUNUSED = 1\n", encoding="utf-8")
    assert {cell["folder"] for cell in whole.cells()}.isdisjoint(cell["folder"] for cell in before)
    whole.does(line)
    assert whole.cells() == before
    assert rows(whole.folder / "benchmark/pins/equivalent_edits.csv")[-1]["why"] == "a local name"
    whole.does("git checkout -q .")


def timing(line, whole, **_):
    """One small network, once."""
    said = whole.does(f"{line} --networks spikformer-2-64:1 --repeats 1")
    assert "spikingjelly" in said and "ReLU" in said and "ours" in said


STAND_INS = {  # pattern of a printed command: how it is tested
    r"pip install uv && uv run snakemake --cores 2 results/table1_ldd\.csv": first_table,
    r"uv run pytest": suite,
    r"uv run": prefix,
    r"uv sync --extra \w+": extra,
    r"snakemake --report report\.zip": packed,
    r"snakemake .*results/published\.csv results/audit\.csv results/coverage\.csv": reports,
    r"snakemake (?!.*(published|audit|coverage|slurm)).*results/.*": planned,
    r"snakemake --profile profiles/slurm .*": submitted,
    r"--config .*": option,
    r"python -m benchmark status \w+": status,
    r"python -m benchmark status --.*": chosen,
    r"python -m benchmark table \w+": partial_table,
    r"python -m benchmark cost .*": cost,
    r"python -m benchmark obtained": obtained,
    r"python -m benchmark curves \w+": curves,
    r"python -m benchmark import .*": importing,
    r"python -m benchmark report": page,
    r"python -m benchmark export [\w.-]+ --format latex": export,
    r"python -m benchmark compare \w+ --table \w+": compare,
    r"python -m benchmark cache --clean": cache,
    r"python -m benchmark draw .*\.png": draw,
    r"python -m benchmark pictures RUN --out .*\.png": pictures,
    r"python -m benchmark claims": claims,
    r"python -m benchmark download CIFAR10": download,
    r"python -m benchmark same-result .*": same_result,
    r"python -m benchmark\.timing\.training_step \w+": timing,
    r"pytest -m published --results=work/paper/results": gate,
}


def stand_in(command: str):
    """How a command is tested. LookupError: nobody has said, or two entries fit."""
    found = [test for pattern, test in STAND_INS.items() if re.fullmatch(pattern, command)]
    if len(found) != 1:
        raise LookupError(f"{command}: {len(found)} entries of STAND_INS cover it, one has to")
    return found[0]


@pytest.mark.parametrize("command", commands(TEXT))
def test_the_printed_command_works(command, whole, small, plans):
    stand_in(command)(command, whole=whole, small=small, plans=plans)


def test_every_entry_covers_a_printed_command():
    assert {stand_in(command) for command in commands(TEXT)} == set(STAND_INS.values())


@pytest.mark.parametrize("command", ["snakemake --lint", "python -m benchmark status", "uv tool install x", "pytest", "pip install tonic"])
def test_a_command_that_nobody_covers_fails(command):
    assert commands(f"`{command}`") == [command]
    with pytest.raises(LookupError, match="0 entries of STAND_INS cover it"):
        stand_in(command)


def test_every_file_named_in_results_can_be_made(whole, plans):
    """Those that no command above asks for."""
    named = re.findall(r"`(?:results/)?((?:table|figure)\d_[a-z]\w+|[a-z]+(?=\.csv))(?:\.csv)?`", TEXT)
    left = {name for name in named if not any(f"results/{name}.csv" in command for command in commands(TEXT))}
    assert {"figure2_tser", "figure4_ldd", "structure"} <= left
    planned(f"snakemake --cores 1 {' '.join(f'results/{name}.csv' for name in sorted(left))}", whole, plans)


def with_uv(line: str) -> str:
    """The line; skipped on a machine without uv."""
    return line if shutil.which("uv") else pytest.skip("uv is not installed here")


def rows(path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ---- for those who carry the work on


def test_what_contributors_are_told_is_there():
    """Files, templates and modules that CONTRIBUTING.md names, and the hosted workflows that call what CI is."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {span for span in re.findall(r"`([\w./-]+)`", text) if "/" in span or span.endswith((".md", ".py", ".yaml"))}
    lacking = [name for name in named if not (ROOT / name).exists() and name not in ("_template.py", "recipes.yaml")]
    assert len(named) > 15 and not lacking
    for kind in ("methods", "benchmark/backbones", "benchmark/neurons", "benchmark/datasets", "benchmark/metrics", "benchmark/conventions"):
        assert kind in text and (ROOT / kind / "_template.py").exists()
    assert ".ci/run" in (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    first = "pip install uv && uv run snakemake --cores 2 results/table1_ldd.csv"
    assert first in commands(TEXT) and first in (ROOT / ".github/workflows/nightly.yml").read_text(encoding="utf-8")
