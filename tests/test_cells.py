"""Rows, cells and ids: equal specifications run once, a changed value changes its cells and no others."""

import json
from dataclasses import replace

import pytest

from benchmark.pins import cells, kinds, published, recipes
from benchmark.pins.cells import Cell
from benchmark.pins.settings import settings
from benchmark.runs import lines
from benchmark.shared.errors import UserError

TABLE = "table1_ldd"


def resolved(**changed):
    """The cells of the table's rows, in printed order."""
    return [line.resolved for line in lines.of_table(TABLE, settings(changed or None))]


def ids(**changed):
    return [cell.id for cell in resolved(**changed)]


CELL = Cell("ldd", TABLE, "ldd", "spikformer-4-384", ("vit-l-32",), "CIFAR10", 2)


def test_the_table_has_18_rows_and_shares_three_teachers():
    runs = lines.runs_of([TABLE], settings())
    assert len(set(ids())) == 18 and len(runs) == 21
    teachers = [run.resolved for run in runs.values() if run.resolved.cell.backbone == "vit-l-32"]
    assert {teacher.cell.dataset for teacher in teachers} == {"CIFAR10", "CIFAR100", "ImageNet"} and len(teachers) == 3
    students = [run.resolved for run in runs.values() if run.resolved.cell.method == "ldd"]
    assert len(students) == 9 and {above.id for student in students for _, above in student.upstream} == {t.id for t in teachers}


def test_seeds_multiply_the_rows_and_not_the_teachers():
    assert len(lines.runs_of([TABLE], settings({"seeds": 3}))) == 3 * 18 + 3


def test_the_same_specification_has_the_same_id():
    assert ids() == ids() and all(json.loads(cell.json) == cell.spec for cell in resolved())
    assert cells.resolve(CELL, settings()).id == cells.resolve(replace(CELL, table="table9_ldd"), settings()).id


def test_what_is_not_the_cells_does_not_change_its_id():
    assert ids(data_root="/elsewhere", device="cpu", seeds=5) == ids()


def test_a_scale_is_no_part_of_an_id():
    """The reduced scale with the paper's epochs is the paper's run."""
    rules = [
        {"for": {}, "set": {key: value for key, (value, _) in recipes.recipe("ldd", ("training",), CELL.about).items() if "epochs" in key}}
    ]
    assert cells.resolve(CELL, settings({"scale": "paper"})).spec["recipe"]["epochs"] > 100
    by_rules = cells.resolve(replace(CELL, above=(), method="direct"), settings({"scale": "reduced", "recipe": rules}))
    assert by_rules.id == cells.resolve(replace(CELL, above=(), method="direct"), settings({"scale": "paper"})).id


def test_tables_share_what_is_equal():
    names, _ = lines.sound(list(published.tables()), settings())
    runs = lines.runs_of(names, settings())
    assert len({run.resolved.json for run in runs.values()}) == len({run.resolved.id for run in runs.values()})
    asked = [line.resolved.id for table in names for line in lines.of_table(table, settings()) if line.resolved]
    assert len(asked) > len(set(asked))  # LDD prints some results in two tables


def changed_rows(before, after):
    return {(cell.cell.method, cell.cell.dataset) for cell, other in zip(before, after, strict=True) if cell.id != other.id}


def with_rule(monkeypatch, rule, at=None):
    """The table's cells with one more rule in LDD's recipes."""
    sheet = recipes.sheet("ldd")
    at = len(sheet.rules) if at is None else at
    found = replace(sheet, rules=(*sheet.rules[:at], rule, *sheet.rules[at:]))
    with monkeypatch.context() as patch:
        patch.setattr(recipes, "sheet", lambda work: found)
        return resolved()


def test_a_recipe_value_changes_its_cells_and_no_others(monkeypatch):
    before = resolved()
    rule = {"for": {"method": "ldd", "dataset": "CIFAR100"}, "set": {"label_smoothing": [0.2, "a test"]}}
    assert changed_rows(before, with_rule(monkeypatch, rule)) == {("ldd", "CIFAR100")}
    teacher = {"for": {"backbone": "vit-l-32", "dataset": "CIFAR10"}, "set": {"label_smoothing": [0.2, "a test"]}}
    assert changed_rows(before, with_rule(monkeypatch, teacher)) == {("ldd", "CIFAR10")}  # through their teacher
    source = {"for": {}, "set": {"label_smoothing": [0.1, "another source"]}}
    assert not changed_rows(before, with_rule(monkeypatch, source, at=1))


