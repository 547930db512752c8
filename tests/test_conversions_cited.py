"""Conversions of cited works: their neurons by hand, their activations against plain loops, accuracy that rises to the artificial network's."""

import math

import helpers
import pytest
import torch
from test_conversion import alive, answers, error, images, project, up_to

from benchmark.backbones import ann_resnet, ann_vgg
from benchmark.networks.converting.activations import ClipFloor, replaced
from benchmark.neurons import integrate_and_fire, residual_membrane
from benchmark.shared.errors import UserError
from benchmark.shared.files import read_sealed
from methods.qcfs import QCFS
from methods.qcfs_ann import QCFSANN
from methods.srp import SRP

SIZES = {
    "resnet": (ann_resnet, {"stem": 8, "widths": [8, 16], "depths": [1, 1], "hidden": 0}, "imagenet"),
    "bottlenecks": (ann_resnet, {"stem": 8, "widths": [4, 8], "depths": [1, 1], "hidden": 0, "bottleneck": True}, "cifar"),
    "deep stem": (ann_resnet, {"stem": 8, "widths": [8], "depths": [1], "hidden": 0, "convolutions": 3}, "cifar"),
    "vgg": (ann_vgg, {"widths": [8, 16], "convolutions": [1, 2], "pools": [1, 1]}, "imagenet"),
}


def quantised(name, levels=4, clip=2.0):
    """A network with QCFS's activations."""
    family, size, layout = SIZES[name]
    return alive(QCFSANN(levels=levels, clip=clip).start(project(family, size, layout), {}, iter(()))).double()


def with_clips(network, clip=2.0):
    for module in network.modules():
        if isinstance(module, ClipFloor):
            module.clip.data.fill_(clip)
    return network


def converted(method, ann, steps):
    ann.steps = steps
    return method.start(ann, {"ann": ann}, iter([images(2)]))


def steps(neuron, *currents):
    """What one neuron sends for these currents."""
    return neuron(torch.tensor(currents, dtype=torch.float64)[:, None, None]).flatten().tolist()


# ---- the activation


def test_the_activation_is_the_printed_staircase():
    """clip 2, four levels: stairs of 1/2, each border in the middle, nothing below 1/4 and nothing above 2."""
    x = torch.tensor([-1.0, 0.24, 0.25, 0.74, 0.75, 1.74, 1.75, 2.0, 9.0])
    assert ClipFloor(4, 2.0)(x).tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_gradients_pass_the_floor_and_reach_the_clip():
    activation, x = ClipFloor(4, 2.0), torch.tensor([-1.0, 0.3, 1.1, 5.0], requires_grad=True)
    activation(x).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    expected = 0.25 - 0.15 + 0.5 - 0.55 + 1  # stair / clip - x / clip inside, 1 above
    assert activation.clip.grad.item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", SIZES)
def test_every_relu_and_every_max_pool_is_replaced(name):
    family, size, layout = SIZES[name]
    before = project(family, size, layout)
    count = sum(isinstance(module, torch.nn.ReLU) for module in before.modules())
    after = replaced(before, lambda: ClipFloor(4, 2.0))
    kinds = [type(module) for module in after.modules()]
    assert kinds.count(ClipFloor) == count > 2 and torch.nn.ReLU not in kinds
    assert not any(issubclass(kind, torch.nn.MaxPool2d) for kind in kinds) and torch.nn.AvgPool2d in kinds + [torch.nn.AvgPool2d] * (
        layout == "cifar"
    )


# ---- neurons, by hand


def test_an_integrating_neuron_by_hand():
    """theta 2, from 1: 1.5 fires and leaves 0.5; three times 0.5 reach 2 again."""
    neuron = integrate_and_fire.neuron(theta=2.0, start=0.5, lower=-math.inf)
    assert steps(neuron, 1.5, 0.5, 0.5, 0.5, -9.0, 9.0) == [2.0, 0.0, 0.0, 2.0, 0.0, 0.0]


def test_a_spike_is_taken_back_once_and_only_if_one_was_sent():
    """theta 1, from 0, lower -1/2: nothing to take back first; then one spike, taken back once."""
    neuron = integrate_and_fire.neuron(theta=1.0, start=0.0, lower=-0.5)
    assert steps(neuron, -0.75, 1.75, -0.75, -0.75, 0.0) == [0.0, 1.0, -1.0, 0.0, 0.0]


@pytest.mark.parametrize("theta", [0.7, torch.tensor([0.4, 0.7, 1.3], dtype=torch.float64)[:, None]])
def test_soft_reset_conserves_charge_with_a_threshold_for_all_or_for_each(theta):
    x = torch.randn(40, 2, 3, 50, dtype=torch.float64) + 0.3
    neuron = integrate_and_fire.neuron(theta=theta, start=0.5, lower=-math.inf)
    sent = neuron(x)
    torch.testing.assert_close(sent.sum(0) + neuron.v, x.sum(0), rtol=0, atol=1e-12)
    assert torch.equal(sent, (sent != 0) * torch.as_tensor(theta, dtype=torch.float64)) and sent.any()


