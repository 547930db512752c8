"""Directly trained cited works: losses by hand, neurons and normalisations against loops written from their equations, folding exact."""

import math

import pytest
import torch
from spikingjelly.activation_based import functional as state
from torch import nn
from torch.nn import functional

from benchmark.backbones import resnet, vgg
from benchmark.measuring.counter import Counter
from benchmark.method import Outputs
from benchmark.networks.layers import Residual, Sum
from benchmark.networks.projection import Projected
from benchmark.networks.replacing import SUMMED, ThresholdBatchNorm2d, folded
from benchmark.neurons import glif, lsg, maker, mpbn
from benchmark.neurons._base import Neuron
from benchmark.neurons._surrogates import surrogate_function
from methods.glif import GLIF
from methods.lsg import LSG
from methods.mpbn import MPBN
from methods.pfa import PFA
from methods.tdbn import TDBN
from methods.tet import TET

STEPS, CLASSES = 3, 10
SMALL = {"stem": 4, "widths": [4, 8], "depths": [2, 1], "hidden": 0}
FOUR = {"stem": 4, "widths": [4, 6, 8, 10], "depths": [1, 1, 1, 1], "hidden": 0}


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def started(method, size=SMALL, layout="cifar", classes=CLASSES, family=resnet):
    """A tiny network as the method trains it, in double precision, its normalisations scattered."""
    torch.manual_seed(0)
    network = family.build(size, family.LAYOUTS[layout], maker(method.neuron), classes, (3, 16, 16), STEPS)
    network = method.start(network, {}, iter(())).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1.0, 2.0)
            nn.init.uniform_(module.bias, 0.0, 0.5)
    return network


def ran(network, x):
    logits = network(x)
    state.reset_net(network)
    return logits


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


# ---- TET


def test_tets_loss_by_hand():
    """Steps of logits (ln 3, 0) and (0, 0), label 0: CE ln 4/3 and ln 2; squares around 1: (ln 3 - 1)^2, 1, 1, 1."""
    logits = torch.tensor([[[math.log(3), 0.0]], [[0.0, 0.0]]])
    terms = TET(lam=0.25).loss(Outputs(logits), None, torch.tensor([[1.0, 0.0]]), None)
    assert float(terms["task"]) == pytest.approx(0.75 * (math.log(4 / 3) + math.log(2)) / 2)
    assert float(terms["bound"]) == pytest.approx(0.25 * ((math.log(3) - 1) ** 2 + 3) / 4)


def test_tet_holds_every_step_to_the_label_and_plain_training_their_mean():
    logits = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]]], requires_grad=True)
    TET(lam=0.0).loss(Outputs(logits), None, torch.tensor([[1.0, 0.0]]), None)["task"].backward()
    assert logits.grad[1].abs().max() > 20 * logits.grad[0].abs().max()


# ---- tdBN


def test_threshold_normalisation_is_its_equation():
    norm, x = ThresholdBatchNorm2d(3, 0.35).double(), drawn(8, 3, 4, 5)
    nn.init.uniform_(norm.weight, 0.5, 2.0)
    nn.init.uniform_(norm.bias, -0.5, 0.5)
    y = norm(x)
    for channel in range(3):
        values = x[:, channel]
        mean = values.sum() / values.numel()
        variance = ((values - mean) ** 2).sum() / values.numel()
        expected = 0.35 * norm.weight[channel] * (values - mean) / (variance + 1e-5) ** 0.5 + norm.bias[channel]
        torch.testing.assert_close(y[:, channel], expected)
        assert norm.running_mean[channel] == pytest.approx(float(0.1 * mean))
        assert norm.running_var[channel] == pytest.approx(float(0.9 + 0.1 * variance * 160 / 159))


@pytest.mark.parametrize("method", [TDBN, GLIF])
def test_what_is_summed_is_scaled_by_the_root_of_a_half(method):
    network = started(method())
    scales = {id(norm): norm.scale for norm in norms(network)}
    assert len(scales) == len(norms(network)) and set(scales.values()) == {0.5, 0.5 * SUMMED}
    summed = [part for part in network.modules() if isinstance(part, (Residual, Sum))]
    assert len(summed) == 3
    for part in summed:
        first, *others = norms(part)
        assert scales[id(first)] == 0.5 and all(scales[id(norm)] == 0.5 * SUMMED for norm in others)
        assert len(others) == (1 if isinstance(part, Residual) else 2)
    assert scales[id(norms(network.stem)[0])] == 0.5


