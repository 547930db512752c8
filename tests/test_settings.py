"""The configuration: every key checked, mistakes told in one line with the near names, scales kept apart."""

from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config

from benchmark.pins import texts
from benchmark.pins.kinds import ROOT
from benchmark.pins.settings import CONFIG, check, check_directory, scales, settings
from benchmark.reports.measured import Measured
from benchmark.runs.lines import of_table
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main

SCALES = ["mini", "paper", "reduced", "smoke"]


def complaint(overrides) -> str:
    """What is said of a configuration; one line."""
    with pytest.raises(UserError) as error:
        of_table("table1_ldd", settings(overrides))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"seed": 3}, ["unknown key 'seed'", "seeds"]),
        ({"scale": "smok"}, ["unknown scale 'smok'", "smoke"]),
        ({"seeds": "three"}, ["'seeds'", "whole number", "'three'"]),
        ({"seeds": True}, ["'seeds'", "whole number"]),
        ({"seeds": 0}, ["'seeds'", "from 1 to 1000"]),
        ({"twin": "maybe"}, ["kind of network 'maybe'", "tiny"]),
        ({"data_root": 5}, ["'data_root'", "text"]),
        ({"data": "digits"}, ["'data'", "mapping"]),
        ({"data": {"CIFAR-10": "digits"}}, ["'CIFAR-10'", "CIFAR10"]),
        ({"data": {"CIFAR10": "digit"}}, ["unknown data set 'digit'", "digits"]),
        ({"recipe": {"epoch": 1}}, ["unknown recipe key 'epoch'", "epochs"]),
        ({"recipe": {"epochs": "ten"}}, ["'epochs'", "'ten'"]),
        ({"recipe": {"epochs": 1.5}}, ["'epochs'", "1.5"]),
        ({"recipe": {"lr": True}}, ["'lr'", "True"]),
        ({"recipe": {"pretrained": 1}}, ["'pretrained'", "1"]),
        ({"recipe": {"precision": "bf32"}}, ["precision 'bf32'", "bf16"]),
        ({"recipe": {"schedule": "cosin"}}, ["schedule 'cosin'", "cosine"]),
        ({"recipe": ["epochs"]}, ["'recipe'", "'epochs'"]),
        ({"recipe": [{"set": {"epochs": 1}}]}, ["'recipe'", "for"]),
        ({"recipe": [{"for": {"data": "CIFAR10"}, "set": {"epochs": 1}}]}, ["unknown recipe condition 'data'", "dataset"]),
        ({"params": {"lddd": {"lam": 0.5}}}, ["unknown method 'lddd'", "ldd"]),
        ({"params": {"ldd": 0.5}}, ["'params.ldd'", "a mapping"]),
        ({"params": {"ldd": {"lamb": 0.5}}}, ["unknown parameter 'lamb'", "lam"]),
        ({"params": {"ldd": {"projection": "tempral"}}}, ["value of projection 'tempral'", "temporal"]),
        ({"params": {"ldd": {"lam": 2}}}, ["lam", "0.0 to 1.0", "2"]),
    ],
)
def test_a_mistake_is_one_line_with_the_near_names(overrides, words):
    said = complaint(overrides)
    assert all(word in said for word in words), said


def test_the_command_tells_it_in_one_line_and_exits_with_2(capsys):
    for words in (["status", "table1_ldd", "--config", "seed=3"], ["status", "tabel1_ldd"], ["table", "table1_lddd"]):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and "unknown" in said and "did you mean" in said and said.count("\n") == 1
    assert main(["status", "--config", "seeds"]) == 2
    assert "key=value" in capsys.readouterr().err


def test_scales_have_their_files_and_are_whole():
    assert sorted(scales()) == SCALES
    for scale in SCALES:
        assert settings({"scale": scale}).scale == scale
    assert set(yaml.safe_load((CONFIG / "config.yaml").read_text())) == {
        *("scale", "seeds", "data_root", "device", "neurons"),
        *("partition", "account"),
    }


@pytest.mark.parametrize("scale", SCALES)
def test_rules_of_a_scale_name_what_there_is(scale):
    """At run time options are not looked up, for which every recipe would have to be read."""
    found = texts.mapping(scales()[scale])
    check(found, scale)
    found["recipe"] = [*found["recipe"], {"for": {"options": {"schedul": "20"}}, "set": {}}]
    with pytest.raises(UserError, match="unknown option of a recipe 'schedul': did you mean schedule"):
        check(found, scale)


def test_a_colon_in_the_path_of_the_checkout_is_told(tmp_path):
    with pytest.raises(UserError, match="has a ':', at which Python parts its search path: move it"):
        check_directory("smoke", tmp_path, tmp_path / "a:b")


def test_an_override_adds_to_the_scale():
    plain, changed = settings(), settings({"data": {"CIFAR10": "CIFAR10"}, "recipe": {"epochs": 1}, "seeds": 3, "twin": "none"})
    assert changed.data == {**plain.data, "CIFAR10": "CIFAR10"} and changed.seeds == 3 and not changed.twin
    assert changed.recipe == [*plain.recipe, {"for": {}, "set": {"epochs": 1}}]
    assert settings() == plain


