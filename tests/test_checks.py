"""The checks of a trained network pass on a sound one and name what is wrong with a broken one."""

from functools import partial

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.measuring import checks
from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, conv_bn
from benchmark.neurons._base import Neuron
from benchmark.neurons.lif import LIF, neuron

fire = partial(neuron, tau=2.0, v_threshold=1.0, v_reset=0.0, detach_reset=True, decay_input=False, surrogate="sigmoid", alpha=4.0)


def sound(*extra, images=None):
    torch.manual_seed(0)
    block = nn.Sequential(Residual(conv_bn(8, 8, 3), fire()), *extra)
    model = SpikingBackbone(nn.Sequential(First(4, *conv_bn(3, 8, 3)), fire()), [block], [8], Head(8, 10), 4)
    return with_statistics(model, images)


def with_statistics(model, images=None):
    """Normalisations that have seen images, so that every layer fires in evaluation."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # plain average
    model(torch.randn(16, 3, 6, 6, generator=torch.Generator().manual_seed(2)) if images is None else images)
    functional.reset_net(model)
    return model


def checked(model, images=None):
    return checks.check(model, torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1)) if images is None else images)


def frames(batch=16):
    """Event frames [T, B, C, H, W], other ones at each step."""
    return torch.randint(-1, 2, (4, batch, 3, 6, 6), generator=torch.Generator().manual_seed(1)).float()


def test_a_sound_network_passes_and_stays_as_it_was():
    model = sound()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = checked(model)
    assert found["failed"] == found["silent"] == found["sends"] == found["dead_parameters"] == [] and found["spread_of_logits"] > 0.01
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.dtype == torch.float32 for parameter in model.parameters())


def test_events_pass():
    assert checked(sound(images=frames()), frames())["failed"] == []


def test_a_weight_that_some_gradient_reaches_is_not_dead():
    """Pixels that are black in every image leave their column of the weights without a gradient."""

    class Linear(nn.Module):
        steps = 1

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 10)

        def forward(self, x):
            return self.layer(x.flatten(1)).unsqueeze(0)

    images = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    images[:, 0] = 0
    assert checked(Linear(), images)["dead_parameters"] == []


class Mixing(nn.Module):
    """Subtracts the mean over the batch."""

    def forward(self, x):
        return x - x.mean(1, keepdim=True)


class Remembering(nn.Module):
    """Adds up over calls and is never reset."""

    total = 0.0

    def forward(self, x):
        self.total = self.total + x.mean().item()
        return x + self.total


class Foreseeing(nn.Module):
    """Sees later steps."""

    def forward(self, x):
        return x + x.mean(0, keepdim=True)


class Sends(Neuron, nn.Module):
    """What `values` makes of its input, declared as a kind."""

    def __init__(self, sends, values):
        super().__init__()
        self.sends, self.values = sends, values

    def forward(self, x):
        return self.values(x)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x


@pytest.mark.parametrize("images", [None, frames()], ids=["images", "events"])
def test_what_is_wrong_is_named(images):
    def failed(module):
        return checked(sound(module, images=images), images)["failed"]

    assert {"gap_batch_size", "gap_neighbours"} <= {*failed(Mixing())}
    assert "gap_after_reset" in failed(Remembering())
    assert failed(Foreseeing()) == ["gap_first_step"]
    assert failed(Unused()) == ["dead_parameters"]


SENDS = {  # what a layer sends of what comes in, by the kind that it declares -> allowed
    "binary, 0 and 1": (lambda x: (x > 0).to(x.dtype), True),
    "binary, twice as high": (lambda x: 2 * (x > 0).to(x.dtype), False),
    "binary, both signs": (lambda x: x.sign(), False),
    "signed, -1, 0 and 1": (lambda x: x.round().clamp(-1, 1), True),
    "signed, times a unit": (lambda x: 0.3 * x.round().clamp(-1, 1), True),
    "signed, two heights": (lambda x: x.round().clamp(-2, 2), False),
    "graded, anything": (lambda x: x * (x > 0), True),
    "graded, no number": (lambda x: torch.where(x > 0, x, torch.inf), False),
}


@pytest.mark.parametrize("images", [None, frames()], ids=["images", "events"])
@pytest.mark.parametrize("case", SENDS)
def test_a_neuron_sends_what_its_kind_may(case, images):
    values, allowed = SENDS[case]
    found = checked(sound(conv_bn(8, 8), Sends(case.split(",")[0], values), images=images), images)
    assert found["sends"] == ([] if allowed else ["blocks.0.2"]) and ("sends" in found["failed"]) != allowed
    assert found["silent"] == []


# ---- a network that is not alive cannot pass


def test_a_layer_that_never_spikes_is_named():
    model = sound()
    model.blocks[0][0][1].v_threshold = 1e9
    found = checked(model)
    assert {"silent", "dead_parameters"} <= set(found["failed"]) and found["silent"] == ["blocks.0.0.1"]


def test_a_network_that_never_spikes_fails_by_every_name():
    model = sound()
    for module in model.modules():
        if isinstance(module, LIF):
            module.v_threshold = 1e9
    found = checked(model)
    assert found["silent"] == ["stem.1", "blocks.0.0.1"] and {"silent", "constant_logits", "dead_parameters"} == {*found["failed"]}
    assert "constant_logits" in checked(model, frames())["failed"]


def test_the_same_answer_for_every_image_is_told():
    model = sound()
    nn.init.zeros_(model.head.classifier.weight)
    found = checked(model)
    assert "constant_logits" in found["failed"] and found["spread_of_logits"] == 0 and found["silent"] == []


class Ramp(nn.Module):
    """Other logits at each step."""

    def forward(self, x):
        return x + torch.arange(len(x)).to(x)[:, None, None]


def test_steps_that_differ_are_no_answer():
    model = sound()
    nn.init.zeros_(model.head.classifier.weight)
    model.head = nn.Sequential(model.head, Ramp())
    found = checked(model)
    assert "constant_logits" in found["failed"] and found["spread_of_logits"] == 0


def test_a_parameter_that_nothing_reaches_is_told():
    found = checked(sound(Unused()))
    assert found["failed"] == ["dead_parameters"] and found["dead_parameters"] == ["blocks.0.1.weight"]


def test_a_parameter_is_dead_if_no_image_reaches_it():
    """Gradients are taken of a few images at a time; a weight that only a later one needs is alive."""
    model = sound()
    asked, real = [], checks.without_gradient

    def only_the_last(model, images):
        asked.append(len(images))
        return real(model, images) | ({"head.classifier.bias"} if len(asked) < 3 else set())

    images = torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "without_gradient", only_the_last)
        assert checks.dead(model.double().eval(), images, 0) == [] and asked == [4, 4, 2]


class Cut(nn.Module):
    """Keeps gradients back."""

    def forward(self, x):
        return x.detach()


def test_a_cut_in_the_gradient_is_told():
    found = checked(sound(Cut(), conv_bn(8, 8), fire()))
    assert found["failed"] == ["dead_parameters"]
    assert set(found["dead_parameters"]) == {f"{layer}.{what}" for layer in ("stem.0.0", "stem.0.1", "blocks.0.0.0.0", "blocks.0.0.0.1")
                                             for what in ("weight", "bias")} - {"stem.0.0.bias", "blocks.0.0.0.0.bias"}  # fmt: skip


def test_neurons_without_a_gradient_are_no_dead_parameters():
    """A converted network's need none: its parameters are dead if the logits do not change with them."""

    def hard(*extra):
        stem = nn.Sequential(First(4, *conv_bn(3, 8, 3)), Sends("graded", lambda x: x.detach().clamp(0, 1)))
        torch.manual_seed(0)
        model = SpikingBackbone(
            stem, [nn.Sequential(conv_bn(8, 8), Sends("graded", lambda x: x.detach().floor()), *extra)], [8], Head(8, 10), 4
        )
        return with_statistics(model)

    model = hard().eval()
    before = model.head.classifier.weight.clone()
    images = torch.randn(2, 3, 6, 6)
    assert checks.matters(model, "head.classifier.weight", images, checks.run(model, images))
    assert torch.equal(model.head.classifier.weight, before)
    assert checked(model)["failed"] == []
    assert checked(hard(Unused()))["dead_parameters"] == ["blocks.0.2.weight"]


