"""Conversions of ReLU networks that tables quote: thresholds by hand, pools and scores against slow loops, answers that come to the network's."""

import math

import helpers
import pytest
import torch
from test_conversion import answers, error, images, up_to
from test_conversions_cited import SIZES, alive, project, steps
from torch import nn
from torch.nn import functional

from benchmark.backbones import ann_resnet, resnet
from benchmark.measuring import checks
from benchmark.measuring.counter import Counter
from benchmark.method import Outputs
from benchmark.networks.converting.conversion import convert, survey
from benchmark.networks.converting.expectation import Clock
from benchmark.networks.converting.maxima import LOGITS, SILENT, maxima, threshold
from benchmark.networks.converting.spiking_pool import SpikingMaxPool
from benchmark.neurons import integrate_and_fire, maker, threshold_shift, trained_threshold
from benchmark.shared.errors import UserError
from benchmark.shared.files import read_sealed
from benchmark.training.batches import Batches, load
from methods.diet_snn import DietSNN, fits, percentile
from methods.rmp import RMP
from methods.snm import SNM
from methods.spiking_resnet import Score, SpikingResNet
from methods.ts import TS
from methods.ts_ann import TSANN

METHODS = {"ts": TS, "rmp": RMP, "snm": SNM, "spiking-resnet": SpikingResNet}


def network(name, clipped=False):
    """One that is alive, with weights at random."""
    family, size, layout = SIZES[name]
    found = project(family, size, layout)
    return alive(TSANN(clip=1.0).start(found, {}, iter(())) if clipped else found).double()


def of_method(name):
    """One that it converts."""
    return network("resnet" if name == "spiking-resnet" else "vgg", name == "ts")


def converted(method, ann, count, calibration):
    ann.steps = count
    return method.start(ann, {"ann": ann}, iter(calibration))


def largest(ann, x):
    """Name -> what comes to each ReLU for these images, [B, ...], and the logits."""
    found = {}
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: found.update({name: inputs[0].detach().reshape(len(x), -1)}))
        for name, module in ann.named_modules()
        if isinstance(module, (nn.ReLU, nn.Hardtanh))
    ]
    found[LOGITS] = ann(x).detach().reshape(len(x), -1)
    for handle in handles:
        handle.remove()
    return found


# ---- neurons


def test_a_shift_by_hand():
    """theta 2, a quarter of it at each step: 0.5 + 0.5 twice make 2; -9 is kept."""
    neuron = threshold_shift.neuron(theta=2.0, shift=0.25)
    assert steps(neuron, 0.5, 0.5, 1.5, 0.0, -9.0, 8.5) == [0.0, 2.0, 2.0, 0.0, 0.0, 0.0]


def test_a_shift_of_half_a_threshold_over_all_steps_rounds_an_even_input_to_the_nearest():
    x = 4 * torch.rand(5000, dtype=torch.float64) - 1
    for count in (1, 4, 16):
        sent = threshold_shift.neuron(theta=2.0, shift=0.5 / count)(x.expand(count, 1, -1)).mean(0)[0]
        torch.testing.assert_close(sent, (x * count / 2 + 0.5).floor().clamp(0, count) * 2 / count, rtol=0, atol=1e-12)


@pytest.mark.parametrize("constants", [{"theta": 0.0}, {"shift": math.nan}, {"shift": math.inf}])
def test_a_shift_without_sense_is_refused(constants):
    with pytest.raises(UserError, match="a neuron with a shift needs theta > 0 and a finite shift"):
        threshold_shift.neuron(**{"theta": 1.0, "shift": 0.1, **constants})


def test_each_neuron_has_its_own_negative_threshold():
    theta = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    x = 2 * torch.randn(60, 4, 3, dtype=torch.float64)
    sent = integrate_and_fire.neuron(theta=theta, start=0.0, lower=-theta)(x)
    for index, value in enumerate(theta.tolist()):
        one = integrate_and_fire.reference(x[..., index], theta=value, start=0.0, lower=-value)
        torch.testing.assert_close(sent[..., index], one, rtol=0, atol=1e-12)
    assert (sent < 0).any() and (sent.cumsum(0) > -1e-9).all()


# ---- thresholds


