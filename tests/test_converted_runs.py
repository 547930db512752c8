"""Runs of converted networks: what they did at each step, read at any of them from one run; the energy ratio; no training, no loading."""

import copy

import helpers
import pytest
import torch
from test_conversion import STEPS, alive, ecmt_of, images, vit

from benchmark import conventions, metrics
from benchmark.conventions import Record
from benchmark.measuring.accumulates import product_accumulates
from benchmark.measuring.counter import Counter
from benchmark.networks import build
from benchmark.networks.converting.explicit import explicit
from benchmark.pins.readings import Reading
from benchmark.shared.errors import UserError
from benchmark.shared.files import read_sealed

COUNT = 5  # images
KEPT = ("dense", "inputs", "nonzero", "total", "events", "values", "outputs", "spikes", "neurons")


def counted(network, steps=STEPS, rows=None):
    """Records of a converted network by name, of two batches."""
    network.steps, network.rows = steps, rows or network.rows
    counter, x = Counter(), images(COUNT, dtype=torch.float32)
    with counter.watching(network, steps):
        for part in x.split(3):
            network(part)
            counter.seen(len(part))
    return counter.records


def sent_by(network):
    """Place -> what its neurons send, [T, images, ...]."""
    sent, handles = {}, []
    for name, neuron in network.neurons().items():
        handles.append(neuron.register_forward_hook(lambda _, __, output, name=name: sent.update({name: output})))
    network.rows = STEPS * COUNT
    network(images(COUNT, dtype=torch.float32))
    for handle in handles:
        handle.remove()
    return sent


@pytest.mark.parametrize("rows", [None, 1, 4, 9])
def test_each_step_is_counted_exactly_in_any_windows(rows):
    network = ecmt_of(alive(vit()))
    sent = sent_by(network)
    found = counted(network, rows=rows)
    linear, product = found["network.blocks.1.mlp.fc1.layer"], found["network.blocks.1.attn.scores.product"]
    expected = [int((x != 0).sum()) for x in sent["blocks.1.mlp.fc1"]]
    assert linear.by_step["nonzero"] == expected and linear.by_step["events"] == [128 * count for count in expected]
    accumulates = product_accumulates(sent["blocks.1.attn.scores.left"], sent["blocks.1.attn.scores.right"])
    assert {name: product.by_step[name] for name in accumulates} == {name: counts.tolist() for name, counts in accumulates.items()}
    assert product.by_step["events"] == product.by_step["before"] != product.by_step["after"]
    for record in (linear, product):
        assert sum(record.by_step["events"]) == record.events > 0 and record.images == COUNT
    neuron = found["network.blocks.1.mlp.fc1.fires.neuron"]
    assert neuron.rates == expected and neuron.neurons == STEPS * COUNT * 17 * 32


def test_dense_operations_are_the_artificial_networks_at_every_step():
    ann = alive(vit())
    counter = Counter()
    with torch.no_grad(), counter.watching(explicit(ann), 1):
        explicit_ann = counter.records
        network = explicit(ann)
        with counter.watching(network, 1):
            network(images(COUNT, dtype=torch.float32))
    expected = {name: record.dense for name, record in explicit_ann.items() if record.kind in ("conv", "linear", "product")}
    found = counted(ecmt_of(alive(vit())))
    for name, dense in expected.items():
        ours = [record for record in found.values() if record.name.removeprefix("network.").startswith(name) and record.dense]
        assert [record.dense for record in ours] == [STEPS * dense], name
    assert len(expected) == 1 + 2 * 6 + 1


@pytest.mark.parametrize("steps", range(1, STEPS))
def test_the_first_steps_of_a_run_are_the_run_of_so_many_steps(steps):
    network = ecmt_of(alive(vit()))
    whole, short = counted(network), counted(network, steps)
    assert whole.keys() == short.keys()
    for name, record in whole.items():
        cut, wanted = record.up_to(steps), short[name]
        assert (cut.steps, cut.rates) == (steps, wanted.rates), name
        assert cut.by_step == (wanted.by_step if record.by_step else {}), name  # none of an image that stays
        assert [getattr(cut, key) for key in KEPT] == pytest.approx([getattr(wanted, key) for key in KEPT]), name


