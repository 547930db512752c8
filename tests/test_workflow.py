"""The workflow through Snakemake itself, in a copy of the tree: what it would run, what it runs, what it does not run again."""

import csv
import fcntl
import json
import os
import sys
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from benchmark.pins import published
from benchmark.pins.settings import settings
from benchmark.runs import lines, structures
from tests import made
from tests.tree import Tree, copy_tree

TABLE = "results/table1_ldd.csv"
TINY = "recipe={epochs: 1, warmup_epochs: 0}"
DATA = os.environ.get("SPIKELEDGER_DATA")


def pretend_done(tree) -> None:
    """Outputs for every run of the table and its networks, older than the table would be."""
    for cell in tree.cells():
        folder = tree.folder / cell["folder"]
        folder.mkdir(parents=True)
        for name in ("curve.csv", "layers.csv", "weights.pt", "metrics.json"):
            (folder / name).write_text("{}")
        os.utime(folder / "weights.pt", (1e9, 1e9))  # older than what was trained from it
    for path in structures.behind("table1_ldd"):
        (tree.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.folder / path).write_text("{}")


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
    assert shared.jobs("--config", "seeds=2", "--", TABLE) == {"table": 1, "network": 9, "train": 32, "train_upstream": 7}


def test_figures_and_claims_can_be_asked_for(shared):
    figures = [f"results/{name}.csv" for name in published.figures()]
    jobs = shared.jobs(*figures, "results/claims.csv")
    assert jobs["figure"] == len(figures) == 11 and jobs["surface"] == 2 and jobs["claims"] == 1
    assert jobs["train_pictured"] == jobs["pictures"] == 1


def test_a_figure_that_is_a_picture_can_be_asked_for(shared):
    jobs = shared.jobs("results/figure8_spikformer_v2.png")
    assert (jobs["picture"], jobs["pictures"], jobs["train_pictured"]) == (1, 1, 1)


def test_a_method_of_ones_own_runs_beside_a_table(shared):
    """Five printed cells and one's own, which here is a method that the table has not."""
    jobs = shared.jobs("--config", "compare=kdsnn", "--", "results/table3_tser.kdsnn.csv")
    assert (jobs["train"], jobs["train_upstream"], jobs["table"]) == (6, 1, 1)


def test_the_default_is_the_first_table(shared):
    assert shared.jobs() == {"all": 1, "table": 1, "network": 9, "train": 16, "train_upstream": 5}


@pytest.mark.parametrize("scale", ["paper", "reduced"])
def test_a_profile_runs_the_same_cells_in_its_own_directory(scale, shared):
    assert shared.jobs("--profile", f"profiles/{scale}", "--", TABLE) == {"table": 1, "network": 9, "train": 18, "train_upstream": 3}
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
    weights = tree.folder / teacher["folder"] / "weights.pt"
    weights.touch()  # as a copy is: what students learned from is newer than they are, and the same
    alone = tree.jobs("--max-checksum-file-size", "1KB", "--config", TINY, "--", target)
    assert sum(alone.values()) == 1, "without the profile time decides of large files"
    assert all("max-checksum-file-size: 1TB" in path.read_text() for path in tree.folder.glob("profiles/*/config.yaml"))
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
    assert line["accuracy_verdict"] == "not comparable" and (line["dataset"], line["data"]) == ("CIFAR10", "digits")
    assert line["differs"].startswith("twin; digits for CIFAR10; 1 of ")
    assert float(line["accuracy"]) == round(json.loads((tree.folder / target).read_text())["accuracy"], 2) and line["n_seeds"] == "1"
    meta = json.loads((tree.folder / "results/table1_ldd.partial.meta.json").read_text())["runs"][student["folder"]]
    assert meta["state"] == "done" and meta["recipe"]["epochs"] == {"value": 1, "source": "smoke scale or config"}
    said = tree.benchmark("status", "table1_ldd", "--config", TINY).stdout.splitlines()
    assert sum(line.startswith("done ") for line in said) == 2 and "21 distinct, at scale smoke" in said[-2]
    assert "2 done, 0 running, 0 stopped, 0 failed, 0 damaged, 19 missing" in said[-2] and said[-1].startswith("0 of 18 lines cannot run")

    # what was written from part of the runs is not taken for the table; other weights are something else to learn from
    assert tree.jobs("--config", TINY, "--", TABLE) == {"table": 1, "network": 9, "train": 16, "train_upstream": 3}
    weights.write_bytes(weights.read_bytes() + b"more")
    assert sum(tree.jobs("--config", TINY, "--", target).values()) == 1