def test_a_key_that_is_new_and_neutral_changes_no_id(monkeypatch):
    before = ids()
    key = {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0, "optional": True, "description": "a factor per layer"}
    monkeypatch.setitem(recipes.GROUPS["training"], "layer_decay", key)
    monkeypatch.setitem(recipes.KEYS, "layer_decay", key)
    assert ids() == before and ids(recipe={"layer_decay": 1.0}) == before and ids(recipe={"layer_decay": 0.7}) != before
    assert recipes.whole({})["layer_decay"] == 1.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"method": "lddd"}, ["unknown method 'lddd'", "ldd"]),
        ({"backbone": "spikformer-4-348"}, ["unknown backbone 'spikformer-4-348'", "spikformer-4-384"]),
        ({"above": ("vit-l32",)}, ["unknown backbone 'vit-l32'", "vit-l-32"]),
        ({"dataset": "CIFAR-100"}, ["unknown data set 'CIFAR-100'", "CIFAR100"]),
        ({"params": (("projektion", "last"),)}, ["unknown parameter 'projektion'", "projection"]),
        ({"params": (("projection", "lst"),)}, ["value of projection 'lst'", "last"]),
        ({"params": (("lam", 1.5),)}, ["lam must be a number from 0.0 to 1.0"]),
        ({"params": (("lam", True),)}, ["lam must be a number from 0.0 to 1.0"]),
        ({"params": (("lam", float("nan")),)}, ["lam must be a number from 0.0 to 1.0"]),
    ],
)
def test_an_unknown_name_is_one_line_with_its_neighbours(changed, words):
    with pytest.raises(UserError) as error:
        cells.resolve(replace(CELL, **changed), settings())
    said = str(error.value)
    assert "\n" not in said and all(word in said for word in words), said


def test_an_unknown_table_is_named_with_its_neighbours():
    with pytest.raises(UserError, match="unknown table 'table1_lld': did you mean table1_ldd"):
        lines.of_table("table1_lld", settings())


# ---- what a row may name


def number(**changed):
    return replace(next(number for number in published.read(TABLE) if number.cell), **changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cell": "derict:spikformer-4-384"}, ["table1_ldd, row 1", "unknown method 'derict'", "did you mean direct"]),
        ({"cell": "qcsf:spikformer-4-384"}, ["unknown method 'qcsf'", "did you mean qcfs"]),  # near one that is on the list
        ({"cell": "direct:spikfromer-4-384"}, ["unknown backbone 'spikfromer-4-384'", "spikformer-4-384"]),
        ({"cell": "ldd:spikformer-4-384"}, ["must be ldd:spikformer-4-384:<teacher>", "ldd needs teacher"]),
        ({"cell": "direct:spikformer-4-384:vit-l-32"}, ["must be direct:spikformer-4-384:", "direct needs nothing"]),
        ({"options": "epoch=3"}, ["unknown option 'epoch'", "at_epoch"]),
        ({"origin": "quoted", "cell": "direct:vgg-11"}, ["no recipe of vgg", "papers/cited/vgg/recipes.yaml"]),
        ({"time_steps": "4(8)"}, ["'4(8)' time steps, but direct runs a fixed number"]),
    ],
)
def test_a_misspelt_pin_is_an_error_not_a_gap(changed, words):
    with pytest.raises(UserError) as error:
        cells.cell_of(number(**changed))
    said = str(error.value)
    assert "\n" not in said and all(word in said for word in words), said


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"cell": "later:vit-s-16"}, "method later: to be built"),
        ({"cell": "direct:later-4"}, "backbone later-4: to be built"),
        ({"origin": "quoted", "cell": "direct:vgg-11"}, "recipe vgg: to be built"),
    ],
)
def test_what_is_not_built_is_on_a_list_that_says_why(changed, reason, monkeypatch):
    listed = {("method", "later"): "to be built", ("backbone", "later-4"): "to be built", ("recipe", "vgg"): "to be built"}
    monkeypatch.setattr(kinds, "not_built", lambda: listed)
    line = lines.line((number(**changed),), settings())
    assert line.lacking.startswith(reason) and not line.runs and line.resolved is None