def test_the_energy_ratio_by_hand():
    """Two steps and ten images: a linear layer of 100 multiply-accumulates, a product of 50, a classifier of 10; 0.9 and 4.6 pJ."""

    def layer(name, kind, dense, **more):
        return Record(name, kind, 2, images=10, dense=20 * dense, input_kind="real", **more)

    records = [
        layer("patches", "conv", 999, first=True),
        Record("fires", "neuron", 2, images=10, neurons=40, spikes=8),
        layer("fc", "linear", 100, events=700, by_step={"events": [300.0, 400.0]}),
        layer("mix", "product", 50, events=600, by_step={"before": [200.0, 400.0], "after": [500.0, 600.0], "two": [200.0, 300.0]}),
        layer("head", "linear", 10, events=200, by_step={"events": [100.0, 100.0]}),
    ]
    found = conventions.count("ecmt", records)
    assert (found["acs"], found["acs_equation"], found["acs_two"]) == (70 + 110 + 20, 70 + 60 + 20, 70 + 50 + 20)
    assert found["macs_ann"] == 160 and found["macs"] == 0 and "patches (conv)" in found["uncounted"]
    assert found["ratio"] == pytest.approx(0.9 * 200 / (4.6 * 160)) and found["energy_mJ"] == pytest.approx(0.9 * 200e-9)
    first = conventions.count("ecmt", [record.up_to(1) for record in records])
    assert first["acs"] == 30 + 50 + 10 and first["macs_ann"] == 160
    assert conventions.count("ecmt", [record for record in records if record.kind != "neuron"])["ratio"] == 1.0


# ---- runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An artificial network and its conversion, as they end up on disk."""
    root = tmp_path_factory.mktemp("runs")
    trained = helpers.specification(network=helpers.network("vit"), time_steps=1, recipe={"epochs": 6, "lr": 3e-3})
    helpers.run(trained, root / "ann" / "seed0")
    convert(root, 0)
    return root


def convert(root, seed):
    """Run the conversion of the network that lies above with the same seed."""
    converting = helpers.specification(method=helpers.method("ecmt", images=32), network=helpers.network("vit"), time_steps=STEPS)
    converting |= {"recipe": {}, "above": {"ann": "ann"}}
    training = ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "schedule")
    neutral = {key: value for key, value in helpers.RECIPE.items() if key not in training}
    helpers.run_one(converting, neutral, seed, root / "snn" / f"seed{seed}", helpers.ROOT / "data", "cpu", 1)


def test_the_network_of_the_same_seed_is_converted(runs):
    with pytest.raises(UserError, match="ann/seed1"):
        convert(runs, 1)


def test_a_run_without_training_measures_every_step(runs):
    ann, snn = (read_sealed(runs / name / "seed0" / "metrics.json") for name in ("ann", "snn"))
    assert (snn["epochs"], snn["accuracy_by_epoch"], snn["images_per_second"], len(snn["trained"])) == (0, [], None, 1)
    assert len(snn["accuracy_up_to"]) == STEPS and snn["accuracy"] == snn["accuracy_up_to"][-1]
    assert snn["parameters"] == ann["parameters"] and snn["checks"]["failed"] == []
    chance = 100 / snn["spec"]["data"]["classes"]
    assert abs(snn["accuracy"] - ann["accuracy"]) < 15 and ann["accuracy"] > 2 * chance
    weights = [torch.load(runs / name / "seed0" / "weights.pt", weights_only=True) for name in ("ann", "snn")]
    assert torch.equal(weights[0]["transformer.head.weight"], weights[1]["network.transformer.head.weight"])


def test_energy_and_rate_are_read_at_every_step_of_one_run(runs):
    ann, snn = (read_sealed(runs / name / "seed0" / "metrics.json") for name in ("ann", "snn"))
    ratio, rate, best = (metrics.metric(name) for name in ("energy_ratio", "firing_rate_pct", "accuracy_best"))
    assert ratio.read(ann, None, Reading()) == 1.0
    ratios = [ratio.read(snn, None, Reading(steps=t)) for t in range(1, STEPS + 1)]
    assert ratios == sorted(ratios) and 0 < ratios[0] < 0.9 / 4.6 and ratios[-1] == ratio.read(snn, None, Reading())
    assert all(0 < rate.read(snn, None, Reading(steps=t)) < 100 for t in (1, STEPS))
    assert best.read(snn, None, Reading(steps=1)) == snn["accuracy_up_to"][0]
    assert ratio.read(snn, None, Reading(steps=STEPS + 1)) is None and ratio.read(snn, None, Reading(steps=2, alone=True)) is None
    other = copy.deepcopy(snn)
    for layer in other["layers"]:
        layer["by_step"] = {}
    assert ratio.read(other, None, Reading(steps=1)) is None, "a run that kept no steps"


def test_a_conversion_is_not_loaded_for_another_run(runs):
    with pytest.raises(UserError, match="is a conversion by ecmt: it was measured, and cannot be loaded for another run") as error:
        build.finished(runs / "snn" / "seed0", torch.device("cpu"))
    assert "\n" not in str(error.value)
    assert build.finished(runs / "ann" / "seed0", torch.device("cpu"))[0].steps == 1
