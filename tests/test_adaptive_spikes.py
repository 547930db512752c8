"""Dspike's walk of its temperature against its definition, and Real Spike's folded network against the unfolded one."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional as state
from torch import nn
from torch.nn import functional

from benchmark.backbones import resnet
from benchmark.measuring.counter import Counter
from benchmark.neurons import dspike, maker
from benchmark.neurons._base import Neuron
from benchmark.shared.errors import UserError
from methods.dspike import DspikeTraining, agreement, first_weight, neurons
from methods.real_spike import Factors, RealSpike, with_factors

SMALL = {"stem": 2, "widths": [4, 6], "depths": [2, 1], "hidden": 0}


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def built(method):
    torch.manual_seed(0)
    return resnet.build(SMALL, resnet.LAYOUTS["cifar"], maker(method.neuron), 10, (3, 8, 8), 3)


# ---- Dspike


def walked(**params):
    """A network, the method, and a batch."""
    method = DspikeTraining(**{**DspikeTraining.params, "epsilon": 0.05, **params})
    return (
        method.start(built(method), {}, iter(())).double().train(),
        method,
        drawn(6, 3, 8, 8),
        functional.one_hot(torch.arange(6), 10).double(),
    )


def test_differences_are_the_losss_own():
    network, method, x, y = walked()
    found, weight = method.differences(network, x, y), first_weight(network)
    before = weight.detach().clone()
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2, 0, 1] = before[1, 2, 0, 1] + sign * 0.05
            sides.append(-(y * network(x).mean(0).log_softmax(1)).sum(1).mean().item())
        state.reset_net(network)
        weight.data.copy_(before)
    assert found[1, 2, 0, 1].item() == pytest.approx((sides[0] - sides[1]) / 0.1, rel=1e-4, abs=1e-6)
    assert found.count_nonzero() > 40 and found.shape == weight.shape


def test_the_temperature_nearest_to_the_differences_stays_in_all_layers():
    network, method, x, y = walked(step=1.0)
    weights, buffers = copy.deepcopy(dict(network.named_parameters())), copy.deepcopy(network.state_dict())
    wanted = method.differences(copy.deepcopy(network), x, y)
    tried = {b: agreement(copy.deepcopy(network), b, x, y, wanted) for b in (3.0, 4.0, 2.0)}
    method.before_epoch(network, x, y)
    assert {neuron.temperature.item() for neuron in neurons(network)} == {max(tried, key=tried.get)} and len(set(tried.values())) == 3
    assert all(torch.equal(value, weights[name]) and value.grad is None for name, value in network.named_parameters())
    assert all(torch.equal(value, buffers[name]) for name, value in network.state_dict().items() if "temperature" not in name)
    for neuron in neurons(network):
        neuron.temperature.fill_(0.5)
    method.before_epoch(network, x, y)
    assert {neuron.temperature.item() for neuron in neurons(network)} <= {0.5, 1.5}  # never below 0


def test_a_temperature_moves_the_gradient_and_no_spike():
    x = drawn(4, 2, 30)
    slopes = []
    for temperature in (0.01, 3.0, 6.0):
        layer, given = dspike.neuron(decay=0.25, v_threshold=0.5, temperature=temperature).double(), x.clone().requires_grad_()
        sent = layer(given)
        sent.sum().backward()
        slopes.append((sent.detach(), given.grad))
    assert torch.equal(slopes[0][0], slopes[2][0]) and not torch.equal(slopes[1][1], slopes[2][1])
    assert slopes[0][1][-1].unique().numel() <= 4 or torch.allclose(slopes[0][1][-1].unique().max(), torch.tensor(1.0).double(), atol=1e-4)
    with pytest.raises(UserError, match="temperature is 0"):
        dspike.neuron(decay=0.25, v_threshold=0.5, temperature=0)


# ---- Real Spike


def pair():
    """The method's network, the same before any folding, whose neurons send factors times spikes, and the factors of both (1/2 to 3/2)."""
    plain = built(RealSpike(**RealSpike.params)).double()
    folded = with_factors(copy.deepcopy(plain))
    factors = list({id(part.factors): part.factors for part in folded.modules() if isinstance(part, Factors)}.values())
    layers = [module for module in plain.modules() if isinstance(module, Neuron)]
    for index, each in enumerate(factors):
        each.data = 1 + 0.5 * torch.tanh(drawn(*each.shape, seed=index))
    values = [each.detach().flatten().clone().requires_grad_() for each in factors]
    for layer, value in zip(layers, values, strict=True):
        layer.register_forward_hook(lambda module, inputs, sent, value=value: sent * value[:, None, None])
    return folded, plain, factors, values


def trained(network, factors):
    """Weights of the layers but those of factors, in the order of the layers."""
    found = []
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not any(module.weight is each for each in factors):
            found.append(module.parametrizations.weight.original if hasattr(module, "parametrizations") else module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            found += [module.weight, module.bias]
    return found


def test_the_folded_network_is_the_unfolded_one_with_its_gradients():
    folded, plain, factors, values = pair()
    x = drawn(4, 3, 8, 8)
    a, b = folded(x), plain(x)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    for output in (a, b):
        (output * drawn(*output.shape, seed=5)).sum().backward()
    assert len(factors) == 7 and all(value.grad.any() for value in values)
    for own, value in zip([*trained(plain, ()), *values], [*trained(folded, factors), *factors], strict=True):
        torch.testing.assert_close(own.grad.flatten(), value.grad.flatten(), rtol=1e-9, atol=1e-12)


def test_what_is_counted_are_binary_spikes():
    folded, *_ = pair()
    counter = Counter()
    with counter.watching(folded.eval(), 3), torch.no_grad():
        folded(drawn(4, 3, 8, 8))
        counter.seen(4)
    behind = [record for record in counter.records.values() if record.kind == "conv" and not record.first]
    assert len(behind) == 2 * 3 + 1 + 2 and all(record.input_kind == "binary" for record in behind)
