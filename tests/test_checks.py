"""The checks of a trained network pass on a sound one and name what is wrong with a broken one."""

from functools import partial

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.measuring import checks
from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, conv_bn
from benchmark.neurons.lif import LIF, neuron

fire = partial(neuron, tau=2.0, v_threshold=1.0, v_reset=0.0, detach_reset=True, decay_input=False, surrogate="sigmoid", alpha=4.0)


def sound(*extra, images=None):
    torch.manual_seed(0)
    block = nn.Sequential(Residual(conv_bn(8, 8, 3), fire()), *extra)
    model = SpikingBackbone(nn.Sequential(First(4, *conv_bn(3, 8, 3)), fire()), [block], [8], Head(8, 10), 4)
    model(torch.randn(16, 3, 6, 6) if images is None else images)  # statistics
    functional.reset_net(model)
    return model


def checked(model, images=None):
    return checks.check(model, torch.randn(8, 3, 6, 6) if images is None else images)


def test_a_sound_network_passes_and_stays_as_it_was():
    model = sound()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = checked(model)
    assert found["failed"] == found["silent"] == found["sends"] == found["dead_parameters"] == [] and found["spread_of_logits"] > 0.01
    assert model.training and all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.dtype == torch.float32 for parameter in model.parameters())


def test_events_pass():
    frames = torch.randint(-1, 2, (4, 16, 3, 6, 6)).float()
    model = sound(images=frames)
    for _ in range(20):  # its normalisations get to know what events are like
        model(frames)
        functional.reset_net(model)
    assert checked(model, frames)["failed"] == []


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


class Loud(LIF):
    """Spikes of height 2."""

    def forward(self, x):
        return 2 * super().forward(x)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x


def test_what_is_wrong_is_named():
    assert {"gap_batch_size", "gap_neighbours"} <= {*checked(sound(Mixing()))["failed"]}
    assert "gap_after_reset" in checked(sound(Remembering()))["failed"]
    assert checked(sound(Foreseeing()))["failed"] == ["gap_first_step"]
    assert checked(sound(Unused()))["dead_parameters"] == ["blocks.0.1.weight"]
    loud = sound(fire())
    loud.blocks[0][1].__class__ = Loud
    found = checked(loud)
    assert found["failed"] == ["sends"] and found["sends"] == ["blocks.0.1"]


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
    assert found["silent"] == ["stem.1", "blocks.0.0.1"] and "constant_logits" in found["failed"]


def test_the_same_answer_for_every_image_is_told():
    model = sound()
    nn.init.zeros_(model.head.classifier.weight)
    found = checked(model)
    assert "constant_logits" in found["failed"] and found["spread_of_logits"] == 0 and found["silent"] == []


def test_a_parameter_that_nothing_reaches_is_told():
    found = checked(sound(Unused()))
    assert found["failed"] == ["dead_parameters"] and found["dead_parameters"] == ["blocks.0.1.weight"]


def test_an_artificial_network_is_checked_too():
    torch.manual_seed(0)
    model = SpikingBackbone(nn.Sequential(First(1, *conv_bn(3, 8, 3)), nn.ReLU()), [nn.Identity()], [8], Head(8, 10), 1)
    model(torch.randn(16, 3, 6, 6))
    assert checked(model)["failed"] == []