def test_an_edited_recipe_value_reruns_its_cells_alone(tree):
    pretend_done(tree)
    assert tree.jobs(TABLE) == {"table": 1}
    recipes = tree.folder / "benchmark/papers/ldd/recipes.yaml"
    before = recipes.read_text()
    recipes.write_text(before + "  - for: {dataset: CIFAR100, method: ldd}\n    set:\n      label_smoothing: [0.2, a test]\n")
    assert tree.jobs(TABLE) == {"table": 1, "train": 3}
    recipes.write_text(before + '  - for: {dataset: CIFAR100, backbone: "vit-*"}\n    set:\n      label_smoothing: [0.2, a test]\n')
    assert tree.jobs(TABLE) == {"table": 1, "train": 3, "train_upstream": 1}
    recipes.write_text(before + "\n# a comment\n")
    assert tree.jobs(TABLE) == {"table": 1}
    method = tree.folder / "methods/ldd.py"
    method.write_text(method.read_text() + "\nCHANGED = True\n")
    assert tree.jobs(TABLE) == {"table": 1, "train": 8, "train_upstream": 1}


def test_a_failing_run_is_told_and_marked(tree):
    cell = tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="vit-l-32")
    bad = ("--config", TINY, "device=cuda:99", "--", f"{cell['folder']}/metrics.json")
    status, said = tree.snakemake(*bad)
    assert status != 0 and "device 'cuda:99' is not there" in said and "Traceback" not in said
    failed = [line for line in tree.benchmark("status", "table1_ldd", "--config", TINY).stdout.splitlines() if line.startswith("failed")]
    assert len(failed) == 1 and "device 'cuda:99' is not there" in failed[0]


def test_a_misspelt_cell_with_a_right_checksum_is_one_clear_line(tree):
    cell = Path(tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="vit-l-32")["folder"]).parent.name
    other = f"typo-{cell.rpartition('-')[2]}"
    status, said = tree.snakemake("-n", "--config", TINY, "--", f"runs/{other}/seed0/metrics.json")
    assert status != 0 and f"no cell is named {other}; the one with this checksum is {cell}" in said and "Traceback" not in said


def test_a_failed_cell_leaves_its_table_with_its_reason_and_the_others(tree):
    runs = lines.runs_of(["table3_ldd"], settings())
    failing = next(run for run in runs.values() if run.resolved.cell.method == "direct" and run.resolved.upstream == ())
    for folder, run in runs.items():
        if run != failing:
            made.accuracy(tree.folder, run, 43.21)
            for name in ("curve.csv", "layers.csv", "weights.pt"):
                (tree.folder / folder / name).write_text("")
                os.utime(tree.folder / folder / name, (1e9, 1e9))
    for path in structures.behind("table3_ldd"):
        made.structure(tree.folder, path)
    target = tree.folder / "results/table3_ldd.csv"
    status, said = tree.snakemake("--config", "device=cuda:99", "--", "results/table3_ldd.csv")
    assert status != 0 and "results/table3_ldd.csv is written without what failed" in said and "Traceback" not in said, said
    with target.open() as file:
        verdicts = {line["run"]: (line["accuracy_verdict"], line["accuracy"], line["why"]) for line in csv.DictReader(file)}
    word, value, why = verdicts.pop(failing.folder.parent.name)
    assert (word, value) == ("failed", "") and why.startswith("UserError: device 'cuda:99' is not there")
    assert verdicts and {found[1:] for found in verdicts.values()} == {("43.21", "")}
    assert "cuda:99" in target.with_suffix(".md").read_text() and target.stat().st_mtime < 2, "the next workflow must make it anew"