def test_an_even_input_is_quantised_as_the_activation_has_it():
    """T steps of one current send T times the activation of T levels, at random and outside of its range."""
    x = 4 * torch.rand(5000, dtype=torch.float64) - 1
    for count in (1, 4, 16):
        sent = integrate_and_fire.neuron(theta=2.0, start=0.5, lower=-math.inf)(x.expand(count, 1, -1))
        torch.testing.assert_close(sent.mean(0)[0], ClipFloor(count, 2.0).double()(x).detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("constants", [{"theta": 0.0}, {"theta": -1.0}, {"lower": 0.5}, {"start": math.nan}])
def test_constants_without_sense_are_refused(constants):
    with pytest.raises(UserError, match="an integrating neuron needs theta > 0 and lower < start theta") as caught:
        integrate_and_fire.neuron(**{"theta": 1.0, "start": 0.5, "lower": -1.0, **constants})
    assert "\n" not in str(caught.value)


def test_a_probing_neuron_by_hand():
    """theta 1, two steps of probing. 1 and -2 fire once and leave -1/2: silent for good. 1 and 0 leave 1/2: it starts anew."""
    wrong, right = (residual_membrane.neuron(theta=1.0, probe=2) for _ in range(2))
    assert steps(wrong, 1.0, -1.0, 1.0, 1.0) == [1.0, 0.0, 0.0, 0.0]
    assert steps(right, 1.0, 0.0, 0.25, 0.25, 0.5) == [1.0, 0.0, 0.0, 1.0, 0.0]


# ---- converted networks


@pytest.mark.parametrize("name", SIZES)
def test_the_answer_comes_near_the_artificial_network_with_time(name):
    """Many levels, so that the artificial network rounds little; neurons leave a bounded rest of charge."""
    ann, x = with_clips(quantised(name, levels=1024), 4.0), images(4)
    network = converted(QCFS(**QCFS.params), ann, 128)
    found = up_to(network(x))
    errors = [error(found[t - 1], answers(ann, x)) for t in (1, 8, 32, 128)]
    assert errors[0] > 0.1 and errors[3] < errors[2] < errors[1] and errors[3] < 0.03
    clips = {module.clip.item() for module in ann.modules() if isinstance(module, ClipFloor)}
    assert clips == {4.0} and {neuron.theta.item() for neuron in network.neurons().values()} == clips


def test_probing_steps_run_first_and_answer_nothing():
    ann, x = with_clips(quantised("resnet")), images(3)
    network = converted(SRP(probe=3), ann, 5)
    whole = network(x)
    assert whole.shape == (5, 3, 10) and network.probing == 3
    network.rows = 4
    torch.testing.assert_close(network(x), whole, rtol=0, atol=1e-9)
    plain = converted(QCFS(**QCFS.params), ann, 5)(x)
    stays = [neuron.stays for neuron in network.neurons().values()]
    assert not torch.allclose(whole, plain) and all(not torch.is_tensor(value) for value in stays), "reset after a run"


def test_with_nothing_to_silence_probing_changes_nothing(monkeypatch):
    monkeypatch.setattr(residual_membrane, "MARGIN", -math.inf)
    ann, x = with_clips(quantised("vgg")), images(3)
    torch.testing.assert_close(converted(SRP(probe=3), ann, 5)(x), converted(QCFS(**QCFS.params), ann, 5)(x), rtol=0, atol=1e-9)


# ---- runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A quantised network trained, and two conversions of it, as they end up on disk."""
    root = tmp_path_factory.mktemp("runs")
    network = helpers.network("ann-resnet")
    trained = helpers.specification(method=helpers.method("qcfs-ann", "qcfs_ann"), network=network, time_steps=1, recipe={"epochs": 6})
    helpers.run(trained, root / "ann" / "seed0")
    neutral = {key: value for key, value in helpers.RECIPE.items() if key not in trained["recipe"]}
    for name, params in (("qcfs", {}), ("srp", {"probe": 2})):
        spec = helpers.specification(method=helpers.method(name, **params), network=network, time_steps=32)
        spec |= {"recipe": {}, "above": {"ann": "ann"}}
        helpers.run_one(spec, neutral, 0, root / name / "seed0", helpers.ROOT / "data", "cpu", 1)
    return {name: read_sealed(root / name / "seed0" / "metrics.json") for name in ("ann", "qcfs", "srp")}


def test_accuracy_rises_to_the_artificial_networks(runs):
    ann, snn = runs["ann"], runs["qcfs"]
    assert ann["accuracy"] > 2 * 100 / ann["spec"]["data"]["classes"] and ann["checks"]["failed"] == snn["checks"]["failed"] == []
    assert len(snn["accuracy_up_to"]) == 32 and abs(snn["accuracy"] - ann["accuracy"]) < 6 < ann["accuracy"] - snn["accuracy_up_to"][0]
    assert snn["parameters"] < ann["parameters"], "clips became thresholds"


def test_a_long_run_is_counted_over_some_images_and_a_probing_one_over_all_its_steps(runs):
    (first, *_), (other, *_) = ([layer for layer in runs[name]["layers"] if layer["kind"] == "neuron"] for name in ("qcfs", "srp"))
    assert (first["images"], first["steps"], len(first["rates"])) == (32, 32, 32)
    assert (other["images"], other["steps"], len(other["rates"])) == (30, 34, 34)
    assert first["sent"] == "unit" and sum(first["rates"]) == first["spikes"] > 0
