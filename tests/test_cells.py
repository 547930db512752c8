"""Rows, cells and ids: equal specifications run once, a changed value changes its cells and no others."""

import ast
import json
from dataclasses import replace

import pytest
import yaml

from benchmark.pins import cells, published, recipes
from benchmark.pins import kinds as catalogue
from benchmark.pins.cells import Cell
from benchmark.pins.settings import settings
from benchmark.runs import lines as ledger
from benchmark.shared.errors import UserError

TABLE = "table1_ldd"


def resolved(**changed):
    """The cells of the table's rows, in printed order."""
    return [line.resolved for line in ledger.lines(TABLE, settings(changed or None))]


def ids(**changed):
    return [cell.id for cell in resolved(**changed)]


CELL = Cell("ldd", TABLE, "ldd", "spikformer-4-384", "vit-l-32", "CIFAR10", 2)


def test_the_table_has_18_rows_and_shares_three_teachers():
    runs = ledger.runs([TABLE], settings())
    assert len(set(ids())) == 18 and len(runs) == 21
    teachers = [run.resolved for run in runs.values() if run.resolved.cell.backbone == "vit-l-32"]
    assert {teacher.cell.dataset for teacher in teachers} == {"CIFAR10", "CIFAR100", "ImageNet"} and len(teachers) == 3
    students = [run.resolved for run in runs.values() if run.resolved.cell.method == "ldd"]
    assert len(students) == 9 and {above.id for student in students for _, above in student.upstream} == {t.id for t in teachers}


def test_seeds_multiply_the_rows_and_not_the_teachers():
    assert len(ledger.runs([TABLE], settings({"seeds": 3}))) == 3 * 18 + 3


def test_the_same_specification_has_the_same_id():
    assert ids() == ids() and all(json.loads(cell.json) == cell.spec for cell in resolved())
    assert cells.resolve(CELL, settings()).id == cells.resolve(replace(CELL, table=TABLE), settings()).id


def test_what_is_not_the_cells_does_not_change_its_id():
    assert ids(data_root="/elsewhere", device="cpu", seeds=5) == ids()


def test_two_tables_share_what_is_equal():
    runs = ledger.runs(list(published.tables()), settings())
    assert len({run.resolved.json for run in runs.values()}) == len({run.resolved.id for run in runs.values()})
    asked = [
        cell.id for table in published.tables() for line in ledger.lines(table, settings()) if line.resolved for cell in [line.resolved]
    ]
    assert len(asked) > len(set(asked))  # LDD prints some results in two tables


def changed_rows(before, after):
    return {(cell.cell.method, cell.cell.dataset) for cell, other in zip(before, after, strict=True) if cell.id != other.id}


def test_a_recipe_value_changes_its_cells_and_no_others(monkeypatch):
    before, rules = resolved(), recipes.rules("ldd")
    rule = {"for": {"method": "ldd", "dataset": "CIFAR100"}, "set": {"label_smoothing": [0.2, "a test"]}}
    monkeypatch.setattr(recipes, "rules", lambda paper: [*rules, rule])
    after = resolved()
    assert changed_rows(before, after) == {("ldd", "CIFAR100")}
    teacher = {"for": {"backbone": "vit-l-32", "dataset": "CIFAR10"}, "set": {"label_smoothing": [0.2, "a test"]}}
    monkeypatch.setattr(recipes, "rules", lambda paper: [*rules, teacher])
    assert changed_rows(before, resolved()) == {("ldd", "CIFAR10")}  # through their teacher
    source = {"for": {}, "set": {"label_smoothing": [0.1, "another source"]}}
    at = next(i for i, rule in enumerate(rules) if not rule["for"]) + 1
    monkeypatch.setattr(recipes, "rules", lambda paper: [*rules[:at], source, *rules[at:]])
    assert not changed_rows(before, resolved())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": "lddd"}, ["unknown method 'lddd'", "ldd"]),
        ({"backbone": "spikformer-4-348"}, ["unknown backbone 'spikformer-4-348'", "spikformer-4-384"]),
        ({"teacher": "vit-l32"}, ["unknown backbone 'vit-l32'", "vit-l-32"]),
        ({"dataset": "CIFAR-100"}, ["unknown data set 'CIFAR-100'", "CIFAR100"]),
        ({"options": (("projektion", "last"),)}, ["unknown parameter 'projektion'", "projection"]),
        ({"options": (("projection", "lst"),)}, ["value of projection 'lst'", "last"]),
    ],
)
def test_an_unknown_name_is_one_line_with_its_neighbours(changed, words):
    with pytest.raises(UserError) as error:
        cells.resolve(replace(CELL, **changed), settings())
    said = str(error.value)
    assert "\n" not in said and all(word in said for word in words), said


def test_an_unknown_table_is_named_with_its_neighbours():
    with pytest.raises(UserError, match="unknown table 'table1_lld': did you mean table1_ldd"):
        ledger.lines("table1_lld", settings())


