"""Batch normalisation and neuron in one pass against torch's normalisation and the neuron alone, and who else may look at what lies between."""

import copy

import pytest
import torch
from helpers import enliven
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.layer import SeqToANNContainer
from torch import nn

from benchmark.backbones import resnet, sew_resnet, spike_driven_transformer, spikformer
from benchmark.measuring.counter import Counter
from benchmark.networks.layers import First, Residual, Sum, conv_bn
from benchmark.networks.normalising import BatchNorm2d
from benchmark.neurons import _fused, _packed, lif, maker, plif
from benchmark.neurons._normalised import Normalised, moments

PRECISIONS = {torch.float32: 1e-5, torch.bfloat16: 2**-6}  # of the largest; in half precision the slow way rounds in between
SHAPES = {"one step": (1, 3, 7, 5, 6), "odd": (4, 3, 7, 5, 3), "wide": (3, 2, 300, 4, 4), "beyond a block": (2, 1, 2100, 2, 1), "one channel": (4, 2, 1, 3, 3),
          "one position": (4, 3, 5, 1, 1), "many": (4, 5, 64, 9, 9)}  # fmt: skip
NEURONS = {
    "lif": lambda: lif.neuron(**lif.EXAMPLE),
    "soft": lambda: lif.neuron(**{**lif.EXAMPLE, "v_reset": None, "detach_reset": False, "tau": 3.0}),
    "no decay": lambda: lif.neuron(**{**lif.EXAMPLE, "decay_input": False, "tau": 1e9, "surrogate": "atan"}),
    "plif": lambda: plif.neuron(**plif.EXAMPLE),
}


def drawn(*shape, seed=0, dtype=torch.float32):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2 + 1
    return x.to(dtype).contiguous(memory_format=torch.channels_last)


def norm_of(channels, **changes):
    """With weights and biases under which a third fires."""
    torch.manual_seed(0)
    norm = BatchNorm2d(channels, **changes)
    if norm.affine:
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias, 0.5)
    return norm


@pytest.fixture
def passes(monkeypatch):
    """Grows with every pass that normalises."""
    calls, apply = [], _fused.NormalisedPass.apply
    monkeypatch.setattr(_fused.NormalisedPass, "apply", lambda *arguments: calls.append(arguments) or apply(*arguments))
    return calls


def torchs(norm):
    """The same module with torch's own forward pass."""
    norm.__class__ = nn.BatchNorm2d
    return norm


def result(norm, fire, x, shape, extra=None):
    """Spikes, gradients of x, the norm, the neuron and what is added, running statistics."""
    x, extra = x.clone().requires_grad_(), None if extra is None else extra.clone().requires_grad_()
    y = norm(x).unflatten(0, shape)
    spikes = fire(y if extra is None else extra + y)
    weights = torch.randn(spikes.shape, generator=torch.Generator().manual_seed(1)).to(spikes.dtype)
    (spikes * weights).sum().backward()
    grads = [x.grad, *(each.grad for each in (*norm.parameters(), *fire.parameters())), *([] if extra is None else [extra.grad])]
    return spikes.detach(), grads, dict(norm.named_buffers())


