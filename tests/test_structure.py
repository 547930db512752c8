"""results/structure.csv: printed sizes and operation counts that layers alone decide, and a reason for each that does not come out."""

import csv
import math
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark import conventions
from benchmark.measuring import structure as counting
from benchmark.measuring.counter import Counter
from benchmark.networks import build as network
from benchmark.pins.published import read
from benchmark.pins.readings import Reading
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
    printed = {Reading.of(number).layer: number.value for number in read("table3_ecmt")}
    assert printed.keys() == found.keys()
    outcome = {row: structure.agreement(printed[row], found[row] / 1e6) for row in printed}
    assert {row for row, how in outcome.items() if how == "no"} == {"scores"} and outcome["act"] == "cut"
    assert found["scores"] == found["mix"] == 16 * 577 * 577 * 88  # printed formula: 16 x 577 x 88 x 88


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


@pytest.mark.parametrize("name", ["sew-resnet-dvs-7b", "sew-resnet-dvs-wide-7b", "plif-net-4", "plif-net-5"])
def test_networks_that_pool_a_whole_sensor_away_are_counted(name):
    """Their narrow copy sees as many pixels. By hand, 7B-Net: the 1x1 on 128 x 128, then seven times two 3x3 at half the side each."""
    found = counted(name, "DVS128")
    assert found["layers_macs"] > 1e8 and found["products_macs"] == 0
    if name == "sew-resnet-dvs-7b":
        assert found["layers_macs"] == 64 * 128**2 + sum(2 * 9 * 32**2 * (128 >> index) ** 2 for index in range(7)) + 32 * 11


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
    assert tuple(lines[0]) == structure.COLUMNS
    assert {line["verdict"] for line in lines} == set(structure.VERDICTS) - {"not implemented"}
    for line in lines:
        what = line["backbone"], line["dataset"], line["time_steps"]
        assert len([other for other in lines if (other["backbone"], other["dataset"], other["time_steps"]) == what]) == 1
        if line["verdict"] == "mismatch":
            assert "counted: ;" not in line["note"] and not line["note"].endswith("counted: "), line
        assert line["verdict"] != "not told" or line["note"].startswith("no code, no full description")
    of = {(line["backbone"], line["dataset"], line["time_steps"]): line for line in lines}
    assert of["resnet-18", "CIFAR100", "4"]["verdict"] == of["vgg-16", "CIFAR100", "4"]["verdict"] == "match"
    assert of["spikformer-v2-8-512", "ImageNet", "4"]["params_published_M"] == "51.55"
    assert of["eva-g-14", "ImageNet", "4"]["verdict"] == "mismatch" and of["vit-l-32", "ImageNet", "1"]["verdict"] == "not printed"
    mismatches = {line["backbone"] for line in lines if line["verdict"] == "mismatch"}
    cifarnets = {"cifarnet-stbp", "cifarnet-neunorm", "cifarnet-tssl"}
    quoted = {"ann-pvt-large", "ann-swin-base", "ann-swin-t-bn", "ann-t2t-vit-24", "vit-b-32"}
    hybrid = {"hybrid-resnet-34", "hybrid-vgg-11"}  # the tables print other networks than the authors' own
    assert mismatches - quoted - cifarnets - hybrid == {
        "ann-vgg-16", "eva-g-14", "vit-b-16", "vit-l-16", "spikformer-v2-16-768", "spikeformer-7l-3x2x4",
    }  # fmt: skip


def test_a_note_belongs_to_a_pin():
    """Each reason is for a number that the pins print for that network."""
    for note in structure.notes():
        printed = [n.value for n in structure.numbers() if structure.names(n, note["backbone"]) and note["dataset"] in (n.dataset, "*")]
        assert printed and (note["printed"] == "*" or note["printed"] in printed), note


# ---- counting


def test_structure_has_these_keys_and_no_others():
    described, data = structures.described("spikformer-4-384", "CIFAR10")
    found = counting.structure({**described, "code": "1234abcd"}, data["classes"], data["shape"])
    assert set(found) == {"parameters", "layers_macs", "products_macs", "syops_ops", "syops_macs", "ann", "block", "code"}
    assert (found["parameters"], found["ann"], found["code"]) == (9_324_730, False, "1234abcd")
    records = of_paper_size("spikformer-4-384", "CIFAR10")
    assert found["products_macs"] == 4 * 2 * 12 * 64 * 64 * 32 == sum(record.dense for record in records if record.kind == "product")
    assert found["layers_macs"] == sum(record.dense for record in records if record.kind in ("conv", "linear"))
    assert found["syops_ops"] > found["layers_macs"] and found["syops_macs"] < found["syops_ops"] / 2


