"""Counted operations against every product one by one, the conventions against arithmetic, and the records against the model."""

import ast
import json
import shutil
import subprocess
import sys
from functools import partial
from itertools import permutations, product
from pathlib import Path

import pytest
import torch
from spikingjelly.activation_based import functional, layer
from spikingjelly.activation_based.op_counter import DispatchCounterMode, LemaireEnergyConfig, SynOpCounter, estimate_lemaire_energy
from timm.models.eva import EvaAttention
from timm.models.vision_transformer import Attention
from torch import nn
from torch.nn.functional import conv2d, max_pool2d

from benchmark import conventions
from benchmark.backbones.spike_driven_transformer import MaskedValues
from benchmark.conventions import Record
from benchmark.conventions import _energy as energy
from benchmark.conventions._record import KINDS
from benchmark.measuring.counter import Counter
from benchmark.measuring.spike_counts import Remembered, nonzero_over, sums
from benchmark.networks.attention import AttentionProduct, MatMul, Product, SoftmaxProduct, SumOver
from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, conv_bn, max_pool
from benchmark.neurons._base import Neuron
from benchmark.neurons.lif import neuron
from benchmark.shared.errors import UserError
from benchmark.timing import counting as timing

fire = partial(neuron, tau=2.0, v_threshold=1.0, v_reset=0.0, detach_reset=True, decay_input=True, surrogate="sigmoid", alpha=4.0)
LAYOUTS = {"planes": torch.contiguous_format, "pixels": torch.channels_last}


def draw(kind, *shape, seed=0):
    """Values of one of the kinds that a counter tells apart."""
    generator = torch.Generator().manual_seed(seed)
    spikes, more = ((torch.rand(shape, generator=generator) < share).float() for share in (0.3, 0.2))
    sign = torch.randn(shape, generator=generator).sign()
    drawn = {"binary": spikes, "integer": (spikes + more) * sign, "unit": 0.7 * spikes * sign, "fraction": (spikes + more) / 4}
    return drawn.get(kind, torch.randn(shape, generator=generator) * spikes)


def watch(module, *inputs, steps=1, images=1):
    """Records of one call in evaluation mode, by name."""
    counter = Counter()
    with torch.no_grad(), counter.watching(module.eval(), steps):
        module(*inputs)
    counter.seen(images)
    functional.reset_net(module)
    return counter.records


# ---- every operation type against brute force


def one_by_one(conv, x):
    """Sum of x over all (input value, output value) pairs that a convolution joins: the convolution with weights of one."""
    ones = torch.ones_like(conv.weight, dtype=torch.float64)
    return conv2d(x.double(), ones, None, conv.stride, conv.padding, conv.dilation, conv.groups).sum().item()