def test_a_folded_threshold_normalisation_is_the_convolution():
    network = started(TDBN())
    x = drawn(4, 3, 16, 16)
    ran(network, x)
    network.eval()
    logits, convolutions = ran(network, x), [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    parts = {name: module for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))}
    names = list(parts)
    for before, after in zip(names[::2], names[1::2], strict=True):
        weight, bias = folded(parts[before], parts[after])
        with torch.no_grad():
            parts[before].weight.copy_(weight)
        parts[before].bias = nn.Parameter(bias.detach())
        network.set_submodule(after, nn.Identity())
    assert len(convolutions) == len(names) // 2 and not norms(network)
    torch.testing.assert_close(ran(network, x), logits)
    assert logits.std(1).mean() > 1e-3


# ---- MPBN


def mpbn_in_loops(x, weight, bias, channels):
    """Spikes of the equations in the file, in training: the statistics of each step's own membranes."""
    fire, v, spikes = surrogate_function("tanh", 3.0), torch.zeros_like(x[0]), []
    for current in x:
        h = 0.25 * v + current
        dims = tuple(dim for dim in range(h.dim()) if not channels or dim != 1)
        mean, shape = h.mean(dims, keepdim=True), [-1, *[1] * (h.dim() - 2)] if channels else [1]
        deviation = ((h - mean).square().mean(dims, keepdim=True) + 1e-5).sqrt()
        spikes.append(fire(weight.reshape(shape) * (h - mean) / deviation + bias.reshape(shape) - 0.5))
        v = h * (1 - spikes[-1])
    return torch.stack(spikes)


@pytest.mark.parametrize("channels", [0, 5])
@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3, 3)], ids=["vectors", "maps"])
def test_mpbn_is_its_equations(channels, shape):
    node = mpbn.neuron(**{**mpbn.EXAMPLE, "channels": channels}).double()
    nn.init.uniform_(node.weight, 0.5, 2.0)
    nn.init.uniform_(node.bias, -0.3, 0.5)
    x, slow = drawn(*shape).requires_grad_(), drawn(*shape).requires_grad_()
    learned = [value.detach().clone().requires_grad_() for value in (node.weight, node.bias)]
    sent, expected, weights = node(x), mpbn_in_loops(slow, *learned, channels), drawn(*shape, seed=1)
    (sent * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(sent, expected) and 0.1 < sent.mean() < 0.6
    torch.testing.assert_close([x.grad, node.weight.grad, node.bias.grad], [slow.grad, *(value.grad for value in learned)])


def test_in_inference_mpbn_is_a_lif_with_a_threshold_for_each_channel():
    """Also where a weight is negative: there it fires up to its threshold. And no normalisation is left to be counted."""
    node, x = mpbn.neuron(**{**mpbn.EXAMPLE, "channels": 5}).double(), drawn(6, 40, 5, 4, 4)
    node.weight.data = torch.tensor([0.5, 1.0, 2.0, -1.0, 1.5], dtype=torch.float64)
    node.bias.data = torch.tensor([0.1, -0.2, 0.3, 0.0, 0.6], dtype=torch.float64)
    node(x)
    state.reset_net(node)
    node.eval()
    counter = Counter()
    with counter.watching(node, 6), torch.no_grad():
        sent = node(x)
    assert [record.kind for record in counter.records.values()] == ["neuron"]
    threshold, sign, v = (value.reshape(-1, 1, 1) if torch.is_tensor(value) else value for value in (
        node.folded_threshold().detach(), node.weight.detach().sign(), 0.0))  # fmt: skip
    for now, spike in zip(x, sent, strict=True):
        h = 0.25 * v + now
        fires = (sign * (h - threshold) >= 0).double()
        assert torch.equal(fires, spike)
        v = h * (1 - fires)
    assert all(0.05 < rate < 0.95 for rate in sent.mean((0, 1, 3, 4)))


@pytest.mark.parametrize("family", [resnet, vgg])
def test_every_neuron_of_mpbn_knows_its_channels(family):
    size = SMALL | {"hidden": 7} if family is resnet else {"widths": [4, 8], "convolutions": [1, 2], "pools": [1, 1]}
    network, widths = started(MPBN(), size, family=family), []
    for module in network.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda node, inputs, _: widths.append((node.channels, inputs[0].shape[2])))
    ran(network, drawn(2, 3, 16, 16))
    assert widths and all(known == given for known, given in widths) and len(set(widths)) > 1


def test_mpbns_imagenet_form_pools_by_means():
    network = started(MPBN(), SMALL | {"pool": "average"}, "imagenet")
    assert any(isinstance(module, nn.AvgPool2d) for module in network.stem.modules())
    assert not any(isinstance(module, nn.MaxPool2d) for module in network.modules())


# ---- GLIF


