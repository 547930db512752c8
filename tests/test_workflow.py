"""The workflow through Snakemake itself, in a copy of the tree: what it would run, what it runs, what it does not run again."""

import csv
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.pins import published
from benchmark.pins.kinds import ROOT

TABLE = "results/table1_ldd.csv"
TINY = "recipe={epochs: 1, warmup_epochs: 0}"
DATA = os.environ.get("SPIKELEDGER_DATA")


def copy_tree(target: Path) -> Path:
    """What git would commit, and the compiled neuron, which takes ten seconds to make."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    compiled = [str(path.relative_to(ROOT)) for path in (ROOT / "benchmark").glob("**/__pycache__/*.nb?")]
    for name in [*filter(None, listed.stdout.split("\0")), *compiled]:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


class Tree:
    """A copy of the project and what can be asked of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("SPIKELEDGER", "PYTEST")) and key != "PYTHONPATH"}
        self.environment = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, *words, timeout=100):
        return subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout)

    def snakemake(self, *words, timeout=100):
        """Standard output and error together."""
        done = self.run("snakemake", "--cores", "1", *words, timeout=timeout)
        return done.returncode, done.stdout + done.stderr

    def benchmark(self, *words):
        return self.run(sys.executable, "-m", "benchmark", *words)

    def jobs(self, *words) -> dict[str, int]:
        """What a dry run would do: rule -> number of jobs."""
        status, said = self.snakemake("--dry-run", *words)
        assert status == 0, said
        stats = said.partition("Job stats:")[2].partition("total")[0]
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}

    def cells(self, *pairs, table="table1_ldd") -> list[dict]:
        """The runs behind a table: folder, method, backbone and data set."""
        code = """
import json, sys
from benchmark.runs import lines as ledger
from benchmark.workflow.command import chosen_settings
runs = ledger.runs([sys.argv[1]], chosen_settings(sys.argv[2:]))
print(json.dumps([{"folder": str(folder), **vars(run.resolved.cell)} for folder, run in runs.items()]))
"""
        return json.loads(self.run(sys.executable, "-c", code, table, *pairs).stdout)

    def cell(self, *pairs, table="table1_ldd", **wanted) -> dict:
        """The only run like this."""
        (found,) = (cell for cell in self.cells(*pairs, table=table) if wanted.items() <= cell.items())
        return found

    def pretend_done(self) -> None:
        """Outputs for every run of the table, older than the table would be."""
        for cell in self.cells():
            folder = self.folder / cell["folder"]
            folder.mkdir(parents=True)
            for name in ("curve.csv", "layers.csv", "weights.pt", "metrics.json"):
                (folder / name).write_text("{}")
        for cell in self.cells():
            os.utime(self.folder / cell["folder"] / "weights.pt", (1e9, 1e9))  # older than what was trained from it


