"""Networks that the papers quote and no library here has: their parts against plain loops, their operations, what their recipes set.

Parity with the official modules was measured with the same weights (logits to 2e-6 and the same number of multiply-accumulates); the
checksums here are of those networks.
"""

import math

import pytest
import torch
from test_backbones import build, checksum, images
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark.backbones import ann_pvt, ann_pyramidnet, ann_swin, ann_t2t_vit, spikeformer, vit
from benchmark.networks.layers import Residual, Sum
from benchmark.neurons import maker
from benchmark.pins import kinds
from benchmark.pins.settings import settings
from benchmark.runs import lines

CHECKSUMS = {
    "ann-pvt-large:imagenet": 1.2365593215880448,
    "ann-pyramidnet-18:cifar": 2.068297182981011,
    "ann-pyramidnet-18:imagenet": -0.9818634849522789,
    "ann-swin-base:imagenet": -2.8077590310262197,
}
OPERATIONS = {"ann-pvt-large": 9_813_765_632, "ann-t2t-vit-24": 13_661_874_688, "ann-swin-base": 15_430_946_816}


def seeded(module):
    """In evaluation and double precision, every weight drawn anew."""
    torch.manual_seed(5)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


def tokens(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("case", CHECKSUMS)
def test_values(case):
    assert checksum(*case.split(":")) == pytest.approx(CHECKSUMS[case], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_the_official_module(name):
    with torch.device("meta"), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counted, torch.no_grad():
        build(name, "imagenet", kinds.backbone(name).size, 1000, (3, 224, 224)).eval()(torch.empty(1, 3, 224, 224))
    assert counted.get_total_flops() == 2 * OPERATIONS[name]


# ---- PVT


@torch.no_grad()
def test_keys_and_values_of_pvt_see_the_shrunken_map():
    """Token by token and head by head, the convolution a product of each 2x2 patch with its weights."""
    dim, heads, side, shrink = 6, 2, 4, 2
    attention, x = seeded(ann_pvt.ReducingAttention(dim, heads, shrink, side)), tokens(1, side * side, dim)
    patches = [[x[0, (2 * i + a) * side + 2 * j + b] for a in range(2) for b in range(2)] for i in range(2) for j in range(2)]
    weight, bias = attention.reduce.weight, attention.reduce.bias
    seen = [sum(weight[:, :, index // 2, index % 2] @ token for index, token in enumerate(patch)) + bias for patch in patches]
    k, v = attention.kv(attention.norm(torch.stack(seen))).chunk(2, -1)
    q, expected = attention.q(x[0]), torch.empty(side * side, dim, dtype=torch.float64)
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        for n in range(side * side):
            scores = torch.stack([q[n, part] @ key[part] for key in k]) / math.sqrt(dim // heads)
            expected[n, part] = sum(share * value[part] for share, value in zip(scores.softmax(0), v, strict=True))
    torch.testing.assert_close(attention(x)[0], attention.proj(expected))


def test_a_class_token_joins_in_the_last_stage_of_pvt():
    model, seen = build("ann-pvt-large", "imagenet").eval(), []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, y: seen.append(y.shape[1:]))
    model(images("imagenet"))
    assert seen == [(64, 16), (16, 32), (5, 48)]
    before = model(images("imagenet"))
    model.stages[-1].class_token.data[..., 0] += 1.0
    assert (model(images("imagenet")) - before).abs().max() > 1e-4


# ---- T2T-ViT


@torch.no_grad()
def test_performer_attention_is_a_weighted_mean_with_positive_features():
    """y_n = v_n + proj(sum_m phi(q_n).phi(k_m) v_m / (sum_m phi(q_n).phi(k_m) + 1e-8))."""
    performer, count, dim = seeded(ann_t2t_vit.Performer(5, 4, 3)), 9, 4
    k, q, v = tokens(3, 1, count, dim)

    def phi(x):
        return torch.stack([torch.exp(row @ x - x @ x / 2) for row in performer.random]) / math.sqrt(len(performer.random))

    for n, y in enumerate(performer.attention(k, q, v)[0]):
        weights = [phi(q[0, n]) @ phi(k[0, m]) for m in range(count)]
        mixed = sum(weight * v[0, m] for m, weight in enumerate(weights)) / (sum(weights) + 1e-8)
        torch.testing.assert_close(y, v[0, n] + performer.proj(mixed))
    torch.testing.assert_close(performer.random @ performer.random.T, 2 * torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_performer_layer_ends_with_a_map():
    """Its MLP has a shortcut; the order of keys, queries and values is the official one's."""
    performer, x = seeded(ann_t2t_vit.Performer(5, 4, 3)), tokens(2, 9, 5)
    k, q, v = performer.kqv(performer.norm1(x)).split(4, -1)
    y = performer.attention(k, q, v)
    y = y + performer.mlp(performer.norm2(y))
    found = performer(x)
    assert found.shape == (2, 4, 3, 3)
    torch.testing.assert_close(found[1, :, 2, 1], y[1, 7])


def test_positions_of_t2t_vit_are_fixed_sines():
    position = ann_t2t_vit.sines(3, 6)
    by_hand = [math.sin(2), math.cos(2), math.sin(2 / 10000 ** (1 / 3)), math.cos(2 / 10000 ** (1 / 3)), math.sin(2 / 10000 ** (2 / 3))]
    assert position.shape == (1, 3, 6) and position[0, 2, :5].tolist() == pytest.approx(by_hand, abs=1e-6)
    assert position[0, 0].tolist() == [0, 1, 0, 1, 0, 1]
    model = build("ann-t2t-vit-24", "imagenet")
    assert "position" in model.state_dict() and "cuts.0.1.random" in model.state_dict()  # a checkpoint keeps both
    assert not any(name.endswith(("position", "random")) for name, _ in model.named_parameters())


# ---- PyramidNet


def test_widths_of_pyramidnet_grow_by_the_same_amount():
    with torch.device("meta"):
        model = build("ann-pyramidnet-18", "cifar", kinds.backbone("ann-pyramidnet-18").size)
    assert model.widths == [70, 76, 82, 88, 94, 100, 106, 112]


@torch.no_grad()
def test_a_block_of_pyramidnet_averages_and_pads_its_shortcut():
    block, x = seeded(ann_pyramidnet.Block(2, 5, 2)), tokens(1, 3, 2, 5, 5)
    branch = block.branch(x)
    found = block(x) - branch
    assert found.shape == (1, 3, 5, 3, 3) and not found[:, :, 2:].any()
    torch.testing.assert_close(found[0, :, :2, 0, 0], x[0, :, :, :2, :2].mean((2, 3)))
    torch.testing.assert_close(found[0, :, :2, 2, 2], x[0, :, :, 4, 4])  # the odd border counts what is there


def test_there_is_no_relu_before_the_first_convolution_of_a_pyramidnet_block():
    kinds_ = [type(module).__name__ for module in ann_pyramidnet.Block(2, 5, 2).branch.modules() if not any(module.children())]
    assert kinds_ == ["BatchNorm2d", "Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d"]


# ---- Swin Transformer, CLIP's ViT-B/32


def test_every_second_block_of_swin_moves_its_windows():
    with torch.device("meta"):
        blocks = build("ann-swin-base", "imagenet", kinds.backbone("ann-swin-base").size, image=(3, 224, 224)).blocks
    assert [block.shift_size for block in blocks] == [(0, 0), (3, 3)] * 11 + [(0, 0)] * 2  # the last stage is one window
    assert not hasattr(ann_swin.MeanHead(nn.Linear(2, 2)), "reset")


def test_the_vit_of_clip_has_a_norm_before_its_blocks_and_others_have_none():
    with torch.device("meta"):
        models = {name: build(f"vit-{name}", "imagenet", vit.SIZES[name], 1000, (3, 224, 224)).transformer for name in ("b-32", "b-16")}
    assert isinstance(models["b-32"].norm_pre, nn.LayerNorm) and models["b-32"].patch_embed.proj.bias is None
    assert isinstance(models["b-16"].norm_pre, nn.Identity) and models["b-16"].patch_embed.proj.bias is not None
    assert models["b-32"].blocks[0].norm1.eps == 1e-5 and models["b-16"].blocks[0].norm1.eps == 1e-6


# ---- recipes


DEPTHS = {"ann-t2t-vit-24": 0.1, "ann-pvt-large": 0.3, "ann-swin-base": 0.5, "vit-b-16": 0.1, "vit-l-16": 0.2}


def test_stochastic_depth_is_what_each_recipe_says_and_reaches_the_network():
    """In its own row alone: ECMT's ViTs, which are not trained, have none."""
    for scale, wanted in (("paper", DEPTHS), ("smoke", dict.fromkeys(DEPTHS, 0.0))):
        for line in lines.of_table("table3_spikformer_v2", settings({"scale": scale})):
            spec = line.runs[0].resolved.spec if line.runs else {"network": {"name": ""}}
            if spec["network"]["name"] in wanted:
                assert spec["network"]["size"].get("drop_path", 0.0) == wanted[spec["network"]["name"]]
    for line in lines.of_table("table1_ecmt", settings({"scale": "paper"})):
        assert not line.runs[0].resolved.spec["network"]["size"].get("drop_path", 0.0)


@pytest.mark.parametrize("name", ["ann-t2t-vit-24", "ann-pvt-large", "ann-swin-base", "vit-b-16"])
def test_dropped_branches_grow_with_depth(name):
    size = {**kinds.backbone(name).size, "drop_path": 0.3, "resolution": None, "pretrained": None}
    with torch.device("meta"):
        model = build(name, "imagenet", size, image=(3, 224, 224))
    rates = [next((float(part.drop_prob) for part in block.modules() if type(part).__name__ == "DropPath"), 0.0) for block in model.blocks]
    assert rates == pytest.approx([0.3 * index / (len(rates) - 1) for index in range(len(rates))], abs=1e-6)


# ---- Spikeformer


def small_spikeformer(steps=3):
    torch.manual_seed(0)
    size = {"widths": [4, 8, 8, 16], "depth": 2, "heads": 4, "ratio": 2, "drop_path": 0.0}
    return seeded(spikeformer.build(size, {}, maker(spikeformer.NEURON), 10, (3, 64, 32), steps))


def test_spikeformer_attends_over_steps_and_over_positions():
    """Each head of a sequence by hand; over steps for each position alone, over positions for each step alone."""
    block, x = small_spikeformer().blocks[0], tokens(3, 2, 8, 16)
    over_time, over_space, _ = block

    def attended(attention, sequence):  # [N, C]
        q, k, v = (sequence @ attention.qkv.weight.T).chunk(3, 1)
        heads = [slice(4 * head, 4 * head + 4) for head in range(4)]
        mixed = [(q[:, at] @ k[:, at].T / 2).softmax(1) @ v[:, at] for at in heads]
        return torch.cat(mixed, 1) @ attention.project.weight.T + attention.project.bias

    timed = torch.stack([
        torch.stack([attended(over_time.attention, over_time.norm(x[:, image, at])) for at in range(8)], 1) for image in range(2)
    ], 1)  # fmt: skip
    torch.testing.assert_close(over_time(x), x + over_time.mix(timed))
    spaced = torch.stack([
        torch.stack([attended(over_space.attention, over_space.norm(x[step, image])) for image in range(2)]) for step in range(3)
    ])  # fmt: skip
    torch.testing.assert_close(over_space(x), x + spaced)


def test_the_mean_of_spikeformers_steps_is_one_softmax_over_all_tokens():
    head, x = small_spikeformer().head, tokens(3, 2, 8, 16)
    all_tokens = head.norm(x).permute(1, 0, 2, 3).flatten(1, 2)  # [B, T N, C]
    weights = head.weigh(all_tokens).softmax(1)
    torch.testing.assert_close(head(x).mean(0), head.classifier((weights * all_tokens).sum(1)))


def test_spikeformers_tokenizer_and_what_starts_at_zero():
    torch.manual_seed(0)
    size = {"widths": [4, 8, 8, 16], "depth": 2, "heads": 4, "ratio": 2, "drop_path": 0.0}
    model = spikeformer.build(size, {}, maker(spikeformer.NEURON), 10, (3, 64, 32), 3)
    assert all(not block[0].mix.weight.any() for block in model.blocks) and model.blocks[0][0].attention.project.weight.any()
    stages, x = list(model.stem)[:-1], torch.randn(2, 3, 64, 32)
    sides = []
    for stage in stages:
        x = stage(x)
        sides.append(tuple(x.shape[2:]))
    assert sides == [(4, 32, 16)] * 2 + [(8, 16, 8)] * 2 + [(8, 8, 4)] * 2 + [(16, 4, 2)] * 2
    assert isinstance(stages[1], Residual) and isinstance(stages[0], Sum) and model.stem[-1].position.shape == (8, 16)
