"""A leaky neuron behind a batch normalisation: nothing of its own is kept, and its gradient is the same to the bit."""

import importlib

import numba
import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.neurons import _fused, names
from benchmark.neurons._fused import BLOCK, Fused, Pass
from benchmark.neurons._origin import normalised

STEPS, SHAPE = 3, (2, 24, 10, 9)  # more values than a block, which is no whole number of channels or images
FILES = {name: importlib.import_module(f"benchmark.neurons.{name.replace('-', '_')}") for name in names()}
LEAKY = {name: file for name, file in FILES.items() if isinstance(file.neuron(**file.EXAMPLE), Fused)}
LAYOUTS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}


@pytest.fixture(autouse=True)
def one_thread():
    """Sums of statistics are in one order; numba's first call, which changes torch's threads, is made before."""
    before = numba.get_num_threads(), torch.get_num_threads()
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before[1])
    numba.set_num_threads(before[0])


@pytest.fixture(autouse=True)
def nothing_is_little(monkeypatch):
    monkeypatch.setattr(_fused, "LITTLE", 0)


def test_what_is_little_is_kept_itself(monkeypatch):
    currents = in_time(batch_norm()(images()), False)
    monkeypatch.setattr(_fused, "LITTLE", currents.numel())
    assert Pass.origin(currents, currents) is None
    monkeypatch.setattr(_fused, "LITTLE", currents.numel() - 1)
    assert Pass.origin(currents, currents) is not None


def batch_norm() -> nn.BatchNorm2d:
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(SHAPE[1])
    nn.init.normal_(layer.weight, 1.0, 0.3)
    nn.init.normal_(layer.bias, 0.5, 0.3)
    return layer


def images(steps: int = STEPS, dtype=torch.float32, layout=torch.channels_last) -> torch.Tensor:
    torch.manual_seed(1)
    return (torch.randn(steps * SHAPE[0], *SHAPE[1:]) * 2 + 1).to(dtype).to(memory_format=layout).requires_grad_()


def in_time(y: torch.Tensor, shared: bool) -> torch.Tensor:
    """The merged batch as [T, B, ...], as networks make it."""
    return y.unsqueeze(0).expand(STEPS, *y.shape) if shared else y.unflatten(0, (STEPS, -1))


def gradients(file, dtype, layout, shared) -> list[torch.Tensor]:
    norm, node, x = batch_norm(), file.neuron(**file.EXAMPLE), images(1 if shared else STEPS, dtype, layout)
    sent = node(in_time(norm(x), shared))
    assert 0.05 < sent.mean() < 0.95
    weights = torch.randn(sent.shape, generator=torch.Generator().manual_seed(2))
    (sent.float() * weights).sum().backward()
    return [x.grad, *(parameter.grad for module in (norm, node) for parameter in module.parameters())]


