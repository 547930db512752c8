"""Spikformer V2's attention variants against loops, both product orders, and the operations of one calculation as Table I counts them."""

from functools import partial

import pytest
import torch
from torch import nn

from benchmark.conventions import Record, count
from benchmark.conventions.single_attention import flops
from benchmark.networks.attention import AttentionProduct
from benchmark.networks.attention_variants import EitherOrder, cheaper, product, self_attention
from benchmark.networks.layers import conv_bn
from benchmark.neurons.lif import neuron as lif
from benchmark.pins.readings import Reading
from benchmark.reports import comparison

HEADS, SCALE = 2, 0.125
NEURON = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "sigmoid", "alpha": 4.0}
NUMBERS = {"ssa": "", "i": "qk", "relu": "qk", "leakyrelu": "qk", "vsa": "qk", "vsa-float-v": "qkv"}  # spikformer_v2.txt:127, 92 and 96
each_variant = pytest.mark.parametrize("attention", NUMBERS)


def drawn(attention, shape=(3, 2, 8, 2, 3)):
    """Q, K, V [T, B, C, H, W], real numbers where the variant has them and spikes elsewhere, all waiting for gradients."""
    torch.manual_seed(0)
    real = {name: torch.randn(shape, dtype=torch.float64) for name in "qkv"}
    return [(value if name in NUMBERS[attention] else (value > 0.3).double()).requires_grad_() for name, value in real.items()]


