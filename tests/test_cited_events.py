"""Cited systems of event cameras, and of ImageNet with the same attention: LIAF-Net, TA-SNN, Attention-SNN, DECOLLE, DSR, against slow loops."""

import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.backbones import decolle_net, dsr_vgg, liaf_net, ms_resnet, ta_snn
from benchmark.measuring import checks
from benchmark.method import Outputs
from benchmark.networks.excitation import Attended, Excitation, Positions
from benchmark.networks.layers import First, Residual, Sum
from benchmark.neurons import decolle, dsr, liaf, maker
from benchmark.neurons._base import Neuron
from benchmark.training.outputs import Tapped
from methods.decolle import DECOLLE, read, readout
from methods.liaf_net import LIAFNet
from methods.ta_snn import TASNN

SMALL = {"widths": [4, 8, 8], "pools": [1, 2, 2], "down": 2, "hidden": 12, "alpha": 2.0}


def events(steps=6, batch=3, side=16):
    return torch.randint(0, 4, (steps, batch, 2, side, side), generator=torch.Generator().manual_seed(0)).float()


def network(family, **changes):
    torch.manual_seed(0)
    return family.build({**SMALL, "ratio": 2, **changes}, {}, maker(family.NEURON), 10, (2, 16, 16), 6)


# ---- neuron


def test_liaf_by_hand():
    """Currents 0.2, 0.2, -1 and 0.5 with decay 0.5 and threshold 0.3: no spike, a spike, none, a spike."""
    node = liaf.neuron(decay=0.5, v_threshold=0.3, v_reset=0.0, surrogate="rect", alpha=2.0)
    sent = node(torch.tensor([0.2, 0.2, -1.0, 0.5])[:, None])
    assert sent[:, 0].tolist() == pytest.approx([0.2, 0.3, 0.0, 0.0])
    to_threshold = liaf.neuron(decay=0.5, v_threshold=0.3, v_reset=0.3, surrogate="rect", alpha=2.0)
    assert to_threshold(torch.tensor([0.4, 0.0])[:, None])[:, 0].tolist() == pytest.approx([0.4, 0.15])


def test_liaf_gradient_of_the_reset_by_hand():
    """u1 = x1, u2 = x2 + decay (s1 v_reset + (1 - s1) u1): d u2 / d x1 = decay ((1 - s1) + (v_reset - u1) ds1), ds1 = alpha in the window."""
    for x1, inside, fires in ((0.2, True, 0), (0.4, True, 1), (0.9, False, 1)):
        x = torch.tensor([[x1], [1.0]], requires_grad=True)
        liaf.neuron(decay=0.5, v_threshold=0.3, v_reset=0.1, surrogate="rect", alpha=2.0)(x)[1].sum().backward()
        assert x.grad[0].item() == pytest.approx(0.5 * ((1 - fires) + (0.1 - x1) * (2.0 if inside else 0.0))), x1


# ---- attention


def test_excitation_over_time_is_its_loop():
    layer, x = Excitation(0, 6, 2), torch.randn(6, 3, 4, 5, 5)
    factors = layer(x)
    assert factors.shape == (6, 3, 1, 1, 1)
    for image in range(3):
        statistics = [torch.stack([getattr(x[t, image], name)() for t in range(6)]) for name in ("mean", "max")]
        expected = sum(layer.second.weight @ (layer.first.weight @ each).clamp(min=0) for each in statistics).sigmoid()
        torch.testing.assert_close(factors[:, image, 0, 0, 0], expected)
    assert layer(x.mean((3, 4))).shape == (6, 3, 1)


def test_excitation_over_channels_is_its_loop():
    layer, x = Excitation(2, 4, 2), torch.randn(6, 3, 4, 5, 5)
    factors = layer(x)
    assert factors.shape == (1, 3, 4, 1, 1)
    for image in range(3):
        statistics = [torch.stack([getattr(x[:, image, c], name)() for c in range(4)]) for name in ("mean", "max")]
        expected = sum(layer.second.weight @ (layer.first.weight @ each).clamp(min=0) for each in statistics).sigmoid()
        torch.testing.assert_close(factors[0, image, :, 0, 0], expected)