def test_the_largest_value_of_each_neuron_over_all_batches():
    ann, batches = network("resnet"), [images(3), images(2, seed=2)]
    places = survey(ann, batches[0][:1])
    found, wanted = maxima(ann, places, batches, 5), largest(ann, torch.cat(batches))
    assert found.keys() == wanted.keys() and len(found) > 4
    for name, x in wanted.items():
        assert torch.equal(found[name].flatten(), x.amax(0)) and found[name].dim() == (1 if name == LOGITS else 3)
    first = maxima(ann, places, batches, 2)
    assert torch.equal(first[LOGITS], largest(ann, batches[0][:2])[LOGITS].amax(0)), "no more images than asked for"
    with pytest.raises(UserError, match="at least one training image"):
        maxima(ann, places, [], 5)


def test_a_neuron_that_is_never_active_has_a_threshold_that_nothing_reaches():
    theta = threshold(torch.tensor([1.5, 0.0, -2.0]))
    assert theta.tolist() == [1.5, SILENT, SILENT]
    sent = integrate_and_fire.neuron(theta=theta, start=0.0, lower=-theta)(torch.full((9, 1, 3), 1e6))
    assert sent.isfinite().all() and sent[:, 0, 0].all() and not sent[:, 0, 1:].any()


def most(values) -> float:
    return values.max().item()


def is_percentile(theta, values, percent) -> bool:
    """To within a bin of 1 %: no more values lie above, and no fewer from it on, than should."""
    above, from_it_on = ((values > 1.01 * theta).float().mean().item(), (values >= 0.99 * theta).float().mean().item())
    return above <= 1 - percent / 100 <= from_it_on


def test_thresholds_of_ts_are_largest_values_or_the_clip():
    ann, x = alive(TSANN(clip=2.5).start(project(*SIZES["vgg"][:2], "imagenet"), {}, iter(()))).double(), images(4)
    found, values = converted(TS(images=4), ann, 8, [x]), largest(ann, x)
    assert found.answers.neuron.theta == values.pop(LOGITS).max()
    thetas = {place: min(most(one), 2.5) for place, one in values.items()}
    assert {place: neuron.theta.item() for place, neuron in found.neurons().items()} == thetas
    assert {place: neuron.own.item() for place, neuron in found.neurons().items()} == {place: theta / 16 for place, theta in thetas.items()}
    assert min(thetas.values()) < 2.5 == max(thetas.values())


def test_thresholds_of_rmp_are_a_share_of_largest_values():
    ann, x = network("vgg"), images(4)
    found, values = converted(RMP(factor=0.8, images=4), ann, 8, [x]), largest(ann, x)
    values.pop(LOGITS)
    for place, neuron in found.neurons().items():
        assert neuron.theta.item() == pytest.approx(0.8 * most(values[place])) and neuron.lower == -math.inf
        assert neuron.upper == neuron.theta, "membranes start at 0"
    assert found.neurons().keys() == values.keys() and isinstance(found.answers, nn.Identity)


def test_thresholds_of_snm_are_each_neurons_own():
    ann, x = network("vgg"), images(4)
    found, values = converted(SNM(images=4), ann, 8, [x]), largest(ann, x)
    for neuron, one in [(found.answers.neuron, values.pop(LOGITS)), *((found.neurons()[place], one) for place, one in values.items())]:
        assert torch.equal(neuron.theta.flatten(), threshold(one.amax(0))) and torch.equal(neuron.lower, -neuron.theta)
        assert torch.equal(neuron.upper, neuron.theta) and neuron.sends == "graded"


def test_thresholds_of_a_spiking_resnet_are_percentiles():
    ann, x = network("resnet"), images(4)
    found, values = converted(SpikingResNet(percent=93.0, images=4), ann, 8, [x]), largest(ann, x)
    assert is_percentile(found.answers.neuron.theta, values.pop(LOGITS), 93)
    neurons = found.neurons()
    *_, last, behind = neurons.items()
    assert behind[0] == "head.classifier" and behind[1].theta == last[1].theta, "behind the average pool too"
    for place, one in values.items():
        assert is_percentile(neurons[place].theta.item(), one, 93)
        assert neurons[place].upper.item() == pytest.approx(neurons[place].theta.item() / 2)


# ---- pools and scores


def slow_pool(x, pool):
    """The authors' spiking max pool, step by step: a maximum that its window's greatest sum does not stand above is suppressed."""
    sums, sent, found = torch.zeros_like(x[0]), 0, []
    for now in x:
        sums = sums + now
        out, most = pool(now), pool(sums)
        out = torch.where(most <= sent, torch.zeros_like(out), out)
        sent = sent + out
        found.append(out)
    return torch.stack(found)