def glif_in_loops(x, p):
    """Spikes of one channel, from the equations in the file; p: the shares by name, w[t] among them."""
    fire, v, s, spikes = surrogate_function("rect", 1.0), torch.zeros_like(x[0]), torch.zeros_like(x[0]), []
    a, b, g = p["gate_leak"], p["gate_input"], p["gate_reset"]
    for t, current in enumerate(x):
        leaked = a * p["decay"] * v + (1 - a) * v
        kept = leaked - g * s * leaked - (1 - a) * p["leak"] - (1 - g) * p["fall"] * s
        v = kept + b * p["w"][t] * current + (1 - b) * current
        s = fire(v - p["v_threshold"])
        spikes.append(s)
    return torch.stack(spikes)


def test_glif_is_its_equations():
    """Every value scattered over five channels; after the last input weight it goes on."""
    node = glif.neuron(**{**glif.EXAMPLE, "channels": 5, "steps": 3}).double()
    for index, parameter in enumerate(node.parameters()):
        parameter.data += 0.5 * drawn(5, seed=10 + index)
    x, slow, weights = drawn(4, 6, 5, 3, 3).requires_grad_(), drawn(4, 6, 5, 3, 3).requires_grad_(), drawn(4, 6, 5, 3, 3, seed=1)
    learned = {name: value.detach().clone().requires_grad_() for name, value in node.named_parameters()}
    expected = []
    for channel in range(5):
        shares = {name: value[channel].sigmoid() for name, value in learned.items()}
        shares["w"] = [shares[f"weight.{min(t, 2)}"] for t in range(4)]
        expected.append(glif_in_loops(slow[:, :, channel], shares))
    sent, expected = node(x), torch.stack(expected, 2)
    (sent * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(sent, expected) and 0.1 < sent.mean() < 0.6
    torch.testing.assert_close(x.grad, slow.grad)
    for name, value in node.named_parameters():
        torch.testing.assert_close(value.grad, learned[name].grad, msg=name)
        assert value.grad.any(), name


def test_glif_starts_at_its_constants_and_a_half_of_its_gates():
    node = glif.neuron(**{**glif.EXAMPLE, "channels": 2})
    shares = {name: value.sigmoid()[0].item() for name, value in node.named_parameters()}
    assert shares["decay"] == pytest.approx(0.25) and shares["v_threshold"] == pytest.approx(0.5) == shares["fall"]
    assert shares["leak"] == pytest.approx(0.0625) and shares["weight.3"] == pytest.approx(0.5)
    gates = [value for name, value in started(GLIF()).named_parameters() if "gate_" in name]
    assert all(gate.abs().max() <= 0.1 and gate.any() for gate in gates)
    fixed = {name.rpartition(".")[2]: value for name, value in started(GLIF(gates="fixed")).named_parameters() if "gate_" in name}
    assert {name: round(value.sigmoid()[0].item(), 6) for name, value in fixed.items()} == {
        "gate_leak": 0.55, "gate_input": 0.65, "gate_reset": 0.55,
    }  # fmt: skip


@pytest.mark.parametrize(("strides", "sides"), [("official", [16, 16, 8, 4]), ("usual", [16, 8, 4, 2])])
def test_glifs_resnet_18_halves_the_image_in_its_last_two_stages(strides, sides):
    network, seen = started(GLIF(strides=strides), FOUR), []
    for block in network.blocks:
        block.register_forward_hook(lambda _, __, y: seen.append(y.shape[-1]))
    ran(network, drawn(2, 3, 16, 16))
    assert seen == sides


def test_glifs_identities_are_normalised_and_its_classifier_has_no_bias():
    few, many = started(GLIF()), started(GLIF(), classes=100)
    assert not any(isinstance(module, Residual) for module in few.modules())
    linear = [[module for module in network.modules() if isinstance(module, nn.Linear)] for network in (few, many)]
    assert [len(found) for found in linear] == [2, 1] and all(module.bias is None for found in linear for module in found)
    assert all(len(node.weight) == STEPS for node in few.modules() if isinstance(node, Neuron))


# ---- LSG


def lsg_in_loops(x, b):
    """Spikes of the equations in the paper's letters: beta = sigmoid(b), u, the threshold 0.5, a rectangle of width alpha."""
    beta, v, spikes = b.sigmoid(), torch.zeros_like(x[0]), []
    alpha = 2 * 0.5 * (1 + beta.item() ** 2) ** 0.5
    for current in x:
        u = beta * v + current
        slope = ((u - 0.5).abs() < alpha / 2).to(u) / alpha
        spikes.append((u >= 0.5).to(u) + slope * (u - u.detach()))
        v = u * (1 - spikes[-1])
    return torch.stack(spikes)


@pytest.mark.parametrize("b", [-1.4, 0.0, 2.0])
def test_lsg_is_its_equations(b):
    node, b = lsg.neuron(**lsg.EXAMPLE).double(), torch.tensor(b, dtype=torch.float64, requires_grad=True)
    node.w.data = -b.detach()
    x, slow, weights = drawn(4, 6, 5).requires_grad_(), drawn(4, 6, 5).requires_grad_(), drawn(4, 6, 5, seed=1)
    sent, expected = node(x), lsg_in_loops(slow, b)
    (sent * weights).sum().backward()
    (expected * weights).sum().backward()
    assert torch.equal(sent, expected) and 0.1 < sent.mean() < 0.6
    torch.testing.assert_close([x.grad, -node.w.grad], [slow.grad, b.grad])


def test_lsgs_window_widens_as_the_decay_grows():
    """A decay of 0.2 makes it 1.0198 wide around 0.5, the membrane at the start is the current."""
    node = lsg.neuron(**lsg.EXAMPLE)
    assert node.w.sigmoid().item() == pytest.approx(0.8)
    for w, half in ((math.log(4), 0.5099), (-math.log(4), 0.6403)):
        node.w.data.fill_(w)
        x = torch.tensor([[0.5 - half - 1e-3, 0.5 - half + 1e-3, 0.5 + half - 1e-3, 0.5 + half + 1e-3]], requires_grad=True)
        node(x).sum().backward()
        state.reset_net(node)
        assert x.grad.flatten().tolist() == pytest.approx([0, 1 / (2 * half), 1 / (2 * half), 0], abs=1e-3)


# ---- PFA


def test_projected_attention_is_its_outer_products():
    attention, x = Projected(3, 4, 2).double(), drawn(3, 2, 4, 5, 6)
    found, expected = attention(x), torch.zeros_like(x)
    for image in range(2):
        of = x[:, image]  # [T, C, H, W]
        places = functional.conv2d(of.mean(1), attention.positions.weight, attention.positions.bias, padding=1).sigmoid()
        mean = of.mean((2, 3))
        for t in range(3):
            for c in range(4):
                factor = torch.zeros(5, 6, dtype=x.dtype)
                for r in range(2):
                    step = (mean[t] @ attention.steps.weight[r] + attention.steps.bias[r]).sigmoid()
                    channel = (mean[:, c] @ attention.channels.weight[r] + attention.channels.bias[r]).sigmoid()
                    factor += places[r] * step * channel / 2
                expected[t, image, c] = (factor * of[t, c]).clamp(min=0)
    torch.testing.assert_close(found, expected)
    assert (found > 0).any() and (found == 0).any()


def test_pfa_stands_in_front_of_each_stage():
    network, seen = started(PFA(rank=3)), []
    for name, module in network.named_modules():
        if isinstance(module, Projected):
            seen.append((name, module.steps.in_features, module.channels.in_features, module.steps.out_features))
    assert seen == [("stem.2", 4, STEPS, 3), ("blocks.1.2", 4, STEPS, 3)] and network.causal is False
    images = drawn(2, 3, 16, 16)
    spikes, weighed = [], []
    network.stem[1].register_forward_hook(lambda *_: spikes.append(_[2]))
    network.blocks[0].register_forward_hook(lambda *_: weighed.append(_[1][0]))
    ran(network, images)
    assert set(spikes[0].unique().tolist()) == {0, 1} and len(weighed[0].unique()) > 2 and (weighed[0][spikes[0] == 0] == 0).all()


# ---- all of them


@pytest.mark.parametrize("method", [TET, TDBN, MPBN, GLIF, LSG, PFA], ids=lambda method: method.__name__)
def test_a_started_network_is_alive_and_learns_everywhere(method):
    network, x = started(method()), drawn(8, 3, 16, 16)
    spikes = []
    for module in network.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda _, __, y: spikes.append(float(y.detach().mean())))
    logits = network(x)
    target = functional.one_hot(torch.arange(8) % CLASSES, CLASSES).double()
    sum(method().loss(Outputs(logits), None, target, None).values()).backward()
    assert spikes and all(0.01 < rate < 0.99 for rate in spikes)
    assert all(value.grad is not None and value.grad.isfinite().all() for value in network.parameters())


def test_events_are_made_smaller_before_the_first_convolution():
    network = resnet.build(SMALL, resnet.LAYOUTS["dvs"], maker(TDBN.neuron), CLASSES, (2, 16, 16), STEPS).double()
    seen = []
    next(module for module in network.modules() if isinstance(module, nn.Conv2d)).register_forward_hook(lambda _, x, __: seen.append(x[0]))
    x = drawn(STEPS, 2, 2, 16, 16).abs()
    ran(network, x)
    torch.testing.assert_close(seen[0].unflatten(0, (STEPS, 2))[:, :, :, 1, 2], x[..., 3:6, 6:9].mean((3, 4)))