def test_positions_are_weighed_by_mean_and_maximum():
    layer, x = Positions(), torch.randn(6, 3, 4, 5, 5)
    factors = layer(x)
    assert factors.shape == (1, 3, 1, 5, 5)
    for image in range(3):
        flat = x[:, image].reshape(24, 5, 5)
        expected = layer.convolution(torch.stack([flat.mean(0), flat.max(0).values])[None]).sigmoid()[0, 0]
        torch.testing.assert_close(factors[0, image, 0], expected)


def test_attentions_follow_each_other_and_are_rectified():
    x, first, second = torch.randn(6, 3, 4, 5, 5), Excitation(2, 4, 2), Positions()
    once = first(x) * x
    torch.testing.assert_close(Attended(first, second)(x), (second(once) * once).clamp(min=0))


# ---- networks


@pytest.mark.parametrize(("family", "attentions"), [(liaf_net, 0), (ta_snn, 5)])
def test_layers_and_attentions_of_event_networks(family, attentions):
    model, x, sizes = network(family), events(), []
    for module in model.modules():
        if isinstance(module, Neuron):
            assert module.sends == "graded" and module.fire.alpha == 2.0
            module.register_forward_hook(lambda _, __, sent: sizes.append(tuple(sent.shape[2:])))
    assert sum(isinstance(module, Excitation) for module in model.modules()) == attentions
    assert model(x).shape == (6, 3, 10)
    assert sizes == [(4, 8, 8), (8, 4, 4), (8, 2, 2), (12,), (10,)]


def test_surrogates_width_is_the_sizes():
    model = network(liaf_net, alpha=1.0)
    assert {module.fire.alpha for module in model.modules() if isinstance(module, Neuron)} == {1.0}


def test_events_of_a_square_are_added_up():
    x = events()
    pooled = liaf_net.SumPool(2)(x.flatten(0, 1))
    assert torch.equal(pooled, x.flatten(0, 1).unflatten(2, (8, 2)).unflatten(4, (8, 2)).sum((3, 5)))
    first = next(module for module in network(liaf_net).modules() if isinstance(module, First))
    assert isinstance(first[0], liaf_net.SumPool) and first[0].kernel_size == 2


def test_a_convolution_block_is_its_equation():
    model, x = network(liaf_net).train(), events()
    found = model.stem(x)
    convolution, norm = (module for module in model.stem.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)))
    merged = x.flatten(0, 1).unflatten(2, (8, 2)).unflatten(4, (8, 2)).sum((3, 5))
    merged = nn.functional.batch_norm(convolution(merged), None, None, norm.weight, norm.bias, True).unflatten(0, (6, 3))
    h, expected = 0.0, []
    for current in merged:
        u = h + current
        spikes = (u >= 0.3).float()
        expected.append(u.clamp(min=0))
        h = 0.3 * (0.3 * spikes + (1 - spikes) * u)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "known"), [(liaf_net, True), (ta_snn, False)])
def test_only_attention_over_time_sees_later_steps(family, known):
    model, x = network(family).eval(), events()
    first = model(x)[0]
    functional.reset_net(model)
    later = x.clone()
    later[3:] = 7
    assert torch.allclose(model(later)[0], first) == known == getattr(model, "causal", True)


def test_checks_do_not_ask_for_the_first_step_of_what_looks_ahead():
    looks, does_not = (checks.check(network(family), events()) for family in (ta_snn, liaf_net))
    assert "gap_first_step" not in looks and does_not["gap_first_step"] < 1e-12
    assert "gap_first_step" not in looks["failed"] and looks["gap_neighbours"] < 1e-6