def test_the_list_of_what_is_not_built_holds_nothing_that_exists_or_that_no_pin_names():
    named = {("data set", n.dataset) for n in published.numbers()} | {("recipe", n.paper) for n in published.numbers()}
    for n in published.numbers():
        method, *networks = n.cell.split(":") if n.cell else ("",)
        named |= {
            ("method", method),
            *(("backbone", name) for name in networks),
            ("recipe", method),
            *(("recipe", name) for name in kinds.files("backbone")),
        }
    exist = {
        "method": kinds.files("method"), "backbone": kinds.backbones(), "data set": kinds.datasets(),
        "recipe": {work for _, work in named if work and recipes.exist(work)},
    }  # fmt: skip
    for kind, name in kinds.not_built():
        assert name not in exist[kind], f"{kind} {name} exists: take it off papers/not_built.csv"
        assert (kind, name) in named, f"no pin names {kind} {name}"


def test_a_row_that_does_not_fit_says_why_before_anything_runs():
    line = lines.line((number(cell="idsnn:idsnn-resnet-18:ann-vgg-16", dataset="CIFAR10", options=""),), settings())
    assert line.lacking.startswith("does not fit: ") and not line.runs


def test_a_backbone_says_which_images_it_has_a_form_for():
    with pytest.raises(UserError, match="vit-l-32 has no form for dvs images; it has: cifar, imagenet"):
        kinds.backbone("vit-l-32").layout("dvs")


# ---- whose recipe


def test_a_quoted_row_runs_by_the_recipe_of_the_work_it_quotes():
    works = {}
    for n in published.numbers():
        if n.origin == "quoted" and n.cell:
            try:
                works.setdefault((n.name, n.row), set()).add(cells.work_of(n))
            except UserError:  # a network that nobody has built
                assert ("backbone", n.cell.split(":")[1]) in kinds.not_built()
    assert not {work for found in works.values() for work in found} & {"ldd", "tser", "idsnn", "ecmt", "spikformer_v2"} - {"ecmt"}
    qcfs = next(n for n in published.read("table1_idsnn") if n.cell == "qcfs-ann:ann-resnet-18")
    assert cells.work_of(qcfs) == "qcfs"
    cell = cells.resolve(cells.cell_of(qcfs), settings({"scale": "paper"}))
    converted = next(n for n in published.read("table1_idsnn") if n.cell.startswith("qcfs:"))
    assert dict(cells.resolve(cells.cell_of(converted), settings({"scale": "paper"})).upstream)["ann"].id == cell.id  # the same network
    assert cell.spec["recipe"]["batch_size"] == 300 and cell.sources["batch_size"] == "official"


def test_own_rows_run_by_the_papers_recipe():
    assert {cells.work_of(n) for n in published.numbers() if n.origin != "quoted"} == {n.paper for n in published.numbers()}


def test_an_option_belongs_to_the_method_or_to_the_recipe():
    rows = {n.options: cells.cell_of(n) for n in published.read("table4_idsnn") if n.metric == "accuracy"}
    both = rows["init=0 schedule=20-40-60"]
    assert both.params == (("init", 0),) and both.options == (("schedule", "20-40-60"),)
    printed = cells.resolve(both, settings({"scale": "paper"}))
    assert printed.spec["method"]["params"]["init"] == 0 and printed.spec["recipe"]["milestones"] == [20, 40, 60]
    assert rows["schedule=10-20-30 at_epoch=14"] == rows["schedule=10-20-30"]  # a reading of the same run


def literal(cell, **changed):
    return cells.resolve(replace(cell, reading="literal"), settings({"scale": "paper", **changed})).spec


