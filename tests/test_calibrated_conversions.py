"""Conversions that look at what their neurons send, or correct what they were set by: neurons by hand, thresholds, biases, smoke runs."""

import pytest
import torch
from test_conversion import alive, answers, error, images, project, up_to
from test_conversions_cited import SIZES, converted, quantised, steps, with_clips

from benchmark.networks.converting.conversion import convert, survey
from benchmark.networks.converting.layerwise import (
    Tuning,
    batches,
    bias,
    calibrate,
    halved,
    least_error,
    potential,
    rounding,
    thresholds,
    weights,
)
from benchmark.networks.converting.places import hooks
from benchmark.neurons import calibrated, offset_spikes
from benchmark.shared.errors import UserError
from methods.cos import COS
from methods.fast_snn import FastSNN
from methods.fast_snn_ann import FastSNNANN, strided
from methods.parameter_calibration import ParameterCalibration
from methods.qcfs import QCFS
from methods.qffs import QFFS
from methods.snn_calibration import SNNCalibration

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


# ---- thresholds with the least error


@pytest.mark.parametrize("by_channel", [False, True])
@pytest.mark.parametrize("count", [1, 4, 16])
def test_a_threshold_is_the_one_of_a_search_by_hand(count, by_channel):
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(count)).relu()
    x = x * torch.tensor([1.0, 2, 3])[:, None, None]

    def searched(values):
        """All 95 tried out."""
        tried = [values.max() * (1.0 - 0.01 * i) for i in range(95)]
        errors = [((values / theta * count).clamp(0, count).floor() * theta / count - values).square().mean() for theta in tried]
        return tried[min(range(95), key=lambda i: errors[i])]

    expected = [searched(x[:, channel]) for channel in range(3)] if by_channel else [searched(x)]
    found = least_error(x, count, by_channel)
    assert found.shape == ((3, 1, 1) if by_channel else ())
    torch.testing.assert_close(found.flatten(), torch.stack(expected), rtol=1e-12, atol=0)


def test_where_nothing_comes_the_threshold_is_the_layers():
    x = torch.tensor([[0.0, 2.0], [0.0, 2.0]], dtype=torch.float64)
    assert least_error(x, 1, True).tolist() == [2.0, 2.0] and least_error(0 * x, 1).item() == 1.0


def test_thresholds_of_batches_are_averaged_from_the_first_on():
    ann = quantised("resnet", levels=1024, clip=50.0)
    parts, places = [images(2, seed=seed) for seed in (1, 2, 3)], survey(ann, images(1))
    singles = [thresholds(ann, places, [part], 0.9, rounding(4, False)) for part in parts]
    found = thresholds(ann, places, parts, 0.9, rounding(4, False))
    for name, theta in found.items():
        one, two, three = (single[name] for single in singles)
        assert theta.item() == pytest.approx((0.9 * (0.9 * one + 0.1 * two) + 0.1 * three).item())
    assert len(found) == sum(place.kind == "activation" for place in places)