@pytest.mark.parametrize("windows", [(20,), (7, 13), (1,) * 20])
def test_a_spiking_max_pool_is_the_slow_one(windows):
    x = (torch.rand(20, 2, 3, 9, 9) < 0.3).float() * 0.5  # sums of halves are exact
    plain, clock = nn.MaxPool2d(3, 2, 1), Clock()
    pool, found, before = SpikingMaxPool(plain, clock), [], 0
    for window in windows:
        clock.set(before, window, 2, before + window == 20)
        found.append(pool(x[before : before + window].flatten(0, 1)).unflatten(0, (window, 2)))
        before += window
    wanted = slow_pool(x, plain)
    assert torch.equal(torch.cat(found), wanted) and 0 < (wanted > 0).float().mean() < 1
    torch.testing.assert_close(wanted.sum(0), plain(x.sum(0)))
    assert pool.sums is None, "a finished run leaves nothing"


def test_a_score_grows_to_the_spikes_and_the_membranes_softmax():
    """As the authors' code has it at the end of a run of every length, in one call or step by step."""
    x, theta = torch.randn(30, 2, 5, dtype=torch.float64) + 0.2, 0.7
    membrane, spikes, wanted = torch.full((2, 5), 0.5, dtype=torch.float64), 0, []
    for now in x / theta:
        membrane = membrane + now
        fired = (membrane >= 1).double()
        membrane, spikes = membrane - fired, spikes + fired
        wanted.append(spikes + functional.softmax(membrane, -1))
    torch.testing.assert_close(Score(theta)(x).cumsum(0), torch.stack(wanted), rtol=0, atol=1e-12)
    score = Score(theta)
    parts = torch.cat([score(part) for part in x.split(7)])
    torch.testing.assert_close(parts.cumsum(0), torch.stack(wanted), rtol=0, atol=1e-12)
    score.reset()
    torch.testing.assert_close(score(x).cumsum(0), torch.stack(wanted), rtol=0, atol=1e-12)


# ---- converted networks


@pytest.mark.parametrize("name", METHODS)
def test_the_answer_comes_near_the_artificial_network_with_time(name):
    """What neurons send for the logits is not negative, and counted in spikes by a spiking ResNet."""
    ann, x = of_method(name), images(4)
    changed = {"rmp": {"factor": 1.0}, "spiking-resnet": {"percent": 100.0}}.get(name, {})  # so that nothing is cut off
    found = converted(METHODS[name](**{**METHODS[name].params, **changed}), ann, 256, [x])
    unit = found.answers.neuron.theta if name == "spiking-resnet" else 1.0
    wanted = answers(ann, x)
    result = [unit * each if name == "rmp" else unit * each.clamp(min=0) for each in up_to(found(x))]
    errors = [error(result[t - 1], wanted if name == "rmp" else wanted.clamp(min=0)) for t in (1, 16, 256)]
    assert errors[0] > 0.1 and errors[2] < 0.5 * errors[1] and errors[2] < 0.08, errors


@pytest.mark.parametrize("name", METHODS)
def test_windows_change_nothing(name):
    ann, x = of_method(name), images(3)
    found = converted(METHODS[name](**METHODS[name].params), ann, 10, [images(3, seed=5)])  # of its own images one meets its threshold
    whole = found(x)
    found.rows = 4
    torch.testing.assert_close(found(x), whole, rtol=0, atol=1e-9)
    torch.testing.assert_close(found(x), whole, rtol=0, atol=1e-9)


def test_every_spike_of_a_spiking_resnet_is_its_threshold_or_nothing():
    """Also behind the max pool, in single precision over many steps: rounding would be counted as events."""
    ann, x = network("resnet").float(), images(2, dtype=torch.float32)
    found = converted(SpikingResNet(**SpikingResNet.params), ann, 300, [x])
    counter = Counter()
    with counter.watching(found, 300), torch.no_grad():
        found(x)
        counter.seen(2)
    inputs = {name: record.input_kind for name, record in counter.records.items() if record.kind == "conv" and not record.first}
    assert inputs and set(inputs.values()) <= {"unit", "binary"}, inputs


# ---- long runs


def test_sums_over_all_steps_are_those_of_each_step():
    ann, x = network("vgg").float(), images(2, dtype=torch.float32)
    found = converted(RMP(**RMP.params), ann, 20, [x])
    records = []
    for each_step in (True, False):
        counter = Counter(each_step=each_step)
        with counter.watching(found, 20), torch.no_grad():
            found(x)
            counter.seen(2)
        records.append(counter.records)
    one, other = records
    assert one.keys() == other.keys() and any(record.by_step for record in one.values())
    for name, record in one.items():
        assert not other[name].by_step
        for amount in ("dense", "nonzero", "events", "values", "spikes", "inputs"):
            assert getattr(record, amount) == pytest.approx(getattr(other[name], amount)), (name, amount)
        assert record.rates == other[name].rates


