"""MST: its network's windows by hand, its spiking network against a plain loop over time, its masks.

Parity with the official code was measured with the same weights in double precision: logits of the artificial network and of each of six
steps of the spiking one are equal to the bit.
"""

import copy

import pytest
import torch
from test_backbones import checksum
from torch import nn

from benchmark.backbones import ann_swin_t
from benchmark.networks.attention import MatMul
from benchmark.networks.converting.activations import ClipFloor, SpikeMask
from benchmark.networks.converting.expectation import Expectation
from methods.mst import MST, fits, masked
from methods.mst_ann import MSTANN

SIZE = {"patch": 4, "dim": 8, "depths": [2, 1], "heads": [2, 4], "window": 2, "drop_path": 0.0}
STEPS = 5


def quantised(levels=16, clip=0.3):
    """A network with weights large enough to be alive."""
    torch.manual_seed(3)
    network = MSTANN(levels=levels, clip=clip, mask=0.0).start(ann_swin_t.build(SIZE, {}, None, 7, (3, 16, 16), 1), {}, iter(()))
    for name, parameter in network.named_parameters():
        if not name.endswith("clip"):
            alone = parameter.dim() < 2 or name.endswith("position")
            nn.init.normal_(
                parameter, 1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.3 if alone else parameter[0].numel() ** -0.5
            )
    return network.double().eval()


def images(count=3):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def converted(ann, steps=STEPS, **params):
    ann.steps = steps
    return MST(**params).start(ann, {"ann": ann}, iter([images(2)]))


class Plain(nn.Module):
    """m = v + x, a spike of the threshold where m reaches it."""

    def __init__(self, threshold):
        super().__init__()
        self.threshold, self.v = threshold, threshold / 2

    def forward(self, x):
        m = self.v + x
        sent = self.threshold * (m >= self.threshold).to(x)
        self.v = m - sent
        return sent


def plain(ann):
    """The artificial network with such neurons in place of its activations, to be called once a step."""
    network = copy.deepcopy(ann)
    for name, module in list(network.named_modules()):
        if isinstance(module, ClipFloor):
            network.set_submodule(name, Plain(module.clip.item()))
    return network


def test_values():
    assert checksum("ann-swin-t-bn", "imagenet") == pytest.approx(-1.1391967763554192, rel=1e-8, abs=1e-8)


@torch.no_grad()
def test_every_step_is_that_of_a_plain_loop_in_which_nothing_is_compensated():
    ann, x = quantised(), images()
    network, alive = plain(ann), set()
    neurons = {name: module for name, module in network.named_modules() if isinstance(module, Plain)}
    for name, module in neurons.items():
        module.register_forward_hook(lambda _, __, sent, name=name: alive.add(name) if sent.any() else None)
    expected = torch.stack([network(x)[0] for _ in range(STEPS)])
    found = converted(ann)(x)
    assert alive == neurons.keys()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert (expected[0] - expected[-1]).abs().max() > 0.01 and (expected[-1, 0] - expected[-1, 1]).abs().max() > 0.01
    compensated = converted(ann, between="expectation")
    assert (compensated(x) - expected).abs().max() > 0.01
    assert any(isinstance(module, Expectation) for module in compensated.modules())
    assert any(isinstance(module, MatMul) for module in converted(ann).modules())


@torch.no_grad()
def test_a_long_run_with_compensation_answers_as_the_artificial_network():
    ann, x = quantised(levels=64), images()
    means = [converted(ann, steps, between="expectation")(x).mean(0) for steps in (8, 512)]
    errors = [(mean - ann(x)[0]).abs().max() for mean in means]
    assert errors[1] < 0.2 * errors[0] and errors[1] < 0.05


def test_neurons_stand_for_every_quantised_activation_and_no_other():
    ann = quantised()
    places = {name for name, module in ann.named_modules() if isinstance(module, ClipFloor)}
    assert set(converted(ann).neurons()) == places and len(places) == 1 + 3 * 10 + 1


# ---- masks


def test_a_mask_hides_its_share_and_scales_nothing():
    torch.manual_seed(0)
    kept = SpikeMask(0.75).eval()(torch.full((20000,), 3.0))
    assert set(kept.unique().tolist()) == {0.0, 3.0} and (kept != 0).float().mean() == pytest.approx(0.25, abs=0.02)
    x = torch.randn(5)
    assert SpikeMask(0.0)(x) is x


@torch.no_grad()
def test_masks_of_a_method_reach_queries_keys_and_scores_of_its_network():
    ann = MSTANN(levels=4, clip=2.0, mask=0.5).start(ann_swin_t.build(SIZE, {}, None, 7, (3, 16, 16), 1), {}, iter(()))
    assert [module.p for module in ann.modules() if isinstance(module, SpikeMask)] == [0.5] * 9
    network = converted(masked(quantised(), 0.5), mask=0.1)
    assert [module.p for module in network.modules() if isinstance(module, SpikeMask)] == [0.1] * 9
    network.steps = 20
    assert (network(images()) - network(images())).abs().max() > 0.01  # drawn anew
    assert torch.equal(converted(masked(quantised(), 0.5))(images()), converted(quantised())(images()))


# ---- windows


def test_relative_positions_of_a_window_of_two():
    """Tokens 0 1 / 2 3; of nine offsets the middle one is 4."""
    assert ann_swin_t.offsets(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def test_parts_from_different_ends_of_a_moved_map_do_not_see_each_other():
    """4x4 tokens, windows of 2 moved by 1: the first window is whole, the next two are cut in halves, the last in four."""
    seen = (ann_swin_t.outside(4, 2, 1) == 0).int().tolist()
    whole, columns = [[1] * 4] * 4, [[1, 0, 1, 0], [0, 1, 0, 1]] * 2
    rows, alone = [[1, 1, 0, 0]] * 2 + [[0, 0, 1, 1]] * 2, torch.eye(4).int().tolist()
    assert seen == [whole, columns, rows, alone]


@torch.no_grad()
def test_attention_stays_inside_the_moved_windows():
    """A change of one token reaches those of its window alone: rows and columns 1 and 2 of a map whose windows moved by 1."""
    block = next(block for block in quantised().blocks if block.move)
    x = torch.rand(1, 4, 4, 8, dtype=torch.float64)
    other = x.clone()
    other[0, 1, 1] += 1.0
    changed = (block.windowed(x) - block.windowed(other)).abs().amax((0, 3)) > 1e-9
    assert changed.any() and not changed[[0, 3]].any() and not changed[:, [0, 3]].any()


@torch.no_grad()
def test_merging_puts_columns_first():
    merge = ann_swin_t.Merge(1).eval()
    merge.norm, merge.reduce, merge.relu = nn.Identity(), nn.Identity(), nn.Identity()
    assert merge(torch.arange(4.0).reshape(1, 2, 2, 1)).flatten().tolist() == [0, 2, 1, 3]


def test_the_second_shortcut_starts_behind_its_norm():
    block = quantised().blocks[0]
    block.windowed, block.mlp = torch.zeros_like, nn.Sequential(nn.Identity())
    block.relu2 = torch.nn.Threshold(1e9, 0.0)  # lets nothing through
    x = torch.rand(1, 4, 4, 8, dtype=torch.float64)
    torch.testing.assert_close(block(x), block.norm2(x))


def test_other_networks_are_refused():
    class Network:
        def __init__(self, name):
            self.name, self.ann = name, True

    assert not fits(Network("ann-swin-t-bn"), None) and "ann-swin-base" in fits(Network("ann-swin-base"), None)