def test_a_reading_changes_recipe_method_and_network_where_its_rules_say_so():
    """LDD's literal print: Adam at 0.05, alpha 0.9 as the alignment's weight, and on CIFAR100 the scaling factor 0.2."""
    spec = literal(replace(CELL, dataset="CIFAR100"))
    assert (spec["recipe"]["optimizer"], spec["recipe"]["lr"], spec["recipe"]["weight_decay"]) == ("adam", 0.05, 1e-4)
    assert spec["method"]["params"]["lam"] == 0.1 and spec["network"]["size"]["scale"] == 0.2
    assert "scale" not in literal(CELL)["network"]["size"]  # line 270 is of CIFAR100
    likely = cells.resolve(replace(CELL, dataset="CIFAR100"), settings({"scale": "paper"})).spec
    assert likely["method"]["params"]["lam"] == 0.7 and "scale" not in likely["network"]["size"]
    assert literal(replace(CELL, dataset="CIFAR100"), twin="tiny")["network"]["size"]["scale"] == 1.0  # a twin's own, or nothing fires


def test_a_value_that_the_network_does_not_have_is_one_line(monkeypatch):
    rule = {"for": {"backbone": "spikformer-*"}, "set": {}, "network": {"scales": [0.2, "a test"]}}
    with pytest.raises(UserError, match="recipes of ldd, spikformer-4-384: unknown value of the network 'scales': did you mean scale"):
        with_rule(monkeypatch, rule)


@pytest.mark.parametrize(("reading", "ratio"), [("", 6.25), ("even", 25.0), ("ratio", 1.8)])
def test_what_tsers_alpha_makes_of_its_two_losses(reading, ratio):
    """tau^2 = 25: the weight of the teacher's term by that of the labels'; the same in the rows that are compared with it."""
    chosen = settings({"scale": "paper", "readings": {"tser": reading} if reading else {}})
    found = [line.resolved.spec["method"] for line in lines.of_table("table3_tser", chosen)]
    assert {method["name"] for method in found} == {"skd", "tser"}
    for method in found:
        alpha = method["params"]["alpha"]
        assert 25 * alpha / (1 - alpha) == pytest.approx(ratio, rel=0.01)


def test_what_decays_and_how_images_are_normalised_is_the_recipes():
    """IDSNN's code: one group, CIFAR100's statistics for both sets. The TSER group's: ANNs in one group, deviations of single images."""
    as_printed = settings({"scale": "paper"})
    for line in lines.of_table("table1_idsnn", as_printed):
        if line.resolved and line.first.origin != "quoted":
            recipe = line.resolved.spec["recipe"]
            assert recipe["decay"] == "all" and recipe["statistics"][1] == [0.2675, 0.2565, 0.2761]
    for line in lines.of_table("table1_tser", as_printed):
        if line.resolved and line.first.origin != "quoted" and line.first.dataset == "CIFAR10":
            ann = not line.resolved.spec["network"]["neuron"]
            assert line.resolved.spec["recipe"].get("decay", "weights") == ("all" if ann else "weights")
            assert line.resolved.spec["recipe"]["statistics"][1] == [0.2023, 0.1994, 0.2010]
    (teacher,) = (above for _, above in lines.of_table("table2_tser", as_printed)[-1].resolved.upstream)
    assert teacher.spec["recipe"]["decay"] == "all"


def test_options_of_a_row_reach_the_cell_above_that_they_are_of():
    """Table VII: pretrain and mask are the pre-training's, finetune the fine-tuning's, whose pre-training it shares with the first row."""
    as_printed = settings({"scale": "paper"})
    rows = {line.first.options: line.resolved for line in lines.of_table("table7_spikformer_v2", as_printed)}
    before = {options: dict(row.upstream)["encoder"] for options, row in rows.items()}
    assert {options: cell.spec["recipe"]["epochs"] for options, cell in before.items()} == {
        "": 200, "pretrain=400": 400, "pretrain=800": 800, "finetune=200": 200, "mask=60": 200, "mask=50": 200,
    }  # fmt: skip
    assert [before[options].spec["method"]["params"]["mask"] for options in ("", "mask=60", "mask=50")] == [75, 60, 50]
    assert before["finetune=200"].id == before[""].id and rows["finetune=200"].spec["recipe"]["epochs"] == 200
    assert len({row.id for row in rows.values()}) == 6 and rows["pretrain=400"].spec["recipe"]["epochs"] == 150


