"""MST: its network's windows by hand, its spiking network against a plain loop over time, its masks. STA: functions as sums of ReLUs, its
thresholds by hand, its neuron in plain numbers, and its spiking network against a plain loop over time.

Parity with the official code was measured with the same weights in double precision: logits of the artificial network and of each of six
steps of the spiking one are equal to the bit.
"""

import copy

import pytest
import torch
from test_backbones import checksum
from torch import nn

from benchmark.backbones import ann_swin_t, vit
from benchmark.networks.attention import MatMul
from benchmark.networks.converting import groups, tried
from benchmark.networks.converting.activations import ClipFloor, SpikeMask, Unit
from benchmark.networks.converting.expectation import Expectation
from benchmark.networks.converting.explicit import explicit
from benchmark.networks.converting.places import Nonlinear
from benchmark.neurons import burst
from methods.mst import MST, fits, masked
from methods.mst_ann import MSTANN
from methods.sta import STA

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


# ---- STA

UNITS = {"exponential": 32, "inverse": 64, "root": 8, "activation": 64, "exp_low": -8.0, "reach": 4.0, "margin": 2.0, "largest": False}


def summed(table, x):
    """A function, unit by unit."""
    y = torch.zeros_like(x)
    for weight, bias, mix in table.T:
        y = y + mix * (weight * x + bias).clamp(min=0)
    return y


@pytest.mark.parametrize(
    ("table", "function", "low", "high", "relative", "worst"),
    [
        (groups.exponential(-8.0, 32), torch.exp, -8, 3, True, 0.02),
        (groups.falling(torch.reciprocal, 2.718, 1000.0, 64), torch.reciprocal, 2.72, 1000, True, 0.003),
        (groups.falling(torch.rsqrt, 0.05, 5.0, 8), torch.rsqrt, 0.05, 5, True, 0.04),
        (groups.bent(nn.functional.gelu, 4.0, 64), nn.functional.gelu, -4, 4, False, 0.002),
    ],
)
def test_a_sum_of_relus_is_near_its_function(table, function, low, high, relative, worst):
    x = torch.linspace(low, high, 999, dtype=torch.float64)
    wanted, found = function(x), summed(table, x)
    torch.testing.assert_close(groups.applied(table, x), found)
    torch.testing.assert_close(groups.Group(table, 1)(x), found)
    assert ((found - wanted).abs() / (wanted.abs() if relative else 1)).max() < worst


def test_functions_go_on_beyond_their_ranges_as_they_should():
    beyond = torch.tensor([-50.0, 50.0], dtype=torch.float64)
    torch.testing.assert_close(groups.applied(groups.bent(nn.functional.gelu, 4.0, 64), beyond), beyond.relu(), rtol=0, atol=0.03)
    assert 0 <= groups.applied(groups.exponential(-8.0, 32), beyond)[0] < 0.001
    assert groups.applied(groups.falling(torch.reciprocal, 2.718, 20.0, 64), beyond)[1] == pytest.approx(1 / 20, rel=0.01)


def test_a_softmax_of_groups_by_hand():
    """Of 0, 5 and -30 the second is cut off 2 above the first, and the third sends nothing; or 5 is what all are held against."""
    x = torch.tensor([0.0, 5.0, -30.0], dtype=torch.float64)
    exp, inverse = groups.exponential(-8.0, 32), groups.falling(torch.reciprocal, 2.718, 60.0, 64)
    first, third = groups.Softmax(exp, inverse, False)(x), x.new_tensor([1, torch.e**2, 0]) / (1 + torch.e**2)
    torch.testing.assert_close(first, third, rtol=0.02, atol=0)
    torch.testing.assert_close(groups.Softmax(exp, inverse, True)(x), x.softmax(0), rtol=0, atol=0.01)


@pytest.mark.parametrize("count", [1, 4, 16])
def test_a_threshold_of_many_neurons_is_the_one_of_a_search_by_hand(count, monkeypatch):
    monkeypatch.setattr(tried, "AT_ONCE", 200)  # two columns at once
    x = torch.randn(80, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(count)).relu() * torch.arange(5)
    found = tried.least_error(x, count)
    assert found[0] == 0
    for column in range(1, 5):
        thetas = [x[:, column].max() * (1.0 - 0.005 * i) for i in range(95)]
        errors = [((x[:, column] / t * count).clamp(0, count).floor() * t / count - x[:, column]).square().sum() for t in thetas]
        assert found[column] == pytest.approx(thetas[min(range(95), key=lambda i: errors[i])].item(), rel=1e-12)


def sent_by(neuron, *currents):
    return [neuron(torch.tensor([[value]], dtype=torch.float64)).item() for value in currents]


def test_a_bursting_neuron_in_plain_numbers():
    """theta 1. 2.3: a spike leaves 1.3, a burst of two 0.3. -0.6: no spike is due, but a half is taken back, which leaves -0.1. -3.1: a spike
    back leaves -2.1, and of the half that is left of what was sent the guard keeps the burst. -1.4: a whole spike back, more than is left."""
    neuron = burst.neuron(theta=1.0, bursts=2, corrected=False)
    assert sent_by(neuron, 2.3, -0.9, -3.0, 0.7) == [2.0, -0.5, -1.0, -1.0]
    assert neuron.v.item() == pytest.approx(2.3 - 0.9 - 3.0 + 0.7 + 0.5)
    assert sent_by(burst.neuron(theta=1.0, bursts=0, corrected=False), 2.3, -0.9, -3.0) == [1.0, 0.0, -1.0]
    assert sent_by(burst.neuron(theta=1.0, bursts=2, corrected=False), -5.0) == [0.0], "nothing was sent that could be taken back"