CONVOLUTIONS = {
    "border": {"kernel_size": 3, "padding": 1},
    "no border": {"kernel_size": 3},
    "1x1": {"kernel_size": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "strided, a rest": {"kernel_size": 2, "stride": 3},
    "first of a ResNet": {"kernel_size": 7, "stride": 2, "padding": 3},
    "dilated": {"kernel_size": 3, "dilation": 2, "padding": 2},
    "grouped": {"kernel_size": 3, "padding": 1, "groups": 4},
    "depthwise": {"kernel_size": 7, "padding": 3, "groups": 8},
    "oblong": {"kernel_size": (3, 1), "stride": (1, 2), "padding": (0, 1)},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", LAYOUTS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case, memory, kind):
    conv = nn.Conv2d(8, 16, **CONVOLUTIONS[case])
    x = draw(kind, 5, 8, 9, 11).contiguous(memory_format=LAYOUTS[memory])
    record = watch(nn.Sequential(conv), x)["0"]
    assert record.events == one_by_one(conv, x != 0)
    assert record.values == (record.events if kind == "real" else pytest.approx(one_by_one(conv, x.abs())))
    assert (record.input_kind, record.inputs, record.nonzero) == (kind, x.numel(), x.count_nonzero())
    assert record.dense == conv(x).numel() * conv.weight[0].numel() and record.outputs == conv(x).numel()
    assert (tuple(record.weights), tuple(record.stride), record.groups) == (conv.weight.shape, conv.stride, conv.groups)
    assert record.total == pytest.approx(x.count_nonzero().item() if kind == "real" else x.abs().sum().item())


@pytest.mark.parametrize("channels", [1, 3, 40])
def test_convolution_of_few_and_many_channels(channels):
    for memory in LAYOUTS.values():
        conv, x = nn.Conv2d(channels, 4, 3, padding=1), draw("integer", 6, channels, 5, 5).contiguous(memory_format=memory)
        record = watch(nn.Sequential(conv), x)["0"]
        assert (record.events, record.values) == (one_by_one(conv, x != 0), one_by_one(conv, x.abs()))


def test_convolution_along_one_dimension():
    conv, x = nn.Conv1d(6, 4, 3, stride=2, padding=1, groups=2), draw("binary", 5, 6, 10)
    expected = nn.functional.conv1d(x, torch.ones_like(conv.weight), None, 2, 1, 1, 2).sum()
    assert watch(nn.Sequential(conv), x)["0"].events == expected


@pytest.mark.parametrize("kind", KINDS)
def test_linear(kind):
    x = draw(kind, 4, 3, 20)
    record = watch(nn.Sequential(nn.Linear(20, 7)), x)["0"]
    assert (record.events, record.dense, record.input_kind) == (7 * x.count_nonzero(), 4 * 3 * 20 * 7, kind)
    assert (record.weights, record.stride, record.groups) == ([7, 20], [], 1)
    assert record.values == (record.events if kind == "real" else pytest.approx(7 * x.abs().sum().item()))


def meetings(a, b):
    """Pairs of nonzero operands that meet in a matrix product."""
    return ((a != 0).double() @ (b != 0).double()).sum().item()


@pytest.mark.parametrize("memory", ["planes", "pixels"])
@pytest.mark.parametrize("order", ["qk_v", "q_kv"])
def test_attention_in_both_orders(order, memory):
    product = AttentionProduct(heads=3, scale=0.125, order=order)
    qkv = [draw("binary", 2, 2, 12, 3, 5, seed=seed) for seed in range(3)]
    if memory == "pixels":
        qkv = [x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 2)) for x in qkv]
    record = watch(nn.Sequential(Calls(product, qkv)), qkv[0], steps=2, images=2)["0.product"]
    q, k, v = (product.split(x) for x in qkv)  # [T*B, heads, tokens, channels]
    k = k.transpose(2, 3)
    pairs = [(q, k), (q @ k, v)] if order == "qk_v" else [(k, v), (q, k @ v)]
    assert record.events == record.values == sum(meetings(*pair) for pair in pairs)
    assert record.dense == 2 * 4 * 15 * 12 * (15 if order == "qk_v" else 4)
    assert (record.input_kind, record.head_width, record.scores) == ("binary", 4, 4 * 3 * 15 * 15)
    assert record.operands == [[x.numel(), x.count_nonzero()] for x in qkv]


def test_attention_of_every_shape_with_ones():
    """One token, one channel a head, one head, one image: in both orders and memory layouts."""
    shapes = product((1, 2), (1, 3), (1, 4), (1, 3), (1, 5))  # images, heads, channels a head, height, width
    for (images, heads, width, *side), order, memory in product(shapes, ("qk_v", "q_kv"), LAYOUTS.values()):
        module = AttentionProduct(heads, 0.125, order)
        qkv = [draw("binary", 2 * images, heads * width, *side, seed=seed).contiguous(memory_format=memory) for seed in range(3)]
        q, k, v = (x.unflatten(0, (2, images)) for x in qkv)
        record = watch(nn.Sequential(Calls(module, [q, k, v])), q, steps=2, images=images)["0.product"]
        q, k, v = module.split(q), module.split(k).transpose(2, 3), module.split(v)
        pairs = [(q, k), (q @ k, v)] if order == "qk_v" else [(k, v), (q, k @ v)]
        assert record.events == sum(meetings(*pair) for pair in pairs), (images, heads, width, side, order, memory)
        tokens = side[0] * side[1]
        assert record.dense == 2 * 2 * images * heads * tokens * width * (tokens if order == "qk_v" else width)


def test_nonzero_values_along_a_dimension_in_every_memory_layout():
    for shape, axes in product(product((1, 2), (1, 3), (1, 4), (1, 5)), permutations(range(4))):
        x = draw("binary", *(shape[axis] for axis in axes)).permute(*(axes.index(axis) for axis in range(4)))
        assert x.shape == shape and all(torch.equal(nonzero_over(x, dim), (x != 0).sum(dim)) for dim in (2, 3)), (shape, axes)