def test_checks_of_a_run_of_thousands_of_steps_take_some(monkeypatch):
    monkeypatch.setattr(checks, "ENOUGH", 12)
    ann, x = network("vgg"), images(2)
    found, seen = converted(RMP(**RMP.params), ann, 5000, [x]), []
    handle = found.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    assert checks.check(found, x)["gap_batch_size"] <= 1e-6 and found.steps == 5000
    handle.remove()
    converted(RMP(**RMP.params), ann, 8, [x])


def test_the_first_images_of_a_test_set_can_stand_for_it():
    entry = helpers.data()
    data = load(entry, helpers.ROOT / "data")
    batches = [Batches(data, {**helpers.RECIPE, "test_images": count}, entry, 1, torch.device("cpu"), 0) for count in (None, 20, 10**6)]
    whole, some, more = [[labels for _, labels in each.test()] for each in batches]
    assert torch.equal(torch.cat(some), torch.cat(whole)[:20]) and torch.equal(torch.cat(more), torch.cat(whole))
    assert [each.tested for each in batches] == [len(torch.cat(whole)), 20, len(torch.cat(whole))]


# ---- activation and runs


def test_the_clipped_activation_and_its_gradient():
    x = torch.tensor([-1.0, 0.25, 1.75, 2.0, 9.0], requires_grad=True)
    y = TSANN(clip=2.0).start(nn.Sequential(nn.ReLU()), {}, iter(()))(x)
    y.sum().backward()
    assert y.tolist() == [0.0, 0.25, 1.75, 2.0, 2.0] and x.grad[[0, 1, 2, 4]].tolist() == [0.0, 1.0, 1.0, 0.0]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two networks trained, one of them clipped, and conversions, as they end up on disk."""
    root, where = tmp_path_factory.mktemp("runs"), helpers.network("ann-resnet")
    for name, method in (("plain", helpers.method("direct")), ("clipped", helpers.method("ts-ann", "ts_ann"))):
        trained = helpers.specification(method=method, network=where, time_steps=1, recipe={"epochs": 14})
        helpers.run(trained, root / name / "seed0")
    for name, above in (("ts", "clipped"), ("spiking-resnet", "plain")):
        spec = helpers.specification(method=helpers.method(name, name.replace("-", "_")), network=where, time_steps=256)
        spec |= {"recipe": {}, "above": {"ann": above}}
        neutral = {key: value for key, value in helpers.RECIPE.items() if key not in trained["recipe"]}
        helpers.run_one(spec, neutral, 0, root / name / "seed0", helpers.ROOT / "data", "cpu", 1)
    return {name: read_sealed(root / name / "seed0" / "metrics.json") for name in ("plain", "clipped", "ts", "spiking-resnet")}


@pytest.mark.parametrize(("name", "above"), [("ts", "clipped"), ("spiking-resnet", "plain")])
def test_accuracy_rises_to_the_artificial_networks(runs, name, above):
    ann, snn = runs[above], runs[name]
    assert ann["accuracy"] > 2 * 100 / ann["spec"]["data"]["classes"] and snn["checks"]["failed"] == []
    assert len(snn["accuracy_up_to"]) == 256 and abs(snn["accuracy"] - ann["accuracy"]) < 20 < snn["accuracy"] - snn["accuracy_up_to"][0]
    assert any(layer["name"].startswith("answers") and layer["spikes"] for layer in snn["layers"])


def test_neurons_behind_the_logits_are_reset_by_an_interrupted_run():
    ann, x = network("vgg"), images(2)
    places = survey(ann, x[:1])
    neuron = integrate_and_fire.neuron(theta=1.0, start=0.0, lower=-math.inf)
    found = convert(ann, places, {}, 6, answers=neuron)
    whole = found(x)
    neuron.v = torch.full_like(x[:, 0, 0, :10], 7.0)
    assert torch.equal(found(x), whole) and set(whole.unique().tolist()) <= {0.0, 1.0} and whole.any()


# ---- Diet-SNN


NEURON = {"threshold": 1.0, "leak": 1.0, "gamma": 0.3}
SMALL = {"stem": 4, "widths": [4, 8], "depths": [1, 1], "hidden": 0}


def pair(steps=3):
    """A spiking residual network and the artificial one that it starts from."""
    ann = alive(project(ann_resnet, SMALL))
    fire = maker({"name": "trained-threshold", **NEURON})
    return resnet.build(SMALL, resnet.LAYOUTS["cifar"], fire, 10, (3, 16, 16), steps), ann


def test_a_learned_threshold_by_hand():
    """Threshold 2, leak 1/2: 2 is not above it, 1 + 1.5 is, and leaves 1/2; 1/4, 1/8 + 1.7 and 0.9125 + 1.9 follow."""
    neuron = trained_threshold.neuron(threshold=2.0, leak=0.5, gamma=0.3).double()
    assert steps(neuron, 2.0, 1.5, 0.0, 1.7, 1.9) == [0.0, 1.0, 0.0, 0.0, 1.0]


def test_gradients_of_threshold_and_leak_by_hand():
    """m1 = 0.8, no spike; m2 = 0.4 + 0.8 = 1.2, a spike: slope 0.3 (1 - |m - 1|) each."""
    neuron = trained_threshold.neuron(threshold=1.0, leak=0.5, gamma=0.3)
    neuron(torch.tensor([[0.8], [0.8]]).requires_grad_()).sum().backward()
    assert neuron.threshold.grad.item() == pytest.approx(-0.3 * (0.8 * 0.8 + 0.8 * 1.2), abs=1e-6)
    assert neuron.leak.grad.item() == pytest.approx(0.3 * 0.8 * 0.8, abs=1e-6)


def test_a_leak_does_not_stay_above_one():
    neuron = trained_threshold.neuron(threshold=1.0, leak=0.5, gamma=0.3)
    neuron.leak.data.fill_(1.5)
    neuron(torch.zeros(2, 1))
    assert neuron.leak.item() == 1.0


@pytest.mark.parametrize("constants", [{"threshold": 0.0}, {"leak": 0.0}, {"leak": 1.1}, {"gamma": 0.0}])
def test_a_learned_threshold_without_sense_is_refused(constants):
    with pytest.raises(UserError, match="a neuron that learns its threshold needs threshold > 0"):
        trained_threshold.neuron(**{**NEURON, **constants})


def test_a_percentile_is_the_public_codes():
    assert percentile(torch.arange(11.0), 90) == 9.0 and percentile(torch.arange(11.0), 100) == 10.0
    assert percentile(torch.arange(1001.0).flip(0), 99.7) == 997.0


def test_diet_snn_starts_from_the_weights_with_thresholds_set_layer_by_layer():
    """What comes to a layer is what the layers before send at their own thresholds, not yet scaled."""
    network, ann = pair()
    method = DietSNN(**{**DietSNN.params, "search_steps": 5, "images": 4})
    weights = {name: value.clone() for name, value in ann.named_parameters()}
    found = method.start(network, {"ann": ann}, iter([images(3).float(), images(3, seed=2).float()]))
    assert found.steps == 3 and found.stem[0].steps == 3
    assert all(torch.equal(value, weights[name]) for name, value in found.named_parameters() if name in weights)
    neurons = [module for module in found.modules() if isinstance(module, trained_threshold.TrainedThreshold)]
    assert len(neurons) == 5 and len({neuron.threshold.item() for neuron in neurons}) == 5
    for neuron in neurons:
        neuron.threshold.data /= 0.2
    currents = {}
    for neuron in neurons:
        neuron.register_forward_hook(lambda module, inputs, sent: currents.update({module: inputs[0]}))
    for module in found.modules():
        if isinstance(getattr(module, "steps", None), int):
            module.steps = 5
    with torch.no_grad():
        found.train()(torch.cat([images(3), images(3, seed=2)])[:4].float())
    for neuron in neurons:
        steps_ = [percentile(step, 99.7) for step in currents[neuron]]
        assert neuron.threshold.item() == pytest.approx(max(steps_), rel=1e-4) and neuron.leak.item() == 1.0


def test_diet_snns_loss_is_of_the_sum_over_steps():
    logits = torch.tensor([[[1.0, 0.0]], [[0.5, 1.0]]])
    loss = DietSNN(**DietSNN.params).loss(Outputs(logits), None, torch.tensor([[1.0, 0.0]]), None)
    assert loss["task"].item() == pytest.approx(math.log(1 + math.exp(1.0 - 1.5)))


def test_diet_snn_takes_the_same_network_only():
    from benchmark.pins import kinds

    spiking, same, other = (kinds.backbone(name) for name in ("resnet-20", "ann-resnet-20", "ann-resnet-18"))
    assert fits(spiking, same) == "" and "another" in fits(spiking, other)
