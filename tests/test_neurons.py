"""Contracts that every file in benchmark/neurons keeps by being there, its template too, and the fused leaky neurons against spikingjelly's."""

import copy
import importlib
import inspect
import itertools
import math

import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.base import MemoryModule

from benchmark.neurons import Maker, _fused, lif, maker, names, plif
from benchmark.neurons._base import Neuron
from benchmark.neurons._fused import BLOCK, Fused, Pass
from benchmark.neurons._surrogates import SURROGATES, surrogate_function
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError

TOLERANCE = 2e-6
FILES = {name: importlib.import_module(f"benchmark.neurons.{name.replace('-', '_')}") for name in [*names(), "_template"]}
each_file = pytest.mark.parametrize("name", FILES)
each_precision = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def layer(name, **changes):
    """A layer of a file with its example's constants."""
    return FILES[name].neuron(**{**FILES[name].EXAMPLE, **changes})


def currents(*shape, dtype=torch.float32):
    """Inputs that make neurons fire in about a third of the steps."""
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 2 + 0.5).to(dtype)


def run(node, x, expand=None):
    """What is sent, the gradients of a weighted sum of it for the input and each parameter, and the membranes left."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    sent = node(x if expand is None else expand(x))
    weights = torch.randn(sent.shape, generator=torch.Generator().manual_seed(1)).to(sent.dtype)
    (sent * weights).sum().backward()
    memories = dict(node.named_memories()) if isinstance(node, MemoryModule) else {}
    return sent.detach(), x.grad, {key: value.grad for key, value in node.named_parameters()}, memories


@pytest.fixture
def kernel_calls(monkeypatch):
    """A list that grows with every call of the fused kernel."""
    calls, apply = [], Pass.apply
    monkeypatch.setattr(Pass, "apply", lambda *arguments: calls.append(arguments) or apply(*arguments))
    return calls


@pytest.fixture(params=["kernel", "other back end"])
def back_end(request, monkeypatch):
    """Both ways through a fused neuron: a GPU takes the one that is not the CPU's kernel."""
    if request.param != "kernel":
        monkeypatch.setattr(Fused, "fits", lambda *_: False)
    return request.param


# ---- contracts


@each_file
def test_a_file_declares_its_constants_and_what_it_sends(name):
    file, declared = (
        FILES[name],
        catalogue.declared(catalogue.ROOT / "benchmark" / "neurons" / f"{FILES[name].__name__.rpartition('.')[2]}.py"),
    )
    assert declared.doc and {"CONSTANTS", "SENDS", "EXAMPLE"} <= declared.tables.keys()  # literals
    assert file.SENDS in ("binary", "signed", "graded")
    assert file.CONSTANTS.keys() == file.EXAMPLE.keys()
    assert all(isinstance(meaning, str) and meaning for meaning in file.CONSTANTS.values())
    node = layer(name)
    assert isinstance(node, Neuron) and node.sends == file.SENDS
    assert isinstance(node, MemoryModule), "reset_net resets spikingjelly's memories"


@each_file
def test_no_constant_has_a_default(name):
    file = FILES[name]
    parameters = inspect.signature(file.neuron).parameters.values()
    assert {p.name for p in parameters} == file.CONSTANTS.keys()
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    for key in file.CONSTANTS:
        lacking = {"name": name, **{other: value for other, value in file.EXAMPLE.items() if other != key}}
        with pytest.raises(UserError, match=f"^neuron {name} lacks {key}: no constant has a default$"):
            Maker(file, lacking)


@each_file
def test_it_sends_what_it_says_and_says_what_ran(name):
    node = layer(name)
    sent = node(currents(4, 3, 50))
    assert len(node.ran) == 1 and node.ran < {"torch", "numba", "spikingjelly"} and not layer(name).ran
    allowed = {"binary": {0, 1}, "signed": {-1, 0, 1}}.get(FILES[name].SENDS)
    assert allowed is None or {*sent.unique().tolist()} == allowed


@each_file
def test_a_neuron_that_leaks_says_so(name):
    """A second pulse three steps after the first finds as much of it as one thirty steps after, unless membranes leak."""
    pulses = torch.linspace(0, 3, 3000)

    def sent(gap: int):
        x = torch.zeros(80, 1, len(pulses))
        x[30], x[30 + gap] = pulses, pulses  # later than any probing
        with torch.no_grad():
            return layer(name).eval()(x).sum(0)

    assert layer(name).leaks == (not torch.allclose(sent(3), sent(30), atol=1e-4))