@pytest.mark.parametrize("method", [LIAFNet, TASNN])
def test_the_loss_is_of_the_means(method):
    outputs = Outputs(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert method().loss(outputs, None, torch.tensor([[1.0, 0.0]]), None)["task"].item() == pytest.approx(0.25)


# ---- MS-ResNet


def residual_network():
    torch.manual_seed(0)
    size = {"widths": [4, 8], "depths": [2, 1], "ratio": 2}
    return ms_resnet.build(size, {}, maker(ms_resnet.NEURON), 10, (3, 32, 32), 3)


def test_ms_resnet_has_its_blocks_and_starting_weights():
    model = residual_network()
    assert [type(block) for block in model.blocks] == [Sum, Residual, Sum] and model.widths == [4, 4, 8] and not model.causal
    for block in model.blocks:
        branch = list(block.branch if isinstance(block, Sum) else block)
        assert [isinstance(part, Neuron) for part in branch] == [True, False, True, False, False]
        assert [branch[index][1].weight.mean().item() for index in (1, 3)] == pytest.approx([0.5, 0.1])
        assert [type(part) for part in branch[4].attentions] == [Excitation, Positions]
    assert model.stem[1].weight.tolist() == [0.5] * 4


def test_ms_resnets_shortcuts_add_membranes():
    block, x = residual_network().blocks[0].eval(), torch.randn(3, 2, 4, 16, 16)
    with torch.no_grad():
        out, branch = block(x), None
        functional.reset_net(block)
        branch = block.branch(x)
        convolution, norm = (module for module in block.shortcut.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)))
        shortcut = norm(convolution(nn.functional.avg_pool2d(x.flatten(0, 1), 2))).unflatten(0, (3, 2))
    torch.testing.assert_close(out, branch + shortcut)
    assert (branch >= 0).all() and branch.any() and (shortcut < 0).any()


def test_ms_resnets_membranes_decay_to_a_quarter():
    node = maker(ms_resnet.NEURON)()
    assert node(torch.tensor([0.4, 0.42, 0.5, 0.4])[:, None])[:, 0].tolist() == [0, 1, 1, 0]  # 0.4, 0.52, reset, 0.5, reset, 0.4
    node = maker(ms_resnet.NEURON)()
    assert node(torch.tensor([0.4, 0.38])[:, None])[:, 0].tolist() == [0, 0]  # 0.48


# ---- DECOLLE


def test_a_refractory_neuron_by_hand():
    """Half of the trace is left. 1 fires, and -0.5 is added at the next step; 0.4 is then too little, and -0.25 is left; 0.3 fires again."""
    node = decolle.neuron(rho=0.5, weight=1.0, steepness=10.0)
    x = torch.tensor([1.0, 0.4, 0.3, 0.0])[:, None, None].requires_grad_()
    sent = node(x)
    assert sent.flatten().tolist() == [1.0, 0.0, 1.0, 0.0]
    sent.sum().backward()
    membranes = torch.tensor([1.0, 0.4 - 0.5, 0.3 - 0.25, -0.125 - 0.5])
    torch.testing.assert_close(x.grad.flatten(), 1 / (10 * membranes.abs() + 1) ** 2)


def test_traces_are_their_equations():
    s, node = events(7, 2, 3).double(), decolle.Traces(0.9, 0.7)
    p = q = torch.zeros_like(s[0])
    for now, found in zip(s, node(s), strict=True):
        p, q = 0.9 * p + 0.1 * q, 0.7 * q + 0.3 * now
        torch.testing.assert_close(found, p)
    after = node(s[:1])[0]
    torch.testing.assert_close(after, 0.9 * p + 0.1 * q)  # carried over


def decolle_network():
    torch.manual_seed(0)
    size = {**decolle_net.SIZES["gesture"], "widths": [4, 6, 8], "kernel": 3, "down": 1}
    network = decolle_net.build(size, {}, maker(decolle_net.NEURON), 11, (2, 16, 16), 6)
    return DECOLLE().start(network, {}, iter([events()]))


def test_a_window_sends_what_its_largest_membrane_does_and_the_gradient_goes_there():
    node = decolle.Refractory(0.5, 1.0, 10.0, nn.MaxPool2d(2))
    x = torch.tensor([[0.1, 0.3], [-1.0, 0.2]]).view(1, 1, 1, 2, 2).requires_grad_()
    sent = node(x)
    assert sent.flatten().tolist() == [1.0] and node.s.flatten().tolist() == [1, 1, 0, 1], "each neuron has its own trace"
    sent.sum().backward()
    assert x.grad.flatten().tolist() == pytest.approx([0, 1 / 16, 0, 0])


def test_each_layer_learns_from_its_own_readout_alone():
    model, method = decolle_network(), DECOLLE()
    output = Tapped(model.train(), method.sees)(events())
    terms = method.loss(output, None, torch.eye(11)[:3], None)
    assert len(terms) == 3
    for own, term in enumerate(terms.values()):
        weights = [block.conv.weight for block in model.blocks]
        gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        assert [index for index, gradient in enumerate(gradients) if gradient is not None and gradient.any()] == [own]
    assert not any(parameter.requires_grad for parameter in model.head.parameters())