def test_what_snakemake_hands_on_as_text_is_read_as_values():
    words = ["recipe={epochs: 1, lr: 1e-3, pretrained: false, clip_grad: null, milestones: [1, 2], randaugment: rand-m9-mstd0.5-inc1}"]
    words += ["twin=none", "seeds=2", "device=cuda:1", "params={ldd: {lam: 0.5}}"]
    found = settings(parse_config(words))
    assert found.recipe[-1]["set"] == {
        "epochs": 1, "lr": 0.001, "pretrained": False, "clip_grad": None, "milestones": [1, 2], "randaugment": "rand-m9-mstd0.5-inc1"
    }  # fmt: skip
    assert (found.twin, found.seeds, found.device, found.params["ldd"]) == ("", 2, "cuda:1", {"lam": 0.5})


def test_batches_in_parts_and_blocks_computed_again_can_be_asked_for():
    found = settings(parse_config(["recipe={micro_batch: 32, recompute: blocks}"]))
    assert found.recipe[-1] == {"for": {}, "set": {"micro_batch": 32, "recompute": "blocks"}}
    for wrong in ("micro_batch: 0", "micro_batch: half", "recompute: all"):
        with pytest.raises(UserError, match=wrong.partition(":")[0]):
            settings(parse_config([f"recipe={{{wrong}}}"]))


def test_a_config_rule_reaches_only_what_it_is_for():
    rule = {"recipe": [{"for": {"method": "ldd"}, "set": {"epochs": 7}}]}
    lines = of_table("table1_ldd", settings(rule))
    assert {(line.resolved.cell.method == "ldd", line.resolved.spec["recipe"]["epochs"] == 7) for line in lines} == {
        (True, True), (False, False)
    }  # fmt: skip
    changed = next(line.resolved for line in lines if line.resolved.cell.method == "ldd")
    assert changed.sources["epochs"] == "smoke scale or config" and changed.sources["label_smoothing"].startswith("official")


@pytest.mark.parametrize(
    ("scale", "folder", "allowed"),
    [
        ("smoke", "", True),
        ("paper", "work/paper", True),
        ("reduced", "work/reduced", True),
        ("paper", "", False),
        ("reduced", "work/paper", False),
        ("smoke", "work/paper", False),
        ("paper", "elsewhere", True),
    ],
)
def test_each_scale_keeps_to_its_directory(scale, folder, allowed, tmp_path):
    if allowed:
        check_directory(scale, tmp_path / folder, tmp_path)
    else:
        with pytest.raises(UserError, match=f"scale={scale} does not belong in .*profile"):
            check_directory(scale, tmp_path / folder, tmp_path)


def test_the_command_keeps_scales_apart_too(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["table", "table1_ldd", "--config", "scale=paper", "--directory", "."]) == 2
    assert "scale=paper does not belong in this directory" in capsys.readouterr().err


def test_profiles_name_their_scale_and_its_directory():
    for scale in ("paper", "reduced"):
        profile = yaml.safe_load((ROOT / "profiles" / scale / "config.yaml").read_text())
        assert "config" not in profile and profile["directory"] == f"work/{scale}"
        check_directory(scale, ROOT / profile["directory"])
        assert (
            settings({}, ROOT / profile["directory"]).scale == scale and settings({"seeds": 2}, ROOT / profile["directory"]).scale == scale
        )
    assert settings({}, ROOT).scale == "smoke" and settings({"scale": "paper"}, ROOT).scale == "paper"


def test_equal_settings_give_equal_cells_whatever_their_source():
    by_text, by_value = settings({"recipe": {"epochs": "2"}}), settings({"recipe": {"epochs": 2}})
    ids = [[line.resolved.id for line in of_table("table1_ldd", chosen)] for chosen in (by_text, by_value)]
    assert ids[0] == ids[1]


def test_a_scale_may_run_some_lines_alone_and_the_others_are_not_run():
    """`only`: each condition names a part of a line; a line that meets none has no run, and is neither failed nor unbuilt."""
    some = settings({"only": [{"table": "table3_tser", "row": 2}, {"table": "table3_tser", "row": 3, "method": "tser"}]})
    found = of_table("table3_tser", some)
    assert [bool(line.runs) for line in found] == [False, True, True, False, False]
    assert [line.left_out for line in found] == [True, False, False, True, True] and not any(line.lacking for line in found)
    assert Measured.of(found[0], Path("nowhere")).unfinished == "not run"
    assert "unknown condition 'rows'" in complaint({"only": [{"rows": 2}]})


def test_the_mini_scale_is_small_networks_of_their_own_on_the_printed_data():
    found = [
        line.resolved for table in ("table3_tser", "table3_idsnn", "table1_ldd") for line in of_table(table, settings({"scale": "mini"}))
    ]
    ran = [cell for cell in found if cell]
    assert len(ran) > 10 and not any(cell.spec["data"]["stand_in"] for cell in ran)
    assert {cell.spec["network"]["twin"] for cell in ran} == {"mini"}
    shares = {one for cell in ran for one in cell.differences if one.endswith("of 50000 training images") and ":" not in one}
    assert shares == {f"{count} of 50000 training images" for count in (8000, 20000, 30000)}
    assert all("mini twin" in cell.differences and shares.intersection(cell.differences) for cell in ran)


def test_a_scale_says_more_than_config_yaml_and_less_than_the_command_line():
    assert [settings(each).seeds for each in ({}, {"scale": "mini"}, {"scale": "mini", "seeds": 1})] == [1, 3, 1]