def test_batches_are_cut_anew():
    given = [torch.arange(5.0)[:, None] + 5 * part for part in range(3)]
    assert [part.flatten().tolist() for part in batches(given, 4, 3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert [len(part) for part in batches(given, 7, 9)] == [7, 7], "one image alone is no batch"
    with pytest.raises(UserError, match="at least two training images"):
        batches(given, 1, 1)


# ---- calibration


def test_a_calibrated_neuron_by_hand():
    """theta 2, bias 0.5, from 1: 1.5 + ... fires at 2."""
    neuron = calibrated.neuron(theta=2.0, bias=0.5, start=0.5)
    assert steps(neuron, 0.25, 0.25, 0.0, 1.5) == [0.0, 2.0, 0.0, 2.0]
    with pytest.raises(UserError, match="a calibrated neuron needs theta > 0"):
        calibrated.neuron(theta=0.0, bias=0.0, start=0.0)


def test_before_calibration_half_a_threshold_comes_in_over_all_steps():
    """theta 2, four steps of 0.25 and a quarter of 1 each: 0.5, 1, 1.5, 2."""
    assert steps(halved(torch.tensor(2.0), 4), 0.25, 0.25, 0.25, 0.25) == [0.0, 0.0, 0.0, 2.0]


def relus(name):
    family, size, layout = SIZES[name]
    return alive(project(family, size, layout)).double()


def before_calibration(name, count):
    ann, x = relus(name), images(16, seed=5)
    ann.steps = count
    places = survey(ann, x[:1])
    neurons = {place: halved(theta, count) for place, theta in thresholds(ann, places, [x], 0.9, rounding(count, False)).items()}
    return ann, convert(ann, places, neurons, count), x


def output_of(network, place, x, run=None):
    """What one module of a network gives."""
    found = []
    with hooks(network, after=lambda name, module, inputs, output: found.append(output) if name == place else None), torch.no_grad():
        (run or network)(x)
    return found[0]


@pytest.mark.parametrize("correct", [bias, potential])
@pytest.mark.parametrize("name", SIZES)
def test_each_layer_is_corrected_by_its_lack_behind_those_corrected_before(name, correct):
    """Against layer by layer, each time through the whole network and by plain loops."""
    ann, network, x = before_calibration(name, 4)
    _, slow, _ = before_calibration(name, 4)
    calibrate(network, ann, x, correct)
    for place in slow.places:
        fires, wanted, sent = slow.network.get_submodule(place), output_of(ann, place, x), output_of(slow.network, place, x, slow)
        wanted = wanted.reshape(16, *sent.shape[-3:] if sent.dim() > 3 else sent.shape[-1:])
        sent = sent.reshape(4, *wanted.shape)
        lack, neuron = wanted - sent.mean(0), fires.neuron
        if correct is bias:
            lack = lack.transpose(0, 1).flatten(1).mean(1).view(-1, *[1] * (lack.dim() - 2))
            fires.neuron = calibrated.neuron(theta=neuron.theta, bias=neuron.bias + lack, start=neuron.start)
        else:
            fires.neuron = calibrated.neuron(theta=neuron.theta, bias=neuron.bias, start=4 * lack.mean(0) / neuron.theta)
        now = network.neurons()[place]
        torch.testing.assert_close((now.bias, now.start), (fires.neuron.bias, fires.neuron.start), rtol=0, atol=1e-9)
    assert all(neuron.bias.numel() > 1 if correct is bias else neuron.start.numel() > 1 for neuron in network.neurons().values())


@pytest.mark.parametrize("correct", [bias, potential])
def test_calibration_comes_nearer_to_the_artificial_network(correct):
    ann, network, x = before_calibration("resnet", 4)
    before = error(network(x).mean(0), answers(ann, x))
    calibrate(network, ann, x, correct)
    assert error(network(x).mean(0), answers(ann, x)) < 0.8 * before


def test_weights_change_in_the_spiking_network_alone_and_lessen_each_layers_error():
    ann, network, x = before_calibration("resnet", 4)
    kept = {name: value.clone() for name, value in ann.state_dict().items()}
    errors = []

    def watched(layer):
        """The error of the rounded mean before and after."""
        torch.manual_seed(0)
        for correct in (lambda _: None, weights(60, 1e-3, 16)):
            correct(layer)
            theta = layer.fires.neuron.theta
            sent = (layer.got.mean(0) / theta * 4).clamp(0, 4).floor() * theta / 4
            errors.append((sent - layer.wanted).square().sum(1).mean().item())

    calibrate(network, ann, x, watched)
    assert len(errors) == 2 * len(network.places)
    assert all(after < before for before, after in zip(errors[::2], errors[1::2], strict=True))
    assert all(torch.equal(value, kept[name]) for name, value in ann.state_dict().items())


def test_a_step_of_weights_is_descent_on_the_folded_weights_by_hand():
    """One step of the first layer: its folded weights move by the rate times the gradient, straight through the rounding."""
    ann, network, x = before_calibration("resnet", 4)
    seen = []

    def once(layer):
        if seen:
            return
        weight, norm = layer.synapse.weight.detach().clone(), layer.norm
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).view(-1, 1, 1, 1)
        with torch.enable_grad():
            moved = (weight * scale).requires_grad_()
            shift = norm.bias - norm.running_mean * scale.flatten()
            y = torch.nn.functional.conv2d(layer.given[0], moved, shift, layer.synapse.stride, layer.synapse.padding)
            theta = layer.fires.neuron.theta
            rounded = (y / theta * 4).clamp(0, 4).floor() * theta / 4
            inside = ((y > 0) & (y < theta)).double()
            error_ = ((rounded.detach() - layer.wanted) * 2 * inside * y).sum(1).mean()
            (gradient,) = torch.autograd.grad(error_, moved)
        weights(1, 0.5, 16)(layer)
        seen.append((layer.synapse.weight * scale, weight * scale - 0.5 * gradient))

    calibrate(network, ann, x, once)
    torch.testing.assert_close(*seen[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "method",
    [
        SNNCalibration(**{**SNNCalibration.params, "iterations": 2, "samples": 8, "images": 8, "batches": 2}),
        SNNCalibration(**{**SNNCalibration.params, "calibration": "light", "threshold": "channel", "images": 8, "batches": 2}),
        ParameterCalibration(**{**ParameterCalibration.params, "images": 8, "batches": 2}),
        ParameterCalibration(**{**ParameterCalibration.params, "calibration": "light", "images": 8, "batches": 2}),
    ],
)
def test_calibrated_methods_come_near_the_artificial_network_with_time(method):
    ann, x, errors = relus("resnet"), images(4), []
    for count in (2, 32):
        ann.steps = count
        network = method.start(ann, {"ann": ann}, iter(images(20, seed=7).split(5)))
        errors.append(error(network(x).mean(0), answers(ann, x)))
    assert errors[1] < 0.5 * errors[0] and errors[1] < 0.2


# ---- Fast-SNN


def three_bits():
    """A VGG with its activations, and it converted."""
    family, size, layout = SIZES["vgg"]
    ann = alive(FastSNNANN(levels=7, clip=2.0).start(project(family, size, layout), {}, iter(()))).double()
    ann.steps = 7
    with_clips(ann, 2.0).train()
    for _ in range(60):  # statistics that are those of its images, as training leaves them: tuning moves them there
        answers(ann, images(32))
    return ann.eval()


def test_a_convolution_takes_over_the_stride_of_the_pool_behind_it():
    family, size, layout = SIZES["vgg"]
    network = strided(project(family, size, layout))
    convolutions = [module.stride for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert convolutions == [(2, 2), (1, 1), (2, 2)] and not any(isinstance(module, torch.nn.AvgPool2d) for module in network.modules())
    assert network(images(2).float()).shape == (1, 2, 10)


def test_spikes_taken_back_and_tuned_layers_come_nearer_to_the_artificial_network():
    ann, x = three_bits(), images(32)
    kept = {name: value.clone() for name, value in ann.state_dict().items()}
    params = {**FastSNN.params, "images": 32, "size": 32, "epochs": 40, "rate": 0.3}
    errors = []
    for changes in ({"tuning": "none", "back": -100.0}, {"tuning": "none"}, {}):
        network = FastSNN(**{**params, **changes}).start(ann, {"ann": ann}, iter([x]))
        errors.append(error(network(x).mean(0), answers(ann, x)))
    assert errors[2] < errors[1] < errors[0]
    assert all(torch.equal(value, kept[name]) for name, value in ann.state_dict().items())


def test_a_step_of_tuning_by_hand():
    """Gradient descent on layer and normalisation, the error at what was sent, the activation's derivative 1 inside and 0 outside."""
    ann, x = three_bits(), images(16)
    network = FastSNN(**{**FastSNN.params, "tuning": "none"}).start(ann, {"ann": ann}, iter([x]))
    place = network.places[1]
    expected, found = [], []

    def watched(layer):
        conv, norm = layer.synapse, layer.norm
        weight, gain, shift = (value.detach().clone().requires_grad_() for value in (conv.weight, norm.weight, norm.bias))
        with torch.enable_grad():
            y = torch.nn.functional.conv2d(layer.given.mean(0), weight, conv.bias, conv.stride, conv.padding)
            mean, variance = y.mean((0, 2, 3), keepdim=True), y.var((0, 2, 3), unbiased=False, keepdim=True)
            y = (y - mean) / (variance + norm.eps).sqrt() * gain[:, None, None] + shift[:, None, None]
            sent = layer.fires.neuron(layer.got).mean(0)
            layer.fires.neuron.reset()
            pull = 2 * (sent - layer.wanted) / sent.numel() * ((y > 0) & (y < 2))
            gradients = torch.autograd.grad((pull.detach() * y).sum(), (weight, gain, shift))
        before = (weight, gain, shift)
        expected.extend((old - 0.1 * (grad + 1e-4 * old)).detach() for old, grad in zip(before, gradients, strict=True))
        Tuning(ann.get_submodule(place), 0.1)(layer)
        found.extend(value.detach() for value in (conv.weight, norm.weight, norm.bias))

    calibrate(network, ann, x, watched, place)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# ---- QFFS


@pytest.mark.parametrize("levels", [4, 16])
@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_with_its_levels_as_steps_taking_spikes_back_comes_nearer_to_the_artificial_network(name, levels):
    ann, x = with_clips(quantised(name, levels=levels), 2.0), images(8)
    network, plain = (converted(method, ann, levels) for method in (QFFS(**QFFS.params), QCFS(**QCFS.params)))
    wanted = answers(ann, x)
    assert error(network(x).mean(0), wanted) < 0.9 * error(plain(x).mean(0), wanted)
    sent = [output_of(network.network, place, x, network) for place in network.places]
    assert any((one < 0).any() for one in sent) and all({*(one / 2).unique().tolist()} <= {-1.0, 0.0, 1.0} for one in sent)