@each_file
@each_precision
def test_it_is_its_equations(name, dtype):
    if not hasattr(FILES[name], "reference"):
        pytest.skip("the file has no second form of the neuron")
    x, node = currents(5, 3, 50, dtype=dtype), layer(name).to(dtype)
    sent, grad, learned, _ = run(node, x)
    slow = x.clone().requires_grad_()
    parameters = {key: value.detach().clone().requires_grad_() for key, value in node.named_parameters()}
    expected = FILES[name].reference(slow, **{**FILES[name].EXAMPLE, **parameters})
    (expected * torch.randn(sent.shape, generator=torch.Generator().manual_seed(1)).to(dtype)).sum().backward()
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    assert torch.equal(sent, expected.detach())
    torch.testing.assert_close(grad, slow.grad, **tolerance)
    torch.testing.assert_close(learned, {key: value.grad for key, value in parameters.items()}, **tolerance)


@each_file
def test_what_it_learns_has_a_gradient(name, back_end):
    _, grad, learned, _ = run(layer(name), currents(4, 3, 50))
    assert all(value.isfinite().all() and value.any() for value in (grad, *learned.values()))


@each_file
@each_precision
def test_a_membrane_is_carried_over_without_its_gradient_until_the_reset(name, dtype, back_end):
    node, x = layer(name).to(dtype), currents(6, 3, 50, dtype=dtype).requires_grad_()
    whole = node(x)
    assert not any(torch.is_tensor(value) and value.requires_grad for value in node.memories())
    again = node(x)
    assert not torch.equal(again, whole)
    functional.reset_net(node)
    parts = [node(part) for part in x.split([1, 2, 3])]
    assert torch.equal(torch.cat(parts), whole)


@each_file
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_any_precision_has_a_membrane_of_single_precision_at_least(name, dtype, back_end):
    """Half precision: what the same currents give in single precision, to the last spike, in the input's precision."""
    narrow = currents(4, 3, 500, dtype=torch.bfloat16 if dtype == torch.bfloat16 else torch.float16)
    held = torch.float64 if dtype == torch.float64 else torch.float32
    sent, grad, learned, memories = run(layer(name).to(held), narrow.to(dtype))
    expected, expected_grad, expected_learned, expected_memories = run(layer(name).to(held), narrow.to(held))
    assert sent.dtype == grad.dtype == dtype and all(value.dtype == held for value in (*memories.values(), *learned.values()))
    assert torch.equal(sent, expected.to(dtype))
    torch.testing.assert_close(memories, expected_memories, rtol=0, atol=0)
    weights = {torch.bfloat16: 2**-6, torch.float16: 2**-9, torch.float64: 0}[dtype]  # the incoming gradient is rounded too
    torch.testing.assert_close(grad.to(held), expected_grad, rtol=weights, atol=4 * weights)
    torch.testing.assert_close(learned, expected_learned, rtol=weights, atol=weights * 100)


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last at every step": lambda x: x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2]),
    "time not outermost": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "gaps": lambda x: torch.stack([x, -x], -1)[..., 0],
    "a view that starts later": lambda x: torch.cat([-x, x])[len(x) :],
    "gaps between steps": lambda x: torch.stack([x, -x], 1)[:, 0],
    "expanded over the batch": lambda x: x[:, :1].expand_as(x),
    "a static image": lambda x: x[:1].expand_as(x),
    "a static image, channels last": lambda x: x[0].contiguous(memory_format=torch.channels_last).unsqueeze(0).expand_as(x),
}


@each_file
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(name, layout):
    x, arrange = currents(4, 2, 8, 5, 6), LAYOUTS[layout]
    found, expected = run(layer(name), x, arrange), run(layer(name), x, lambda x: arrange(x).contiguous())
    assert torch.equal(found[0], expected[0]) and found[0].any()
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-5, atol=1e-5)


@each_file
def test_what_is_sent_keeps_the_layout_of_channels_last_input(name):
    x = LAYOUTS["channels last at every step"](currents(4, 2, 8, 5, 6))
    assert layer(name)(x).stride() == x.stride()


