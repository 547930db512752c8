"""The fused LIF kernel against spikingjelly's LIFNode: the same spikes and membranes, the same gradients up to rounding."""

import itertools

import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate

from benchmark.neurons.lif import BLOCK, LIF, FusedLIF, lif

TOLERANCE = 2e-6
PLAIN = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "sigmoid", "alpha": 4.0}
SURROGATES = {"sigmoid": surrogate.Sigmoid, "atan": surrogate.ATan, "rect": surrogate.Rect}
CONSTANTS = [
    {"tau": tau, "decay_input": decay, "v_reset": reset, "detach_reset": detach, "surrogate": name, "alpha": alpha}
    for tau, decay, reset, detach, (name, alpha) in itertools.product(
        (2.0, 1.5), (True, False), (0.0, None, -0.25), (True, False), (("sigmoid", 4.0), ("atan", 2.0), ("rect", 0.8))
    )
]


def reference(constants):
    """spikingjelly's own node."""
    chosen = {**PLAIN, **constants}
    function = SURROGATES[chosen.pop("surrogate")](alpha=chosen.pop("alpha"))
    return neuron.LIFNode(**chosen, surrogate_function=function, step_mode="m")


def currents(*shape, dtype=torch.float32):
    """Inputs that make neurons fire in about a third of the steps."""
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 2 + 0.5).to(dtype)


