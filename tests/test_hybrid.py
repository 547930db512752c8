"""Hybrid conversion: its neuron against a slow loop, random spikes, balanced thresholds and weights taken over."""

import pytest
import torch

from benchmark.backbones import ann_hybrid_resnet, ann_hybrid_vgg, hybrid_resnet, hybrid_vgg
from benchmark.measuring import checks
from benchmark.method import Outputs
from benchmark.networks.random_spikes import RandomSpikes
from benchmark.neurons import delayed_if, maker
from benchmark.pins import kinds
from benchmark.shared.errors import UserError
from methods.hybrid import Hybrid, fits, neurons

NAMES = {"vgg": ("hybrid-vgg-11", hybrid_vgg, ann_hybrid_vgg), "resnet": ("hybrid-resnet-20", hybrid_resnet, ann_hybrid_resnet)}


def images(count=3):
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def pair(name, steps=25, **chosen):
    """A twin as the method starts it, and the artificial network that it started from."""
    full, family, artificial = NAMES[name]
    torch.manual_seed(0)
    size, layout = kinds.backbone(full).twin, family.LAYOUTS["cifar"]
    ann = artificial.build(size, layout, None, 10, (3, 16, 16), 1)
    network = family.build(size, layout, maker(Hybrid.neuron), 10, (3, 16, 16), steps)
    method = Hybrid(**{**Hybrid.params, "search_steps": 80, "images": 3, **chosen})
    return method.start(network, {"ann": ann}, iter([images()])), ann


# ---- the neuron


def test_it_fires_a_step_late_and_loses_a_threshold():
    """Threshold 1, leak 1/2: 3 comes in, fires at the next two steps, v = 3, 3/2 - 1 = 1/2 (no more than the threshold), ..."""
    layer = delayed_if.neuron(threshold=1.0, leak=0.5, gradient="linear", height=0.3, fall=0.0)
    assert layer(torch.tensor([3.0, 2.0, 0.0, 0.0])[:, None]).flatten().tolist() == [0.0, 1.0, 1.0, 0.0]
    assert layer.v.item() == 0.125  # 3; 1.5 + 2 - 1; 1.25 - 1; 0.125


@pytest.mark.parametrize("gradient", delayed_if.GRADIENTS)
def test_both_gradients_are_their_equations(gradient):
    constants = {"threshold": 0.7, "leak": 0.9, "gradient": gradient, "height": 0.3, "fall": 0.2}
    x = torch.randn(12, 3, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, slow = (x.clone().requires_grad_() for _ in range(2))
    sent, expected = delayed_if.neuron(**constants).double()(found), delayed_if.reference(slow, **constants)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for output in (sent, expected):
        (output * weights).sum().backward()
    assert torch.equal(sent, expected) and 0.1 < sent.mean() < 0.6
    torch.testing.assert_close(found.grad, slow.grad, rtol=1e-6, atol=1e-7)  # the threshold is kept in single precision


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"leak": 1.5}, {"height": 0.0}, {"fall": -1.0}, {"gradient": "late"}])
def test_constants_without_sense_are_refused(wrong):
    with pytest.raises(UserError, match="fires a step late"):
        delayed_if.neuron(**{**delayed_if.EXAMPLE, **wrong})


# ---- the image


def test_a_pixel_sends_its_sign_as_often_as_it_is_large():
    x = torch.tensor([-1.0, -0.4, 0.0, 0.3, 1.0]).expand(1, 3, 40, 5)
    spikes = RandomSpikes(200)(x)
    assert spikes.unique().tolist() == [-1.0, 0.0, 1.0]
    torch.testing.assert_close(spikes.mean((0, 1, 2, 3)), x[0, 0, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(RandomSpikes(200, 0.5)(x).mean((0, 1, 2, 3)), x[0, 0, 0] / 2, atol=0.02, rtol=0)


def test_numbers_are_drawn_anew_in_training_alone():
    layer, x = RandomSpikes(4), images(2)
    x[1] = x[0]
    training = layer(x)
    assert not torch.equal(training[:, 0], training[:, 1]) and not torch.equal(training, layer(x))
    layer.eval()
    assert torch.equal(layer(x)[:, 0], layer(x)[:, 1]) and torch.equal(layer(x)[:2], layer(x[:1].expand_as(x))[:2])
    assert not torch.equal(layer(x)[0], layer(x)[1])


# ---- the start


@pytest.mark.parametrize("name", NAMES)
def test_it_starts_from_the_weights_with_thresholds_set_layer_by_layer(name):
    """What comes to a layer is what the layers before send at their own thresholds, not yet scaled; a ResNet's blocks keep theirs."""
    network, ann = pair(name)
    weights = dict(ann.named_parameters())
    assert weights and all(torch.equal(value, weights[key]) for key, value in network.named_parameters())
    found = neurons(network)
    balanced = neurons(network.stem) if name == "resnet" else found
    assert all(neuron.threshold.item() == 1.0 for neuron in found if neuron not in balanced)
    largest = {}
    for neuron in balanced:
        neuron.threshold.div_(0.7)
        neuron.register_forward_hook(lambda module, inputs, sent: largest.update({module: inputs[0].max().item()}))
    for module in network.modules():
        if isinstance(getattr(module, "steps", None), int):
            assert module.steps == 25
            module.steps = 80
    with torch.no_grad():
        network.eval()(images())
    for neuron in balanced:
        assert neuron.threshold.item() == pytest.approx(largest[neuron], rel=1e-4) and largest[neuron] != 1.0


def test_the_gradient_is_chosen_and_the_checks_hold():
    network, _ = pair("vgg", gradient="linear")
    assert {neuron.gradient for neuron in neurons(network)} == {"linear"}
    assert {neuron.gradient for neuron in neurons(pair("vgg")[0])} == {"stdb"}
    found = checks.check(network.eval(), images())
    assert [name for name in found["failed"] if name.startswith("gap")] == []


def test_the_loss_is_of_the_sum_over_steps():
    logits = torch.tensor([[[1.0, 0.0]], [[0.5, 1.0]]])
    loss = Hybrid(**Hybrid.params).loss(Outputs(logits), None, torch.tensor([[1.0, 0.0]]), None)
    assert loss["task"].item() == pytest.approx(torch.log1p(torch.tensor(1.0 - 1.5).exp()).item())


def test_it_takes_the_same_network_only():
    spiking, same, other = (kinds.backbone(name) for name in ("hybrid-vgg-11", "ann-hybrid-vgg-11", "ann-hybrid-resnet-20"))
    assert fits(spiking, same) == "" and "no such pair" in fits(spiking, other)