@pytest.fixture
def tree(tmp_path):
    return Tree(copy_tree(tmp_path))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A copy that tests only read."""
    return Tree(copy_tree(tmp_path_factory.mktemp("shared")))


def test_every_table_can_be_asked_for(shared):
    names = published.tables()
    jobs = shared.jobs(*(f"results/{table}.csv" for table in names), "results/audit.csv", "results/published.csv", "results/coverage.csv")
    assert jobs["table"] == len(names) == 21 and jobs["audit"] == jobs["published"] == jobs["coverage"] == 1
    assert shared.jobs("--config", "seeds=2", "--", TABLE) == {"table": 1, "train": 32, "train_upstream": 7}


def test_figures_and_claims_can_be_asked_for(shared):
    figures = [f"results/{name}.csv" for name in published.figures()]
    jobs = shared.jobs(*figures, "results/claims.csv")
    assert jobs["figure"] == len(figures) == 5 and jobs["surface"] == 2 and jobs["claims"] == 1


def test_the_default_is_the_first_table(shared):
    assert shared.jobs() == {"all": 1, "table": 1, "train": 16, "train_upstream": 5}


@pytest.mark.parametrize("scale", ["paper", "reduced"])
def test_a_profile_runs_the_same_cells_in_its_own_directory(scale, shared):
    assert shared.jobs("--profile", f"profiles/{scale}", "--", TABLE) == {"table": 1, "train": 18, "train_upstream": 3}
    assert not (shared.folder / "runs").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["results/table1_lld.csv"], "unknown table 'table1_lld': did you mean table1_ldd"),
        (["results/tabel1_ldd.csv"], "unknown table 'tabel1_ldd': did you mean table1_ldd"),
        (["results/figure2_tsre.csv"], "unknown figure 'figure2_tsre': did you mean figure2_tser"),
        (["--config", "scale=paper", "--", TABLE], "scale=paper does not belong in this directory"),
        (["--config", "sede=1", "--", TABLE], "unknown key 'sede': did you mean seeds"),
        (["--config", "data={CIFAR10: digit}", "--", TABLE], "unknown data set 'digit': did you mean digits"),
        (["--config", "recipe={epoch: 1}", "--", TABLE], "unknown recipe key 'epoch': did you mean epochs"),
    ],
)
def test_a_mistake_is_one_line_and_a_failure(words, said, shared):
    done = shared.run("snakemake", "--cores", "1", *words)
    assert done.returncode != 0
    (line,) = (line for line in done.stderr.splitlines() if said in line)
    assert line.startswith("error: ") and "Traceback" not in done.stderr + done.stdout


def test_one_cell_from_end_to_end_and_nothing_twice(tree):
    student = tree.cell(TINY, method="ldd", dataset="CIFAR10", backbone="spikformer-4-384")
    teacher = tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="vit-l-32")
    target = f"{student['folder']}/metrics.json"
    status, said = tree.snakemake("--config", TINY, "--", target)
    assert status == 0, said
    for cell in (student, teacher):
        metrics = json.loads((tree.folder / cell["folder"] / "metrics.json").read_text())
        assert metrics["epochs"] == 1
        assert f"{metrics['accuracy']:6.2f} % (best {metrics['accuracy_best']:.2f})  {cell['folder'].split('/')[1]}" in said
    assert (tree.folder / teacher["folder"] / "weights.pt").exists()

    # asked again: after every source file was touched and one got a comment, from another data folder, on another device
    for path in [*tree.folder.glob("methods/*.py"), *tree.folder.glob("benchmark/**/*.py"), *tree.folder.glob("benchmark/**/*.smk")]:
        path.touch()
    with (tree.folder / "methods/ldd.py").open("a") as file:
        file.write("\n# a comment\n")
    assert "Nothing to be done" in tree.snakemake("--config", TINY, "data_root=/elsewhere", "device=cpu", "--", target)[1]

    # the table and the status from what there is
    done = tree.benchmark("table", "table1_ldd", "--config", TINY)
    assert done.returncode == 0 and "| not run" in done.stdout
    with (tree.folder / "results/table1_ldd.partial.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 18 and sum(line["accuracy_verdict"] == "not run" for line in lines) == 17
    (line,) = (line for line in lines if line["accuracy_verdict"] != "not run")
    assert line["accuracy_verdict"] == "not comparable at this scale" and (line["dataset"], line["data"]) == ("CIFAR10", "digits")
    assert float(line["accuracy"]) == round(json.loads((tree.folder / target).read_text())["accuracy"], 2) and line["n_seeds"] == "1"
    meta = json.loads((tree.folder / "results/table1_ldd.partial.meta.json").read_text())["runs"][student["folder"]]
    assert meta["state"] == "done" and meta["recipe"]["epochs"] == {"value": 1, "source": "smoke scale or config"}
    said = tree.benchmark("status", "table1_ldd", "--config", TINY).stdout.splitlines()
    assert sum(line.startswith("done ") for line in said) == 2 and "21 distinct, at scale smoke" in said[-2]
    assert "2 done, 0 running, 0 failed, 19 missing" in said[-2] and said[-1] == "0 of 18 lines not implemented"

    # what was written from part of the runs is not taken for the table
    assert tree.jobs("--config", TINY, "--", TABLE) == {"table": 1, "train": 16, "train_upstream": 3}


def test_an_edited_recipe_value_reruns_its_cells_alone(tree):
    tree.pretend_done()
    assert tree.jobs(TABLE) == {"table": 1}
    recipes = tree.folder / "benchmark/papers/ldd/recipes.yaml"
    before = recipes.read_text()
    recipes.write_text(before + "- for: {dataset: CIFAR100, method: ldd}\n  set:\n    label_smoothing: [0.2, a test]\n")
    assert tree.jobs(TABLE) == {"table": 1, "train": 3}
    recipes.write_text(before + '- for: {dataset: CIFAR100, backbone: "vit-*"}\n  set:\n    label_smoothing: [0.2, a test]\n')
    assert tree.jobs(TABLE) == {"table": 1, "train": 3, "train_upstream": 1}
    recipes.write_text(before + "\n# a comment\n")
    assert tree.jobs(TABLE) == {"table": 1}
    method = tree.folder / "methods/ldd.py"
    method.write_text(method.read_text() + "\nCHANGED = True\n")
    assert tree.jobs(TABLE) == {"table": 1, "train": 8, "train_upstream": 1}


TOY = '''"""Cross-entropy twice over.