def test_an_artificial_network_makes_multiply_accumulates_alone():
    found = counted("ann-resnet-18", "CIFAR100")
    assert found["ann"] and found["syops_macs"] == found["syops_ops"] and found["products_macs"] == 0


@pytest.mark.parametrize("classes", [10, 100])
def test_no_layer_is_silent_by_chance(classes):
    """Meta-SpikeFormer: real numbers come to the first layer and to the inner layers of its compound convolutions, spikes to all others."""
    described, data = structures.described("meta-spikeformer-4-384", "CIFAR100")
    names = {record.name for record in of_paper_size("meta-spikeformer-4-384", "CIFAR100")}
    seen = counting.input_kinds(described, classes, data["shape"], data["form"], names)
    layers = [record.name for record in of_paper_size("meta-spikeformer-4-384", "CIFAR100") if record.kind in ("conv", "linear")]
    inner = [name for name in layers if name.endswith((".q.0.2", ".q.0.3", ".k.0.2", ".k.0.3", ".v.0.2", ".v.0.3", ".1.2", ".1.3"))]
    stem = [name for name in layers if name.startswith("stem.") and name.endswith(".3.1")]  # behind a depthwise convolution
    assert len(inner) == 4 * 4 * 2 and len(stem) == 4
    assert {name for name in layers if seen[name] != "binary"} == {"stem.0.0", *inner, *stem}


def test_some_spikes_pass_a_row_of_iand_shortcuts():
    """Each lets through what its branch leaves; the classifier sees means of what is left."""
    assert input_kinds("spikformer-v2-8-512-iand", "ImageNet")["head.classifier"] == "fraction"


class Stack(nn.Module):
    """As many layers as `wide` says, the twin's too, so that a narrow copy has others."""

    def __init__(self, wide, fire, classes, shape):
        super().__init__()
        layers = [nn.Flatten(2), nn.Linear(math.prod(shape), wide), fire()]
        for _ in range(wide // 2):
            layers += [nn.Linear(wide, wide), fire()]
        self.layers = nn.Sequential(*layers, nn.Linear(wide, classes))

    def forward(self, x):
        return self.layers(x if x.dim() == 5 else x.unsqueeze(0))


def test_a_family_whose_layers_change_with_its_width_is_counted_as_it_is(monkeypatch):
    family = types.SimpleNamespace(
        TWIN={"divide": {"wide": 2}}, build=lambda size, layout, fire, classes, shape, steps: Stack(size["wide"], fire, classes, shape)
    )
    monkeypatch.setattr(counting, "module_of", lambda file: family)
    monkeypatch.setattr(network, "module_of", lambda file: family)
    described = {
        "name": "stack-8",
        "file": "",
        "size": {"wide": 8},
        "layout": {},
        "neuron": structures.described("vgg-11", "CIFAR10")[0]["neuron"],
    }
    sizes, real = [], counting.live
    monkeypatch.setattr(counting, "live", lambda network, size, *rest: sizes.append(size["wide"]) or real(network, size, *rest))
    for form, shape in (("images", [3, 4, 4]), ("events", [2, 4, 4])):
        found = counting.structure(described, 5, shape, form)
        first = math.prod(shape) * 8
        assert found["layers_macs"] == first + 4 * 64 + 8 * 5
        assert found["syops_macs"] == first + 8  # the first layer with its biases; all others see spikes
    assert sizes == [4, 8, 4, 8]


def test_counting_leaves_the_random_state_and_knows_nothing_of_pins():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    counted("vgg-11", "CIFAR10")
    assert torch.equal(torch.get_rng_state(), before)
    text = "import sys; import benchmark.measuring.structure, benchmark.measuring.checks; print([name for name in sys.modules if name.startswith"
    text += "(('benchmark.pins', 'benchmark.reports', 'benchmark.runs', 'benchmark.workflow'))])"
    run = subprocess.run([sys.executable, "-c", text], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
