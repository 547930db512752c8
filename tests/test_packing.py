"""What a backward pass keeps of spikes: bits and bytes, which come back as they were."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.networks import packing
from benchmark.networks.packing import BitsWhereLarge, Itself, Packed, pack, spikes_as_bits, unpack


def as_it_is(x: torch.Tensor) -> bool:
    kept_ = pack(x)
    return isinstance(kept_, Itself) and kept_.x.data_ptr() == x.data_ptr() and kept_.x.grad_fn is None


DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
SIZE = packing.FEW + 4101  # neither whole bytes nor whole blocks


def whole(largest: int, dtype, size=SIZE) -> torch.Tensor:
    return torch.randint(largest + 1, (size,), generator=torch.Generator().manual_seed(0)).to(dtype)


@DTYPES
@pytest.mark.parametrize(("largest", "bits"), [(1, 1), (2, 8), (255, 8)])
def test_whole_numbers_come_back_as_they_were(largest, bits, dtype):
    x = whole(largest, dtype)
    packed = pack(x)
    assert packed.values.nbytes == -(-SIZE * bits // 8)
    assert torch.equal(unpack(packed), x) and unpack(packed).dtype == dtype


@DTYPES
@pytest.mark.parametrize("value", [0.5, -1.0, -0.0, 1.0078125, 256.0, 1e30, float("nan"), float("inf"), 2.0**-126])
@pytest.mark.parametrize("place", [0, SIZE // 2, SIZE - 1])
def test_one_other_value_anywhere_keeps_all_as_it_is(value, place, dtype):
    for largest in (1, 3):
        x = whole(largest, dtype)
        x[place] = value
        assert as_it_is(x)


def test_a_two_among_bits_makes_bytes():
    x = whole(1, torch.float32)
    x[-1] = 2.0
    assert pack(x).values.nbytes == SIZE and torch.equal(unpack(pack(x)), x)


@DTYPES
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_any_gapless_order_of_memory(order, dtype):
    x = whole(1, dtype, 4 * 24 * 160 * 160).view(4, 24, 160, 160).permute(order)
    back = unpack(pack(x))
    assert isinstance(pack(x), Packed) and torch.equal(back, x) and back.stride() == x.stride()


@pytest.mark.parametrize(
    "x",
    [
        whole(1, torch.float32, 2 * SIZE)[::2],
        torch.ones(2, 1).expand(2, SIZE),
        whole(1, torch.float32, packing.FEW),
        whole(1, torch.float64),
        whole(1, torch.int64),
        torch.ones(SIZE, device="meta"),
    ],
    ids=["gaps", "expanded", "few", "double", "integers", "no values"],
)
def test_anything_else_is_kept_as_it_is(x):
    assert as_it_is(x)


def test_nothing_is_packed_for_another_device():
    assert type(spikes_as_bits("cuda")) is not type(spikes_as_bits())


def test_batches_that_keep_nothing_large_are_not_looked_at_again(monkeypatch):
    looked = []
    monkeypatch.setattr(packing, "pack", lambda x: looked.append(x.numel()) or pack(x))
    monkeypatch.setattr(packing, "FEW", 100)
    bits, weight = BitsWhereLarge(), torch.ones(30, requires_grad=True)
    for images in 2 * [torch.ones(2, 30), torch.ones(4, 30)] + [torch.ones(2, 30)]:
        with bits(images):
            loss = (weight * images).sum()
        loss.backward()
    assert looked == [60, 120, 120]  # 2 x 30 once, 4 x 30 each time
    assert torch.equal(weight.grad, torch.full((30,), 2.0 + 4 + 2 + 4 + 2))


def test_a_tensor_that_is_changed_before_the_backward_pass_is_an_error_as_without():
    weight, x = torch.ones(4, requires_grad=True), torch.ones(4)
    with spikes_as_bits():
        loss = (weight * x).sum()
    x.add_(5)
    with pytest.raises(RuntimeError, match=r"a tensor \[4\] that the backward pass needs was changed in place"):
        loss.backward()


def test_a_result_that_is_kept_by_what_made_it_does_not_keep_that_alive(monkeypatch):
    """A circle that nothing but a backward pass would break."""
    weight, given, seen = torch.ones(8, requires_grad=True), [], []
    monkeypatch.setattr(packing, "pack", lambda x: given.append(x.grad_fn) or seen.append(pack(x)) or seen[-1])
    with spikes_as_bits():
        torch.sigmoid(weight * 2)
    assert any(given) and all(each.x.grad_fn is None for each in seen)


@pytest.mark.parametrize("threads", [1, 2])
def test_all_threads_pack_the_same(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for largest in (1, 9):
            x = whole(largest, torch.float32, 520 * packing.BLOCK + 3)
            assert torch.equal(unpack(pack(x)), x)
    finally:
        torch.set_num_threads(before)


def test_gradients_are_the_same_to_the_bit_and_what_is_kept_is_a_bit_a_spike(monkeypatch):
    spikes, seen = whole(1, torch.float32, 4 * 33 * 128 * 128).view(4, 33, 128, 128), []
    monkeypatch.setattr(packing, "pack", lambda x: seen.append(pack(x)) or seen[-1])
    torch.manual_seed(0)
    layer, found = nn.Conv2d(33, 8, 3, padding=1), []
    for context in (spikes_as_bits(), torch.enable_grad()):
        layer.zero_grad()
        with context:
            y = layer(spikes)
        y.square().sum().backward()
        found.append([each.grad.clone() for each in layer.parameters()])
    assert all(torch.equal(*pair) and pair[0].any() for pair in zip(*found, strict=True))
    (bits,) = (each for each in seen if isinstance(each, Packed))
    assert bits.values.nbytes == spikes.numel() // 8


def test_what_changes_afterwards_does_not_reach_the_backward_pass():
    spikes = whole(1, torch.float32)
    weight = torch.ones(SIZE, requires_grad=True)
    with spikes_as_bits():
        loss = (weight * spikes).sum()
    before = spikes.clone()
    spikes.data.zero_()
    loss.backward()
    assert torch.equal(weight.grad, before)


def test_the_words_of_whole_numbers():
    assert packing.numbers(torch.float32)[1] == 0x3F800000 and packing.numbers(torch.bfloat16)[1] == 0x3F80
    assert np.array_equal(packing.numbers(torch.float32).view(np.float32), np.arange(256))
