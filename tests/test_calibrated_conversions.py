"""Conversions that look at what their neurons send, or correct what they were set by: neurons by hand, thresholds, biases, smoke runs."""

import pytest
import torch
from test_conversion import answers, error, images, up_to
from test_conversions_cited import converted, quantised, steps, with_clips

from benchmark.neurons import offset_spikes
from benchmark.shared.errors import UserError
from methods.cos import COS
from methods.qcfs import QCFS

# ---- COS


def test_a_spike_too_many_lowers_the_membrane_by_what_the_least_excess_was():
    """theta 1, three steps: 0.5 + 1.25 fires, 0.75 - 1.5 and - 1 do not and end at -1.75. Down by 1.75 - 0.999 < 1: by 1, from -0.5."""
    neuron = offset_spikes.neuron(theta=1.0, probe=3)
    assert steps(neuron, 1.25, -1.5, -1.0, 5.0) == [0.0, 0.0, 0.0, 1.0]
    assert neuron.v.item() == pytest.approx(-0.5 + 1.25 - 1.5 - 1.0 + 5.0 - 1)


def test_a_large_excess_lowers_the_membrane_by_more_than_a_threshold():
    """theta 2, two steps: 1 + 7 = 8 fires, 6 - 7 = -1 does not. Down by 8 - 1.998: from -5.002, 7 more is 1.998, which is silent."""
    neuron = offset_spikes.neuron(theta=2.0, probe=2)
    assert steps(neuron, 7.0, -7.0, 0.0) == [0.0, 0.0, 0.0]
    assert neuron.v.item() == pytest.approx(1 - (8 - 1.998), abs=1e-12)


def test_a_spike_too_few_raises_it_by_what_the_least_lack_was():
    """theta 1, two steps: -2 does not reach it, 3.5 fires and leaves 1. Up by 1.001 + 1.5: then both steps fire."""
    neuron = offset_spikes.neuron(theta=1.0, probe=2)
    assert steps(neuron, -2.0, 3.5, 0.0) == [1.0, 1.0, 1.0]
    assert neuron.v.item() == pytest.approx(0.5 + 2.501 - 2 + 3.5 - 3)


def test_a_neuron_that_is_right_starts_as_it_was():
    assert steps(offset_spikes.neuron(theta=1.0, probe=2), 0.25, 0.25, 0.5) == [0.0, 1.0, 0.0]
    assert steps(offset_spikes.neuron(theta=1.0, probe=2), -1.0, -1.0, 9.0) == [0.0, 0.0, 1.0], "negative, but nothing was sent"


@pytest.mark.parametrize("probe", [1, 2, 5])
@pytest.mark.parametrize("theta", [0.7, 2.0])
def test_a_look_ahead_is_its_equations(probe, theta):
    x = 2 * torch.randn(9, 2, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    neuron = offset_spikes.neuron(theta=theta, probe=probe)
    torch.testing.assert_close(neuron(x), offset_spikes.reference(x, theta=theta, probe=probe), rtol=0, atol=1e-12)


@pytest.mark.parametrize("constants", [{"theta": 0.0}, {"probe": 0}])
def test_a_look_ahead_without_sense_is_refused(constants):
    with pytest.raises(UserError, match="a neuron that looks ahead needs"):
        offset_spikes.neuron(**{"theta": 1.0, "probe": 1, **constants})


@pytest.mark.parametrize("name", ["resnet", "vgg"])
def test_looking_ahead_comes_nearer_to_the_artificial_network_than_not(name):
    """With T of the activation's levels QCFS is exact but for the order in which spikes come: what COS corrects."""
    ann, x = with_clips(quantised(name, levels=4), 2.0), images(8)
    wanted = answers(ann, x)
    found, plain = (up_to(converted(method, ann, 4)(x))[-1] for method in (COS(probe=4), QCFS(**QCFS.params)))
    assert error(found, wanted) < 0.8 * error(plain, wanted)


def test_looking_ahead_needs_its_steps_in_one_window_however_many_images():
    ann, x = with_clips(quantised("resnet")), images(3)
    network = converted(COS(probe=3), ann, 5)
    whole = network(x)
    assert whole.shape == (5, 3, 10)
    for rows in (1, 4):
        network.rows = rows
        torch.testing.assert_close(network(x), whole, rtol=0, atol=1e-9)
    network.steps = 2
    torch.testing.assert_close(network(x), whole[:2], rtol=0, atol=1e-9, msg="a shorter run is the beginning of a longer one")
    network.steps = 5
    network.together = 1
    network.rows = 1
    assert not torch.allclose(network(x), whole), "with one step to look at it decides otherwise"