def test_a_run_that_outlived_its_workflow_is_not_repeated(tree):
    """On a cluster jobs go on when Snakemake is killed; its note that they are under way stays."""
    run = next(run for run in lines.runs_of(["table1_ldd"], settings()).values() if run.resolved.cell.method == "direct")
    metrics = made.accuracy(tree.folder, run, 43.21)
    for name in ("curve.csv", "layers.csv", "weights.pt"):
        metrics.with_name(name).write_text("")
    target = f"{run.folder}/metrics.json"
    note = tree.folder / ".snakemake/incomplete" / urlsafe_b64encode(target.encode()).decode()
    note.parent.mkdir(parents=True)
    note.write_text("{}")
    with (tree.folder / ".snakemake/workflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tree.snakemake("--dry-run", target)
        assert note.exists(), "a running workflow needs it"
    assert "Nothing to be done" in tree.snakemake("--dry-run", target)[1] and not note.exists()
    note.write_text("{}")
    metrics.write_text("{}")  # half done
    assert sum(tree.jobs(target).values()) == 1 and note.exists()


def test_nothing_is_deleted_under_a_running_workflow(tree):
    assert tree.snakemake("results/published.csv")[0] == 0
    words = ("--delete-all-output", "results/published.csv")
    with (tree.folder / ".snakemake/workflow.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, said = tree.snakemake(*words)
        assert status == 2 and "another workflow is running in" in said and (tree.folder / "results/published.csv").exists()
    assert tree.snakemake(*words)[0] == 0 and not (tree.folder / "results/published.csv").exists()


@pytest.mark.parametrize("words", [["status"], ["status", "table1_ldd"], ["table", "table1_ldd"], ["audit"], ["published"], ["coverage"]])
def test_only_training_imports_torch(words, shared, tmp_path):
    out = [] if words[0] in ("status", "table") else ["--out", str(tmp_path / "out.csv")]
    code = "import sys; from benchmark.__main__ import main; status = main(sys.argv[1:]); print('loaded', *sys.modules); sys.exit(status)"
    done = shared.run(sys.executable, "-c", code, *words, *out)
    loaded = done.stdout.rpartition("loaded")[2].split()
    assert done.returncode == 0, done.stderr
    assert not {"torch", "numpy", "numba", "pandas", "scipy", "timm", "spikingjelly", "sklearn"} & set(loaded)


REAL = {  # data set -> its run, recipe and twice chance
    "CIFAR10": ({"method": "ldd", "dataset": "CIFAR10", "backbone": "spikformer-4-384"}, "table1_ldd", "lr: 2e-3, precision: bf16", 20),
    "CIFAR100": ({"method": "tser", "params": []}, "table3_tser", "crop: 4, flip: 0.5", 2),
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
    assert metrics["spec"]["data"]["name"] == dataset and metrics["epochs"] == 2 and metrics["accuracy"] > chance


def test_two_workflows_in_one_directory_are_kept_apart(tree):
    claimed = tree.folder / ".snakemake" / "workflow.lock"
    claimed.parent.mkdir(exist_ok=True)
    with claimed.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        status, said = tree.snakemake("results/published.csv")
        assert (status, "another workflow is running in" in said) == (2, True)
    status, said = tree.snakemake("results/published.csv")  # the lock went with its holder
    assert status == 0, said


# ---- one bad file stops only what asks for it; a table that cannot be made anew stays


def breaks(tree, file: str, old: str | None, new: str):
    """Edit a file of the copy; old None replaces it whole."""
    path = tree.folder / file
    text = path.read_text() if path.exists() else ""
    path.write_text(new if old is None else text.replace(old, new, 1))
    return lambda: path.write_text(text) if text else path.unlink()


@pytest.mark.parametrize(
    ("file", "old", "new", "broken", "said"),
    [
        ("benchmark/papers/tser/recipes.yaml", None, "rules: [", "table1_tser", "papers/tser/recipes.yaml: not valid YAML"),
        ("benchmark/papers/tser/table2.csv", "ImageNet", "ImagNet", "table2_tser", "papers/tser/table2.csv:2: unknown dataset 'ImagNet'"),
        ("benchmark/papers/tser/table3.csv", "tser:resnet-18", "tser:resnet-81", "table3_tser", "unknown backbone 'resnet-81'"),
        ("benchmark/papers/tser/table3.csv", "tser:resnet-18", "tsre:resnet-18", "table3_tser", "unknown method 'tsre'"),
        ("methods/tser.py", None, "def broken(:", "table3_tser", "methods/tser.py:1: not valid Python"),
        ("benchmark/backbones/vgg.py", None, "def broken(:", "table4_tser", "benchmark/backbones/vgg.py:1: not valid Python"),
        ("benchmark/papers/ldd/table1 copy.csv", None, "a backup", None, ""),
    ],
)
def test_one_bad_file_stops_only_what_asks_for_it(shared, file, old, new, broken, said):
    mend = breaks(shared, file, old, new)
    try:
        assert shared.jobs(TABLE)["table"] == 1
        assert shared.benchmark("status").returncode == 0
        if broken:
            done = shared.run("snakemake", "--cores", "1", "--dry-run", f"results/{broken}.csv")
            (line,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
            assert done.returncode != 0 and said in line and "Traceback" not in done.stderr
    finally:
        mend()


def test_a_data_set_in_place_of_another_stops_only_tables_that_it_does_not_fit(shared):
    words = ("--dry-run", "--config", "data={ImageNet: digits}", "--")
    assert shared.snakemake(*words, "results/table1_tser.csv")[0] == 0
    status, said = shared.snakemake(*words, "results/table2_tser.csv")
    assert status != 0 and "has no form for cifar images" in said


def test_a_table_that_cannot_be_made_anew_leaves_the_old_one_and_says_why(tree):
    status, said = tree.snakemake("results/published.csv", "results/audit.csv")
    assert status == 0, said
    before = (tree.folder / "results/audit.csv").read_text()
    rules = tree.folder / "benchmark/reports/audit/report.py"
    whole = rules.read_text()
    rules.write_text(whole + "\nraise RuntimeError('the line that matters')\n")
    status, said = tree.snakemake("results/audit.csv")
    assert status != 0 and "the line that matters" in said
    assert (tree.folder / "results/audit.csv").read_text() == before
    rules.write_text(whole + "\nUNUSED = 1\n")
    status, said = tree.snakemake("results/audit.csv")  # what was put back is not taken for new
    assert status == 0 and "Nothing to be done" not in said
    assert (tree.folder / "results/audit.csv").stat().st_mtime > 1e9


def test_a_profiles_scale_survives_a_config_on_the_command_line(shared):
    words = ("--profile", "profiles/paper", "--config", "data_root=/elsewhere", "seeds=2", "--", TABLE)
    assert shared.jobs(*words) == {"table": 1, "network": 9, "train": 36, "train_upstream": 3}


# ---- forced re-runs and what made the weights


def test_a_forced_rerun_trains_again_and_says_what_trained(tree):
    """An edit that breaks the optimiser used to be stamped on weights that it had not trained."""
    cell = tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="spikformer-4-384")
    target = f"{cell['folder']}/metrics.json"
    assert tree.snakemake("--config", TINY, "--", target)[0] == 0
    first = json.loads((tree.folder / target).read_text())
    assert not list((tree.folder / cell["folder"]).glob("*checkpoint*"))
    assert tree.snakemake("--config", TINY, "--forcerun", "train", "train_upstream", "--", target)[0] == 0
    second = json.loads((tree.folder / target).read_text())
    assert second["accuracy_by_epoch"] == first["accuracy_by_epoch"] and second["measured"]["finished"] > first["measured"]["finished"]
    loop = tree.folder / "benchmark/training/optimiser.py"
    whole = loop.read_text()
    loop.write_text(whole.replace('"lr": recipe["lr"]', '"lr": 0 * recipe["lr"]', 1))
    assert loop.read_text() != whole
    other = tree.cell(TINY, method="direct", dataset="CIFAR10", backbone="spikformer-4-384")
    assert other["folder"] != cell["folder"]  # other code, another run
    assert tree.snakemake("--config", TINY, "--", f"{other['folder']}/metrics.json")[0] == 0
    broken = json.loads((tree.folder / other["folder"] / "metrics.json").read_text())
    assert first["weights"] == second["weights"] != broken["weights"] and len(broken["trained"]) == 1
