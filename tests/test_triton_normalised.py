"""Batch normalisation and leaky neuron as one operation, in Triton's interpreter on CPU tensors, against torch's and then the slow loop."""

import copy
import importlib
import re
import sys

import helpers
import numpy as np
import pytest
import test_triton
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.layer import SeqToANNContainer
from test_neurons import layer
from test_triton import ALPHAS, each_fused, each_surrogate
from torch import distributed, nn

from benchmark.networks import build
from benchmark.networks.layers import First, Residual
from benchmark.networks.pairing import paired
from benchmark.networks.recompute import recomputed
from benchmark.networks.replacing import ThresholdBatchNorm2d
from benchmark.neurons import _back_ends, ran
from benchmark.neurons._fused import Fused
from benchmark.neurons._surrogates import surrogate_function

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Triton comes with torch on Linux alone")
BOTH = "triton-normalised"
LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def load(interpreted: bool):
    """The module with its kernels interpreted or compiled, and the one below it."""
    test_triton.load(interpreted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1" if interpreted else "0")
        return importlib.reload(importlib.import_module("benchmark.neurons._triton_normalised"))


def one_rounding(builder, x, y, z):
    """A fused multiply-add, which the interpreter rounds twice; a double holds the product."""
    from triton.runtime.interpreter import TensorHandle

    return TensorHandle((x.data.astype(np.float64) * y.data + z.data).astype(np.float32), z.dtype.scalar)


def to_nearest(convert):
    """Conversion to bfloat16 as GPUs and torch do it, where the interpreter cuts off."""

    def converted(values, source, target, mode):
        if (str(source), str(target)) != ("fp32", "bf16"):
            return convert(values, source, target, mode)
        return torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16).view(torch.uint16).numpy()

    return converted


@pytest.fixture
def kernels(monkeypatch):
    """The interpreted kernels, chosen by name; sums by numpy, because the interpreter's own take a second."""
    from triton.runtime import interpreter

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_fma", one_rounding)
    monkeypatch.setattr(interpreter, "_convert_float", to_nearest(interpreter._convert_float))
    monkeypatch.setattr(interpreter.ReduceOps, "generic_reduce", lambda self, values: [self.sum(values[0])])
    monkeypatch.setattr(_back_ends, "_chosen", "triton")
    yield load(interpreted=True)
    load(interpreted=False)


def lively(norm: nn.Module) -> nn.Module:
    """Every channel with weight and bias of its own, some negative."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(norm.num_features, generator=generator) + 0.5)
        norm.bias.copy_(torch.randn(norm.num_features, generator=generator) / 2 + 0.5)
    return norm


def images(*shape, dtype=torch.float32, layout="contiguous") -> torch.Tensor:
    """[T, B, C, H, W], or [B, C, H, W] without time; every channel around another mean."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator) * 2 + torch.arange(shape[-3])[:, None, None] / 7
    merged = x.flatten(0, -4).to(dtype).contiguous(memory_format=LAYOUTS[layout])
    return merged.unflatten(0, shape[:2]) if len(shape) == 5 else merged


def network(name: str, channels: int, norm=None, **changes) -> nn.Sequential:
    return nn.Sequential(SeqToANNContainer(norm or lively(nn.BatchNorm2d(channels))), layer(name, **changes))


