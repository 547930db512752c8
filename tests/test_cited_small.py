"""Small cited systems: CML's down-sampling, two distillations, CIFARNet with STBP, NeuNorm and TSSL-BP, against loops and hand-worked numbers."""

import math

import pytest
import torch
from spikingjelly.activation_based import functional, layer
from torch import nn

from benchmark.backbones import cifarnet, spikingformer
from benchmark.method import Outputs
from benchmark.networks.layers import SpikingBackbone
from benchmark.networks.pooling import MaxPool2d
from benchmark.neurons import maker, tssl_bp
from benchmark.neurons._base import Neuron
from methods.cml import CML, fits
from methods.li_kd import LiKD
from methods.stbp import STBP
from methods.takuya_kd import TakuyaKD
from methods.tssl_bp import TSSLBP, trace

# ---- CML


def spikingformer_of(kind, image):
    torch.manual_seed(0)
    return spikingformer.build({"depth": 1, "dim": 32, "heads": 4}, spikingformer.LAYOUTS[kind], maker(spikingformer.NEURON), 10, image, 2)


@pytest.mark.parametrize(("kind", "pools"), [("cifar", 2), ("imagenet", 4)])
def test_cml_pools_before_the_neuron_and_changes_nothing_else(kind, pools):
    plain, image = spikingformer_of(kind, (3, 32, 32)), torch.randn(3, 3, 32, 32)
    before = [type(part) for part in plain.stem]
    changed = CML().start(spikingformer_of(kind, (3, 32, 32)), {}, iter([]))
    assert sorted(map(str, before)) == sorted(str(type(part)) for part in changed.stem)
    follows = [
        (one, two) for one, two in zip(changed.stem, changed.stem[1:], strict=False) if any(isinstance(p, MaxPool2d) for p in one.modules())
    ]
    assert len(follows) == pools and all(isinstance(two, Neuron) for _, two in follows)
    assert [value.shape for value in plain.parameters()] == [value.shape for value in changed.parameters()]
    assert plain(image).shape == changed(image).shape


def test_cml_stem_is_its_equation():
    model, image = CML().start(spikingformer_of("imagenet", (3, 32, 32)), {}, iter([])).train(), torch.randn(3, 3, 32, 32)
    found, x = model.stem(image), image.expand(2, -1, -1, -1, -1)
    merged = [part for part in model.stem if any(isinstance(inner, nn.Conv2d) for inner in part.modules())]
    functional.reset_net(model)
    fire = maker(spikingformer.NEURON)
    for index, part in enumerate(merged):
        convolution, norm = (inner for inner in part.modules() if isinstance(inner, (nn.Conv2d, nn.BatchNorm2d)))
        x = nn.functional.batch_norm(convolution(x.flatten(0, 1)), None, None, norm.weight, norm.bias, True)
        if index < 4:
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        x = fire()(x.unflatten(0, (2, 3))) if index < 4 else x.unflatten(0, (2, 3))
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


def test_cml_fits_stems_with_pooling_alone():
    class Named:
        ann = False

        def __init__(self, name):
            self.name = name

    assert not fits(Named("spikingformer-8-768")) and not fits(Named("spikformer-4-384"))
    assert fits(Named("spikformer-v2-8-512")) and fits(Named("vgg-16"))


# ---- distillation


def two_classes():
    """A student whose steps answer p = (1/4, 3/4) and (3/4, 1/4), so 1/2 in the mean, a teacher with p = (4/5, 1/5), label 0."""
    student = torch.tensor([[[0.0, math.log(3)]], [[math.log(3), 0.0]]])
    return Outputs(student), Outputs(torch.tensor([[[math.log(4), 0.0]]])), torch.tensor([[1.0, 0.0]])