def test_a_row_without_its_file_is_said_to_lack_it():
    number = next(number for number in published.read(TABLE) if number.cell)
    for cell, lacking in (("nomethod:spikformer-4-384", "method nomethod"), ("direct:nonet-1", "backbone nonet-1")):
        line = ledger.line((replace(number, cell=cell),), settings())
        assert line.lacking == lacking and not line.runs and line.resolved is None


def test_a_backbone_says_which_images_it_has_a_form_for(monkeypatch):
    backbone = catalogue.backbone("vit-l-32")
    with pytest.raises(UserError, match="vit-l-32 has no form for dvs images; it has: cifar, imagenet"):
        backbone.layout("dvs")


# ---- recipes


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A function that makes a paper of these rules."""

    def write(rules):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / "recipes.yaml").write_text(yaml.safe_dump(rules))
        return "made"

    monkeypatch.setattr(recipes, "PAPERS", tmp_path)
    recipes.rules.cache_clear()
    yield write
    recipes.rules.cache_clear()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"for": {}, "set": {"epoch": [1, "printed"]}}, ["recipes.yaml of made", "unknown recipe key 'epoch'", "epochs"]),
        ({"for": {}, "set": {"epochs": 1}}, ["'epochs' must be [value, where it comes from]"]),
        ({"for": {}, "set": {"epochs": ["ten", "printed"]}}, ["recipes.yaml of made", "'epochs'", "'ten'"]),
        ({"for": {"datasets": "CIFAR10"}, "set": {}}, ["recipes.yaml of made", "condition 'datasets'", "dataset"]),
        ({"for": {}, "set": {"epochs": [1, "printed"]}}, ["says no", "batch_size", "for dataset CIFAR10"]),
    ],
)
def test_a_recipe_states_every_value_and_its_source(paper, rule, words):
    with pytest.raises(UserError) as error:
        recipes.recipe(paper([rule]), dataset="CIFAR10")
    assert "\n" not in str(error.value) and all(word in str(error.value) for word in words), str(error.value)


def test_later_rules_win_where_they_match():
    rules = [
        {"for": {"backbone": "vit-*"}, "set": {"epochs": 5}},
        {"for": {"backbone": "vit-*", "dataset": "CIFAR10"}, "set": {"epochs": 6}},
    ]
    for dataset, backbone, expected in (("CIFAR10", "vit-l-32", 6), ("CIFAR100", "vit-l-32", 5), ("CIFAR10", "spikformer-4-384", 1)):
        found = recipes.override({"epochs": (1, "printed")}, rules, "ours", dataset=dataset, backbone=backbone)
        assert found["epochs"] == (expected, "printed" if expected == 1 else "ours")


def test_every_key_of_a_recipe_is_described_and_typed():
    assert recipes.TYPES.keys() <= recipes.KEYS.keys() and recipes.CHOICES.keys() <= recipes.KEYS.keys()
    from benchmark.training.optimiser import PRECISIONS

    assert set(recipes.CHOICES["precision"]) == set(PRECISIONS)


# ---- code


SOURCE = '''"""A method."""
TABLE = {"a": 1}


class Some:
    """What it is."""

    params = {"lam": 0.5}

    def loss(self, x):
        """Say it."""
        return x + 1  # add
'''


def hashed(text, tmp_path):
    path = tmp_path / f"file{len(list(tmp_path.iterdir()))}.py"
    path.write_text(text)
    return catalogue.declared(path)


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
        ("class Some", "class Other", False),
    ],
)
def test_only_code_changes_the_code(old, new, same, tmp_path):
    assert old in SOURCE
    before, after = hashed(SOURCE, tmp_path), hashed(SOURCE.replace(old, new), tmp_path)
    assert (before.code == after.code) == same
    assert before.tables == {"TABLE": {"a": 1}, "params": {"lam": 0.5}}


def test_a_table_is_read_without_importing(tmp_path):
    found = hashed("raise RuntimeError('imported')\nSIZES = {'a': [1, 2]}\nOTHER = f(1)\n", tmp_path)
    assert found.tables == {"SIZES": {"a": [1, 2]}}


@pytest.mark.parametrize("folder", ["methods", "backbones"])
def test_code_that_a_file_builds_on_is_part_of_its_own(folder, tmp_path):
    prefix = {"methods": "methods", "backbones": "benchmark.backbones"}[folder]
    (tmp_path / "base.py").write_text("A = 1\n")
    (tmp_path / "derived.py").write_text(f"from {prefix}.base import A\n")
    before = catalogue.declared(tmp_path / "derived.py").code
    (tmp_path / "base.py").write_text("A = 2\n")
    catalogue.declared.cache_clear()
    assert catalogue.declared(tmp_path / "derived.py").code != before


def test_a_specification_carries_the_code_it_runs():
    spec = cells.resolve(CELL, settings()).spec
    assert spec["code"]["method"] == catalogue.declared(catalogue.files("method")["ldd"]).code
    assert ast.literal_eval(repr(spec)) == spec  # plain values only