def assert_close(found, expected, tolerance):
    """Each to so much of its largest value, or of one."""
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert (one.float() - other.float()).abs().max() <= tolerance * max(1, other.float().abs().max()), (one, other)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=["fp32", "bf16"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("added", [False, True], ids=["alone", "added"])
def test_one_pass_is_a_normalisation_and_a_neuron(shape, dtype, added, passes):
    """Gradients and running statistics of torch's own; spikes to the last one, from torch's normalisation with the same statistics."""
    steps, images, channels = shape[:3]
    x = drawn(steps * images, *shape[2:], dtype=dtype)
    extra = drawn(steps * images, *shape[2:], seed=2, dtype=dtype).unflatten(0, shape[:2]) if added else None
    norm, fire = norm_of(channels), NEURONS["lif"]()
    slow, fire_slow = torchs(copy.deepcopy(norm)), copy.deepcopy(fire)
    spikes, grads, buffers = result(norm, fire, x, shape[:2], extra)
    assert len(passes) == 1 and spikes.any() and not spikes.all()
    mean, variance = moments(x)
    y = nn.functional.batch_norm(x, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps).unflatten(0, shape[:2])
    alone = NEURONS["lif"]()
    assert torch.equal(spikes, alone((y if extra is None else extra + y).detach()))
    spikes_slow, grads_slow, buffers_slow = result(slow, fire_slow, x, shape[:2], extra)
    assert len(passes) == 1 and (spikes != spikes_slow).float().mean() <= (0 if dtype == torch.float32 else 2e-3)
    assert_close(grads, grads_slow, PRECISIONS[dtype])
    torch.testing.assert_close(buffers, buffers_slow, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", NEURONS)
@pytest.mark.parametrize("case", ["no affine", "evaluation", "no running statistics", "cumulative", "plain"])
def test_every_neuron_and_every_state_of_a_norm(kind, case, passes):
    options = {"no affine": {"affine": False}, "no running statistics": {"track_running_stats": False}, "cumulative": {"momentum": None}}
    norm = norm_of(6, **options.get(case, {}))
    norm(drawn(8, 6, 5, 5, seed=3)).sum()
    norm.train(case != "evaluation")
    fire = NEURONS[kind]()
    slow, fire_slow = torchs(copy.deepcopy(norm)), copy.deepcopy(fire)
    found, expected = (result(*pair, drawn(8, 6, 5, 5), (4, 2)) for pair in ((norm, fire), (slow, fire_slow)))
    assert len(passes) == 1 and torch.equal(found[0], expected[0]) and found[0].any()
    assert_close(found[1], expected[1], 1e-5)
    torch.testing.assert_close(found[2], expected[2], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fire.v, fire_slow.v, rtol=1e-4, atol=1e-5)


def test_moments_are_torchs_to_single_precision():
    """Also far from zero, where a plain sum of squares would lose them."""
    for offset in (0.0, 1000.0):
        x = drawn(40, 37, 9, 9) + offset
        mean, variance = moments(x)
        expected = x.double()
        torch.testing.assert_close(mean.double(), expected.mean((0, 2, 3)), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(variance.double(), expected.var((0, 2, 3), unbiased=False), rtol=1e-5, atol=0)


def test_a_static_image_is_normalised_once(passes):
    """Its statistics are those of the T copies; the gradient is summed over the steps."""
    torch.manual_seed(0)
    first, fire, images = First(4, *conv_bn(3, 6, 3)), NEURONS["lif"](), drawn(5, 3, 8, 8)
    nn.init.constant_(first[1].bias, 1.0)
    slow = copy.deepcopy(first)
    torchs(slow[1])
    found = []
    for module in (first, slow):
        spikes = fire(module(images))
        functional.reset_net(fire)
        (spikes * torch.randn(spikes.shape, generator=torch.Generator().manual_seed(1))).sum().backward()
        found.append((spikes.detach(), [each.grad for each in module.parameters()]))
    assert len(passes) == 1 and passes[0][0].shape == (5, 6, 8, 8)
    assert torch.equal(found[0][0], found[1][0]) and found[0][0].any()
    assert_close(found[0][1], found[1][1], 1e-5)


LOOKS = {
    "its sum": lambda y: weighted(y),
    "a copy": lambda y: (y.clone() * y.detach()).sum(),
    "a maximum": lambda y: nn.functional.max_pool2d(y.flatten(0, 1), 2).sum(),
    "a gradient of another kind": lambda y: weighted(Doubled.apply(y)),
    "added and looked at": lambda y: (y + y.detach()).square().sum(),
    "added to itself": lambda y: weighted(y + y),
    "in place": lambda y: nn.functional.relu(y * 1, inplace=True).sum() + y.relu_().sum(),
    "numbers": lambda y: weighted(y) * float(y.detach().numpy().max()),
    "the neuron twice": lambda y: lif.neuron(**lif.EXAMPLE)(y).sum() + lif.neuron(**{**lif.EXAMPLE, "tau": 4.0})(y).sum(),
    "looked at, then the neuron": lambda y: y.square().sum() * 1e-3 + lif.neuron(**lif.EXAMPLE)(y).sum(),
    "cut off": lambda y: lif.neuron(**lif.EXAMPLE)(y.detach()).sum() + y.mean(),
    "other shapes": lambda y: (y.flatten(3).mean(3) + y.transpose(0, 1)[0].sum()).sum(),
}  # fmt: skip


def weighted(y):
    """A sum, whose gradient a normalisation does not take away."""
    return (y * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))).sum()


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_sees_a_tensor(look):
    """Values and gradients are torch's, whatever is done with what is not yet computed."""
    found = []
    for norm in (norm_of(6), torchs(norm_of(6))):
        x = drawn(8, 6, 4, 4).requires_grad_()
        y = norm(x).unflatten(0, (4, 2))
        assert isinstance(y, Normalised) == isinstance(norm, BatchNorm2d)
        value = LOOKS[look](y)
        value.backward()
        found.append([value.detach(), x.grad, norm.weight.grad, norm.bias.grad])
    assert found[1][1].any()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


def test_a_norm_without_a_gradient_gives_none():
    x, norm = drawn(8, 6, 4, 4).requires_grad_(), norm_of(6)
    with torch.no_grad():
        y = norm(x).unflatten(0, (4, 2))
    assert not y.requires_grad and not NEURONS["lif"]()(y).requires_grad


@pytest.mark.parametrize("case", ["one value a channel", "double precision", "channels first"])
def test_torchs_own_runs_where_ours_does_not(case):
    norm = norm_of(6)
    if case == "one value a channel":
        with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
            norm(drawn(1, 6, 1, 1))
    elif case == "double precision":
        assert type(norm.double()(drawn(2, 6, 3, 3).double())) is torch.Tensor
    else:
        assert type(norm(drawn(2, 6, 3, 3).contiguous())) is torch.Tensor


NETWORKS = {
    "resnet": (resnet, {**resnet.SIZES["18"], "widths": [8, 16], "depths": [1, 1], "stem": 8}, "cifar"),
    "sew": (sew_resnet, {"widths": [8, 16], "depths": [1, 1], "bottleneck": False}, "imagenet"),
    "spikformer": (spikformer, {"depth": 1, "dim": 32, "heads": 2}, "cifar"),
    "spike-driven": (spike_driven_transformer, {"depth": 1, "dim": 32, "heads": 2}, "cifar"),
}


def network(name, fire=None):
    file, size, layout = NETWORKS[name]
    torch.manual_seed(0)
    built = file.build(size, file.LAYOUTS[layout], fire or maker(file.NEURON), 10, (3, 32, 32), 2)
    return enliven(built.to(memory_format=torch.channels_last)).train()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_neuron_behind_a_norm_takes_the_pass(name, passes):
    """In whole networks, whose layers know nothing of it; a sum of branches of a spiking ResNet too."""
    module = network(name)
    module(drawn(2, 3, 32, 32)).sum().backward()
    assert len(passes) >= {"resnet": 5, "sew": 6, "spikformer": 10, "spike-driven": 7}[name]
    assert (sum(added is not None for _, _, _, added, *_ in passes) > 0) == (name == "resnet")
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_counting_sees_the_same_spikes(name):
    """Hooks on neurons and norms, in evaluation, with the pass and with torch's normalisation."""
    found = []
    for slow in (False, True):
        module = network(name)
        with torch.no_grad():
            module(drawn(4, 3, 32, 32))
        functional.reset_net(module)
        for part in module.modules():
            if slow and isinstance(part, BatchNorm2d):
                torchs(part)
        counter = Counter()
        with counter.watching(module.eval(), 2), torch.no_grad():
            module(drawn(2, 3, 32, 32))
            counter.seen(2)
        found.append(
            {name: (each.kind, each.layer, each.spikes, each.events, each.inputs, each.outputs) for name, each in counter.records.items()}
        )
    assert found[0] == found[1] and any(spikes for _, _, spikes, *_ in found[0].values())


def test_names_of_weights_are_torchs():
    assert list(conv_bn(3, 4).state_dict()) == list(SeqToANNContainer(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)).state_dict())


