"""The leaky neurons' Triton kernels in Triton's interpreter, on CPU tensors, against the slow loop of plain torch; and back ends by name."""

import importlib
import re
import sys

import helpers
import pytest
import torch
from test_neurons import LAYOUTS, SHAPES, currents, layer, run

from benchmark.networks import build
from benchmark.neurons import _back_ends, ran
from benchmark.neurons._surrogates import SURROGATES, surrogate_function
from benchmark.shared.errors import UserError
from benchmark.training import device

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Triton comes with torch on Linux alone")
each_fused = pytest.mark.parametrize("name", ["lif", "plif"])
each_surrogate = pytest.mark.parametrize("surrogate", SURROGATES)
ALPHAS = {"sigmoid": 4.0, "atan": 2.0, "rect": 0.8, "triangle": 0.7, "tanh": 3.0}
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}


def load(interpreted: bool):
    """The module with its kernels interpreted or compiled: that is decided when they are defined."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1" if interpreted else "0")
        return importlib.reload(importlib.import_module("benchmark.neurons._triton"))


@pytest.fixture
def kernels():
    """The interpreted kernels, chosen by name."""
    yield load(interpreted=True)
    load(interpreted=False)


@pytest.fixture
def by_name(monkeypatch):
    """A function that chooses until the test ends."""
    monkeypatch.setattr(_back_ends, "_chosen", "auto")
    return _back_ends.choose


@pytest.fixture
def both(kernels, by_name):
    """A function that runs a layer by the slow loop and by Triton: what is sent, gradients and membranes of each."""

    def both(name, x, expand=None, **changes):
        found = []
        for back_end in ("torch", "triton"):
            by_name(back_end)
            node = layer(name, **changes)
            found.append(run(node, x, expand))
            assert node.ran == {back_end}
        return found

    return both


def assert_equal(slow, fast, **tolerance):
    """Spikes and membranes to the bit; of a learned time constant, the gradient is a sum over all inputs in another order."""
    assert torch.equal(fast[0], slow[0]) and slow[0].any() and not slow[0].all()
    assert torch.equal(fast[3]["v"], slow[3]["v"])
    torch.testing.assert_close(fast[1], slow[1], **{**TOLERANCE, **tolerance})
    torch.testing.assert_close(fast[2], slow[2], **{"rtol": 1e-4, "atol": 1e-5, **tolerance})
    assert fast[1].any() and all(grad.any() for grad in fast[2].values())


# ---- the kernels


@each_fused
@each_surrogate
@pytest.mark.parametrize("v_reset", [0.0, None, -0.25])
def test_it_is_the_slow_loop(name, surrogate, v_reset, both):
    for detach, decay, tau in ((True, True, 2.0), (True, False, 1.7), (False, True, 1.7), (False, False, 2.0)):
        constants = {"tau": tau, "v_threshold": 0.7, "detach_reset": detach, "decay_input": decay, "alpha": ALPHAS[surrogate]}
        assert_equal(*both(name, currents(4, 3, 5, 7), v_reset=v_reset, surrogate=surrogate, **constants))


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_it_fires_at_the_threshold(v_reset, kernels, by_name):
    by_name("triton")
    assert layer("lif", v_reset=v_reset, decay_input=False)(torch.tensor([[1.0, 1.0 - 2**-24]])).tolist() == [[1.0, 0.0]]


@each_fused
@pytest.mark.parametrize("steps", [1, 2, 4, 16])
def test_any_number_of_steps_and_any_size_around_a_block(name, steps, both, kernels):
    block = kernels.block(steps)
    for size in (3, block - 1, block, 2 * block + 17):
        x = currents(steps, size)
        x[0, :2] = torch.tensor([3.0, -3.0])  # of few, too, one fires and one does not
        assert_equal(*both(name, x, detach_reset=False))


@each_fused
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(name, layout, both):
    assert_equal(*both(name, currents(4, 2, 8, 5, 6), LAYOUTS[layout], v_reset=None, detach_reset=False))


@pytest.mark.parametrize("layout", ["contiguous", "channels last at every step"])
def test_what_is_sent_keeps_its_memory_layout(layout, kernels, by_name):
    by_name("triton")
    x = LAYOUTS[layout](currents(4, 2, 8, 5, 6))
    assert layer("lif")(x).stride() == x.stride()


@each_surrogate
@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
def test_no_surrogates_gradient_is_silently_zero(surrogate, alpha, kernels, by_name):
    """The gradient of one step without decay is the surrogate: its shape at every point, and an area of 1."""
    by_name("triton")
    node, x = layer("lif", decay_input=False, surrogate=surrogate, alpha=alpha), torch.linspace(-39, 41, 8001)[None].requires_grad_()
    node(x).sum().backward()
    away = x.detach()[0].double() - 1
    expected = torch.autograd.functional.vjp(surrogate_function(surrogate, alpha), away, torch.ones_like(away))[1]
    assert node.ran == {"triton"}
    torch.testing.assert_close(x.grad[0].double(), expected, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(expected, SHAPES[surrogate](away, alpha), rtol=0, atol=1e-12)
    assert x.grad.sum().item() * 0.01 == pytest.approx(1, abs=0.05 if surrogate == "atan" and alpha < 1 else 0.02)


@each_fused
@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", ["contiguous", "a static image"])
def test_half_precision_is_single_on_rounded_input(name, v_reset, dtype, layout, both):
    half = both(name, currents(4, 3, 500, dtype=dtype), LAYOUTS[layout], v_reset=v_reset)
    single = both(name, currents(4, 3, 500, dtype=dtype).float(), LAYOUTS[layout], v_reset=v_reset)[1]
    coarse = {torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]  # the incoming gradient is rounded, and the outgoing one
    assert_equal(*half, rtol=coarse, atol=coarse)
    assert torch.equal(half[1][0].float(), single[0]) and torch.equal(half[1][3]["v"], single[3]["v"])
    assert half[1][1].dtype == dtype and half[1][3]["v"].dtype == torch.float32
    torch.testing.assert_close(half[1][1].float(), single[1], rtol=coarse, atol=4 * coarse)


@each_fused
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_saves_its_input_and_nothing_else(name, dtype, kernels, by_name):
    by_name("triton")
    x, saved = currents(4, 3, 500, dtype=dtype).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        layer(name)(x)
        with torch.no_grad():
            layer(name)(x)
    (large,) = [tensor for tensor in saved if tensor.numel() > 1]
    assert large.data_ptr() == x.data_ptr()


@each_fused
@pytest.mark.parametrize("case", ["float64", "a carried membrane", "more steps than registers hold"])
def test_spikingjelly_runs_where_the_kernels_cannot(name, case, kernels, by_name):
    by_name("triton")
    node, x = layer(name), currents(33 if case.startswith("more") else 4, 3, 50)
    if case == "float64":
        node, x = node.double(), x.double()
    whole = node(x)
    assert node.ran == ({"triton"} if case == "a carried membrane" else {"spikingjelly"})
    assert torch.equal(torch.cat([node(x), node(x)]), carried(name, x))
    assert "spikingjelly" in node.ran and whole.any()


def carried(name, x):
    """The second and third call's spikes by the slow loop."""
    _back_ends.choose("torch")
    node = layer(name).to(x.dtype)
    return torch.cat([node(x) for _ in range(3)])[len(x) :]