def test_layers_of_every_shape_with_ones():
    for images, channels, *side in product((1, 3), (1, 2), (1, 4), (1, 5)):
        for memory in LAYOUTS.values():
            conv, x = nn.Conv2d(channels, 3, 3, padding=1), draw("integer", images, channels, *side).contiguous(memory_format=memory)
            records = watch(nn.Sequential(conv, nn.Flatten(2), nn.Linear(side[0] * side[1], 1)), x)
            assert records["0"].events == one_by_one(conv, x != 0) and records["0"].values == one_by_one(conv, x.abs())
            assert records["2"].events == conv(x).count_nonzero()


class Calls(nn.Module):
    """A product on fixed inputs, since a Sequential passes one."""

    def __init__(self, product, inputs):
        super().__init__()
        self.product, self.inputs = product, inputs

    def forward(self, _):
        return self.product(*self.inputs)


def test_softmax_attention_is_dense_and_real():
    qkv = [torch.rand(1, 2, 8, 4, 4) for _ in range(3)]
    record = watch(nn.Sequential(Calls(SoftmaxProduct(2), qkv)), qkv[0])["0.product"]
    assert record.events == record.dense == 2 * 2 * 16 * 16 * 8 and record.input_kind == "real"
    zeros = [torch.zeros_like(x) for x in qkv]  # real numbers: nobody looks whether one is 0
    assert watch(nn.Sequential(Calls(SoftmaxProduct(2), zeros)), qkv[0])["0.product"].events == record.dense


class Gate(Product):
    """Somebody's own: Q (K^T V) of [B, N, C], then a sum over tokens; its softmax is a layer too."""

    def __init__(self):
        super().__init__()
        self.inner, self.outer, self.total, self.softmax = MatMul(), MatMul(), SumOver(1), nn.Softmax(1)

    def forward(self, q, k, v):
        return self.softmax(self.total(self.outer(q, self.inner(k.transpose(1, 2), v))))


def test_a_product_of_ones_own_is_counted():
    q, k, v = (draw("binary", 2, 5, 6, seed=seed) for seed in range(3))
    records = watch(nn.Sequential(Calls(Gate(), [q, k, v])), q, images=2)
    kv = k.transpose(1, 2) @ v
    summed = (q @ kv).count_nonzero()
    assert set(records) == {"0.product", "0.product.softmax"}
    record = records["0.product"]
    assert record.events == meetings(k.transpose(1, 2), v) + meetings(q, kv) + summed
    assert record.dense == 2 * (6 * 5 * 6 + 5 * 6 * 6) + q.numel()
    assert (record.kind, record.layer, record.input_kind) == ("product", "Gate", "binary")
    assert record.operands == [[x.numel(), x.count_nonzero()] for x in (q, k, v)]
    named = conventions.count("events", list(records.values()))["uncounted"]
    assert "0.product.softmax (Softmax)" in named and not any(text.startswith("0.product (") for text in named)


@pytest.mark.parametrize(
    "shapes", [((5, 4), (4, 6)), ((3, 5, 4), (4, 6)), ((2, 3, 5, 4), (2, 3, 4, 6)), ((2, 2, 1, 3, 4), (2, 1, 2, 4, 1))]
)
def test_a_multiplication_outside_a_product_has_a_record_of_its_own(shapes):
    a, b = (draw("integer", *shape, seed=seed) for seed, shape in enumerate(shapes))
    record = watch(Calls(MatMul(), [a, b]), a)["product"]
    assert (record.kind, record.input_kind, record.events) == ("product", "integer", meetings(a, b))
    assert record.dense == (a @ b).numel() * 4


@pytest.mark.parametrize("pool", [False, True])
def test_masked_values(pool):
    product = MaskedValues(2, pool, fire())
    q, k, v = (draw("binary", 2, 3, 8, 4, 4, seed=seed) for seed in range(3))
    record = watch(nn.Sequential(Calls(product, [q, k, v])), q, steps=2)["0.product"]
    if pool:
        k, v = (max_pool2d(x.flatten(0, 1), 3, 1, 1).reshape(x.shape) for x in (k, v))
    kv = product._pool_plane(k * v)
    assert (record.events, record.dense, record.input_kind) == (kv.sum(), q.numel(), "binary")


@pytest.mark.parametrize(("attention", "options"), [(Attention, {}), (EvaAttention, {}), (EvaAttention, {"qkv_fused": False})])
def test_fused_attention_of_timm(attention, options):
    if attention is EvaAttention:
        options = {**options, "scale_norm": False}
    records = watch(nn.Sequential(attention(24, num_heads=3, **options)), torch.randn(2, 5, 24), images=2)
    assert records["0"].dense == 2 * (2 * 3 * 5 * 5 * 8) and records["0"].scores == 2 * 3 * 5 * 5
    assert sum(record.dense for record in records.values() if record.kind == "linear") == 2 * 5 * 24 * 24 * 4  # q, k, v and out