def run(node, x, expand=None):
    """Spikes, the gradient of a weighted sum of them, and the last membrane."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    spikes = node(x if expand is None else expand(x))
    weights = torch.randn(spikes.shape, generator=torch.Generator().manual_seed(1))
    (spikes.float() * weights).sum().backward()
    return spikes.detach(), x.grad, node.v.detach()


def assert_equal_nodes(constants, x, expand=None):
    fused, expected = run(lif(**{**PLAIN, **constants}), x, expand), run(reference(constants), x, expand)
    assert torch.equal(fused[0], expected[0]) and 0.05 < expected[0].mean() < 0.95
    torch.testing.assert_close(fused[1], expected[1], rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(fused[2], expected[2], rtol=0, atol=TOLERANCE)


@pytest.fixture
def kernel_calls(monkeypatch):
    """A list that grows with every call of the fused kernel."""
    calls, apply = [], FusedLIF.apply
    monkeypatch.setattr(FusedLIF, "apply", lambda *arguments: calls.append(arguments) or apply(*arguments))
    return calls


@pytest.mark.parametrize("constants", CONSTANTS, ids=lambda c: "-".join(str(value) for value in c.values()))
def test_every_constant_means_what_spikingjelly_means(constants, kernel_calls):
    assert_equal_nodes(constants, currents(4, 3, 5, 7))
    assert len(kernel_calls) == 1


def test_a_rectangle_is_open_at_both_ends(kernel_calls):
    constants = {"v_threshold": 0.5, "surrogate": "rect", "alpha": 1.0, "decay_input": False}
    x = torch.tensor([[-0.1, 0.0, 1e-6, 0.5, 0.999999, 1.0, 1.1]])
    (_, grad, _), (_, expected, _) = (run(node, x) for node in (lif(**{**PLAIN, **constants}), reference(constants)))
    assert torch.equal(grad, expected) and len(kernel_calls) == 1
    assert (grad != 0).tolist() == [[False, False, True, True, True, False, False]]


def test_idsnns_neuron_in_plain_numbers():
    """v <- 0.25 v (1 - s) + x, spike from 0.5 on: the inputs 0.4, 0.4001, 0.4 make 0.4, 0.5001 with a spike, 0.4."""
    constants = {"tau": 4 / 3, "v_threshold": 0.5, "decay_input": False, "surrogate": "rect", "alpha": 1.0}
    x = torch.tensor([[0.4], [0.4001], [0.4]], requires_grad=True)
    spikes = lif(**{**PLAIN, **constants})(x)
    spikes.backward(torch.tensor([[1.0], [2.0], [4.0]]))
    assert spikes.tolist() == [[0.0], [1.0], [0.0]]
    assert x.grad.flatten().tolist() == pytest.approx([1 + 0.25 * 2, 2, 4])  # nothing passes the spike of the second step


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 3, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
def test_any_size_around_a_block(size, steps):
    if size < 10:
        x = torch.full((steps, size), 2.5) * torch.arange(steps).remainder(2).sub(0.5).sign().neg()[:, None]
        x = x if steps > 1 else torch.tensor([[2.5, 0.1, 2.5][:size]])
        fused, expected = run(lif(**PLAIN), x), run(reference({}), x)
        assert torch.equal(fused[0], expected[0]) and expected[0].any()
        torch.testing.assert_close(fused[1], expected[1], rtol=0, atol=TOLERANCE)
    else:
        assert_equal_nodes({}, currents(steps, size))


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last at every step": lambda x: x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, x.shape[:2]),
    "time not outermost": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "gaps": lambda x: torch.stack([x, -x], -1)[..., 0],
    "a view that starts later": lambda x: torch.cat([-x, x])[len(x) :],
    "expanded over the batch": lambda x: x[:, :1].expand_as(x),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_memory_layout(layout):
    arrange = LAYOUTS[layout]
    assert_equal_nodes({"detach_reset": False}, currents(4, 2, 8, 5, 6), arrange)
    assert_equal_nodes({"v_reset": None}, currents(1, 2, 8, 5, 6), arrange)


def test_spikes_keep_the_layout_of_channels_last_input():
    x = LAYOUTS["channels last at every step"](currents(4, 2, 8, 5, 6))
    assert lif(**PLAIN)(x).stride() == x.stride()


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
def test_a_static_image_is_read_once(constants, memory_format, kernel_calls):
    x = currents(3, 8, 5, 6).contiguous(memory_format=memory_format)
    assert_equal_nodes(constants, x, lambda image: image.unsqueeze(0).expand(4, -1, -1, -1, -1))
    (image, steps, shared, _), *rest = kernel_calls
    assert image.shape == x.shape and steps == 4 and shared and not rest


@pytest.mark.parametrize("expand", [None, lambda image: image[0].unsqueeze(0).expand(4, -1, -1, -1)], ids=["steps", "static"])
@pytest.mark.parametrize("v_reset", [0.0, None])
def test_bfloat16_is_the_float32_kernel_on_rounded_input(v_reset, expand, kernel_calls):
    rounded = currents(4, 3, 50, 41, dtype=torch.bfloat16)
    weights = torch.randn(rounded.shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        x = rounded.to(dtype, copy=True).requires_grad_()
        node = lif(**{**PLAIN, "v_reset": v_reset})
        spikes = node(x if expand is None else expand(x))
        spikes.backward(weights.to(dtype))
        results.append((spikes.detach(), x.grad, node.v))
    (spikes, grad, v), (expected_spikes, expected_grad, expected_v) = results
    assert spikes.dtype == grad.dtype == torch.bfloat16 and len(kernel_calls) == 2
    assert torch.equal(spikes.float(), expected_spikes) and torch.equal(v, expected_v)
    torch.testing.assert_close(grad.float(), expected_grad, rtol=2**-8, atol=1e-30)


@pytest.mark.parametrize("case", ["float64", "an unknown surrogate", "a carried membrane", "a kept membrane sequence"])
def test_spikingjelly_runs_where_the_kernel_cannot(case, kernel_calls):
    x = currents(4, 3, 50)
    nodes = lif(**PLAIN), reference({})
    if case == "float64":
        x = x.double()
    for node in nodes:
        if case == "an unknown surrogate":
            node.surrogate_function = surrogate.PiecewiseQuadratic(alpha=1.0)
        elif case == "a kept membrane sequence":
            node.store_v_seq = True
        elif case == "a carried membrane":
            node(currents(4, 3, 50).flip(0))
    before = len(kernel_calls)
    (spikes, grad, v), expected = (run(node, x) for node in nodes)
    assert len(kernel_calls) == before
    assert torch.equal(spikes, expected[0]) and torch.equal(grad, expected[1])
    torch.testing.assert_close(v, expected[2], rtol=0, atol=TOLERANCE)


def test_state_is_carried_and_reset_like_spikingjellys(kernel_calls):
    node, expected, x = lif(**PLAIN), reference({}), currents(4, 3, 50)
    first = node(x)
    assert node.v.shape == x.shape[1:] and not node.v.requires_grad
    assert torch.equal(first, expected(x))
    second = node(x)
    assert torch.equal(second, expected(x)) and not torch.equal(second, first)
    functional.reset_net(node)
    assert node.v == 0.0 and not isinstance(node.v, torch.Tensor)
    assert torch.equal(node(x), first) and len(kernel_calls) == 2


def test_without_a_gradient_nothing_is_kept():
    node, x = lif(**PLAIN), currents(4, 3, 50)
    with torch.no_grad():
        spikes = node(x)
    assert not spikes.requires_grad and torch.equal(spikes, reference({})(x))


def test_evaluation_mode_gives_the_same_spikes():
    x = currents(4, 3, 50)
    assert torch.equal(lif(**PLAIN).eval()(x), reference({}).train()(x))


def test_all_threads_give_the_same_result():
    x, before = currents(4, 9 * BLOCK), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(run(lif(**PLAIN), x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_no_constant_has_a_default():
    for name in PLAIN:
        with pytest.raises(TypeError, match=name):
            lif(**{key: value for key, value in PLAIN.items() if key != name})
    assert isinstance(lif(**PLAIN), neuron.LIFNode) and isinstance(lif(**PLAIN), LIF)