def test_readouts_are_random_and_stay():
    weight, bias = readout(0, 400, 11)
    assert weight.abs().max() <= 0.1 and weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.05) and bias.abs().max() <= 0.1
    assert torch.equal(readout.__wrapped__(0, 400, 11)[0], weight) and not torch.equal(readout(1, 400, 11)[0], weight)
    spikes = (torch.rand(2, 3, 4, 10, 10) > 0.5).float()
    torch.testing.assert_close(read(spikes, 0, 11)[1, 2], weight @ spikes[1, 2].flatten() + bias)


def test_the_first_steps_are_skipped():
    """Six steps, of which a fifth is one."""
    values = torch.zeros(6, 2, 11)
    target = torch.eye(11)[:2]
    values[1:] = target
    assert DECOLLE().loss(Outputs(values), None, target, None) == {"layer_a": 0}
    assert DECOLLE(skipped=0.0).loss(Outputs(values), None, target, None)["layer_a"] > 0


def test_at_the_test_each_step_has_one_vote():
    model = decolle_network().eval()
    votes = model(events())
    functional.reset_net(model)
    model.train().head[0].dropout.p = 0.0
    values = model(events())
    assert votes[0].any() == 0 and (votes[1:].sum(-1) == 1).all() and votes.requires_grad
    assert torch.equal(votes[1:].argmax(-1), values[1:].argmax(-1)) and len(values[1:].argmax(-1).unique()) > 1


def test_weights_begin_where_membranes_vary_by_one():
    model = decolle_network().eval()
    x = events()
    for block in model.blocks:
        membranes = block.neurons.membranes(block.currents(x))[-1]
        functional.reset_net(block)
        assert membranes.var().item() == pytest.approx(1, abs=0.11) and abs(membranes.mean().item()) < 0.21
        x = block(x)
        functional.reset_net(block)


# ---- DSR


def test_dsr_by_hand():
    """Halves are kept (step = tau ln 2), V = 1, it fires from 0.5 on: membranes 0.4, 0.7, -0.15 + 0.75 = 0.6; a spike is worth 1 / step."""
    step = 0.6931471805599453
    node = dsr.neuron(tau=1.0, step=step, threshold=1.0, share=0.5, bound=0.01).double()
    x = torch.tensor([0.8, 1.0, 1.5], dtype=torch.float64)[:, None].requires_grad_()
    sent = node(x)
    assert (sent.flatten() * step).tolist() == pytest.approx([0, 1, 1])
    sent.flatten()[1].backward()  # weights 1/4, 1/2 and 1 of 7/4: the second step's share goes to all three
    assert x.grad.flatten().tolist() == pytest.approx([2 / 7] * 3) and node.threshold.grad == 0


def test_dsrs_threshold_learns_where_the_mean_is_cut_off_and_the_input_where_it_is_not():
    node = dsr.neuron(tau=1.0, step=0.5, threshold=1.0, share=0.3, bound=0.01).double()
    x = torch.tensor([[-1.0, 1.0, 1.9, 2.1, 9.0]] * 3, dtype=torch.float64).requires_grad_()  # cut off at 0 and V / step = 2
    node(x).sum().backward()
    assert x.grad.sum(0).tolist() == pytest.approx([0, 3, 3, 0, 0])
    assert node.threshold.grad.item() == pytest.approx(2 * 0.5 * 3)


def test_dsrs_answer_is_the_weighed_mean_of_what_the_class_neurons_send():
    torch.manual_seed(0)
    size = {"widths": [4, 8], "convolutions": [1, 1], "side": 16, "map": 7, "dropout": 0.0}
    model = dsr_vgg.build(size, {}, maker(dsr_vgg.NEURON), 10, (2, 16, 16), 6)
    nn.init.constant_(model.head.norm.bias, 3.0)
    sent = []
    model.head.fire.register_forward_hook(lambda *_: sent.append(_[2]))
    answer = model(events()).mean(0)
    weights = torch.tensor([0.05 * t for t in range(1, 7)]).exp()
    torch.testing.assert_close(answer, (weights[:, None, None] * sent[0]).sum(0) / weights.sum())
    assert model.head.classifier.in_features == 8 * 49 and answer.any()