def test_a_corrected_neuron_in_plain_numbers():
    """theta 1, 0.8 at every step. 0.8: a half, 0.3 stays. 0.3 + 1.6 - 0.5 = 1.4: one, 0.4 stays. 0.4 + 2.4 - 1.5 = 1.3: one. 0.3 + 3.2 - 2.5."""
    assert sent_by(burst.neuron(theta=1.0, bursts=2, corrected=True), 0.8, 0.8, 0.8, 0.8) == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("bursts", [0, 1, 3])
def test_a_bursting_neuron_is_its_equations_in_one_pass_and_step_by_step(corrected, bursts):
    x = torch.randn(12, 2, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 1.5
    constants = {"theta": torch.linspace(0.2, 2.0, 300, dtype=torch.float64), "bursts": bursts, "corrected": corrected}
    expected = burst.reference(x, **constants)
    torch.testing.assert_close(burst.neuron(**constants)(x), expected, rtol=0, atol=1e-12)
    stepwise = burst.neuron(**constants)(x.clone().requires_grad_())
    torch.testing.assert_close(stepwise.detach(), expected, rtol=0, atol=1e-12)
    assert (expected < 0).any() and (expected > 1.2 * constants["theta"]).any().item() == (bursts > 0)


def transformer(attending=1.0):
    """A trained one is not needed: weights large enough that attention is no average, and norms with a gain and a shift."""
    size = {"patch": 4, "dim": 16, "depth": 2, "heads": 2, "resolution": 8, "norm_first": True, "pretrained": None}
    torch.manual_seed(5)
    network = vit.build(size, {}, None, 7, (3, 8, 8), 1)
    for name, parameter in network.named_parameters():
        gain = "norm" in name and name.endswith("weight")
        width = attending if "qkv" in name else 1.0
        nn.init.normal_(parameter, 1.0 if gain else 0.0, 0.2 if parameter.dim() < 2 else width * parameter[0].numel() ** -0.5)
    return network.double().eval()


def pictures(count, seed=1):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("largest", [False, True])
def test_a_transformer_of_groups_answers_as_the_one_that_it_stands_for(largest):
    """Where the first key is not held against much larger ones, or the largest is what all are held against."""
    network, x = transformer(1.0 if largest else 0.3), pictures(4)
    errors = []
    for finer in (1, 4):
        units = groups.Units(
            **{key: value * finer if type(value) is int else value for key, value in (UNITS | {"largest": largest}).items()}
        )
        errors.append((groups.approximated(explicit(network), [x], units)(x) - network(x)).abs().max().item())
    assert errors[0] < 0.05 < network(x).std() and errors[1] < 0.002


class PlainBurst(nn.Module):
    """Called once a step; the sums of what came in and of what was sent in halves of the threshold."""

    def __init__(self, theta, corrected):
        super().__init__()
        self.half, self.corrected, self.v, self.halves, self.total = theta / 2, corrected, 0.0, 0.0, 0.0

    def forward(self, x):
        self.total = self.total + x
        m = self.v + (self.total - self.halves * self.half if self.corrected else x)
        spike = torch.where(m >= 2 * self.half, 2.0, torch.where((m <= -2 * self.half) & (m * 0 + self.halves > 0), -2.0, 0.0)).to(m)
        rest = torch.maximum(-(self.halves + spike) * self.half, m - spike * self.half)
        spike = spike + ((rest.abs() / (self.half + 1e-5)).floor() * rest.sign()).clamp(-2, 2)
        self.v, self.halves = m - spike * self.half, self.halves + spike
        return spike * self.half


class PlainCorrected(nn.Module):
    """What the function of the sums so far, over t, gives at t, less what it gave before."""

    def __init__(self, function):
        super().__init__()
        self.function, self.t, self.sums, self.before = function, 0, None, 0.0

    def forward(self, *inputs):
        self.t += 1
        self.sums = [x + before for x, before in zip(inputs, self.sums or [0.0] * len(inputs), strict=True)]
        now = self.t * self.function(*(total / self.t for total in self.sums))
        sent, self.before = now - self.before, now
        return sent


@torch.no_grad()
def test_sta_is_a_plain_loop_over_time():
    network, x, steps = transformer(), pictures(3), 6
    network.steps = steps
    spiking = STA(images=4, batches=2).start(network, {"ann": network}, iter([pictures(4, seed) for seed in (2, 3)]))
    plain = groups.approximated(explicit(network), [pictures(4, seed) for seed in (2, 3)], groups.Units(**UNITS))
    for name, module in list(plain.named_modules()):
        if isinstance(module, Unit):
            plain.set_submodule(name, PlainBurst(spiking.neurons()[name].theta, name.endswith("softmax.1")))
        elif isinstance(module, (Nonlinear, MatMul, nn.LayerNorm)):
            plain.set_submodule(name, PlainCorrected(module))
    found, expected = spiking(x), torch.stack([plain(x)[0] for _ in range(steps)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    assert (expected[0] - expected[-1]).abs().max() > 0.01
    rates = {name: module.halves.abs().sum().item() for name, module in plain.named_modules() if isinstance(module, PlainBurst)}
    assert len(rates) == len(spiking.neurons()) == 2 * 7 and min(rates.values()) > 0, "two norms of two each, the map, its product, GELU"


@torch.no_grad()
def test_sta_comes_near_its_groups_with_time():
    network, x = transformer(), pictures(3)
    exact, errors = groups.approximated(explicit(network), [x], groups.Units(**UNITS))(x)[0], []
    for network.steps in (4, 64):
        spiking = STA(images=3, batches=1).start(network, {"ann": network}, iter([x]))
        errors.append((spiking(x).mean(0) - exact).abs().max().item())
    assert errors[1] < 0.25 * errors[0] and errors[1] < 0.1 * exact.std()