@each_file
def test_a_copy_goes_on_alone(name, back_end):
    node, x = layer(name), currents(4, 3, 50).requires_grad_()
    node(x).sum().backward()
    double = copy.deepcopy(node)
    expected = node(x)
    node(-x)
    assert torch.equal(double(x), expected)
    assert not {map(id, node.parameters())} & {map(id, double.parameters())}


@each_file
def test_without_a_gradient_nothing_is_kept(name, back_end):
    node, x, saved = layer(name), currents(4, 3, 50), []
    with torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        sent = node(x)
    assert not saved and not sent.requires_grad
    functional.reset_net(node)
    again = node.train()(x)
    if not list(node.buffers()):  # of batches: then training and inference differ
        again = layer(name).eval()(x)
    assert torch.equal(sent, again)


@pytest.mark.parametrize("name", [name for name in FILES if isinstance(layer(name), Fused)])
@pytest.mark.parametrize("kept", ["charged", "half", "static"])
def test_a_fused_neuron_saves_its_membranes_or_its_smaller_input_and_nothing_else(name, kept):
    """Charged membranes are as large as a float32 input; one in half precision, or the same at every step, is smaller and kept itself."""
    given = currents(1 if kept == "static" else 4, 3, 500, dtype=torch.bfloat16 if kept == "half" else torch.float32).requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        layer(name)(given.expand(4, -1, -1))
    (large,) = [tensor for tensor in saved if tensor.numel() > 1]
    assert (large.data_ptr() == given.data_ptr()) == (kept != "charged")
    assert (large.numel(), large.dtype) == (given.numel(), given.dtype)


def test_without_a_gradient_the_kernel_writes_no_charged_membrane(monkeypatch):
    forward, written = _fused._forward, []
    monkeypatch.setattr(
        _fused, "_forward", lambda x, spikes, charged, *rest: written.append(charged.size) or forward(x, spikes, charged, *rest)
    )
    x = currents(4, 3, 50)
    with torch.no_grad():
        layer("lif")(x)
    layer("lif")(x.requires_grad_())
    assert written == [0, x.numel()]


@pytest.mark.parametrize("name", [name for name in FILES if isinstance(layer(name), Fused)])
def test_both_ways_back_give_the_same_gradient(name):
    """The same currents once as a static image, which is kept itself, and once written out at every step, whose membranes are kept."""
    given = currents(1, 3, 500)
    gradients = []
    for repeat in (lambda x: x.expand(4, -1, -1), lambda x: x.repeat(4, 1, 1)):
        x, node = given.clone().requires_grad_(), layer(name)
        sent = node(repeat(x))
        (sent * torch.arange(1.0, 5.0)[:, None, None]).sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in node.parameters())])
    assert gradients[0][0].any()
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)  # the four steps are summed in another order


@each_file
def test_all_threads_give_the_same_result(name):
    x, before = currents(4, 9 * BLOCK), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(layer(name), x))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0][0], results[1][0])
    summed = list(layer(name).parameters()) and not isinstance(layer(name), Fused)  # by torch, whose order follows from the threads
    torch.testing.assert_close(*results, rtol=1e-3 if summed else 0, atol=1e-3 if summed else 0)


# ---- what makes layers


def test_a_maker_changes_constants_for_one_layer():
    fire = maker({"name": "lif", **lif.EXAMPLE})
    assert fire().v_threshold == 1.0 and fire(v_threshold=0.5).v_threshold == 0.5 and fire().v_threshold == 1.0
    assert fire() is not fire() and fire.constants == {"name": "lif", **lif.EXAMPLE}
    assert isinstance(fire(), lif.LIF) and isinstance(maker({"name": "plif", **plif.EXAMPLE})(), plif.PLIF)


