"""Conversion of artificial networks: exact where the paper says exact, the neuron's error like 1/T, and refusals in one line.

Networks have weights large enough to be alive: different images get different answers, and a network without compensation is far off.
"""

import copy

import pytest
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer
from torch import nn

from benchmark.backbones import ann_resnet, ann_transformer, ann_vgg
from benchmark.backbones.vit import TokenTransformer
from benchmark.measuring.accumulates import layer_accumulates, product_accumulates
from benchmark.networks.converting.calibration import Percentiles, bases, percentiles
from benchmark.networks.converting.conversion import convert, survey
from benchmark.networks.converting.expectation import Clock, Expectation, Product, increments, running_mean
from benchmark.networks.converting.explicit import ExplicitAttention, explicit
from benchmark.networks.converting.parallel import current, normalised, planes
from benchmark.neurons import multi_threshold
from benchmark.shared.errors import UserError
from benchmark.timing.conversion import Loop
from methods import ecmt
from methods.ecmt import ECMT

STEPS, CLASSES = 6, 10
SMALL = {"img_size": 16, "patch_size": 4, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": CLASSES}


def vit(**changes):
    return VisionTransformer(**{**SMALL, **changes})


def eva(**changes):
    return Eva(**{**SMALL, **changes})


def project(family, size, kind="cifar", **layout):
    return family.build(size, {**family.LAYOUTS[kind], **layout}, None, CLASSES, (3, 16, 16), 1)


NETWORKS = {
    "vit": lambda: TokenTransformer(vit(), 16),
    "vit with norms, scales, registers": lambda: vit(qk_norm=True, scale_attn_norm=True, init_values=0.1, reg_tokens=2, global_pool="avg"),
    "deit, distilled": lambda: VisionTransformerDistilled(**SMALL),
    "eva": lambda: TokenTransformer(eva(), 16),
    "eva with rotary positions": lambda: eva(use_rot_pos_emb=True, qkv_fused=False, qk_norm=True, init_values=0.1, scale_attn_inner=True),
    "ann-transformer": lambda: project(ann_transformer, {"depth": 2, "dim": 32, "heads": 4}),
    "ann-vgg": lambda: project(ann_vgg, {"widths": [8, 16], "convolutions": [1, 2], "pools": [1, 1]}),
    "ann-resnet": lambda: project(ann_resnet, {"stem": 8, "widths": [8, 16], "depths": [1, 1], "hidden": 0}, "imagenet"),
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def alive(network, gain=1.0):
    """The network with weights, biases and statistics at random, of a size that changes its answers."""
    make = torch.Generator().manual_seed(0)

    def normal(tensor, deviation, mean=0.0):
        tensor.data = mean + deviation * torch.randn(tensor.shape, generator=make)

    for name, parameter in network.named_parameters():
        if parameter.dim() > 1 and "token" not in name and "embed" not in name:
            normal(parameter, gain * parameter[0].numel() ** -0.5)
        else:
            normal(parameter, 0.3, 1.0 if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", ".1.weight")) else 0.0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            normal(module.running_mean, 0.2)
            module.running_var.data = 0.5 + torch.rand(module.running_var.shape, generator=make)
    return network.eval()


def images(*shape, dtype=torch.float64, seed=1):
    return torch.randn(*shape, 3, 16, 16, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.no_grad()
def answers(network, x):
    """Logits [B, classes] of an artificial network."""
    return network(x).reshape(len(x), -1)


def up_to(logits):
    """The mean of the first t outputs, for each t."""
    return logits.cumsum(0) / torch.arange(1, len(logits) + 1).to(logits)[:, None, None]


def error(found, expected):
    """Relative L2."""
    return ((found - expected).norm() / expected.norm()).item()


def ecmt_of(network, steps=STEPS, count=16, **params):
    """The network converted by the method."""
    network.steps = steps
    dtype = next(network.parameters()).dtype
    return ECMT(images=count, **params).start(network, {"ann": network}, iter(images(count, dtype=dtype, seed=2).split(8)))


# ---- expectation compensation


@each_network
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_compensation_alone_is_the_artificial_network_at_every_step_of_a_changing_input(name, dtype, tolerance):
    ann = alive(NETWORKS[name](), 2.0).to(dtype)
    network, x = explicit(ann), images(3, dtype=dtype) + 2 * images(STEPS, 3, dtype=dtype, seed=3)
    exact = convert(network, survey(network, x[0, :1]), {}, STEPS)
    found = up_to(exact(x))
    uncompensated = torch.stack([answers(ann, now) for now in x]).mean(0)
    for t in range(STEPS):
        expected = answers(ann, x[: t + 1].mean(0))
        assert (found[t] - expected).abs().max() < tolerance * expected.abs().max()
    assert error(uncompensated, expected) > 0.1, "a network that is linear would pass by itself"
    assert expected.std(0).mean() > 0.03 * expected.std(), "one that is dead too"


@each_network
def test_an_image_that_stays_gives_the_artificial_networks_answer_at_every_step(name):
    ann = alive(NETWORKS[name]()).double()
    network, x = explicit(ann), images(3)
    found = convert(network, survey(network, x[:1]), {}, STEPS)(x)
    torch.testing.assert_close(found, answers(ann, x).expand_as(found), rtol=1e-12, atol=1e-12)


def test_average_and_increment_are_each_others_inverse_in_any_windows():
    x = torch.randn(7, 3, 5, dtype=torch.float64)
    means = running_mean(x)
    torch.testing.assert_close(means, x.cumsum(0) / torch.arange(1.0, 8.0).double()[:, None, None], rtol=0, atol=1e-14)
    torch.testing.assert_close(increments(means.clone()), x, rtol=0, atol=1e-13)
    later = running_mean(x[3:], 3, means[2])
    assert torch.equal(later, means[3:])
    torch.testing.assert_close(increments(later, 3, means[2]), x[3:], rtol=0, atol=1e-13)


def test_a_function_of_several_inputs_is_compensated_too():
    clock = Clock()
    clock.set(0, 5, 2, True)
    a, b = torch.randn(2, 10, 4, dtype=torch.float64).unbind(0)
    gate = Expectation(lambda x, g: x * g.sigmoid(), clock)
    found, parts = gate(a, b).unflatten(0, (5, 2)), (x.unflatten(0, (5, 2)) for x in (a, b))
    mean_a, mean_b = (x.mean(0) for x in parts)
    torch.testing.assert_close(found.mean(0), mean_a * mean_b.sigmoid(), rtol=0, atol=1e-14)


def printed_product(a, b):
    """Equations 16 to 18 [T, ...], three products a step."""
    sum_a, sum_b, sum_k, sent = torch.zeros_like(a[0]), torch.zeros_like(b[0]), 0.0, []
    for t in range(1, len(a) + 1):
        now_a, now_b, before = a[t - 1], b[t - 1], sum_k
        sum_k = sum_k + now_a @ now_b + now_a @ sum_b + sum_a @ now_b
        sum_a, sum_b = sum_a + now_a, sum_b + now_b
        sent.append(sum_k / t - (before / (t - 1) if t > 1 else 0.0))
    return torch.stack(sent)


def test_a_product_is_equations_16_to_18_and_the_product_of_the_averages():
    a, b = torch.randn(STEPS, 2, 4, 7, dtype=torch.float64), torch.randn(STEPS, 2, 7, 3, dtype=torch.float64)
    clock = Clock()
    clock.set(0, STEPS, 2, True)
    found = Product(clock)(a.flatten(0, 1), b.flatten(0, 1)).unflatten(0, (STEPS, 2))
    torch.testing.assert_close(found, printed_product(a, b), rtol=0, atol=1e-12)
    torch.testing.assert_close(up_to(found[:, 0]), up_to(a[:, 0]) @ up_to(b[:, 0]), rtol=0, atol=1e-12)


# ---- the neuron


@pytest.mark.parametrize("n", range(1, 11))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_closed_form_is_the_printed_ladder_at_random_and_at_every_border(n, dtype):
    theta1, theta2 = torch.tensor(0.0371, dtype=dtype), torch.tensor(0.0253, dtype=dtype)
    multiples = 2.0 ** torch.arange(n + 2, dtype=dtype) - 0.5
    borders = torch.cat([multiples * theta1, -multiples * theta2])
    beside = [torch.nextafter(borders, torch.tensor(far, dtype=dtype)) for far in (-1e9, 1e9)]
    m = torch.cat([borders, *beside, torch.randn(20000, dtype=dtype) * 2**n * theta1, torch.zeros(1, dtype=dtype)])
    expected = multi_threshold.ladder(m, n, theta1, theta2)
    assert torch.equal(multi_threshold.closed_form(m, n, theta1, theta2), expected)
    layer = multi_threshold.neuron(n=n, theta1=0.0371, theta2=0.0253).to(dtype)
    assert torch.equal(layer(m[None, None])[0, 0], expected)
    assert {*expected.unique().tolist()} == {0.0, *layer.thresholds.to(dtype).tolist()}


def test_the_ladder_in_plain_numbers():
    """theta1 1, theta2 2, n 3: thresholds 1, 2, 4 and -2, -4, -8; borders 0.5, 1.5, 3.5 and -1, -3, -7, silent themselves below."""
    m = torch.tensor([0.49, 0.5, 1.49, 1.5, 3.49, 3.5, 99.0, -1.0, -1.01, -3.0, -3.01, -7.0, -7.01, -99.0])
    expected = [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 0.0, -2.0, -2.0, -4.0, -4.0, -8.0, -8.0]
    assert multi_threshold.neuron(n=3, theta1=1.0, theta2=2.0)(m[None, None])[0, 0].tolist() == expected


def test_soft_reset_conserves_charge():
    x, layer = torch.randn(50, 2, 300, dtype=torch.float64), multi_threshold.neuron(n=4, theta1=0.3, theta2=0.2).double()
    sent = layer(x)
    torch.testing.assert_close(sent.sum(0) + layer.v, x.sum(0), rtol=0, atol=1e-12)
    assert (layer.v.abs() < 0.3 * 8).all() and sent.count_nonzero() > 5000


def test_one_pass_over_all_steps_is_the_ladder_step_by_step_in_any_parts():
    constants = {"n": 5, "theta1": 0.31, "theta2": 0.17}
    x, layer = torch.randn(9, 2, 5000) * 2, multi_threshold.neuron(**constants)
    expected = multi_threshold.reference(x, **constants)
    assert torch.equal(torch.cat([layer(part) for part in x.split([4, 1, 4])]), expected)
    torch.testing.assert_close(expected.sum(0) + layer.v, x.sum(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("constant", [{"n": 0}, {"theta1": 0.0}, {"theta2": -0.1}])
def test_constants_without_sense_are_refused(constant):
    with pytest.raises(UserError, match="needs n >= 1 and positive thresholds"):
        multi_threshold.neuron(**{"n": 4, "theta1": 0.3, "theta2": 0.2, **constant})


# ---- places


@pytest.mark.parametrize("name", [name for name in NETWORKS if "ann" not in name])
def test_explicit_attention_is_timms(name):
    ann = alive(NETWORKS[name](), 2.0).double()
    network = explicit(ann)
    attentions = [module for module in network.modules() if isinstance(module, ExplicitAttention)]
    flat = copy.deepcopy(network)
    for module in flat.modules():
        if isinstance(module, ExplicitAttention):
            module.scale = 0.0
    assert len(attentions) == 2 and not any(hasattr(module, "fused_attn") for module in network.modules())
    torch.testing.assert_close(answers(network, images(3)), answers(ann, images(3)), rtol=0, atol=1e-12)
    assert error(answers(flat, images(3)), answers(ann, images(3))) > 0.01, "attention matters"
    assert {id(p) for p in network.parameters()} == {id(p) for p in ann.parameters()}


def test_the_places_of_a_vision_transformer():
    network = explicit(alive(vit()))
    places = survey(network, images(1, dtype=torch.float32))
    names = ["qkv", "scores.left", "scores.right", "softmax", "mix.left", "mix.right", "proj"]
    block = [f"attn.{name}" for name in names] + ["mlp.fc1", "mlp.act", "mlp.fc2"]
    expected = ["patch_embed.proj", *(f"blocks.{i}.{name}" for i in range(2) for name in block), "head"]
    assert [place.name for place in places] == expected
    assert [place.name for place in places if place.first] == ["patch_embed.proj"]
    assert [place.name for place in places if place.head] == ["head"]
    made = {place.name: place.after for place in places if place.after}
    inside = {"attn.qkv": "LayerNorm", "attn.mix.left": "Softmax", "mlp.fc1": "LayerNorm", "mlp.fc2": "GELU"}
    assert made == {f"blocks.{i}.{name}": kind for i in range(2) for name, kind in inside.items()}


def test_both_heads_of_a_distilled_transformer_are_heads():
    network = explicit(alive(VisionTransformerDistilled(**SMALL)))
    assert [place.name for place in survey(network, images(1, dtype=torch.float32)) if place.head] == ["head", "head_dist"]


class Twice(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](self[0](x.flatten(1))))


class Unseen(nn.Sequential):
    def forward(self, x):
        return nn.functional.linear(self[0](x.flatten(1)), self[1].weight)


REFUSED = {
    "layers that no rule knows": (
        lambda: vit(block_fn=ParallelScalingBlock),
        r"VisionTransformer cannot be converted: no rule knows ParallelScalingBlock \(blocks.0\)",
    ),
    "an activation inside a function": (
        lambda: eva(swiglu_mlp=True),
        r"Eva cannot be converted: blocks.0.mlp \(GluMlp\) computes more between its layers than sums",
    ),
    "a maximum over tokens": (
        lambda: vit(global_pool="max"),
        "VisionTransformer cannot be converted: it computes more between its layers than sums",
    ),
    "a layer twice": (lambda: Twice(nn.Linear(768, 768), nn.Linear(768, 10)), "Twice cannot be converted: it calls more than once 0"),
    "a layer passed over": (lambda: Unseen(nn.Linear(768, 32), nn.Linear(32, 10)), "Unseen cannot be converted: it never calls 1"),
    "no layers": (lambda: nn.Flatten(), "Flatten cannot be converted: it has no layer with weights"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_refused_in_one_line(case):
    make, message = REFUSED[case]
    with pytest.raises(UserError, match=f"^{message}$"):
        survey(explicit(alive(make(), 2.0)), images(1, dtype=torch.float32))


# ---- converted networks


def test_all_steps_at_once_are_the_loop_over_time():
    """The loop is written from the equations: a ladder, two evaluations of a function, three products."""
    ann = alive(vit()).double()
    fast = ecmt_of(ann)
    slow = Loop(explicit(ann), fast.neurons(), STEPS)
    found = fast(images(3))
    torch.testing.assert_close(found, slow(images(3)), rtol=0, atol=1e-9)
    assert error(up_to(found)[0], answers(ann, images(3))) > 0.1, "neurons do something"


@pytest.mark.parametrize("name", ["vit", "eva with rotary positions", "ann-resnet"])
@pytest.mark.parametrize("rows", [1, 4])
def test_any_window_of_time_and_images_gives_the_same(name, rows):
    network = ecmt_of(alive(NETWORKS[name]()).double())
    whole, changing = network(images(2)), network(images(STEPS, 2))
    network.rows = rows
    torch.testing.assert_close(network(images(2)), whole, rtol=0, atol=1e-9)
    torch.testing.assert_close(network(images(STEPS, 2)), changing, rtol=0, atol=1e-9)
    assert not torch.equal(whole[0], whole[1])


def test_thousands_of_steps_take_the_memory_of_a_window():
    network, seen = ecmt_of(alive(vit(depth=1)), steps=1000), []
    network.rows = 50
    for module in network.network.modules():
        module.register_forward_hook(lambda module, inputs, output: seen.append(output.numel()))
    assert network(images(2, dtype=torch.float32)).shape == (1000, 2, CLASSES)
    hidden = 17 * 4 * 32  # tokens, channels of an MLP: the largest activation
    assert max(seen) == 50 * hidden
    assert all(module.v is None or not torch.is_tensor(module.v) for module in network.neurons().values())


def test_the_error_falls_like_one_over_t():
    """Neurons leave a bounded rest of charge, so T times the error is bounded; without levels for large values it would stay."""
    ann = alive(vit()).double()
    found = up_to(ecmt_of(ann, 128)(images(4)))
    errors = {t: error(found[t - 1], answers(ann, images(4))) for t in (8, 16, 32, 64, 128)}
    scaled = [t * value for t, value in errors.items()]
    assert errors[8] > 0.05 and errors[128] < 0.02
    assert max(scaled) < 4 * min(scaled)


def test_a_converted_network_shares_the_weights_and_stays_in_inference():
    ann = alive(project(ann_resnet, {"stem": 8, "widths": [8], "depths": [1], "hidden": 0}))
    network = ecmt_of(ann)
    assert {id(p) for p in network.parameters()} == {id(p) for p in ann.parameters()}
    statistics = ann.stem[0][1].running_mean.clone()
    network.train()(images(3, dtype=torch.float32))
    assert not any(module.training for module in network.modules())
    assert torch.equal(ann.stem[0][1].running_mean, statistics)


def test_a_run_does_not_remember_the_one_before():
    network, x = ecmt_of(alive(vit())), images(2, dtype=torch.float32)
    network.rows = 2
    first = network(x)
    handle = network.network.blocks[1].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        network(-x)
    handle.remove()
    assert torch.equal(network(x), first)
    assert torch.equal(copy.deepcopy(network)(x), first)


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps_are_refused(steps):
    with pytest.raises(UserError, match=f"^a converted network needs at least one time step, not {steps}$"):
        ecmt_of(alive(vit()), steps)


def test_changing_images_have_to_be_as_many_as_steps():
    with pytest.raises(UserError, match="^3 images a sample for 6 time steps$"):
        ecmt_of(alive(vit()))(images(3, 2, dtype=torch.float32))


def test_neurons_may_stand_in_place_of_activations():
    """Conversions of ReLU networks fire there: an integrating neuron with a fine threshold and no compensation comes near the network."""
    ann = alive(project(ann_vgg, {"widths": [8, 16], "convolutions": [1, 2], "pools": [1, 1]})).double()
    places = survey(ann, images(1))
    activations = [place.name for place in places if place.kind == "activation"]
    positive = {name: multi_threshold.neuron(n=10, theta1=0.05, theta2=1e9).double() for name in activations}
    network = convert(ann, places, positive, 128)
    found = up_to(network(images(4)))
    assert len(activations) == 3 and list(network.neurons()) == activations
    assert not any(isinstance(module, Expectation) for module in network.modules())
    assert error(found[-1], answers(ann, images(4))) < 0.01 < error(found[0], answers(ann, images(4)))


# ---- thresholds


@pytest.mark.parametrize("percent", [0.5, 1.0, 50.0, 99.0, 99.9])
def test_a_percentile_is_that_of_all_values_in_any_batches(percent):
    x = torch.randn(200000) * 3 + 0.5
    whole, parts = Percentiles(), Percentiles()
    whole.add(x.view(200, 1000))
    for part in x[torch.randperm(len(x))].split(7777):
        parts.add(part)
    expected = x.sort().values[int(percent / 100 * len(x)) - 1].item()
    assert whole(percent) == parts(percent) == pytest.approx(expected, rel=2**-9)
    assert whole.greatest == x.abs().max()


def test_percentiles_of_zeros_and_of_one_sign():
    relu = Percentiles()
    relu.add(torch.randn(100000).relu())
    theta1, theta2 = bases(relu, 99.0)
    assert relu(1.0) == 0.0 and relu(40.0) == 0.0 and theta2 == theta1 == pytest.approx(2.326, rel=0.02)
    softmax = Percentiles()
    softmax.add(torch.rand(100000) + 1)
    assert softmax(1.0) > 1 and bases(softmax, 99.0) == pytest.approx((1.99, 1.99), rel=0.01)
    negative = Percentiles()
    negative.add(-torch.rand(100000) - 1)
    assert bases(negative, 99.0) == pytest.approx((1.99, 1.99), rel=0.01)
    rare = Percentiles()
    rare.add(torch.tensor([0.0] * 999 + [4.0]))
    assert bases(rare, 99.0) == (4.0, 4.0)
    dead = Percentiles()
    dead.add(torch.zeros(10))
    assert bases(dead, 99.0) == (1.0, 1.0)


def test_thresholds_are_percentiles_of_what_the_artificial_network_has_there():
    ann = alive(vit())
    seen, x = [], images(20, dtype=torch.float32, seed=2)
    ann.blocks[1].mlp.fc1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].flatten()))
    answers(ann, x[:12])
    values = torch.cat(seen).sort().values
    network = explicit(ann)
    places = survey(network, x[:1])
    found = percentiles(network, [place for place in places if place.name == "blocks.1.mlp.fc1"], x.split(5), 12)
    expected = [values[round(share * len(values)) - 1].item() for share in (0.01, 0.99)]
    assert [found["blocks.1.mlp.fc1"](percent) for percent in (1, 99)] == pytest.approx(expected, rel=2**-7)
    assert int(found["blocks.1.mlp.fc1"].counts.sum()) == len(values)


def test_without_images_there_is_no_conversion():
    ann = alive(vit())
    ann.steps = 1
    with pytest.raises(UserError, match="^a conversion looks at training images, and got none$"):
        ECMT().start(ann, {"ann": ann}, iter([]))
    with pytest.raises(UserError, match="^a conversion needs at least one training image"):
        percentiles(explicit(ann), [], [], 8)


# ---- the method


def test_a_transformer_block_has_eight_neurons_and_the_classifier_none():
    network = ecmt_of(alive(vit()))
    names = ["attn.qkv", "attn.scores.left", "attn.scores.right", "attn.mix.left", "attn.mix.right", "attn.proj", "mlp.fc1", "mlp.fc2"]
    assert list(network.neurons()) == [f"blocks.{i}.{name}" for i in range(2) for name in names]
    assert [*ecmt_of(alive(vit()), head="spiking").neurons()][-1] == "head"


def of(network, place):
    neuron = network.neurons()[place]
    return neuron.theta1.item(), neuron.theta2.item()


def test_readings_of_the_thresholds():
    fixed = {"attention_map": pytest.approx((0.0125, 0.0125)), "mlp_input": pytest.approx((0.25, 0.08))}
    networks = {"vit": alive(vit()), "eva": alive(eva())}
    for name, reads in (("vit", True), ("eva", False)):
        default = ecmt_of(networks[name])
        assert of(default, "blocks.0.attn.mix.left") == fixed["attention_map"]
        assert (of(default, "blocks.0.mlp.fc2") == fixed["mlp_input"]) == reads
        all_fixed = ecmt_of(networks[name], mlp_input="fixed")
        assert of(all_fixed, "blocks.0.mlp.fc2") == fixed["mlp_input"]
        measured = ecmt_of(networks[name], mlp_input="calibrated", attention_map="calibrated")
        (one, two), (first, second) = of(measured, "blocks.0.attn.mix.left"), of(measured, "blocks.0.mlp.fc2")
        assert one == two != pytest.approx(0.0125) and first > second > 0, "a softmax is positive, a GELU mostly"
        assert of(measured, "blocks.0.mlp.fc1") == of(default, "blocks.0.mlp.fc1")


def test_levels_percentile_and_base_mean_what_they_say():
    ann = alive(vit())
    network, wider, lower = ecmt_of(ann), ecmt_of(ann, levels=4, base=2.0), ecmt_of(ann, percentile=80.0)
    for line, other, less in zip(network.thresholds(), wider.thresholds(), lower.thresholds(), strict=True):
        assert line["place"] == other["place"] and (line["thresholds"], other["thresholds"]) == (16, 8)
        assert line["largest"] == pytest.approx(128 * line["theta1"]) and line["lowest"] == pytest.approx(-128 * line["theta2"])
        assert (other["theta1"], other["theta2"]) == pytest.approx((2 * line["theta1"], 2 * line["theta2"]))
        measured = "mix.left" not in line["place"] and "fc2" not in line["place"]
        assert (less["theta1"] < line["theta1"]) == measured


def test_firing_is_counted_by_step_and_threshold():
    network, sent, name = ecmt_of(alive(vit())), [], "blocks.1.mlp.fc2"
    network.rows = 7  # one image at a time
    neuron = network.neurons()[name]
    neuron.register_forward_hook(lambda module, inputs, output: sent.append(output))
    found = network.firing(images(3, dtype=torch.float32))
    values = torch.cat(sent, 1)
    expected = torch.stack([(values == threshold).double().flatten(1).mean(1) for threshold in neuron.thresholds], 1)
    torch.testing.assert_close(found[name], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[name].sum(1), (values != 0).double().flatten(1).mean(1), rtol=0, atol=1e-12)
    assert list(found) == list(network.neurons()) and found[name].sum(1).min() > 0.1
    *spikes, neurons = network.firing_by_threshold(images(3, dtype=torch.float32))[name]
    assert spikes == (expected * values[0].numel()).sum(0).round().tolist() and neurons == values.numel()
    assert not neuron._forward_hooks or len(neuron._forward_hooks) == 1


def test_a_spiking_network_is_no_start():
    class Spiking:
        name, ann = "spikformer-4-384", False

    class Artificial:
        name, ann = "vit-s-16", True

    assert ecmt.fits(Artificial, Artificial) == "" and ecmt.fits(Spiking, Spiking) == "spikformer-4-384 has neurons already"


# ---- parallel parameter normalisation, accumulates


def test_parallel_parameter_normalisation_changes_no_spike():
    """Powers of two as bases, so that dividing by them is exact: the same neurons fire at the same thresholds."""
    sender = multi_threshold.neuron(n=3, theta1=0.5, theta2=0.25).double()
    receiver = multi_threshold.neuron(n=4, theta1=2.0, theta2=0.5).double()
    rewritten = multi_threshold.neuron(n=4, theta1=1.0, theta2=0.5 / 2.0).double()  # equation 29
    layer = nn.Linear(7, 5).double()
    sent = sender(torch.randn(STEPS, 2, 7, dtype=torch.float64) * 3)
    weights, bias = normalised(layer.weight, layer.bias, sender.thresholds, 2.0)
    spikes = planes(sent, sender.thresholds)
    assert spikes.shape == (6, STEPS, 2, 7) and {*spikes.unique().tolist()} == {0, 1} and spikes.sum(0).max() == 1
    with torch.no_grad():
        expected, found = receiver(layer(sent)), rewritten(current(spikes, weights, bias))
    assert torch.equal(planes(found, rewritten.thresholds), planes(expected, receiver.thresholds))
    torch.testing.assert_close(2.0 * found, expected, rtol=0, atol=1e-12)
    assert expected.count_nonzero() > 10


def test_accumulates_are_those_of_the_masks_multiplied():
    make = torch.Generator().manual_seed(0)
    a, b = (
        torch.randn(STEPS, *shape, generator=make) * (torch.rand(STEPS, *shape, generator=make) < 0.2) for shape in ((2, 3, 7), (2, 7, 4))
    )
    found = product_accumulates(a, b)
    before_a, before_b = (torch.cat([torch.zeros_like(x[:1]), x.cumsum(0)[:-1]]) for x in (a, b))
    mask = {"A": a, "B": b, "SA": before_a, "SB": before_b, "SA+": a.cumsum(0), "SB+": b.cumsum(0)}
    mask = {name: (x != 0).double() for name, x in mask.items()}
    expected = {
        "before": mask["A"] @ mask["B"] + mask["A"] @ mask["SB"] + mask["SA"] @ mask["B"],
        "after": mask["A"] @ mask["B"] + mask["A"] @ mask["SB+"] + mask["SA+"] @ mask["B"],
        "two": mask["A"] @ mask["SB+"] + mask["SA"] @ mask["B"],
    }
    assert {name: value.tolist() for name, value in found.items()} == {
        name: x.flatten(1).sum(1).long().tolist() for name, x in expected.items()
    }
    assert found["two"][1] < found["before"][1] < found["after"][1]
    x = torch.tensor([[1.0, 0.0, -2.0], [0.0, 0.0, 0.5]])
    assert layer_accumulates(x, 4).tolist() == [8, 4]