@pytest.mark.parametrize("whole", [False, True], ids=["real", "whole"])
def test_what_is_added_is_kept_as_it_is_or_as_bytes(whole, passes, monkeypatch):
    monkeypatch.setattr(_packed, "FEW", 0)
    extra = drawn(8, 6, 4, 4, seed=2).unflatten(0, (4, 2)).abs()
    extra = extra.round() if whole else extra
    norm, saved = norm_of(6), []
    slow = torchs(copy.deepcopy(norm))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        found = result(norm, NEURONS["lif"](), drawn(8, 6, 4, 4), (4, 2), extra)
    assert any(tensor.dtype == torch.uint8 and tensor.nbytes == extra.numel() for tensor in saved) == whole
    expected = result(slow, NEURONS["lif"](), drawn(8, 6, 4, 4), (4, 2), extra)
    assert torch.equal(found[0], expected[0]) and len(passes) == 1
    assert_close(found[1], expected[1], 1e-5)


@pytest.mark.parametrize("kept", ["alone", "added"])
def test_nothing_but_what_came_in_is_kept(kept):
    """The convolution's output, what was added, weights; no membrane and no value in between."""
    norm, fire, saved = norm_of(6), NEURONS["lif"](), []
    x, extra = drawn(8, 6, 4, 4).requires_grad_(), drawn(8, 6, 4, 4, seed=2).unflatten(0, (4, 2))
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        y = norm(x).unflatten(0, (4, 2))
        fire(y if kept == "alone" else y + extra)
    large = {tensor.data_ptr() for tensor in saved if tensor.numel() > 6}
    assert large == {x.data_ptr()} | ({extra.data_ptr()} if kept == "added" else set())