@pytest.mark.parametrize("shared", [False, True], ids=["every step", "static"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", LEAKY)
def test_gradients_are_those_of_a_neuron_that_keeps_its_input_to_the_bit(name, dtype, layout, shared, monkeypatch):
    found, used, origin = [], [], Pass.origin
    for choice in (lambda *given: used.append(origin(*given)) or used[-1], lambda *_: None):
        monkeypatch.setattr(Pass, "origin", staticmethod(choice))
        found.append(gradients(LEAKY[name], dtype, LAYOUTS[layout], shared))
    assert used[0] is not None and all(torch.equal(*pair) and pair[0].any() for pair in zip(*found, strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_scale_and_shift_make_what_the_normalisation_sent_to_the_bit(dtype, layout):
    x = images(dtype=dtype, layout=LAYOUTS[layout])
    y = batch_norm()(x)
    made = normalised(in_time(y, False), x.numel(), STEPS, BLOCK)
    period = len(made.scale) - BLOCK
    assert period == (SHAPE[1] if layout == "channels last" else x[0].numel())
    values, there = (each.detach().double().as_strided((each.numel(),), (1,)).numpy() for each in (x, y))
    scale, shift = (np.resize(line[:period], x.numel()).astype(np.float64) for line in (made.scale, made.shift))
    again = torch.from_numpy((values * scale + shift).astype(np.float32)).to(dtype).double().numpy()  # a double holds the product
    assert np.array_equal(again, there)
    assert made.scale[period:].tolist() == np.resize(made.scale[:period], BLOCK).tolist()


def saved_by(act) -> list[torch.Tensor]:
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        act()
    return [each for each in saved if each.numel() > 2 * BLOCK]


def test_nothing_is_kept_that_the_normalisation_does_not_keep():
    x, norm, node = images(), batch_norm(), LEAKY["lif"].neuron(**LEAKY["lif"].EXAMPLE)
    saved = saved_by(lambda: node(in_time(norm(x), False)))
    assert len(saved) == 2 and {each.data_ptr() for each in saved} == {x.data_ptr()}


def frozen(norm, x):
    return norm.eval()(x)


def no_bias(norm, x):
    norm.bias = None
    return norm(x)


def bias_at_rest(norm, x):
    norm.bias.requires_grad_(False)
    return norm(x)


CASES = {
    "frozen statistics": (frozen, in_time),
    "no bias": (no_bias, in_time),
    "a bias that is not trained": (bias_at_rest, in_time),
    "a product": (lambda norm, x: norm(x) * 1, in_time),
    "a difference": (lambda norm, x: torch.add(x, norm(x), alpha=-1), in_time),
    "another order": (lambda norm, x: norm(x), lambda y, shared: in_time(y, shared).transpose(3, 4).contiguous()),
    "a part": (lambda norm, x: norm(x), lambda y, shared: in_time(y, shared)[1:]),
    "no gradient": (lambda norm, x: norm(x.detach()).detach(), in_time),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_the_normalisations_own_output_is_kept_itself(case):
    make, view = CASES[case]
    currents = view(make(batch_norm(), images()), False)
    assert normalised(currents, currents.numel(), len(currents), BLOCK) is None


def test_steps_that_begin_within_a_period_are_kept_themselves():
    """[2, 24, 10, 9] in storage order of channels first, seen as four steps of half an image."""
    currents = batch_norm()(images(1, layout=torch.contiguous_format)).view(4, 1, SHAPE[1] // 2, *SHAPE[2:])
    assert normalised(currents, currents.numel(), 4, BLOCK) is None and Pass.origin(currents, currents) is None


def test_what_was_changed_in_place_is_kept_itself():
    y = batch_norm()(images())
    with torch.no_grad():
        y.clamp_(max=1.0)
    currents = in_time(y, False)
    assert Pass.origin(currents, currents) is None


def test_what_was_changed_behind_torchs_back_is_kept_itself():
    """By a whole number, which would make a sum where there is none in the graph."""
    y = batch_norm()(images())
    y.data.add_(1.0)
    currents = in_time(y, False)
    assert _fused._added(currents.detach(), STEPS, Pass.origin(currents, currents)) is None


def test_a_normalisation_that_rounds_otherwise_is_not_made_again(monkeypatch):
    currents = in_time(batch_norm()(images()), False)
    made = Pass.origin(currents, currents)
    assert _fused._added(currents.detach(), STEPS, made).size == 0
    other = made._replace(shift=made.shift * np.float32(1 + 1e-6))
    assert _fused._added(currents.detach(), STEPS, other) is None


def test_the_graph_of_a_normalisation_may_be_gone():
    y = batch_norm()(images())
    y.sum().backward()
    assert Pass.origin(in_time(y, False), in_time(y, False)) is None


def test_currents_in_another_order_of_memory_are_kept_themselves():
    """A view of the same values with two axes changed is not gapless with time outermost, or is no view that is followed."""
    y = in_time(batch_norm()(images()), False).transpose(0, 1)
    assert Pass.origin(y, y) is None


# ---- sums: a residual network's


def spikes(largest: float, dtype, layout) -> torch.Tensor:
    levels = max(1, int(largest))
    numbers = torch.randint(levels + 1, (STEPS * SHAPE[0], *SHAPE[1:]), generator=torch.Generator().manual_seed(3))
    return (numbers * (largest / levels)).to(dtype).to(memory_format=layout)


@pytest.mark.parametrize(("largest", "bytes_"), [(1, 1 / 8), (5, 1), (0.5, None), (300, None), (-1, None)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_of_a_sum_with_spikes_those_alone_are_kept(dtype, layout, largest, bytes_, monkeypatch):
    file, found, made = LEAKY["lif"], [], []
    added = _fused._added
    monkeypatch.setattr(_fused, "_added", lambda *given: made.append(added(*given)) or made[-1])
    beside = spikes(abs(largest), dtype, LAYOUTS[layout]) * (1 if largest > 0 else -1)
    for choice in (Pass.origin, lambda *_: None):
        monkeypatch.setattr(Pass, "origin", staticmethod(choice))
        norm, node, x = batch_norm(), file.neuron(**file.EXAMPLE), images(dtype=dtype, layout=LAYOUTS[layout])
        sent = node(in_time(beside, False) + in_time(norm(x), False))
        (sent.float() * torch.randn(sent.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        found.append([x.grad, norm.weight.grad, norm.bias.grad])
    assert all(torch.equal(*pair) and pair[0].any() for pair in zip(*found, strict=True))
    assert len(made) == 1 and (made[0] is None if bytes_ is None else made[0].nbytes == -(-x.numel() * bytes_ // 1))


def test_one_value_that_is_no_whole_number_keeps_the_sum_itself():
    norm, x, beside = batch_norm(), images(), spikes(1, torch.float32, torch.channels_last)
    for value, kept in ((2.0, True), (0.25, False)):
        beside[-1, -1, -1, -1] = value
        currents = in_time(norm(x), False) + in_time(beside, False)
        assert (_fused._added(currents.detach(), STEPS, Pass.origin(currents, currents)) is not None) == kept


def test_a_static_sum_is_one_too(monkeypatch):
    x, norm, node = images(1), batch_norm(), LEAKY["lif"].neuron(**LEAKY["lif"].EXAMPLE)
    beside, found, made, added = spikes(1, torch.float32, torch.channels_last)[: SHAPE[0]], [], [], _fused._added
    monkeypatch.setattr(_fused, "_added", lambda *given: made.append(added(*given)) or made[-1])
    for choice in (Pass.origin, lambda *_: None):
        monkeypatch.setattr(Pass, "origin", staticmethod(choice))
        x.grad = None
        node(in_time(norm(x) + beside, True)).square().sum().backward()
        functional.reset_net(node)
        found.append(x.grad)
    assert torch.equal(*found) and found[0].any() and made[0].nbytes == -(-x.numel() // 8)