# ---- compiled


@pytest.mark.parametrize("capability", [80, 90])
@each_fused
def test_it_compiles_for_a_gpu_that_is_not_there(capability, name, tmp_path, monkeypatch):
    """For an A100 and an H100. The forward pass multiplies and adds in two roundings and divides by the standard: spikes are the loop's."""
    triton = pytest.importorskip("triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernels, learned = load(interpreted=False), name == "plif"
    fixed = kernels.constants((1.7, learned, True, 1.0, 0.0), 4, False) | {"alpha": 4.0, "norm": 1.0, "DETACH": False, "KIND": 0}
    for kernel in (kernels._forward, kernels._backward):
        types = {key: kind(key, learned) for key in kernel.arg_names}
        constant = {key: fixed.get(key) for key, type in types.items() if type == "constexpr"}
        source, target = triton.compiler.ASTSource(kernel, types, constant), triton.backends.compiler.GPUTarget("cuda", capability, 32)
        made = triton.compile(source, target, {**kernels.EXACT})
        assert len(made.asm["cubin"]) > 1000
        used = set(re.findall(r"\b(?:fma|mad|div)\.[a-z0-9.]+", made.asm["ptx"]))
        assert not {word for word in used if word.startswith("fma") or ".f32" in word and word.startswith("mad")}
        assert kernel is kernels._backward or {word for word in used if "div" in word} == (set() if learned else {"div.rn.f32"})


def kind(key: str, learned: bool) -> str:
    """What an argument of a kernel is to Triton."""
    if key in ("x", "spikes", "grad_spikes", "grad"):
        return "*bf16"
    if key in ("last", "rate", "rates"):
        return "*fp32" if learned or key == "last" else "constexpr"
    return "i32" if key == "n" else "fp32" if key.islower() else "constexpr"


# ---- by name


def test_each_device_has_its_own_and_a_name_is_a_name(by_name):
    assert [_back_ends.chosen(device) for device in ("cpu", "cuda", "mps")] == ["numba", "spikingjelly", "spikingjelly"]
    for name in ("torch", "spikingjelly"):
        by_name(name)
        node = layer("plif")
        assert node(currents(4, 3, 50)).any() and node.ran == {name}
    by_name("torch")
    assert {_back_ends.chosen(device) for device in ("cpu", "cuda")} == {"torch"}


@pytest.mark.parametrize(
    ("name", "device", "message"),
    [
        ("tritn", "cpu", "unknown implementation of neurons 'tritn': did you mean triton"),
        ("numba", "cuda", "neurons 'numba' run on a CPU, not on device 'cuda'"),
        ("triton", "cpu", "neurons 'triton' need a CUDA device, not 'cpu', or TRITON_INTERPRET=1"),
    ],
)
def test_what_does_not_run_is_said_in_one_line(name, device, message, by_name):
    load(interpreted=False)
    with pytest.raises(UserError) as caught:
        said(by_name, name, device)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def said(choose, name, device):
    choose(name)
    _back_ends.check(device)


def test_without_triton_all_else_runs_and_asking_for_it_is_one_line(by_name, monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)  # importing it fails
    monkeypatch.setattr(_back_ends, "find_spec", lambda name: None)
    assert layer("lif")(currents(4, 3, 50)).any()
    with pytest.raises(UserError, match="^neurons 'triton': Triton is not installed; it comes with torch for CUDA on Linux$"):
        by_name("triton")


def test_a_network_learns_the_same_by_each_and_says_which_ran(kernels, by_name):
    found = {}
    for name in ("torch", "numba", "triton"):
        by_name(name)
        device.prepare(torch.device("cpu"), 1)
        torch.manual_seed(0)
        network = build.build(helpers.network("resnet"), 10, [3, 8, 8], 2)
        network(torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
        assert ran(network) == [name]
        found[name] = [parameter.grad for parameter in network.parameters()]
    for fast in ("numba", "triton"):
        for one, other in zip(found[fast], found["torch"], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * other.abs().max().item())


@pytest.mark.parametrize("name", ["burst", "integrate-and-fire", "multi-threshold"])
def test_conversions_neurons_have_a_slow_loop_too(name, by_name):
    answers = []
    for back_end in ("auto", "torch"):
        by_name(back_end)
        node = layer(name)
        with torch.no_grad():
            answers.append(node(currents(8, 3, 50)))
        assert node.ran == {"numba" if back_end == "auto" else "torch"}
    assert torch.equal(*answers)


def test_a_run_says_what_ran_its_neurons(tmp_path, by_name):
    by_name("torch")
    metrics = helpers.run(helpers.specification(recipe={"epochs": 1}), tmp_path)
    assert metrics["measured"]["neurons"] == metrics["trained"][0]["neurons"] == ["torch"]
