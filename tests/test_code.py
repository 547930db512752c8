"""The hash of the code that a run depends on: what changes it, what does not, and edits that are written down as changing no result."""

import shutil
from pathlib import Path

import pytest

from benchmark.pins import cells, code, kinds, texts
from benchmark.pins.settings import settings
from benchmark.shared.errors import UserError

SOURCE = '''"""A method."""
TABLE = {"a": 1}


class Some:
    """What it is."""

    params = {"lam": 0.5}

    def loss(self, x):
        """Say it."""
        return x + 1  # add
'''


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the code, which may be edited; hashes are read from it."""
    for folder in ("benchmark", "methods"):
        shutil.copytree(code.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    real = code.ROOT
    monkeypatch.setattr(texts, "ROOT", tmp_path)
    monkeypatch.setattr(code, "ROOT", tmp_path)
    monkeypatch.setattr(kinds, "ROOT", tmp_path)
    monkeypatch.setattr(code, "EQUIVALENT", tmp_path / "benchmark/pins/equivalent_edits.csv")
    monkeypatch.setattr(kinds, "FOLDERS", {kind: tmp_path / path.relative_to(real) for kind, path in kinds.FOLDERS.items()})
    monkeypatch.setattr(cells, "TRAINING", tmp_path / "benchmark/training/run.py")
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget():
    """As a new process starts."""
    for cached in (code.tree, code.closure, code.imported, code.files_of, code.of_closure, code.canonical, code.equivalent):
        cached.cache_clear()
    for cached in (kinds.declared, kinds.files, kinds.backbone, kinds.datasets, kinds.fits_of):
        cached.cache_clear()


def ids() -> dict:
    """(method, backbone) -> id of four cells."""
    forget()
    names = [("direct", "spikformer-4-384", ()), ("ldd", "spikformer-4-384", ("vit-l-32",)), ("tser", "resnet-18", ("ann-resnet-34",))]
    names.append(("direct", "ann-resnet-34", ()))
    made = [cells.Cell("ldd", "table1_ldd", method, backbone, above, "CIFAR10", 1) for method, backbone, above in names]
    return {(cell.method, cell.backbone): cells.resolve(cell, settings()).id for cell in made}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def changed(tree, file: str, old: str, new: str) -> set:
    """Which of the four cells an edit gives another id."""
    before = ids()
    edit(tree / file, old, new)
    after = ids()
    return {key for key in before if before[key] != after[key]}


LDD = {("ldd", "spikformer-4-384")}
SPIKING = {("direct", "spikformer-4-384"), *LDD, ("tser", "resnet-18")}
ALL = {*SPIKING, ("direct", "ann-resnet-34")}


def test_an_edit_to_one_methods_loss_runs_that_method_again(tree):
    assert changed(tree, "methods/ldd.py", "(1 - self.lam) * alignment", "self.lam * alignment") == LDD


def test_an_edit_to_what_methods_share_runs_all_again(tree):
    assert (
        changed(
            tree,
            "benchmark/method.py",
            "functional.cross_entropy(logits.float(), target)",
            "2 * functional.cross_entropy(logits.float(), target)",
        )
        == ALL
    )


def test_an_edit_to_the_neuron_runs_every_spiking_network_again(tree):
    """Doubling every threshold in the kernel left all ids as they were."""
    assert changed(tree, "benchmark/neurons/lif.py", "leaky(tau, v_threshold,", "leaky(tau, 2 * v_threshold,") >= SPIKING


def test_an_edit_to_the_loop_runs_all_again(tree):
    assert changed(tree, "benchmark/training/loop.py", "self.trained.train()", "self.trained.eval()") == ALL


def test_an_edit_to_one_backbone_runs_its_own_again(tree):
    found = changed(tree, "benchmark/backbones/spikformer.py", '"scale": 0.125', '"scale": 0.25')
    assert found == {("direct", "spikformer-4-384"), *LDD}
    assert changed(tree, "benchmark/backbones/resnet.py", '"kernel": 3', '"kernel": 5') == {
        ("tser", "resnet-18"),
        ("direct", "ann-resnet-34"),
    }


@pytest.mark.parametrize(
    "file", ["benchmark/reports/tables.py", "benchmark/pins/cells.py", "benchmark/workflow/command.py", "methods/skd.py"]
)
def test_an_edit_that_no_run_depends_on_runs_nothing_again(tree, file):
    before = ids()
    (tree / file).write_text((tree / file).read_text() + "\nNEW = 1\n")
    assert ids() == before


def test_one_more_file_of_a_kind_runs_nothing_again(tree):
    before = ids()
    for kind, folder in kinds.FOLDERS.items():
        (folder / f"one_more_{kind.replace(' ', '_')}.py").write_text('"""One more."""\nSIZES = {}\nDATASETS = {}\n')
    assert ids() == before


def test_an_edit_written_down_as_changing_no_result_runs_nothing_again(tree):
    before, file = ids(), tree / "benchmark/training/loop.py"
    old = code.of_tree(code.tree(file))
    edit(file, "INTERRUPTED = 75", "INTERRUPTED, UNUSED = 75, 0")
    assert all(ids()[key] != before[key] for key in before)
    new = code.of_tree(code.tree(file))
    lines = code.EQUIVALENT.read_text() + f"benchmark/training/loop.py,{old},{new},a constant that nothing reads\n"
    code.EQUIVALENT.write_text(lines)
    assert ids() == before
    edit(file, "self.trained.train()", "self.trained.eval()")  # the next edit counts again
    assert all(ids()[key] != before[key] for key in before)


def test_an_equivalent_edit_needs_its_reason(tree):
    code.EQUIVALENT.write_text("file,before,after,why\nbenchmark/training/loop.py,aaaaaaaa,bbbbbbbb,\n")
    with pytest.raises(UserError, match="equivalent_edits.csv:2: write file, before, after"):
        ids()


def test_equivalent_edits_of_the_repository_name_what_stands(monkeypatch):
    for (file, after), before in code.equivalent().items():
        assert (code.ROOT / file).exists() and len(after) == len(before) == 8


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# add", "# plus one, of course", True),
        ('"""Say it."""', '"""Say something else,\n        at length."""', True),
        ('        """Say it."""\n', "", True),
        ('"""A method."""\n', "", True),
        ("x + 1", "(x\n            + 1)", True),
        ('{"a": 1}', "{'a':1}", True),
        ("x + 1", "x + 2", False),
        ('{"a": 1}', '{"a": 2}', False),
        ('{"a": 1}', '{"a": None}', False),
        ("class Some", "class Other", False),
    ],
)
def test_only_code_changes_the_hash(old, new, same, tmp_path):
    assert old in SOURCE
    (tmp_path / "a.py").write_text(SOURCE)
    (tmp_path / "b.py").write_text(SOURCE.replace(old, new))
    before, after = (code.of_tree(code.tree(tmp_path / name)) for name in ("a.py", "b.py"))
    assert (before == after) == same
    assert kinds.declared(tmp_path / "a.py").tables == {"TABLE": {"a": 1}, "params": {"lam": 0.5}}


def test_the_hash_of_a_text_is_the_same_in_every_python_version(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE)
    assert code.of_tree(code.tree(tmp_path / "a.py")) == "0bd3455e"


def test_a_table_is_read_without_importing(tmp_path):
    (tmp_path / "a.py").write_text("raise RuntimeError('imported')\nSIZES: dict = {'a': [1, 2]}\nOTHER = f(1)\n")
    assert kinds.declared(tmp_path / "a.py").tables == {"SIZES": {"a": [1, 2]}}


def test_a_file_that_is_no_python_is_told_with_its_line(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ndef broken(:\n")
    with pytest.raises(UserError, match=r"a\.py:2: not valid Python"):
        kinds.declared(tmp_path / "a.py")


def test_a_broken_file_stops_only_what_asks_for_it(tree):
    before = ids()
    for folder in kinds.FOLDERS.values():
        (folder / "broken.py").write_text("def broken(:\n")
    assert ids() == before and "broken-1" not in kinds.backbones()
    with pytest.raises(UserError, match="not valid Python"):
        kinds.method("broken")
    with pytest.raises(UserError, match="not valid Python"):
        kinds.dataset("no-such-set")