def test_a_shortcut_of_membranes_is_computed_once(passes):
    """`Residual` needs its input twice: there the sum is computed, and the neuron goes over it alone."""
    module = nn.Sequential(Residual(conv_bn(6, 6)), Residual(NEURONS["lif"](), conv_bn(6, 6)))
    module.to(memory_format=torch.channels_last)(drawn(8, 6, 4, 4).unflatten(0, (4, 2))).sum().backward()
    assert not passes


def test_both_branches_of_a_sum_have_their_gradients():
    torch.manual_seed(0)
    part = nn.Sequential(Sum(conv_bn(6, 8), conv_bn(6, 8)), NEURONS["lif"]()).to(memory_format=torch.channels_last)
    slow = copy.deepcopy(part)
    for each in slow.modules():
        if isinstance(each, BatchNorm2d):
            torchs(each)
    grads = []
    for module in (part, slow):
        x = drawn(8, 6, 4, 4).unflatten(0, (4, 2)).requires_grad_()
        (module(x) * torch.randn(4, 2, 8, 4, 4, generator=torch.Generator().manual_seed(1))).sum().backward()
        grads.append([x.grad, *(parameter.grad for parameter in module.parameters())])
    assert_close(*grads, 1e-4)


@pytest.mark.parametrize("tau", [2.0, 3.0, 4 / 3])
def test_a_leak_is_a_quotient_to_the_bit(tau):
    """A product stands for it where tau is a power of two alone."""
    node, x = lif.neuron(**{**lif.EXAMPLE, "tau": tau}), drawn(4, 5, 40, 40)
    node(x)
    function = node.surrogate_function
    _, membrane = _fused.loop(x, torch.zeros(5, 40, 40), lambda value: value / tau, 1.0, 0.0, True, True, function)
    assert torch.equal(node.v, membrane)
