"""results/structure.csv: printed sizes and operation counts that layers alone decide, and a reason for each that does not come out."""

import csv

import pytest
import torch

from benchmark import conventions
from benchmark.measuring import structure as counting
from benchmark.measuring.counter import Counter
from benchmark.networks import build as network
from benchmark.pins.published import read
from benchmark.reports import structure
from benchmark.runs import structures

DENSE = {  # multiply-accumulates of convolutions and linear layers in 1e9 per step, counted on the official code (V2: by its layers)
    "spikformer-8-384": 4.660, "spikformer-6-512": 7.023, "spikformer-8-512": 8.256, "spikformer-10-512": 9.489, "spikformer-8-768": 18.512,
    "spike-driven-transformer-8-384": 4.661, "spike-driven-transformer-6-512": 7.024, "spike-driven-transformer-8-512": 8.257,
    "spike-driven-transformer-10-512": 9.490, "spike-driven-transformer-8-768": 18.512, "spikingformer-8-384": 4.660,
    "spikingformer-8-512": 8.256, "spikingformer-8-768": 18.512, "meta-spikeformer-8-384": 13.95, "meta-spikeformer-8-512": 24.70,
    "meta-spikeformer-8-768": 55.34, "spikformer-v2-8-384": 11.28, "spikformer-v2-8-512": 20.05, "spikformer-v2-12-512": 22.51,
    "spikformer-v2-12-768": 50.65, "spikformer-v2-16-768": 56.20, "sew-resnet-18": 1.81, "sew-resnet-34": 3.66, "sew-resnet-50": 4.09,
    "sew-resnet-101": 7.80, "sew-resnet-152": 11.51, "vit-s-16": 4.241, "vit-b-16": 16.848, "vit-l-16": 59.647,
}  # fmt: skip


def of_paper_size(backbone, dataset):
    """Records of the paper-size network, one image and one step."""
    described, data = structures.described(backbone, dataset)
    return counting.shapes(described, data["classes"], data["shape"], data["form"])[1]


def counted(backbone, dataset):
    described, data = structures.described(backbone, dataset)
    return counting.structure(described, data["classes"], data["shape"], data["form"])


def input_kinds(backbone, dataset):
    described, data = structures.described(backbone, dataset)
    names = {record.name for record in of_paper_size(backbone, dataset)}
    return counting.input_kinds(described, data["classes"], data["shape"], data["form"], names)


@pytest.mark.parametrize("backbone", DENSE)
def test_dense_operations_of_every_imagenet_network(backbone):
    found = sum(record.dense for record in of_paper_size(backbone, "ImageNet") if record.kind in ("conv", "linear")) / 1e9
    assert found == pytest.approx(DENSE[backbone], abs=0.006)


def test_tser_table_4():
    for backbone, ops, macs in (("resnet-18", 2_226_823_568, 12_198_288), ("vgg-16", 1_256_810_896, 274_237_840)):
        found = counted(backbone, "CIFAR100")
        assert (4 * found["syops_ops"], 4 * found["syops_macs"]) == (ops, macs)
    printed = {(n.backbone, n.value) for n in read("table4_tser") if n.metric in ("ops_G", "macs_M")}
    assert printed == {("ResNet18", "2.23"), ("ResNet18", "12.2"), ("VGG16", "1.26"), ("VGG16", "274.2")}


def test_idsnns_padding_costs_a_third_more():
    padded, plain = (sum(record.dense for record in of_paper_size(name, "CIFAR100")) for name in ("idsnn-resnet-18", "resnet-18"))
    assert (padded, plain) == (742_847_488, 555_468_800)


def test_shapes_and_a_narrow_copy_say_what_the_network_itself_does():
    described, _ = structures.described("resnet-18", "CIFAR100")
    model = network.build(described, 100, (3, 32, 32), 4).train()
    counter = Counter()
    with torch.no_grad(), counter.watching(model, 4):
        model(torch.randn(1, 3, 32, 32))
    counter.seen(1)
    found, shapes = conventions.count("syops", list(counter.records.values())), counted("resnet-18", "CIFAR100")
    assert (found["ops"], found["macs"]) == (4 * shapes["syops_ops"], 4 * shapes["syops_macs"])


def test_ecmt_table_3():
    found = counting.attention_block(of_paper_size("eva-g-14", "ImageNet"))
    printed = {number.method: number.value for number in read("table3_ecmt")}
    assert printed.keys() == found.keys()
    outcome = {row: structure.agreement(printed[row], found[row] / 1e6) for row in printed}
    assert {row for row, how in outcome.items() if how == "no"} == {"Matrix Product q, k"} and outcome["GELU"] == "cut"
    assert found["Matrix Product q, k"] == found["Matrix Product s, v"] == 16 * 577 * 577 * 88  # printed formula: 16 x 577 x 88 x 88