def test_pooling_and_its_input():
    x = draw("binary", 3, 40, 4, 4)
    records = watch(nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)), x)
    assert (records["0"].kind, records["0"].input_kind, records["0"].inputs, records["0"].total) == ("pool", "binary", x.numel(), x.sum())
    assert records["1"].input_kind == "fraction" and records["1"].total == pytest.approx(x.sum().item() / 4)


def test_a_first_layer_counts_for_every_step():
    stem = First(4, *conv_bn(3, 8))
    image = torch.randn(2, 3, 6, 6)
    static = watch(nn.Sequential(stem), image, steps=4)
    repeated = watch(nn.Sequential(stem), image.expand(4, 2, 3, 6, 6), steps=4)
    assert static["0.0"].events == 4 * one_by_one(stem[0], image != 0) and static["0.0"].first
    assert [vars(record) for record in static.values()] == [vars(record) for record in repeated.values()]


# ---- what neurons send


class Sends(Neuron, nn.Module):
    """A neuron layer that sends given values, whatever comes in."""

    def __init__(self, sends, values):
        super().__init__()
        self.sends, self.values = sends, values

    def forward(self, x):
        return self.values


SENT = {  # values -> kind that the next layer sees, accumulates per nonzero input (None: multiply-accumulates)
    "binary": ([0.0, 1.0, 1.0, 0.0], "binary", 1),
    "signed": ([0.0, 1.0, -1.0, 1.0], "integer", 1),
    "signed, of a unit": ([0.0, 0.3, -0.3, 0.3], "unit", 1),
    "graded, one height": ([0.0, 0.25, 0.25, 0.25], "unit", 1),
    "graded, two or nothing": ([0.0, 2.0, 2.0, 2.0], "integer", 2),
    "graded, whole": ([0.0, 2.0, -1.0, 3.0], "integer", 2),
    "graded, not negative": ([0.0, 0.25, 0.5, 1.0], "fraction", None),
    "graded": ([0.0, 0.25, -0.5, 1.0], "real", None),
}


@pytest.mark.parametrize("case", SENT)
def test_what_a_neuron_sends_decides_what_the_next_layer_does(case):
    values, kind, each = SENT[case]
    sent = torch.tensor(values).repeat(2, 3, 5, 1)[..., None]  # [T, B, channels, 4, 1]
    sends = case.split(",")[0]
    model = nn.Sequential(Sends(sends, sent), nn.Flatten(0, 1), nn.Conv2d(5, 7, 1))
    records = watch(model, sent, steps=2, images=3)
    neuron, conv = records["0"], records["2"]
    nonzero = sent.count_nonzero().item()
    assert (neuron.sends, neuron.sent, neuron.spikes, neuron.neurons) == (sends, kind, nonzero, sent.numel())
    assert neuron.rates == [nonzero / 2] * 2  # of each step
    assert not neuron.leaks and watch(fire(), sent, steps=2)[""].leaks
    assert (conv.input_kind, conv.events, conv.nonzero) == (kind, 7 * nonzero, nonzero)
    assert conv.unit == (pytest.approx(max(values)) if kind == "unit" else 1)
    counted = conventions.count("events", [conv])
    if each is None:
        assert (counted["acs"], counted["macs"]) == (0, 7 * nonzero / 3)
    else:
        assert (counted["acs"], counted["acs_nonzero"], counted["macs"]) == (each * 7 * nonzero / 3, 7 * nonzero / 3, 0)
    strict = "acs" if kind == "binary" else "macs"  # syops-counter's rule
    assert conventions.count("syops", [conv])[strict] > 0 == conventions.count("syops", [conv])[{"acs": "macs", "macs": "acs"}[strict]]


def test_kinds_of_several_batches_add_up():
    """Two batches of one height each but not the same: averages, not spikes; with a negative one: real."""
    conv, counter = nn.Sequential(nn.Conv2d(1, 1, 1)), Counter()
    seen = []
    for value in (1.0, 0.5, 0.25, -0.75):
        with torch.no_grad(), counter.watching(conv, 1):
            conv(torch.tensor([0.0, value]).reshape(1, 1, 1, 2))
        counter.seen(1)
        record = counter.records["0"]
        seen.append((record.input_kind, record.total, record.values, record.rate, record.accumulates))
    assert seen[0] == ("binary", 1, 1, 1 / 2, 1)
    assert seen[1] == ("fraction", 1.5, 1.5, 1.5 / 4, 1.5 / 2)
    assert seen[2] == ("fraction", 1.75, 1.75, 1.75 / 6, 1.75 / 3)
    assert seen[3] == ("real", 4, 4, 4 / 8, 1)