@pytest.mark.parametrize(
    ("constants", "changes", "message"),
    [
        ({"name": "lyf"}, {}, "unknown neuron 'lyf': did you mean lif"),
        ({"name": None}, {}, "unknown neuron 'None'"),
        ({"name": "_template"}, {}, "unknown neuron '_template'"),
        ({"v_treshold": 0.5}, {}, "unknown constant of neuron lif 'v_treshold': did you mean v_threshold"),
        ({}, {"v_treshold": 0.5}, "unknown constant of neuron lif 'v_treshold': did you mean v_threshold"),
        ({}, {"name": "plif"}, "unknown constant of neuron lif 'name'"),
        ({}, {"surrogate": "sigmoids"}, "unknown surrogate 'sigmoids': did you mean sigmoid"),
        ({}, {"alpha": 0.0}, "the surrogate's alpha is 0.0; it must be positive"),
        ({}, {"tau": 1.0}, "a leaky neuron's tau is 1.0; it must be more than 1 step"),
        ({}, {"tau": math.nan}, "a leaky neuron's tau is nan; it must be more than 1 step"),
    ],
)
def test_what_makes_no_neuron_is_said_in_one_line(constants, changes, message):
    with pytest.raises(UserError) as caught:
        maker({"name": "lif", **lif.EXAMPLE, **constants})(**changes)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_every_neuron_file_is_offered_but_the_template():
    assert {"lif", "plif"} <= {*names()} and not any(name.startswith(("_", "-")) for name in names())
    assert all(maker({"name": name, **FILES[name].EXAMPLE})() for name in names())


# ---- surrogates

SHAPES = {  # of x = h - threshold, written out
    "sigmoid": lambda x, a: a * torch.sigmoid(a * x) * (1 - torch.sigmoid(a * x)),
    "atan": lambda x, a: a / 2 / (1 + (math.pi / 2 * a * x) ** 2),
    "rect": lambda x, a: a * (x.abs() < 1 / (2 * a)).to(x),
    "triangle": lambda x, a: (1 / a - x.abs()).clamp(min=0) / (1 / a) ** 2,  # TET's public code with gamma = 1 / a
    "tanh": lambda x, a: a / torch.cosh(a * x) ** 2 / (2 * math.tanh(a / 2)) * (x.abs() <= 0.5).to(x),
}