def by_loops(attention, q, k, v):
    """The paper's sentences, one query at a time."""
    f = {"relu": lambda x: max(x, 0.0), "leakyrelu": lambda x: x if x > 0 else 0.01 * x}.get(attention, lambda x: x)
    out, width = torch.zeros_like(q), q.shape[2] // HEADS
    for t in range(q.shape[0]):
        for b in range(q.shape[1]):
            for head in range(HEADS):
                own = slice(head * width, (head + 1) * width)
                queries, keys, values = (x[t, b, own].flatten(1).T.tolist() for x in (q, k, v))
                for n, query in enumerate(queries):
                    scores = [sum(f(a) * f(b) for a, b in zip(query, key, strict=True)) for key in keys]
                    if attention.startswith("vsa"):
                        weights = torch.tensor(scores, dtype=q.dtype).div(width**0.5).exp()
                        weights = (weights / weights.sum()).tolist()
                    else:
                        weights = [score * SCALE for score in scores]
                    answer = [sum(w * value[c] for w, value in zip(weights, values, strict=True)) for c in range(width)]
                    out[t, b, own, n // q.shape[4], n % q.shape[4]] = torch.tensor(answer, dtype=q.dtype)
    return out


@each_variant
@pytest.mark.parametrize("order", ["qk_v", "q_kv"])
def test_a_variant_is_what_the_paper_says(attention, order):
    q, k, v = drawn(attention)
    found = product(attention, HEADS, SCALE, order)(q, k, v)
    with torch.no_grad():
        torch.testing.assert_close(found.detach(), by_loops(attention, q, k, v))
    found.square().sum().backward()
    assert all(x.grad.any() for x in (q, k, v))


def test_the_variants_differ():
    found = [product(attention, HEADS, SCALE, "qk_v")(*drawn("i")) for attention in NUMBERS if attention not in ("ssa", "vsa-float-v")]
    assert all(not torch.allclose(one, other) for i, one in enumerate(found) for other in found[:i])


@each_variant
def test_neurons_are_left_out_where_numbers_are_real_and_weights_keep_their_names(attention):
    fire = partial(lif, **NEURON)
    made = [self_attention(kind, partial(conv_bn, 8, 8), fire, HEADS, SCALE, "qk_v", nn.Identity()) for kind in (attention, "ssa")]
    assert made[0].state_dict().keys() == made[1].state_dict().keys()
    x = torch.randn(2, 3, 8, 2, 3)
    for name in "qkv":
        values = getattr(made[0], name)(x).unique().tolist()
        assert (set(values) <= {0.0, 1.0}) == (name not in NUMBERS[attention]), name
    made[0](x).sum().backward()
    assert all(value.grad is not None for value in made[0].parameters())


@pytest.mark.parametrize(("shape", "order"), [((2, 2, 64, 2, 2), "qk_v"), ((2, 2, 8, 5, 5), "q_kv"), ((1, 1, 8, 2, 2), "qk_v")])
def test_both_orders_agree_and_the_cheaper_one_is_chosen_by_shape(shape, order):
    q, k, v = (torch.rand(shape) for _ in range(3))
    both = [AttentionProduct(HEADS, SCALE, each)(q, k, v) for each in ("qk_v", "q_kv")]
    torch.testing.assert_close(*both, rtol=1e-6, atol=0)
    either = EitherOrder(HEADS, SCALE)
    assert torch.equal(either(q, k, v), both[order == "q_kv"]) and either.order == order


@pytest.mark.parametrize(("tokens", "width"), [(64, 32), (64, 16), (196, 64), (4, 64), (7, 7), (1, 1)])
def test_the_cheaper_order_multiplies_less(tokens, width):
    multiplications = {"qk_v": 2 * tokens * tokens * width, "q_kv": 2 * tokens * width * width}
    assert multiplications[cheaper(tokens, width)] == min(multiplications.values())


# ---- Table I


def recorded(tokens, channels, heads, steps, kind="real", layer="AttentionProduct", events=0, images=10):
    """The record of one block's product, as the counter leaves it after so many images."""
    each = steps * tokens * channels
    dense, scores = 2 * each * tokens, steps * heads * tokens**2
    operands = [[each * images, 0]] * 3
    return Record(
        "blocks.0", "product", steps, layer, images=images, dense=dense * images, scores=scores * images, operands=operands,
        head_width=channels // heads, input_kind=kind, events=events * images,
    )  # fmt: skip


def table_1(*products):
    """(1e6 operations, uJ) as its columns have them."""
    found = count("single-attention", list(products))
    return found["ops"] / 1e6, found["energy_mJ"] * 1e3


def test_flops_and_energies_of_table_1():
    """spikformer_v2.txt:121 to 123, at the sizes and steps that they give away."""
    events, images = table_1(recorded(64, 256, 16, 16)), table_1(*[recorded(64, 384, 12, 4)] * 4)
    assert (round(events[0], 1), round(events[1])) == (16.8, 77)
    assert (round(images[0], 1), round(images[1])) == (6.3, 29)


def test_spiking_attention_costs_its_accumulates():
    for sops, energy in ((0.66e6, 0.594), (1.1e6, 0.990), (1.3e6, 1.170)):  # spikformer_v2.txt:125
        blocks = [recorded(64, 384, 12, 4, "binary", events=int(sops) + more) for more in (-1000, 1000)]  # the blocks' mean
        assert table_1(*blocks) == (pytest.approx(sops / 1e6), pytest.approx(energy))


def test_a_softmax_is_told_by_its_record():
    macs = count("single-attention", [recorded(64, 384, 12, 4, layer="SoftmaxProduct")])["macs"]
    assert macs == pytest.approx(flops("vsa", 64, 384, 12, 4)) and macs > flops("i", 64, 384, 12, 4)
    assert count("single-attention", [])["ops"] == 0


def test_a_softmax_and_a_real_v_cost_more():
    product_alone = 4 * 64**2 * 384
    assert flops("vsa", 64, 384, 12, 4) == product_alone + 4 * 2 * 12 * 64**2
    assert flops("vsa-float-v", 64, 384, 12, 4) == 2 * product_alone + 4 * 2 * 12 * 64**2
    assert flops("ssa", 64, 384, 12, 4) == 0


def test_table_1_is_read_by_this_count():
    """The paper's own convention for the two columns, and the plain ones for every other paper; 6,684,672 by hand for softmax."""
    run = {"layers": [recorded(64, 384, 12, 4, layer="SoftmaxProduct").to_dict()], "spec": {"time_steps": 4}}
    for name, expected in (("ops_M", 6.684672), ("energy_uJ", 6.684672 * 4.6)):
        assert comparison.metric_in(name, "spikformer_v2").read(run, None, Reading()) == pytest.approx(expected)
        assert comparison.metric_in(name, "ldd").read(run, None, Reading()) != pytest.approx(expected)
    assert flops("vsa", 64, 384, 12, 4) == 6_684_672  # 4 (64^2 384 + 2 12 64^2)