def test_values_of_one_height_weigh_one():
    conv, counter = nn.Sequential(nn.Conv2d(1, 1, 1)), Counter()
    for value in (0.5, -0.5):
        with torch.no_grad(), counter.watching(conv, 1):
            conv(torch.tensor([0.0, value]).reshape(1, 1, 1, 2))
        counter.seen(1)
    record = counter.records["0"]
    assert (record.input_kind, record.unit, record.rate, record.accumulates, record.spiking) == ("unit", 0.5, 0.5, 1, True)


# ---- whole networks


def test_events_go_through_every_layer_at_every_step():
    """[T, B, C, H, W] frames: other ones at each step, the images of a batch counted once."""
    model, frames, seen = tiny(), draw("integer", 4, 5, 3, 8, 8).abs(), {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda m, x, _, name=name: seen.update({name: (m, x[0])}))
    counter = Counter()
    with torch.no_grad(), counter.watching(model.eval(), 4):
        for part in frames.split((3, 2), 1):
            seen.clear()
            model(part)
            counter.seen(part.shape[1])
            functional.reset_net(model)
    with torch.no_grad():
        model(frames)
    records = counter.records
    assert seen["stem.0.0"][1].shape == (20, 3, 8, 8) and {record.images for record in records.values()} == {5}
    for name, (module, x) in seen.items():
        brute = one_by_one(module, x != 0) if isinstance(module, nn.Conv2d) else 10 * x.count_nonzero()
        assert records[name].events == brute and records[name].each("events") == brute / 5
    assert records["stem.0.0"].first and records["stem.0.0"].input_kind == "integer"
    assert records["stem.0.0"].values == one_by_one(model.stem[0][0], frames.flatten(0, 1))


def test_a_static_image_counts_as_the_same_frame_at_every_step():
    model, image = tiny(), torch.randn(5, 3, 8, 8)
    static, frames = (watch(model, x, steps=4, images=5) for x in (image, image.expand(4, *image.shape)))
    for name, record in static.items():
        assert vars(record) == {**vars(frames[name]), "total": pytest.approx(frames[name].total)}, name


def tiny(steps=4):
    """A network with every part: first layer, pooling, integer shortcut, attention, classifier."""
    torch.manual_seed(0)
    stem = nn.Sequential(First(steps, *conv_bn(3, 16, 3)), fire(), max_pool())
    blocks = [Residual(conv_bn(16, 16, 3), fire()), Residual(conv_bn(16, 32), fire(), conv_bn(32, 16, groups=4), fire())]
    model = SpikingBackbone(stem, blocks, [16, 16], Head(16, 10), steps)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 1.2)
    return model