@pytest.mark.parametrize("alpha", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("name", SURROGATES)
@each_precision
def test_a_surrogate_has_the_shape_it_says(name, alpha, dtype):
    """The gradient of one step without decay is the surrogate's, in the kernel (single precision) and beside it."""
    x = torch.linspace(-3, 5, 997, dtype=dtype)[None].requires_grad_()
    layer("lif", decay_input=False, surrogate=name, alpha=alpha)(x).sum().backward()
    away = x.detach()[0].double() - 1
    expected = torch.autograd.functional.vjp(surrogate_function(name, alpha), away, torch.ones_like(away))[1]
    torch.testing.assert_close(x.grad[0].double(), expected, rtol=0, atol=TOLERANCE)
    if name in SHAPES:
        torch.testing.assert_close(expected, SHAPES[name](away, alpha), rtol=0, atol=1e-12)


def test_a_rectangle_is_open_at_both_ends(kernel_calls):
    constants = {"v_threshold": 0.5, "surrogate": "rect", "alpha": 1.0, "decay_input": False}
    x = torch.tensor([[-0.1, 0.0, 1e-6, 0.5, 0.999999, 1.0, 1.1]])
    grad, expected = (run(node, x)[1] for node in (layer("lif", **constants), spikingjelly("lif", **constants)))
    assert torch.equal(grad, expected) and len(kernel_calls) == 1
    assert (grad != 0).tolist() == [[False, False, True, True, True, False, False]]


# ---- the fused leaky neurons against spikingjelly's

CONSTANTS = [
    {
        "tau": tau,
        "v_threshold": threshold,
        "decay_input": decay,
        "v_reset": reset,
        "detach_reset": detach,
        "surrogate": name,
        "alpha": alpha,
    }
    for (tau, threshold), decay, reset, detach, (name, alpha) in itertools.product(
        ((2.0, 1.0), (1.5, 0.7)),
        (True, False),
        (0.0, None, -0.25),
        (True, False),
        (("sigmoid", 4.0), ("atan", 2.0), ("rect", 0.8), ("triangle", 0.7)),
    )
]
each_fused = pytest.mark.parametrize("name", ["lif", "plif"])


def spikingjelly(name, **changes):
    """Its own node with the constants of an example."""
    chosen = {**FILES[name].EXAMPLE, **changes}
    function = SURROGATES[chosen.pop("surrogate")](alpha=chosen.pop("alpha"))
    if name == "plif":
        return neuron.ParametricLIFNode(init_tau=chosen.pop("tau"), **chosen, surrogate_function=function, step_mode="m")
    return neuron.LIFNode(**chosen, surrogate_function=function, step_mode="m")


def assert_equal_nodes(name, constants, x, expand=None):
    """Spikes, gradient of the input and membrane; of a learned time constant, the sum over all inputs."""
    fused, expected = run(layer(name, **constants), x, expand), run(spikingjelly(name, **constants), x, expand)
    assert torch.equal(fused[0], expected[0]) and 0.05 < expected[0].mean() < 0.95
    torch.testing.assert_close((fused[1], fused[3]["v"]), (expected[1], expected[3]["v"].detach()), rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(fused[2], expected[2], rtol=1e-5, atol=1e-5)


@each_fused
@pytest.mark.parametrize("constants", CONSTANTS, ids=lambda c: "-".join(str(value) for value in c.values()))
def test_every_constant_means_what_spikingjelly_means(name, constants, kernel_calls):
    x = currents(4, 3, 5, 7)
    assert_equal_nodes(name, constants, x)
    assert len(kernel_calls) == 1
    parameters = {key: value.detach() for key, value in layer(name, **constants).named_parameters()}
    expected = FILES[name].reference(x.double(), **{**FILES[name].EXAMPLE, **constants, **parameters})
    assert torch.equal(layer(name, **constants).double()(x.double()), expected)


@each_fused
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_it_fires_at_the_threshold(name, v_reset, back_end):
    x = torch.tensor([[1.0, 1.0 - 2**-24]])
    assert layer(name, v_reset=v_reset, decay_input=False)(x).tolist() == [[1.0, 0.0]]


def test_idsnns_neuron_in_plain_numbers():
    """v <- 0.25 v (1 - s) + x, spike from 0.5 on: the inputs 0.4, 0.4001, 0.4 make 0.4, 0.5001 with a spike, 0.4."""
    constants = {"tau": 4 / 3, "v_threshold": 0.5, "decay_input": False, "surrogate": "rect", "alpha": 1.0}
    x = torch.tensor([[0.4], [0.4001], [0.4]], requires_grad=True)
    spikes = layer("lif", **constants)(x)
    spikes.backward(torch.tensor([[1.0], [2.0], [4.0]]))
    assert spikes.tolist() == [[0.0], [1.0], [0.0]]
    assert x.grad.flatten().tolist() == pytest.approx([1 + 0.25 * 2, 2, 4])  # nothing passes the spike of the second step


def test_a_learned_time_constant_in_plain_numbers():
    """Half of 0.6 arrives, then half of 0.6 - 0.3: 0.3 and 0.45, without a spike; dh/d(1/tau) is 0.6, then 0.6 / 2 + 0.6 - 0.3."""
    node, x = layer("plif", surrogate="triangle", alpha=1.0), torch.tensor([[0.6], [0.6]], requires_grad=True)
    assert node.w.item() == 0.0 and layer("plif", tau=5.0).w.sigmoid().item() == pytest.approx(1 / 5)
    node(x).backward(torch.tensor([[1.0], [2.0]]))
    assert x.grad.flatten().tolist() == pytest.approx([(0.3 + 0.5 * 2 * 0.45) / 2, 2 * 0.45 / 2])
    assert node.w.grad.item() == pytest.approx((0.3 * 0.6 + 2 * 0.45 * 0.6) / 4)  # sigmoid'(0) is a quarter


def test_the_templates_neuron_in_plain_numbers():
    """Charged: 1.2, 0.1 - 1.3, -0.1 + 1.05, 0.475 + 0.6; what is sent is taken away."""
    assert layer("_template")(torch.tensor([[1.2], [-1.3], [1.05], [0.6]])).flatten().tolist() == [1, -1, 0, 1]


def test_a_time_constant_of_a_billion_steps_is_none():
    """SEW-ResNet's neuron: v <- v + x in single precision."""
    x = currents(6, 3, 500)
    spikes = layer("lif", tau=1e9, decay_input=False)(x)
    integrate = neuron.IFNode(v_threshold=1.0, v_reset=0.0, step_mode="m")
    assert torch.equal(spikes, integrate(x)) and spikes.any()


@each_fused
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
def test_any_size_around_a_block(name, size, steps):
    if size < 10:
        x = torch.full((steps, size), 2.5) * torch.arange(steps).remainder(2).sub(0.5).sign().neg()[:, None]
        x = x if steps > 1 else torch.tensor([[2.5, 0.1, 2.5][:size]])
        fused, expected = run(layer(name), x), run(spikingjelly(name), x)
        assert torch.equal(fused[0], expected[0]) and expected[0].any()
        torch.testing.assert_close(fused[1:3], expected[1:3], rtol=0, atol=TOLERANCE)
    else:
        assert_equal_nodes(name, {}, currents(steps, size))


@each_fused
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout_is_spikingjellys(name, layout):
    assert_equal_nodes(name, {"detach_reset": False}, currents(4, 2, 8, 5, 6), LAYOUTS[layout])
    assert_equal_nodes(name, {"v_reset": None}, currents(1, 2, 8, 5, 6), LAYOUTS[layout])


@each_fused
@pytest.mark.parametrize(
    "constants",
    [
        {},
        {"v_reset": None, "detach_reset": False},
        {"surrogate": "atan", "alpha": 2.0, "decay_input": False},
        {"surrogate": "rect", "alpha": 1.0},
    ],
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_static_image_is_read_once(name, constants, memory_format, kernel_calls):
    x = currents(3, 8, 5, 6).contiguous(memory_format=memory_format)
    assert_equal_nodes(name, constants, x, lambda image: image.unsqueeze(0).expand(4, -1, -1, -1, -1))
    (image, _, steps, shared, *_), *rest = kernel_calls
    assert image.shape == x.shape and steps == 4 and shared and not rest


@each_fused
@pytest.mark.parametrize("expand", [None, lambda image: image[0].unsqueeze(0).expand(4, -1, -1, -1)], ids=["steps", "static"])
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_bfloat16_is_the_float32_kernel_on_rounded_input(name, v_reset, expand, kernel_calls):
    rounded = currents(4, 3, 50, 41, dtype=torch.bfloat16)
    weights = torch.randn(rounded.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        x = rounded.to(dtype, copy=True).requires_grad_()
        node = layer(name, v_reset=v_reset)
        spikes = node(x if expand is None else expand(x))
        spikes.backward(weights.to(dtype))
        results.append((spikes.detach(), x.grad, node.v, [value.grad for value in node.parameters()]))
    (spikes, grad, v, learned), (expected_spikes, expected_grad, expected_v, expected_learned) = results
    assert spikes.dtype == grad.dtype == torch.bfloat16 and len(kernel_calls) == 2
    assert torch.equal(spikes.float(), expected_spikes) and torch.equal(v, expected_v)
    torch.testing.assert_close(grad.float(), expected_grad, rtol=2**-8, atol=1e-30)
    torch.testing.assert_close(learned, expected_learned, rtol=1e-6, atol=0)


@each_fused
@pytest.mark.parametrize("case", ["float64", "an unknown surrogate", "a carried membrane", "a kept membrane sequence"])
def test_spikingjelly_runs_where_the_kernel_cannot(name, case, kernel_calls):
    x = currents(4, 3, 50)
    nodes = layer(name), spikingjelly(name)
    for node in nodes:
        if case == "float64":
            x = x.double()
            node.double()
        elif case == "an unknown surrogate":
            node.surrogate_function = surrogate.SoftSign(alpha=2.0)
        elif case == "a kept membrane sequence":
            node.store_v_seq = True
        elif case == "a carried membrane":
            with torch.no_grad():
                node(currents(4, 3, 50).flip(0))
    before = len(kernel_calls)
    (spikes, grad, learned, memories), expected = (run(node, x) for node in nodes)
    assert len(kernel_calls) == before
    assert torch.equal(spikes, expected[0]) and torch.equal(grad, expected[1])
    torch.testing.assert_close(learned, expected[2], rtol=0, atol=0)
    torch.testing.assert_close(memories["v"], expected[3]["v"].detach(), rtol=0, atol=TOLERANCE)


@each_fused
def test_state_is_carried_and_reset_like_spikingjellys(name, kernel_calls):
    node, expected, x = layer(name), spikingjelly(name), currents(4, 3, 50)
    first = node(x)
    assert node.v.shape == x.shape[1:] and not node.v.requires_grad
    assert torch.equal(first, expected(x))
    second = node(x)
    assert torch.equal(second, expected(x)) and not torch.equal(second, first)
    functional.reset_net(node)
    assert node.v == 0.0 and not isinstance(node.v, torch.Tensor)
    assert torch.equal(node(x), first) and len(kernel_calls) == 2
