"""Convolutions that keep spikes as bits, and add up few of them one by one, against torch's."""

import pytest
import torch
from torch import nn

from benchmark.networks import convolving
from benchmark.networks.convolving import Conv2d
from benchmark.neurons import _packed
from benchmark.neurons._packed import Like, pack, unpack, whole_numbers

CASES = {  # inputs, outputs, window, stride, padding, groups, side
    "1x1": (16, 24, 1, 1, 0, 1, 6),
    "3x3": (7, 5, 3, 1, 1, 1, 9),
    "strided": (6, 10, 3, 2, 1, 1, 11),
    "not square": (6, 10, (1, 3), (2, 1), (0, 2), 1, 8),
    "without padding": (6, 3, 5, 1, 0, 1, 7),
    "groups": (6, 6, 3, 1, 1, 6, 7),
}


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    monkeypatch.setattr(_packed, "FEW", 0)


def spikes(*shape, rate, largest=1, dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    values = (torch.rand(shape, generator=draw) < rate) * torch.randint(1, largest + 1, shape, generator=draw)
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def result(forward, layer, x):
    """Output, what was kept, and the gradients of input, weight and bias."""
    x, kept = x.clone().requires_grad_(), []
    layer.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        y = forward(layer, x)
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y).contiguous(memory_format=torch.channels_last))
    return y.detach(), kept, [x.grad, *(parameter.grad.clone() for parameter in layer.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("rate", [0.03, 0.3], ids=["few", "many"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_convolution_of_spikes_is_torchs(case, bias, rate, dtype, monkeypatch):
    taken, given, window, stride, padding, groups, side = case
    torch.manual_seed(0)
    layer = Conv2d(taken, given, window, stride, padding, groups=groups, bias=bias).to(dtype).to(memory_format=torch.channels_last)
    calls, driven = [], convolving.event_driven
    monkeypatch.setattr(convolving, "event_driven", lambda *arguments: calls.append(1) or driven(*arguments))
    x = spikes(3, taken, side, side + 1, rate=rate, dtype=dtype)
    y, kept, grads = result(Conv2d.forward, layer, x)
    expected, _, expected_grads = result(nn.Conv2d.forward, layer, x)
    assert len(calls) == (rate == 0.03 and groups == 1)
    tolerance = 1e-5 if dtype == torch.float32 else 2**-7
    for one, other in zip((y, *grads), (expected, *expected_grads), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype and other.any()
        assert (one.float() - other.float()).abs().max() <= tolerance * other.float().abs().max()
    assert y.stride() == expected.stride()
    assert sorted(tensor.dtype == torch.uint8 for tensor in kept) == [False, True]
    assert min(tensor.nbytes for tensor in kept if tensor.dtype == torch.uint8) == -(-x.numel() // 8)


@pytest.mark.parametrize("values", ["integers", "halves", "negative", "large", "nan"])
def test_values_decide_what_is_kept(values):
    """Small whole numbers as bytes; anything else as it is, by torch's own convolution."""
    x = spikes(2, 8, 6, 6, rate=0.4, largest=7)
    x[1, 7, 5, 5] = {"integers": 255.0, "halves": 0.5, "negative": -1.0, "large": 256.0, "nan": float("nan")}[values]
    layer = Conv2d(8, 4, 3, padding=1).to(memory_format=torch.channels_last)
    y, kept, grads = result(Conv2d.forward, layer, x)
    expected, _, expected_grads = result(nn.Conv2d.forward, layer, x)
    bytes_of = [tensor.nbytes for tensor in kept if tensor.numel() == x.numel()]
    assert bytes_of == [x.numel() if values == "integers" else x.nbytes]
    torch.testing.assert_close((y, grads), (expected, expected_grads), rtol=1e-5, atol=1e-4, equal_nan=True)


def test_whole_numbers_are_found_beyond_a_block():
    x = spikes(1, 1, 100, 300, rate=0.1)
    found, binary, share = whole_numbers(x)
    assert binary and share == pytest.approx(x.mean().item()) and torch.equal(torch.from_numpy(found).float(), x.flatten())
    x[0, 0, 99, 299] = 0.25
    assert whole_numbers(x) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("largest", [1, 9])
def test_what_is_packed_comes_back(largest, dtype):
    for x in (
        spikes(3, 5, 7, 2, rate=0.3, largest=largest, dtype=dtype),
        spikes(2, 9, 1, 1, rate=0.5, largest=largest, dtype=dtype).contiguous(),
    ):
        kept = pack(x)
        again = unpack(kept, Like.of(x))
        assert torch.equal(again, x) and again.stride() == x.stride() and again.dtype == dtype
        assert kept.nbytes == (-(-x.numel() // 8) if largest == 1 else x.numel())
    assert pack(x + 0.5).dtype == dtype and pack(None) is None


def test_autocast_makes_the_precision(monkeypatch):
    """Spikes in single precision, weights too: both are narrowed, and the weights' gradient is in single precision again."""
    layer = Conv2d(8, 4, 3, padding=1).to(memory_format=torch.channels_last)
    found = []
    for forward in (Conv2d.forward, nn.Conv2d.forward):
        with torch.autocast("cpu", torch.bfloat16):
            y = forward(layer, spikes(2, 8, 6, 6, rate=0.04))
        layer.zero_grad()
        y.sum().backward()
        found.append((y.detach(), layer.weight.grad.clone(), layer.bias.grad.clone()))
    assert [each.dtype for each in found[0]] == [each.dtype for each in found[1]] == [torch.bfloat16, torch.float32, torch.float32]
    torch.testing.assert_close(found[0], found[1], rtol=2**-7, atol=2**-7)


def test_small_inputs_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(_packed, "FEW", 2**17)
    monkeypatch.setattr(_packed, "_whole", None)
    assert Conv2d(8, 4, 3)(spikes(2, 8, 6, 6, rate=0.1)).requires_grad


def test_threads_change_nothing():
    layer, x = Conv2d(40, 33, 3, padding=1).to(memory_format=torch.channels_last), spikes(3, 40, 9, 9, rate=0.05)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            y, _, grads = result(Conv2d.forward, layer, x)
            found.append((y, grads[1]))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