def test_inputs_of_a_network():
    model, seen = tiny(), {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(lambda m, x, _, name=name: seen.update({name: (m, x[0])}))
    records = watch(model, torch.randn(5, 3, 8, 8), steps=4, images=5)
    for name, (module, x) in seen.items():
        times = 4 if name == "stem.0.0" else 1
        brute = one_by_one(module, x != 0) if isinstance(module, nn.Conv2d) else 10 * x.count_nonzero()
        assert records[name].events == times * brute and records[name].each("events") == times * brute / 5
    assert records["stem.0.0"].input_kind == "real" and records["head.classifier"].input_kind == "fraction"
    assert records["blocks.0.0.0"].input_kind == "binary" and records["blocks.1.0.0"].input_kind == "integer"
    assert records["blocks.1.0.0"].values > records["blocks.1.0.0"].events


def test_firing_rate_per_layer_and_step():
    model, spikes = tiny(), []
    model.stem[1].register_forward_hook(lambda _, __, output: spikes.append(output))
    records = watch(model, torch.randn(5, 3, 8, 8), steps=4, images=5)
    (output,), line = spikes, records["stem.1"].line()
    assert line["firing_rate"] == pytest.approx(100 * output.mean().item()) and len({*records["stem.1"].rates}) > 1
    assert [line[f"firing_rate_t{t + 1}"] for t in range(4)] == pytest.approx([100 * step.mean().item() for step in output])
    neurons = [record for record in records.values() if record.kind == "neuron"]
    rate = 100 * sum(record.spikes for record in neurons) / sum(record.neurons for record in neurons)
    assert energy.firing_rate(list(records.values())) == rate


def test_batches_add_up_and_hooks_go():
    model, images = tiny(), torch.randn(6, 3, 8, 8)
    counter = Counter()
    with torch.no_grad():
        for part in (images[:4], images[4:]):
            with counter.watching(model.eval(), 4):
                model(part)
                counter.seen(len(part))
            functional.reset_net(model)
    whole = watch(model, images, steps=4, images=6)
    for name, record in counter.records.items():
        assert {**vars(record), "calls": 0, "total": 0, "values": 0} == {**vars(whole[name]), "calls": 0, "total": 0, "values": 0}
        assert (record.total, record.values) == pytest.approx((whole[name].total, whole[name].values))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_same_as_spikingjelly_on_binary_inputs():
    torch.manual_seed(0)
    model = nn.Sequential(layer.SeqToANNContainer(nn.Conv2d(8, 16, 3, 2, 1, groups=2, bias=False)), fire(), conv_bn(16, 8, 3)[0]).eval()
    x, theirs = draw("binary", 4, 2, 8, 7, 7), SynOpCounter()
    nn.init.constant_(model[0][0].weight, 0.2)
    model[2].weight.data.abs_()
    model = nn.Sequential(model[0], model[1], layer.SeqToANNContainer(model[2]))
    ours = watch(model, x, steps=4)
    with torch.no_grad(), DispatchCounterMode([theirs]):
        model(x)
    assert theirs.get_total() == sum(record.events for record in ours.values()) and ours["2.0"].events > 0


def test_memory_and_addressing_as_spikingjelly_counts_them():
    """Its estimate adds nothing for biases that a layer does not have; `lemaire` has one addition for every output, as the equations do."""
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 16, 3, 2, 1, groups=2, bias=False)
    model = nn.Sequential(layer.SeqToANNContainer(conv), fire(), nn.Flatten(2), nn.Linear(16 * 4 * 4, 2500, bias=False), fire()).eval()
    nn.init.constant_(conv.weight, 0.2)
    nn.init.constant_(model[3].weight, 0.1)
    x = draw("binary", 1, 1, 8, 7, 7)  # one step: of a layer that does not know of time it takes all steps for one
    records = watch(model, x)
    with pytest.warns(RuntimeWarning, match="do not support Flatten"):
        theirs = estimate_lemaire_energy(model, x, config=LemaireEnergyConfig(strict=False)).breakdown_pj
    ours, outputs = (
        conventions.count("lemaire", list(records.values())),
        sum(record.outputs for record in records.values() if record.weights),
    )
    assert all(record.spikes for record in records.values() if record.kind == "neuron")
    assert ours["memory_mJ"] * 1e9 == pytest.approx(theirs["memory_pj"], rel=1e-9)
    assert ours["addressing_mJ"] * 1e9 == pytest.approx(theirs["addressing_pj"], rel=1e-9)
    assert ours["operations_mJ"] * 1e9 - 0.1 * outputs == pytest.approx(theirs["ops_pj"], rel=1e-9)


def test_shapes_need_no_values():
    with torch.device("meta"):
        model = tiny()
        counter = Counter(values=False)
        with counter.watching(model, 4):
            model(torch.empty(1, 3, 8, 8))
    counter.seen(1)
    real = watch(tiny(), torch.randn(1, 3, 8, 8), steps=4)
    assert {name: record.dense for name, record in counter.records.items()} == {name: record.dense for name, record in real.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_torch_counts_as_the_kernel(kind):
    for memory in LAYOUTS.values():
        x = draw(kind, 4, 40, 3, 3).contiguous(memory_format=memory)
        kernel, plain = sums(x, 2), sums(x.double(), 2)
        assert torch.equal(kernel.rows, plain.rows) and torch.equal(kernel.positions, plain.positions)
        assert kernel.kind == plain.kind and kernel.total == pytest.approx(plain.total.item())


def test_a_counter_remembers_few_tensors():
    remembered, tensors = Remembered(2), [draw("binary", 2, 3, 4, 4, seed=seed) for seed in range(4)]
    first = remembered(tensors[0], 2)
    assert remembered(tensors[0].view(2, 3, 4, 4), 2) is first
    for x in tensors:
        remembered(x, 2)
    assert len(remembered.found) == 2 and remembered(tensors[0], 2) is not first
    tensors[0].zero_()
    assert remembered(tensors[0], 2).nonzero == 0


def test_a_record_comes_back_from_json_exactly():
    """Of every kind of layer; operands, rates and all amounts, and what every convention makes of them."""
    qkv = [draw("binary", 4, 5, 16, 8, 8, seed=seed) for seed in range(3)]
    records = [*watch(tiny(), torch.randn(5, 3, 8, 8), steps=4, images=5).values()]
    records += watch(nn.Sequential(Calls(AttentionProduct(4, 0.125, "qk_v"), qkv)), qkv[0], steps=4, images=5).values()
    back = [Record.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False))) for record in records]
    assert [vars(record) for record in back] == [vars(record) for record in records]
    assert {"neuron", "product", "conv", "linear", "pool"} <= {record.kind for record in back}
    assert any(record.rates for record in back) and any(record.operands for record in back)
    assert all(conventions.count(name, back) == conventions.count(name, records) for name in conventions.names())


