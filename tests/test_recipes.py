"""Recipes: every value stated with its source, values that make sense, groups, owners, readings, neutral values."""

import pytest
import yaml

from benchmark.pins import kinds, recipes
from benchmark.shared.errors import UserError

WORKS = sorted({path.parent.name for path in [*kinds.PAPERS.glob("*/recipes.yaml"), *kinds.PAPERS.glob("cited/*/recipes.yaml")]})
ABOUT = {"dataset": "CIFAR10", "method": "direct", "backbone": "net-1", "table": "table1_made", "options": {}, "reading": ""}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that writes a work's recipes and gives its name."""

    def write(content):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / "recipes.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return "made"

    monkeypatch.setattr(recipes, "PAPERS", tmp_path)
    recipes.sheet.cache_clear()
    yield write
    recipes.sheet.cache_clear()


def rule(set_=None, **for_):
    return {"for": for_, "set": set_ or {}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"rules": [rule({"epoch": [1, "printed"]})]}, ["recipes.yaml:4", "unknown recipe key 'epoch'", "epochs"]),
        ({"rules": [rule({"epochs": 1})]}, ["'epochs' must be [value, where it comes from]"]),
        ({"rules": [rule({"epochs": [1, " "]})]}, ["'epochs' must be [value, where it comes from]"]),
        ({"rules": [rule({"epochs": ["ten", "printed"]})]}, ["recipes.yaml:", "'epochs'", "'ten'"]),
        ({"rules": [rule(), rule(datasets="CIFAR10")]}, ["unknown recipe condition 'datasets'", "dataset"]),
        ({"rules": [rule(options="*a=1*")]}, ["condition 'options' ({option: pattern}) must be a mapping"]),
        ({"rules": [rule(dataset={"a": "b"})]}, ["condition 'dataset' (a pattern) must be a text"]),
        ({"rules": [rule(reading="litteral")], "readings": {"literal": "as printed"}}, ["unknown reading 'litteral'", "literal"]),
        ({"rules": [{"for": {}}]}, ["{for: {...}, set: {...}}", "'set'"]),
        ({"rules": "none"}, ["key 'rules' must be a list, not 'none'"]),
        ({"rule": []}, ["lacks key 'rules'"]),
        ("", ["must be a mapping", "empty"]),
        ("- 1\n", ["must be a mapping", "list"]),
        ("rules: [", ["not valid YAML"]),
        ("rules:\n\t- a", ["not valid YAML"]),
    ],
)
def test_a_broken_sheet_is_one_line_that_names_it(made, content, words):
    with pytest.raises(UserError) as error:
        recipes.sheet(made(content))
    said = str(error.value)
    assert "\n" not in said and "recipes.yaml" in said and all(word in said for word in words), said


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("epochs", -1, "0 or more, not -1"),
        ("batch_size", 0, "1 or more, not 0"),
        ("batch_size", 2.5, "not 2.5"),
        ("optimizer", "adamv", "adamw"),
        ("lr", float("nan"), "must be a number, not nan"),
        ("lr", float("inf"), "must be a number, not inf"),
        ("lr", -0.1, "0 or more"),
        ("lr", True, "not True"),
        ("momentum", 5, "from 0 to 0.9999, not 5"),
        ("weight_decay", -1, "from 0 to 10"),
        ("label_smoothing", 5, "from 0 to 0.999, not 5"),
        ("flip", 9, "from 0 to 1, not 9"),
        ("mixup", -1, "from 0 to 100, not -1"),
        ("erasing", 1.5, "from 0 to 1"),
        ("crop", -3, "0 or more, not -3"),
        ("crop", [1.0, 0.5], "two scales from 0 to 1"),
        ("crop", [0.5], "two scales from 0 to 1"),
        ("milestones", ["a"], "must be a whole number, not 'a'"),
        ("milestones", [3, 2], "in rising order, not [3, 2]"),
        ("autoaugment", "cifar", "cifar10"),
        ("precision", "bf32", "bf16"),
        ("schedule", "cosin", "cosine"),
        ("pretrained", 1, "not 1"),
        ("eval_crop", 0, "from 0.01 to 1"),
        ("decay", "none", "weights"),
        ("statistics", [[0.5], [2.0]], "0..1 scale"),
        ("clip_grad", "one", "not 'one'"),
        ("randaugment_ops", [], "names of operations"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(key, value, words):
    with pytest.raises(UserError) as error:
        recipes.check_value(key, value, "here")
    assert str(error.value).startswith("here: ") and words in str(error.value) and "\n" not in str(error.value), str(error.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule": "multistep", "milestones": None}, "multistep needs milestones"),
        ({"epochs": 3, "warmup_epochs": 5}, "5 epochs of warm-up do not fit into 3"),
    ],
)
def test_values_that_contradict_each_other_are_refused(values, words):
    with pytest.raises(UserError, match=words):
        recipes.check_together(values, "here")