def test_a_bias_before_a_normalisation_is_alive():
    """In training it has no gradient, as the batch's mean takes it out; the checks look at the network in evaluation."""
    model = sound(conv_bn(8, 8, bias=True), fire())
    model.train()
    nn.functional.cross_entropy(model(torch.randn(8, 3, 6, 6)).mean(0), torch.arange(8)).backward()
    functional.reset_net(model)
    bias = model.blocks[0][1][0].bias
    assert bias.grad.abs().max() < 1e-6
    model.zero_grad(set_to_none=True)
    assert checked(model)["failed"] == []


def test_one_image_cannot_be_compared():
    with pytest.raises(ValueError, match="two or more"):
        checked(sound(), torch.randn(1, 3, 6, 6))


@pytest.mark.parametrize("images", [None, frames()], ids=["images", "events"])
def test_an_artificial_network_is_checked_too(images):
    torch.manual_seed(0)

    def relu_network(*extra):
        model = SpikingBackbone(nn.Sequential(First(1, *conv_bn(3, 8, 3)), nn.ReLU()), [nn.Sequential(*extra)], [8], Head(8, 10), 1)
        return with_statistics(model)

    assert checked(relu_network(), images)["failed"] == []
    assert checked(relu_network(Unused()), images)["dead_parameters"] == ["blocks.0.0.weight"]
    silent = relu_network()
    nn.init.constant_(silent.stem[0][1].bias, -1e9)
    assert {"constant_logits", "dead_parameters"} == {*checked(silent, images)["failed"]}