def test_attention_of_spikformer_v2_table_1():
    """Its FLOPs are one of the two products, all steps: 6.3 M on CIFAR10 at T = 4."""
    products = sum(record.dense for record in of_paper_size("spikformer-4-384", "CIFAR10") if record.kind == "product")
    assert round(4 * products / 4 / 2 / 1e6, 1) == 6.3  # four blocks, two products each


def test_spikingformer_first_layer_and_classifier():
    records = of_paper_size("spikingformer-8-512", "ImageNet")
    layers = [record for record in records if record.kind in ("conv", "linear")]
    assert layers[0].first and round((4 * layers[0].dense + layers[-1].dense) / 1e9, 4) == 0.3473
    seen = input_kinds("spikingformer-8-512", "ImageNet")
    assert [record.name for record in layers if seen[record.name] != "binary"] == [layers[0].name, layers[-1].name]


@pytest.mark.parametrize(
    ("backbone", "others"),
    [("spikformer-4-384", True), ("sew-resnet-18", True), ("spike-driven-transformer-4-384", False), ("spikformer-v2-8-512-iand", False)],
)
def test_where_integers_appear(backbone, others):
    dataset = "CIFAR10" if "4-384" in backbone else "ImageNet"
    records, seen = of_paper_size(backbone, dataset), input_kinds(backbone, dataset)
    found = {seen[record.name] for record in records if record.kind == "conv" and not record.first}
    assert found == ({"binary", "integer"} if others else {"binary"})


@pytest.mark.parametrize(
    ("text", "value", "how"),
    [("9.32", 9.3247, "rounded"), ("21.79", 21.7977, "cut"), ("172.70", 172.28, "no"), ("86", 86.4, "rounded"), ("5", 4.4, "no")],
)
def test_agreement(text, value, how):
    assert structure.agreement(text, value) == how


def fixed_counts(backbone, dataset):
    """In place of building a network: the size that parameters.csv pins, and no operations."""
    known = structure.known(backbone, dataset)
    structures.described(backbone, dataset)  # a network that cannot be built is one here too
    if backbone in ("resnet-18", "vgg-16"):
        return counted(backbone, dataset)
    found = {"ann": structure.is_ann(backbone), "parameters": int(known.get("params", 10**9)), "layers_macs": 1e9}
    return {**found, **dict.fromkeys(("products_macs", "syops_ops", "syops_macs"), 0)}


def test_every_line_has_a_verdict_and_every_mismatch_a_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(structure, "counted", lambda root, backbone, dataset: fixed_counts(backbone, dataset))
    structure.write(tmp_path / "structure.csv", tmp_path)
    with (tmp_path / "structure.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(lines[0]) == structure.COLUMNS and {line["verdict"] for line in lines} == set(structure.VERDICTS)
    for line in lines:
        what = line["backbone"], line["dataset"], line["time_steps"]
        assert len([other for other in lines if (other["backbone"], other["dataset"], other["time_steps"]) == what]) == 1
        if line["verdict"] == "mismatch":
            assert "counted: ;" not in line["note"] and not line["note"].endswith("counted: "), line
        assert line["verdict"] != "not implemented" or line["note"]
    of = {(line["backbone"], line["dataset"], line["time_steps"]): line for line in lines}
    assert of["resnet-18", "CIFAR100", "4"]["verdict"] == of["vgg-16", "CIFAR100", "4"]["verdict"] == "match"
    assert of["spikformer-v2-8-512", "ImageNet", "4"]["params_published_M"] == "51.55"
    assert of["eva-g-14", "ImageNet", "4"]["verdict"] == "mismatch" and of["vit-l-32", "ImageNet", "1"]["verdict"] == "not printed"
    mismatches = {line["backbone"] for line in lines if line["verdict"] == "mismatch"}
    assert mismatches == {"eva-g-14", "vit-b-16", "vit-l-16", "spikformer-v2-16-768"}


def test_a_note_belongs_to_a_pin():
    """Each reason is for a number that the pins print for that network."""
    for note in structure.notes():
        printed = [n.value for n in structure.numbers() if structure.names(n, note["backbone"]) and note["dataset"] in (n.dataset, "*")]
        assert printed and (note["printed"] == "*" or note["printed"] in printed), note