Paper: none.
Equations: L = 2 CE.
Expected: nothing.
Command: snakemake results/table9_ldd.csv
"""

from benchmark.method import Method, cross_entropy


class Toy(Method):
    params = {"weight": 2.0}
    ranges = {"weight": [0.0, 9.0]}

    def loss(self, student, teacher, target, parts):
        return {"task": self.weight * cross_entropy(student.logits.mean(0), target)}
'''


def test_a_method_and_a_table_are_one_file_each(tree):
    table = tree.folder / "benchmark" / "papers" / "ldd" / "table9.csv"
    pin = "1,toys,Toy,Spikformer-4-384,CIFAR10,2,accuracy,50.0,%,measured,none:1,toy:spikformer-4-384,weight=3,\n"
    table.write_text(",".join(published.COLUMNS) + "\n" + pin)
    _, said = tree.snakemake("--config", TINY, "--", "results/table9_ldd.csv")
    assert "1 printed numbers: 1 not implemented." in said
    (tree.folder / "methods" / "toy.py").write_text(TOY)
    (tree.folder / "results" / "table9_ldd.csv").unlink()
    status, said = tree.snakemake("--config", TINY, "--", "results/table9_ldd.csv")
    assert status == 0, said
    (line,) = csv.DictReader((tree.folder / "results" / "table9_ldd.csv").open())
    assert (line["run"].partition("-digits")[0], line["accuracy_verdict"]) == ("toy-spikformer-4-384", "not comparable at this scale")
    metrics = json.loads((tree.folder / "runs" / line["run"] / "seed0" / "metrics.json").read_text())
    assert (metrics["spec"]["params"], float(line["accuracy"])) == ({"weight": 3}, metrics["accuracy"])


def test_a_failing_run_is_told_and_marked(tree):
    cell = tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="vit-l-32")
    bad = ("--config", TINY, "device=cuda:99", "--", f"{cell['folder']}/metrics.json")
    status, said = tree.snakemake(*bad)
    assert status != 0 and "device 'cuda:99' is not there" in said and "Traceback" not in said
    failed = [line for line in tree.benchmark("status", "table1_ldd", "--config", TINY).stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1 and "device 'cuda:99' is not there" in failed[0]


@pytest.mark.parametrize(
    ("words", "pandas"),
    [
        (["status"], False),
        (["status", "table1_ldd"], False),
        (["table", "table1_ldd"], True),
        (["audit"], False),
        (["published"], False),
        (["coverage"], None),
    ],
)
def test_only_training_imports_torch(words, pandas, shared, tmp_path):
    out = [] if words[0] in ("status", "table") else ["--out", str(tmp_path / "out.csv")]
    code = "import sys; from benchmark.__main__ import main; status = main(sys.argv[1:]); print('loaded', *sys.modules); sys.exit(status)"
    done = shared.run(sys.executable, "-c", code, *words, *out)
    loaded = done.stdout.rpartition("loaded")[2].split()
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numba", "timm", "spikingjelly", "sklearn"} & set(loaded)
    assert pandas is None or ("pandas" in loaded) == pandas


REAL = {  # data set -> its run, recipe and twice chance
    "CIFAR10": ({"method": "ldd", "dataset": "CIFAR10", "backbone": "spikformer-4-384"}, "table1_ldd", "lr: 2e-3, precision: bf16", 20),
    "CIFAR100": ({"method": "tser", "options": []}, "table3_tser", "crop: 4, flip: 0.5", 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", REAL)
@pytest.mark.skipif(not DATA, reason="needs the real CIFAR-10 and CIFAR-100: set SPIKELEDGER_DATA to their folder")
def test_real_images_train_above_chance(dataset, tree):
    """The twins of a student and of its teacher, two epochs each."""
    wanted, table, recipe, chance = REAL[dataset]
    pairs = [
        f"data={{{dataset}: {dataset}}}",
        f"data_root={Path(DATA).resolve()}",
        f"recipe={{epochs: 2, batch_size: 128, {recipe}}}",
    ]
    student = tree.cell(*pairs, table=table, **wanted)
    threads = ["--cores", "2", "--set-threads", "train=2", "train_upstream=2"]
    status, said = tree.snakemake(*threads, "--config", *pairs, "--", f"{student['folder']}/metrics.json", timeout=1200)
    assert status == 0, said
    metrics = json.loads((tree.folder / student["folder"] / "metrics.json").read_text())
    assert metrics["data"] == dataset and metrics["epochs"] == 2 and metrics["accuracy"] > chance


def test_two_workflows_in_one_directory_are_kept_apart(tree):
    claimed = tree.folder / ".snakemake" / "workflow.lock"
    claimed.parent.mkdir(exist_ok=True)
    with claimed.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, said = tree.snakemake("results/published.csv")
        assert (status, "another workflow is running in" in said) == (2, True)
    status, said = tree.snakemake("results/published.csv")  # the lock went with its holder
    assert status == 0, said