# ---- conventions: files


def test_a_convention_is_found_by_being_there(monkeypatch, tmp_path):
    folder = Path(conventions.__file__).parent
    shutil.copy(folder / "_template.py", tmp_path / "house_rule.py")
    conventions.names.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(conventions, "__file__", str(tmp_path / "__init__.py"))
        patch.setattr(conventions, "__path__", [str(folder), str(tmp_path)])
        assert conventions.names() == ("house-rule",)
        counted = conventions.count("house-rule", ALL)
    conventions.names.cache_clear()
    sys.modules.pop("benchmark.conventions.house_rule")
    assert counted["macs"] == sum(record.dense for record in (FIRST, BINARY, INTEGER, PRODUCT, HEAD)) / 2
    assert {"events", "papers", "spikingformer", "syops"} <= {*conventions.names()}
    with pytest.raises(UserError, match="did you mean syops"):
        conventions.count("sysops", ALL)


def test_conventions_load_neither_torch_nor_each_other():
    text = (
        "import sys; from benchmark import conventions; conventions.count('events', []); "
        "print(sorted(name for name in sys.modules if name in ('torch', 'numpy') or name.startswith('benchmark.conventions.')))"
    )
    found = subprocess.run([sys.executable, "-c", text], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    assert ast.literal_eval(found.stdout) == [f"benchmark.conventions.{name}" for name in ("_energy", "_record", "_result", "events")]


# ---- conventions: arithmetic on records made by hand, two images, two steps


def conv_record(name="conv", **amounts):
    made = {"kind": "conv", "layer": "Conv2d", "steps": 2, "images": 2, "dense": 4000, "outputs": 400, "inputs": 100, "nonzero": 25}
    shape = {"weights": [4, 10, 1, 1], "stride": [1, 1]}
    return Record(name, **{**made, **shape, "total": 25.0, "events": 900, "values": 900.0, **amounts})


FIRST = conv_record("first", first=True, input_kind="real", nonzero=90, total=90.0, events=3600, values=3600.0)
NORM = Record("norm", "norm", 2, "BatchNorm2d", images=2, inputs=400, outputs=400, input_kind="real")
NEURON = Record("fire", "neuron", 2, "LIF", images=2, neurons=400, spikes=100, rates=[70, 30], leaks=True)
BINARY = conv_record("binary", bias=True)
INTEGER = conv_record("integer", input_kind="integer", nonzero=30, total=50.0, events=1000, values=1700.0)
POOL = Record("pool", "pool", 2, "AvgPool2d", images=2, inputs=60, nonzero=30, total=30.0)
PRODUCT = Record("product", "product", 2, "AttentionProduct", images=2, dense=800, events=200, values=200.0, head_width=4)
PRODUCT.operands = [[80, 20], [80, 8], [80, 40]]
HEAD = conv_record(
    "head", kind="linear", layer="Linear", weights=[4, 10], stride=[], dense=200, input_kind="fraction", total=10.0, events=180, values=18.0
)
ALL = [FIRST, NORM, NEURON, BINARY, INTEGER, POOL, PRODUCT, HEAD]


def without_names(counted):
    return {key: value for key, value in counted.items() if key not in ("uncounted", "convention")}


def test_events():
    # accumulates per image: binary 900 / 2, integer 1700 / 2 as values or 1000 / 2 as events, product 200 / 2; MACs: (3600 + 180) / 2
    expected = {"acs": 450 + 850 + 100, "macs": 1890, "acs_nonzero": 450 + 500 + 100, "energy_mJ": (4.6 * 1890 + 0.9 * 1400) * 1e-9}
    assert without_names(conventions.count("events", ALL)) == pytest.approx(expected)


def test_papers():
    # per image: binary 2000 x 25/100, integer 2000 x 50/100, product 400 x 200/800, head 100 x 10/100; first 2000 / 2 steps as MACs
    sops = 500 + 1000 + 100 + 10
    expected = {"acs": sops, "macs": 1000, "sops": sops, "ops": sops, "energy_mJ": (4.6 * 1000 + 0.9 * sops) * 1e-9}
    assert without_names(conventions.count("papers", ALL)) == pytest.approx(expected)


def test_papers_of_an_artificial_network():
    counted = conventions.count("papers", [FIRST, BINARY])
    assert (counted["macs"], counted["sops"], counted["ops"]) == (4000, 0, 4000)  # 2000 + 2000, the bias left out


def test_syops():
    # operations per image: first 2000, norm 2 x 200, binary 2000 + 200 for its bias, integer 2000, pool 30, head 100; AC: times the rate
    acs = 2200 * 0.25 + 30 * 0.5
    macs = 2000 + 400 + 2000 + 100
    expected = {"acs": acs, "macs": macs, "ops": 2000 + 400 + 2200 + 2000 + 30 + 100, "energy_mJ": (4.6 * macs + 0.9 * acs) * 1e-9}
    assert without_names(conventions.count("syops", ALL)) == pytest.approx(expected)


def test_spikingformer():
    # binary 2200 x 0.25; product 80 / 2 queries x 4 channels x (min(0.1, 0.5) + 0.25); MACs: first 2000, integer 2000, classifier 100 / 2
    acs, macs = 550 + 160 * 0.35, 2000 + 2000 + 50
    expected = {"acs": acs, "macs": macs, "energy_mJ": (4.6 * macs + 0.9 * acs) * 1e-9}
    assert without_names(conventions.count("spikingformer", ALL)) == pytest.approx(expected)


def test_spikingformer_readme():
    """8-512 on ImageNet, T = 4: 0.3473 G MAC (first convolution 27 x 64 x 224 x 224 x 4, classifier 512 x 1000) and 6.5175 G AC."""
    first = Record("first", "conv", 4, first=True, images=1, dense=4 * 27 * 64 * 224 * 224, inputs=1, total=1.0, input_kind="real")
    rest = Record("rest", "conv", 4, images=1, dense=10**10, inputs=10**5, total=65175.0)
    head = Record("head", "linear", 4, images=1, dense=4 * 512 * 1000, input_kind="fraction")
    counted = conventions.count("spikingformer", [first, rest, head])
    assert round(counted["macs"] / 1e9, 4) == 0.3473 and counted["acs"] == pytest.approx(6.5175e9)
    assert round(counted["energy_mJ"], 2) == 7.46


@pytest.mark.parametrize("name", conventions.names())
def test_nothing_is_dropped_silently(name):
    """A layer either changes the count when it has ten times the operations, or is named."""
    whole = conventions.count(name, ALL)
    for record in ALL:
        amounts = ("dense", "events", "values", "inputs", "total", "outputs", "spikes", "neurons")
        larger = Record(**{**vars(record), **{amount: 10 * getattr(record, amount) for amount in amounts}})
        larger.operands = [[10 * a, 10 * b] for a, b in record.operands]
        changed = conventions.count(name, [larger if other is record else other for other in ALL])
        named = any(text.startswith(f"{record.name} (") and "(bias)" not in text for text in whole["uncounted"])
        assert named != (whole["energy_mJ"] != changed["energy_mJ"]), record.name
    assert ("binary (bias)" in whole["uncounted"]) == (name in ("events", "papers", "single-attention", "ecmt"))


def test_energy_presets():
    assert energy.energy(1e9, 1e9) == pytest.approx(4.6 + 0.9)  # 1e9 pJ are 1 mJ
    assert energy.energy(1e9, 1e9, "45nm_16bit") == pytest.approx(1.1 + 0.4 + 0.4)
    assert energy.energy(1e9, 1e9, "45nm_8bit") == pytest.approx(0.2 + 0.03 + 0.03)
    with pytest.raises(UserError, match="45nm_32bit"):
        energy.energy(1, 1, "45nm_32bits")


# ---- what counting costs


def test_the_cost_of_counting_is_measured():
    """One tiny network; docs/counting.md has the tables of whole ones."""
    measured = {name: (seconds, accumulates) for name, seconds, _, accumulates in timing.measure("spikformer-2-384/48", 1, 1)}
    assert {"uncounted", "SpikeLedger", "spikingjelly SynOpCounter"} <= measured.keys()
    assert measured["SpikeLedger"][0] > 0 and measured["SpikeLedger"][1] > measured["spikingjelly SynOpCounter"][1] > 0