def divergence(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("tau", [1.0, 2.0])
def test_takuya_is_labels_and_a_divergence_of_means(tau):
    teacher = [4 ** (1 / tau) / (4 ** (1 / tau) + 1), 1 / (4 ** (1 / tau) + 1)]
    terms = TakuyaKD(alpha=0.25, temperature=tau).loss(*two_classes(), None)
    assert terms["task"].item() == pytest.approx(0.75 * math.log(2))
    assert terms["teacher"].item() == pytest.approx(0.25 * tau**2 * divergence(teacher, [0.5, 0.5]))


@pytest.mark.parametrize(("over", "answers"), [("steps", [[0.25, 0.75], [0.75, 0.25]]), ("logits", [[0.5, 0.5]])])
def test_li_guides_every_step_or_the_mean(over, answers):
    terms = LiKD(alpha=0.5, temperature=1.0, over=over).loss(*two_classes(), None)
    expected = sum(divergence([0.8, 0.2], answer) for answer in answers) / len(answers)
    assert terms["task"].item() == pytest.approx(0.5 * math.log(2)) and terms["teacher"].item() == pytest.approx(0.5 * expected)


def test_lis_softened_answers_weigh_as_much():
    """Temperature 2: sqrt 4 to 1 against sqrt 3 to 1 and 1 to sqrt 3, four times."""
    terms = LiKD(alpha=0.5, temperature=2.0).loss(*two_classes(), None)
    low, high = 1 / (1 + math.sqrt(3)), math.sqrt(3) / (1 + math.sqrt(3))
    expected = (divergence([2 / 3, 1 / 3], [low, high]) + divergence([2 / 3, 1 / 3], [high, low])) / 2
    assert terms["teacher"].item() == pytest.approx(0.5 * 4 * expected)


# ---- CIFARNet


SHAPE = (3, 16, 16)


def network(size, neuron=cifarnet.NEURON, steps=4, **changes):
    torch.manual_seed(0)
    small = {**cifarnet.SIZES[size], "widths": [4, 8, 8, 8, 4], "hidden": [12, 8], "wake": 9.0, **changes}
    return cifarnet.build(small, {}, maker(neuron), 10, SHAPE, steps)


def official_lif(x):
    """STBP's membrane update in a loop, with its rectangular window through the reset."""

    class Fire(torch.autograd.Function):
        @staticmethod
        def forward(ctx, u):
            ctx.save_for_backward(u)
            return (u > 0.75).to(u)

        @staticmethod
        def backward(ctx, grad):
            (u,) = ctx.saved_tensors
            return grad * ((u - 0.75).abs() < 0.5)

    u = s = torch.zeros_like(x[0])
    spikes = []
    for current in x:
        u = 0.25 * u * (1 - s) + current
        s = Fire.apply(u)
        spikes.append(s)
    return torch.stack(spikes)


def test_stbp_neurons_are_the_official_loop():
    x = (torch.randn(6, 3, 200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()
    weights = torch.randn(6, 3, 200, dtype=torch.float64)
    expected = official_lif(x)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), x)
    found = maker(cifarnet.NEURON)()(x)
    (grad,) = torch.autograd.grad((found * weights).sum(), x)
    assert torch.equal(found, expected) and 0.1 < found.mean() < 0.5
    torch.testing.assert_close(grad, wanted, rtol=1e-9, atol=1e-9)


def test_votes_are_the_share_of_each_classes_output_neurons():
    spikes = torch.zeros(1, 1, 6)
    spikes[..., [0, 1, 3]] = 1
    assert cifarnet.Vote(3)(spikes).tolist() == [[[pytest.approx(2 / 3), pytest.approx(1 / 3)]]]
    target = torch.tensor([[1.0, 0.0]])
    loss = STBP().loss(Outputs(torch.tensor([[[1.0, 0.0]], [[0.5, 0.5]]])), None, target, None)["task"]
    assert loss.item() == pytest.approx((0.25**2 + 0.25**2) / 2)


def test_neunorm_is_spikingjellys_and_stands_behind_each_convolutions_neurons():
    ours, theirs = cifarnet.NeuNorm(8, 4, 4), layer.NeuNorm(8, 4, 4, step_mode="m")
    with torch.no_grad():
        theirs.w.copy_(20 * torch.randn_like(theirs.w))
        ours.weight.copy_(theirs.w)
    spikes = (torch.rand(6, 5, 8, 4, 4) < 0.3).float()
    torch.testing.assert_close(ours(spikes), theirs(spikes))
    assert (ours(spikes) - spikes).abs().max() > 0.1
    model = network("neunorm")
    norms = [module for module in model.modules() if isinstance(module, cifarnet.NeuNorm)]
    assert [tuple(norm.weight.shape) for norm in norms] == [(4, 16, 16), (8, 16, 16), (8, 8, 8), (8, 4, 4), (4, 4, 4)]
    for block in [model.stem, *model.blocks]:
        kinds = [type(part) for part in block]
        assert issubclass(kinds[kinds.index(cifarnet.NeuNorm) - 1], Neuron)


def slow_tssl(x, g, tau, tau_s, threshold):
    """Traces and the official gradient of one neuron's currents [T], its sums over all later steps written out."""
    steps, mem, a = len(x), 0.0, 0.0
    change, u, s, traces = [], [], [], []
    for current in x:
        change.append(current - mem / tau)
        u.append(mem + change[-1])
        s.append(float(u[-1] > threshold))
        mem = u[-1] * (1 - s[-1])
        a = a + (s[-1] - a) / tau_s
        traces.append(a)
    kernel = [(1 - 1 / tau_s) ** k / tau_s for k in range(steps)]
    grad, theta = [0.0] * steps, 0.0
    for t in reversed(range(steps)):
        reached = sum(kernel[k - t] * g[k] for k in range(t, steps))
        moved = s[t] * max(-8.0, min(0.0, -1 / change[t]))
        inter = moved * (-reached)
        if t < steps - 1:
            inter += -theta * u[t] / tau * moved + theta * (1 - 1 / tau) * (1 - s[t])
        theta = inter * s[t] + theta * (1 - s[t]) * (1 - 1 / tau)
        z = math.exp(max(-8.0, min(8.0, (threshold - u[t]) / 0.2)))
        grad[t] = reached * z / ((1 + z) ** 2 * 0.2) if traces[t] < 1 / (4 * tau_s) else inter
    return traces, grad


def test_tssl_neuron_is_the_official_gradient_written_out():
    draw = torch.Generator().manual_seed(0)
    x = (0.8 * torch.randn(7, 300, generator=draw, dtype=torch.float64) + 0.4).requires_grad_()
    g = torch.randn(7, 300, generator=draw, dtype=torch.float64)
    sent = tssl_bp.neuron(tau=5.0, tau_s=3.0, v_threshold=1.0)(x)
    (sent * g).sum().backward()
    slow = [slow_tssl(x[:, i].tolist(), g[:, i].tolist(), 5.0, 3.0, 1.0) for i in range(300)]
    torch.testing.assert_close(sent, torch.tensor([traces for traces, _ in slow], dtype=torch.float64).T, rtol=0, atol=1e-12)
    torch.testing.assert_close(x.grad, torch.tensor([grad for _, grad in slow], dtype=torch.float64).T, rtol=0, atol=1e-12)
    assert 0.2 < (sent > 0).double().mean() < 0.8 and x.grad.abs().max() > 1


def test_tssl_wants_these_traces():
    once, twice = TSSLBP(filtered="once").wanted(5), TSSLBP().wanted(5)
    assert once.tolist() == pytest.approx([0, 1 / 3, 5 / 9, 19 / 27, 65 / 81])
    assert twice.tolist() == pytest.approx([0, 1 / 9, 7 / 27, 11 / 27, 131 / 243])
    assert TSSLBP(filtered="once").wanted(12)[:4].tolist() == pytest.approx([0, 1 / 3, 2 / 9, 13 / 27])
    torch.testing.assert_close(trace(torch.tensor([1.0, 0.0, 0.0]), 2.0), torch.tensor([0.5, 0.25, 0.125]))
    target = torch.tensor([[1.0, 0.0]])
    loss = TSSLBP().loss(Outputs(torch.ones(5, 1, 2)), None, target, None)["task"]
    assert loss.item() == pytest.approx(sum((1 - wanted) ** 2 for wanted in twice.tolist()) / 2 + 2.5)


def test_tssl_network_sees_the_images_trace_and_sums_its_pools():
    model = network("tssl", TSSLBP.neuron, dropout=0.0)
    assert not any(layer_.bias is not None for layer_ in model.modules() if isinstance(layer_, (nn.Conv2d, nn.Linear)))
    image = torch.randn(2, *SHAPE)
    model.stem[0][0].weight.data.mul_(1.0)
    arriving = model.stem[1](model.stem[0](image))
    shares = torch.tensor([1 / 3, 5 / 9, 19 / 27, 65 / 81])  # of a constant current
    torch.testing.assert_close(arriving, shares[:, None, None, None, None] * model.stem[0][0](image), rtol=1e-5, atol=1e-5)
    pool = next(module for module in model.modules() if isinstance(module, cifarnet.ScaledPool))
    assert pool(torch.ones(1, 1, 2, 2)).item() == pytest.approx(4.4)
    plain = next(module for module in network("stbp").modules() if isinstance(module, cifarnet.ScaledPool))
    assert plain(torch.ones(1, 1, 2, 2)).item() == pytest.approx(1.0)


def test_dropout_takes_rows_for_all_steps_and_nothing_at_the_test():
    drop, x = cifarnet.RowDropout(0.5), torch.ones(4, 6, 5, 8, 8)
    torch.manual_seed(0)
    y = drop(x)
    assert set(y.unique().tolist()) == {0.0, 2.0} and torch.equal(y, y[:1, ..., :1].expand_as(y))
    assert 0.3 < (y == 0).float().mean() < 0.7 and (y[0, :, :, 0] != y[0, :, :, 1]).any()
    flat = drop(torch.ones(4, 6, 50))
    assert torch.equal(flat, flat[:1].expand_as(flat)) and {0.0, 2.0} == set(flat.unique().tolist())
    assert torch.equal(drop.eval()(x), x)


@pytest.mark.parametrize(("size", "deviation"), [("stbp", (4.0, 4.0)), ("tssl", (25 / 3, 2.0))])
def test_weights_start_with_these_variances(size, deviation):
    model = cifarnet.build({**cifarnet.SIZES[size], "widths": [32] * 5, "hidden": [128, 128]}, {}, maker(cifarnet.NEURON), 10, SHAPE, 2)
    for kind, variance in zip((nn.Conv2d, nn.Linear), deviation, strict=True):
        for layer_ in [module for module in model.modules() if isinstance(module, kind)][1:3]:
            assert layer_.weight.var().item() * layer_.weight[0].numel() == pytest.approx(variance, rel=0.15)


@pytest.mark.parametrize(("size", "neuron"), [("stbp", cifarnet.NEURON), ("neunorm", cifarnet.NEURON), ("tssl", TSSLBP.neuron)])
def test_every_layer_of_a_cifarnet_fires_at_the_start_and_learns(size, neuron):
    model, fired = network(size, neuron, steps=8, dropout=0.0), []
    assert isinstance(model, SpikingBackbone)
    for module in model.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda _, __, sent: fired.append(bool(sent.any())))
    model(torch.randn(64, *SHAPE)).square().mean().backward()
    assert len(fired) == 8 and all(fired)
    assert all(value.grad.any() for value in model.parameters())