def test_more_steps_go_on_from_the_one_step_network():
    last = lines.of_table("table3_spikformer_v2", settings({"scale": "paper"}))[-1].resolved
    ((role, one_step),) = last.upstream
    assert (last.spec["method"]["name"], last.spec["time_steps"], role) == ("mae-steps", 4, "start")
    assert (one_step.spec["method"]["name"], one_step.spec["time_steps"]) == ("mae", 1) and one_step.spec["recipe"]["layer_decay"] == 0.7
    ((role, encoder),) = one_step.upstream
    assert (encoder.spec["method"]["name"], encoder.spec["time_steps"], role) == ("mae-pretrain", 1, "encoder")
    assert [cell.spec["recipe"]["epochs"] for cell in (last, one_step, encoder)] == [20, 150, 200]


def test_what_does_not_fit_above_is_said_of_the_row():
    row = replace(number(), cell="mae-steps:resnet-18")
    with pytest.raises(cells.Lacking, match="does not fit: masked pre-training hides patches of Spikformer's stems"):
        cells.cell_of(row)


# ---- what is comparable


def test_nothing_differs_at_the_paper_scale_and_a_name_makes_nothing_comparable():
    cell = cells.cell_of(number())
    assert cells.resolve(cell, settings({"scale": "paper"})).differences == []
    planted = settings({"scale": "paper", "twin": "tiny", "data": {"CIFAR10": "digits"}, "recipe": {"epochs": 1, "warmup_epochs": 0}})
    found = cells.resolve(cell, planted).differences
    assert found[:2] == ["twin", "digits for CIFAR10"] and any(
        phrase.startswith("1 of ") and phrase.endswith(" epochs") for phrase in found
    )


@pytest.mark.parametrize(
    ("changed", "phrase"),
    [
        ({"twin": "tiny"}, "twin"),
        ({"recipe": {"lr": 0.5}}, "lr 0.5 for "),
        ({"recipe": {"mixup": 0.0}}, "mixup 0.0 for "),
        ({"recipe": {"micro_batch": 32}}, "batches of 256 in parts of 32"),
        ({"params": {"ldd": {"lam": 0.5}}}, "lam 0.5 for 0.7"),
        ({"recipe": [{"for": {"backbone": "vit-*"}, "set": {"epochs": 3, "warmup_epochs": 0}}]}, "teacher: 3 of 100 epochs"),
    ],
)
def test_each_override_is_named(changed, phrase):
    found = cells.resolve(CELL, settings({"scale": "paper", **changed})).differences
    assert any(one.startswith(phrase) for one in found), found


@pytest.mark.parametrize("same", [{"micro_batch": 100_000}, {"recompute": "blocks"}])
def test_what_changes_no_result_is_in_the_specification_and_makes_no_difference(same):
    """A part that is no smaller than the batch is the batch; and whatever is computed again comes out the same."""
    found = cells.resolve(CELL, settings({"scale": "paper", "recipe": same}))
    assert found.differences == [] and found.spec["recipe"].items() >= same.items()
    assert found.id != cells.resolve(CELL, settings({"scale": "paper"})).id


def test_seeds_data_root_and_device_make_no_difference():
    assert cells.resolve(CELL, settings({"scale": "paper", "seeds": 5, "data_root": "/elsewhere", "device": "cpu"})).differences == []


def test_a_specification_needs_nothing_looked_up_and_hides_no_name():
    spec = cells.resolve(CELL, settings()).spec
    assert spec.keys() == {"method", "network", "data", "time_steps", "recipe", "above", "code"}
    assert spec["data"]["classes"] == 10 and spec["data"]["form"] == "images" and spec["network"]["neuron"]["name"] == "lif"
    assert spec["code"].keys() == {"method", "network", "neuron", "data", "training"}
    assert "smoke" not in cells.resolve(CELL, settings()).json and "CIFAR10" not in cells.resolve(CELL, settings()).json


@pytest.mark.parametrize("line", ["method,x,", "method,,why", ",x,why"])
def test_a_line_of_the_list_that_lacks_something_is_refused(line, tmp_path, monkeypatch):
    (tmp_path / "not_built.csv").write_text(f"kind,name,why\n{line}\n")
    monkeypatch.setattr(kinds, "PAPERS", tmp_path)
    with pytest.raises(UserError, match="not_built.csv:2: a line needs kind, name and why"):
        kinds.not_built.__wrapped__()