def learned(module, x) -> dict[str, torch.Tensor]:
    """What is sent, gradients, membranes and buffers after one pass both ways."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    sent = module(x)
    weights = torch.randn(sent.shape, generator=torch.Generator().manual_seed(2)).to(sent.dtype)
    (sent * weights).sum().backward()
    gradients = {f"gradient of {key}": value.grad for key, value in module.named_parameters()}
    return {"spikes": sent.detach(), "membranes": module[-1].v, "gradient": x.grad, **gradients, **dict(module.named_buffers())}


def both(module, x) -> list[dict]:
    """By torch's normalisation and the slow loop, and as one operation, of copies.

    torch gets its images contiguous: of channels last, on a CPU, its dL/dbias is off by 2e-3 in bfloat16, and so is a variance of 0.
    """
    _back_ends.choose("torch")
    slow, fast = copy.deepcopy(module), copy.deepcopy(module)
    expected = learned(slow, x.contiguous())
    _back_ends.choose("triton")
    found = learned(paired(fast), x)
    assert ran(slow) == ["torch"] and ran(fast) == [BOTH]
    return [expected, found]


def assert_equal(expected: dict, found: dict, gradient: float = 1e-5, alive: bool = True) -> None:
    """Spikes to the bit; gradients to a share of the largest; membranes and running statistics to 1e-6 of theirs."""
    assert torch.equal(found["spikes"], expected["spikes"]) and found.keys() == expected.keys()
    for key, value in expected.items():
        share = gradient if key.startswith("gradient") else 1e-6
        assert found[key].dtype == value.dtype and found[key].isfinite().all(), key
        assert (found[key].double() - value.double()).abs().max() <= share * value.double().abs().max().clamp(min=0.1), key
        assert not alive or value.any() and found[key].any(), key
    assert not alive or 0.05 < found["spikes"].float().mean() < 0.95


# ---- both ways


@each_fused
@each_surrogate
@pytest.mark.parametrize("v_reset", [0.0, None, -0.25])
def test_it_is_torchs_normalisation_and_the_slow_loop(name, surrogate, v_reset, kernels):
    for number, (detach, decay, tau) in enumerate(((True, True, 2.0), (True, False, 1.7), (False, True, 1.7), (False, False, 2.0))):
        constants = {"tau": tau, "v_threshold": 0.6, "detach_reset": detach, "decay_input": decay, "alpha": ALPHAS[surrogate]}
        module = network(name, 5, v_reset=v_reset, surrogate=surrogate, **constants)
        assert_equal(*both(module, images(3, 2, 5, 3, 7, layout=list(LAYOUTS)[number % 2])))


SIZES = {
    "one pixel": (4, 9, 6, 1, 1),
    "one image": (4, 1, 6, 5, 7),
    "one image of one pixel": (16, 1, 40, 1, 1),
    "one channel": (4, 3, 1, 5, 7),
    "channels for two programs": (4, 3, 33, 3, 2),
    "several tiles": (4, 3, 2, 19, 31),
    "exactly a tile": (4, 2, 32, 2, 4),
    "one step": (1, 4, 6, 5, 7),
    "as many steps as registers hold": (32, 2, 6, 3, 5),
}


@each_layout
@pytest.mark.parametrize("size", SIZES)
def test_any_size(size, layout, kernels):
    assert_equal(*both(network("plif", SIZES[size][2], v_threshold=0.5), images(*SIZES[size], layout=layout)))


@each_layout
def test_programs_with_several_tiles_each(layout, kernels, monkeypatch):
    """Three programs for at least seven tiles of 33 channels or 3."""
    monkeypatch.setattr(kernels, "PROGRAMS", 3)
    monkeypatch.setattr(kernels, "PARTS", 2)
    monkeypatch.setattr(kernels, "block", lambda steps: 64)
    shape = (3, 7, 33, 3, 2) if layout == "channels last" else (3, 7, 3, 8, 9)
    tiles = kernels.tiles(images(*shape, layout=layout)[0], 3)
    assert kernels.grid(tiles)[0] >= 7 and kernels.shared_out(tiles)[0] <= 3
    assert_equal(*both(network("plif", shape[2], v_threshold=0.5), images(*shape, layout=layout)))


@each_layout
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@each_fused
def test_half_precision(name, dtype, layout, kernels):
    """Currents are rounded to it, as torch's normalisation sends them, and dL/dcurrent too: dL/dx is off by a rounding of its largest."""
    module = network(name, 5, detach_reset=False, v_threshold=0.5)
    expected, found = both(module, images(4, 2, 5, 6, 7, dtype=dtype, layout=layout))
    coarse = {torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
    assert found["spikes"].dtype == dtype and found["membranes"].dtype == torch.float32
    assert_equal(expected, found, gradient=coarse)
    assert_equal(*({key: value for key, value in each.items() if key != "gradient"} for each in (expected, found)), gradient=1e-4)


@each_layout
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("steps", [1, 4])
def test_a_static_image_is_normalised_once(steps, dtype, layout, kernels):
    module = nn.Sequential(First(steps, lively(nn.BatchNorm2d(5))), layer("plif", v_threshold=0.5, detach_reset=False))
    expected, found = both(module, images(3, 5, 6, 7, dtype=dtype, layout=layout))
    assert_equal(expected, found, gradient=1e-5 if dtype == torch.float32 else 2**-6)  # torch rounds each step's before it sums them
    assert len(found["spikes"]) == steps and found["spikes"][0].is_contiguous(memory_format=LAYOUTS[layout])


@each_layout
def test_channels_that_are_constant(layout, kernels):
    """Their variance is 0: they send their bias, and their gradient is finite."""
    x = images(4, 3, 5, 3, 7, layout=layout)
    x[:, :, 1], x[:, :, 3] = 0.1, 0.0
    expected, found = both(network("lif", 5, v_threshold=0.3), x)
    assert_equal(expected, found)
    assert found["0.0.running_var"][1] == pytest.approx(0.9, abs=1e-9) and found["gradient"][:, :, 1].isfinite().all()


@each_layout
def test_a_large_mean_beside_a_small_deviation(layout, kernels):
    """1,000 +- 1, statistics as in double precision. A mean whose last bit differs moves currents by 6e-5."""
    x = (images(4, 3, 5, 6, 7, layout=layout).flatten(0, 1) / 2 + 1000).unflatten(0, (4, 3))
    lines = kernels.statistics(x, torch.ones(5), torch.zeros(5), 1e-5, 4, kernels.tiles(x[0], 4))
    axes, exact = (0, 1, 3, 4), x.double()
    assert torch.equal(lines[0], exact.mean(axes).float())
    torch.testing.assert_close(lines[1].double(), exact.var(axes, unbiased=False), rtol=2e-7, atol=0)
    assert_equal(*both(network("plif", 5, v_threshold=0.5), x))


@pytest.mark.parametrize("momentum", [0.1, 0.7, None])
def test_running_statistics_are_torchs_over_several_batches(momentum, kernels):
    norm = lively(nn.BatchNorm2d(5, momentum=momentum, eps=1e-2))
    modules, x = [network("lif", 5, norm=copy.deepcopy(norm)) for _ in range(2)], images(3, 2, 5, 2, 2)
    for batch in range(3):
        for module, name in zip(modules, ("torch", "triton"), strict=True):
            _back_ends.choose(name)
            sent = paired(module)(x * (batch + 1)) if batch == 0 else module(x * (batch + 1))
            assert sent.any()
            functional.reset_net(module)
    slow, fast = (module[0][0] for module in modules)
    assert ran(modules[1]) == [BOTH] and fast.num_batches_tracked == 3
    torch.testing.assert_close(fast.running_mean, slow.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(fast.running_var, slow.running_var, rtol=1e-6, atol=1e-6)


@each_surrogate
@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_no_surrogates_gradient_is_silently_zero(surrogate, alpha, kernels):
    """After one step without decay dL/dbias is the surrogate summed over currents as dense as here, and its area is 1."""
    module = network("lif", 1, decay_input=False, surrogate=surrogate, alpha=alpha)
    with torch.no_grad():
        module[0][0].weight.fill_(25.0)
    x = torch.linspace(-1, 1, 4000).view(1, 1, 1, 40, 100).requires_grad_()
    away = module[0](x).detach().double().flatten() - 1
    paired(module)(x).sum().backward()
    expected = torch.autograd.functional.vjp(surrogate_function(surrogate, alpha), away, torch.ones_like(away))[1]
    grad = module[0][0].bias.grad.item()
    assert ran(module) == [BOTH] and x.grad.count_nonzero() > 2000
    assert grad == pytest.approx(expected.sum().item(), rel=1e-4)
    assert grad * (away[-1] - away[0]).item() / 3999 == pytest.approx(1, abs=0.05)


def test_it_is_the_same_every_time(kernels):
    module, x = network("plif", 5), images(4, 3, 5, 6, 7)
    first, second = (learned(paired(copy.deepcopy(module)), x) for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_it_keeps_what_is_normalised_and_no_currents(kernels):
    module, x, saved = paired(network("plif", 5)), images(4, 3, 5, 6, 7).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        module(x)
    (large,) = [tensor for tensor in saved if tensor.numel() >= x.numel()]
    assert large.data_ptr() == x.data_ptr()


# ---- where it does not run


def evaluated(module, patch):
    module.eval()


def doubled(module, patch):
    module.double()


def hooked(module, patch):
    module[1].register_forward_pre_hook(lambda _, inputs: None)


def normalisation_hooked(module, patch):
    module[0][0].register_forward_hook(lambda _, inputs, output: None)


def container_hooked(module, patch):
    module[0].register_forward_hook(lambda _, inputs, output: None)


def carried(module, patch):
    module[1].v = torch.full((2, 5, 3, 7), 0.3)


def everywhere_hooked(module, patch):
    patch.setitem(nn.modules.module._global_forward_hooks, "a key", lambda *_: None)


def on_several_devices(module, patch):
    patch.setattr(distributed, "is_initialized", lambda: True)


def without_weights(module, patch):
    module[0][0] = nn.BatchNorm2d(5, affine=False)


def without_statistics(module, patch):
    module[0][0] = lively(nn.BatchNorm2d(5, track_running_stats=False))


def of_another_class(module, patch):
    module[0][0] = ThresholdBatchNorm2d(5, 1.5)


def by_the_loop(module, patch):
    _back_ends.choose("torch")


REPLACING = without_weights, without_statistics, of_another_class  # nothing is replaced after pairing
ALONE = (
    evaluated,
    doubled,
    hooked,
    normalisation_hooked,
    container_hooked,
    carried,
    everywhere_hooked,
    on_several_devices,
    by_the_loop,
    *REPLACING,
)


CASES = [(change, late) for change in ALONE for late in (False, True) if not (late and change in REPLACING)]


@pytest.mark.parametrize(
    ("change", "late"), CASES, ids=[f"{change.__name__}-{'after' if late else 'before'} pairing" for change, late in CASES]
)
def test_elsewhere_both_modules_are_what_they_were(change, late, kernels, monkeypatch):
    made = network("plif", 5)
    plain, module = copy.deepcopy(made), made
    for each in (plain, module):
        if late and each is module:
            paired(each)
        change(each, monkeypatch)
    paired(module)
    x = images(4, 2, 5, 3, 7)
    x = x.double() if change is doubled else x
    expected, found = learned(plain, x), learned(module, x)
    assert ran(module) == ran(plain) != [BOTH] and all(torch.equal(found[key], expected[key]) for key in expected)


def test_more_steps_than_registers_hold(kernels):
    made, x = network("plif", 5), images(33, 2, 5, 3, 7)
    expected, found = learned(copy.deepcopy(made), x), learned(paired(made), x)
    assert ran(made) == ["spikingjelly"] and all(torch.equal(found[key], expected[key]) for key in expected)
    static = nn.Sequential(First(33, lively(nn.BatchNorm2d(5))), layer("plif"))
    expected, found = learned(copy.deepcopy(static), x[0]), learned(paired(static), x[0])
    assert ran(static) == ["spikingjelly"] and all(torch.equal(found[key], expected[key]) for key in expected)


def test_one_value_has_no_variance(kernels):
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        paired(network("lif", 5))(torch.ones(1, 1, 5, 1, 1))


def test_neurons_that_get_a_sum_or_a_layers_second_use_are_no_pairs(kernels):
    norm, node = lively(nn.BatchNorm2d(5)), layer("lif")
    chains = [
        nn.Sequential(Residual(SeqToANNContainer(norm)), layer("lif")),
        nn.Sequential(SeqToANNContainer(norm, nn.Identity()), layer("lif")),
        nn.Sequential(SeqToANNContainer(norm), layer("lif"), SeqToANNContainer(norm), layer("lif")),
        nn.Sequential(SeqToANNContainer(norm), node, SeqToANNContainer(lively(nn.BatchNorm2d(5))), node),
        nn.Sequential(layer("lif"), SeqToANNContainer(norm), nn.Identity(), layer("lif")),
    ]
    for chain in chains:
        assert paired(chain)(images(4, 2, 5, 3, 7)).any() and BOTH not in ran(chain)


@pytest.mark.parametrize("name", ["auto", "numba", "torch", "spikingjelly"])
def test_with_another_back_end_a_network_is_left_as_it_is(name, kernels):
    _back_ends.choose(name)
    module = paired(network("plif", 5))
    assert module[1].pair is None and "forward" not in vars(module[0][0])


def test_pairs_of_a_residual_branch_are_found(kernels):
    chain = Residual(*network("lif", 5), *network("plif", 5))
    assert paired(chain)(images(4, 2, 5, 3, 7)).any() and [BOTH in node.ran for node in (chain[1], chain[3])] == [True, True]


def test_names_and_keys_are_what_they_were_and_a_copy_is_a_pair_of_its_own(kernels):
    plain = network("plif", 5)
    module = paired(copy.deepcopy(plain))
    other = copy.deepcopy(module)
    for each in (module, other):
        assert [*each.state_dict()] == [*plain.state_dict()]
        assert [(name, type(part)) for name, part in each.named_modules()] == [(name, type(part)) for name, part in plain.named_modules()]
    other(images(4, 2, 5, 3, 7))
    assert ran(other) == [BOTH] and not ran(module)
    assert other[0][0].num_batches_tracked == 1 and module[0][0].num_batches_tracked == 0


def test_a_neuron_that_does_not_get_what_it_has_to_normalise_is_an_error(kernels):
    module, x = paired(network("lif", 5)), images(4, 2, 5, 3, 7)
    module[0](x)
    with pytest.raises(RuntimeError, match="which was given something else"):
        module[1](x + 1)
    module[0](x)
    with pytest.raises(RuntimeError, match="which was not called"):
        module(x)
    module(x)  # an error is not for ever
    module.eval()(x)


# ---- a network


@pytest.mark.parametrize(
    ("name", "alone"),
    [("resnet", ["blocks.0.1", "blocks.1.1"]), ("spikformer", ["blocks.0.0.0.project.0"])],
)
def test_neurons_behind_a_sum_or_a_product_are_alone_and_all_others_in_a_pair(name, alone, kernels):
    module = paired(build.build(helpers.network(name), 10, [3, 16, 16], 2))
    assert [name for name, node in module.named_modules() if isinstance(node, Fused) and node.pair is None] == alone


def trained(name: str, recompute: bool = False, steps: int = 2) -> tuple[list[float], list, nn.Module]:
    """Losses of so many steps, the weights after them, and the network."""
    _back_ends.choose(name)
    torch.manual_seed(0)
    module = helpers.enliven(build.build(helpers.network("resnet"), 10, [3, 8, 8], 2)).to(memory_format=torch.channels_last)
    module, optimizer = paired(module), torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    pictures, labels, losses = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4), []
    for _ in range(steps):
        if recompute:
            with recomputed(module.blocks):
                logits = module(pictures)
        else:
            logits = module(pictures)
        loss = nn.functional.cross_entropy(logits.mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        functional.reset_net(module)
        losses.append(loss.item())
    return losses, [*module.state_dict().values()], module


def test_a_network_learns_the_same_and_says_what_ran(kernels):
    (slow, _, _), (fast, values, module) = trained("torch"), trained("triton")
    assert fast == pytest.approx(slow, rel=1e-5) and fast[0] != fast[1]
    assert ran(module) == ["triton", BOTH]
    again = trained("triton", recompute=True)
    assert again[0] == fast and all(torch.equal(*pair) for pair in zip(again[1], values, strict=True))


def test_a_run_makes_the_pairs(kernels, tmp_path):
    metrics = helpers.run(helpers.specification(recipe={"epochs": 1}), tmp_path)
    assert metrics["trained"][0]["neurons"] == ["triton", BOTH]


# ---- compiled

FLOATS = {"lines", "means", "sums", "weight", "bias", "last", "rate", "rates"}


def kind(key: str, learned: bool) -> str:
    """What an argument of a kernel is to Triton."""
    if key in ("x", "spikes", "grad_spikes", "grad"):
        return "*bf16"
    if key == "parts":
        return "*fp64"
    if key in FLOATS:
        return "constexpr" if key in ("rate", "rates") and not learned else "*fp32"
    return "i32" if key in ("positions", "channels", "inner", "programs") else "fp32" if key.islower() else "constexpr"


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", ["lif, contiguous", "plif, channels last"])
def test_it_compiles_for_a_gpu_that_is_not_there(capability, name, tmp_path, monkeypatch):
    """For an A100 and an H100. One fused multiply-add makes a current; all else is rounded as in the slow loop."""
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels, learned = load(interpreted=False), name.startswith("plif")
    tiles = kernels.tiles(torch.empty(2, 48, 7, 7).to(memory_format=LAYOUTS[name.partition(", ")[2]]), 4)
    fixed = kernels.constants((1.7, learned, True, 1.0, 0.0), 4, False) | tiles | {"PARTS": kernels.PARTS, "DETACH": False, "KIND": 0}
    found = {}
    for kernel in (kernels._statistics, kernels._merge, kernels._forward, kernels._gradient, kernels._input):
        types = {key: kind(key, learned) for key in kernel.arg_names}
        if "inner" in types and tiles["inner"] == 1:
            types["inner"] = "constexpr"  # as Triton has it for an argument of 1
        constant = {key: fixed.get(key) for key, type in types.items() if type == "constexpr"}
        source, target = triton.compiler.ASTSource(kernel, types, constant), triton.backends.compiler.GPUTarget("cuda", capability, 32)
        made = triton.compile(source, target, {**kernels.EXACT})
        assert len(made.asm["cubin"]) > 1000
        found[kernel.__name__] = re.findall(r"\b(?:fma|mad|div|sqrt)\.[a-z0-9.]*f(?:32|64)", made.asm["ptx"])
    values = tiles["ROWS"] * tiles["COLUMNS"] // 128 * 4  # of a thread of 128, in four steps
    assert found["_forward"].count("fma.rn.f32") == found["_gradient"].count("fma.rn.f32") == values
    assert {*found["_forward"]} == {"fma.rn.f32"} | (set() if learned else {"div.rn.f32"})
    assert {*found["_merge"]} == {"div.rn.f64", "sqrt.rn.f64"} and not found["_input"]
    assert "fma.rn.f32" not in found["_statistics"]