def test_a_recipe_lacks_nothing_of_its_groups(made):
    work = made({"rules": [rule({"epochs": [1, "printed"]})]})
    with pytest.raises(UserError, match="says no batch_size, optimizer, lr, .* for dataset CIFAR10, method direct.*: add a rule"):
        recipes.recipe(work, ("training",), ABOUT)
    with pytest.raises(UserError, match="says no eval_crop for"):
        recipes.recipe(work, ("evaluation",), ABOUT)
    with pytest.raises(UserError, match="unknown group of recipe keys 'trianing': did you mean training"):
        recipes.recipe(work, ("trianing",), ABOUT)
    whole = made({"rules": [rule({"eval_crop": [0.9, "printed"]})]})
    recipes.sheet.cache_clear()
    assert recipes.recipe(whole, ("evaluation",), ABOUT) == {
        "eval_crop": (0.9, "printed"),
        "test_images": (None, "not used"),
        "test_precision": ("fp32", "not used"),
        "statistics": (None, "not used"),
    }


def test_later_rules_win_where_they_match():
    rules = [rule({"epochs": 5}, backbone="vit-*"), rule({"epochs": 6}, backbone="vit-*", dataset="CIFAR10")]
    for dataset, backbone, expected in (("CIFAR10", "vit-l-32", 6), ("CIFAR100", "vit-l-32", 5), ("CIFAR10", "spikformer-4-384", 1)):
        found = recipes.override({"epochs": (1, "printed")}, rules, "ours", {"dataset": dataset, "backbone": backbone})
        assert found == {"epochs": (expected, "printed" if expected == 1 else "ours")}


def test_a_rule_reads_options_and_readings_by_name():
    of_option, of_reading = rule({}, options={"schedule": "20-*"}), rule({}, reading="literal")
    assert recipes.matches(of_option, {**ABOUT, "options": {"schedule": "20-40-60", "a": 1}})
    assert not recipes.matches(of_option, ABOUT) and not recipes.matches(of_option, {**ABOUT, "options": {"schedule": "10-20"}})
    assert recipes.matches(of_reading, {**ABOUT, "reading": "literal"}) and not recipes.matches(of_reading, ABOUT)


def test_neutral_values_are_left_out_and_put_back():
    values = {key: of["default"] for key, of in recipes.KEYS.items() if "default" in of}
    assert recipes.without_neutral({**values, "epochs": 0, "lr": 0.0, "mixup": 0.2}) == {"epochs": 0, "lr": 0.0, "mixup": 0.2}
    assert recipes.whole({"mixup": 0.2}) == {**values, "mixup": 0.2}


@pytest.mark.parametrize("work", WORKS)
def test_a_work_uses_every_option_and_reading_that_it_declares(work):
    sheet = recipes.sheet(work)
    read = {name for each in sheet.rules for name in each["for"].get("options", {})}
    assert read == set(sheet.options) and {each["for"]["reading"] for each in sheet.rules if "reading" in each["for"]} == set(
        sheet.readings
    )


@pytest.mark.parametrize("work", WORKS)
def test_every_source_says_who_it_is(work):
    """Its first word: printed, official, group, ours, or that the value is not used or not printed."""
    for each in recipes.sheet(work).rules:
        for key, (_, source) in [*each["set"].items(), *each.get("params", {}).items()]:
            first = source.split()[0].strip(":,;")
            assert first in ("printed", "official", "group", "ours", "not", "cosine", "small", "the") or source.startswith("official"), (
                key,
                source,
            )


def test_works_may_set_a_methods_parameters(made):
    work = made(
        {
            "rules": [
                {**rule(method="ldd"), "params": {"lam": [0.5, "printed"]}},
                {**rule(dataset="ImageNet"), "params": {"lam": [0.4, "printed"]}},
            ]
        }
    )
    assert recipes.parameters(work, {**ABOUT, "method": "ldd"}) == {"lam": 0.5} and recipes.parameters(work, ABOUT) == {}
    assert recipes.parameters(work, {**ABOUT, "method": "ldd", "dataset": "ImageNet"}) == {"lam": 0.4}
