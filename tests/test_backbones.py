"""Contracts that every file in benchmark/backbones keeps by being there, and the sizes and values of the networks in it."""

import importlib
import math

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.model import sew_resnet as spikingjelly_sew
from torch import nn

from benchmark.reports import structure
from benchmark.networks.layers import First, count_parameters
from benchmark.neurons.lif import LIF
from benchmark.pins import kinds as catalogue

STEPS, CLASSES = 4, 10
TINY = {"cifar": (3, 16, 16), "imagenet": (3, 32, 32), "dvs": (2, 16, 16)}
PAPER = {"cifar": (3, 32, 32), "imagenet": (3, 224, 224), "dvs": (2, 128, 128)}
VARIANTS = ["spikformer-v2-8-512-iand", "resnet-19", "sew-resnet-50"]  # sizes whose layers differ from their family's first size


def of_each_family():
    """(name, kind of data): the first size of every family and the variants, with every layout."""
    declared = {family: catalogue.declared(path).tables for family, path in catalogue.files("backbone").items()}
    names = [f"{family}-{next(iter(tables['SIZES']))}" for family, tables in declared.items()] + VARIANTS
    return [(name, kind) for name in names for kind in catalogue.backbone(name).family.tables["LAYOUTS"]]


CASES = of_each_family()
each_case = pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{name}:{kind}" for name, kind in CASES])


def build(name, kind, size=None, classes=CLASSES, image=None, steps=STEPS):
    """The twin on tiny images unless told otherwise, weights from seed 0."""
    torch.manual_seed(0)
    backbone = catalogue.backbone(name)
    family = importlib.import_module(f"benchmark.backbones.{backbone.family.path.stem}")
    return family.build(size or backbone.twin, backbone.layout(kind), backbone.family.tables["NEURON"], classes, image or TINY[kind], steps)


def is_static(kind):
    return kind != "dvs"


def images(kind, batch=4, steps=STEPS):
    """A static batch, or event counts with a time axis."""
    generator = torch.Generator().manual_seed(1)
    if is_static(kind):
        return torch.randn(batch, *TINY[kind], generator=generator)
    return torch.randint(0, 4, (steps, batch, *TINY[kind]), generator=generator).float()


def lively(name, kind, **options):
    """A twin in which every layer fires: weights from a formula, batch normalisations with the statistics of `images`; evaluation mode."""
    model = fill(build(name, kind, **options)).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # plain average
    for _ in range(2):
        run(model, images(kind))
    return model.eval()


def fill(model):
    """Every parameter from numpy's frozen generator, so that the values are the same under any version of torch."""
    draw = np.random.RandomState(0).standard_normal
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.from_numpy(draw(tuple(parameter.shape)))
            if parameter.dim() > 1:
                parameter.copy_(1.5 * noise / math.sqrt(parameter[0].numel()))
            else:
                parameter.copy_(1 + 0.1 * noise if name.endswith("weight") else 0.5 + 0.3 * noise)
    return model


def run(model, x):
    with torch.no_grad():
        y = model(x)
    functional.reset_net(model)
    return y


# ---- contracts


@pytest.mark.parametrize("path", catalogue.files("backbone").values(), ids=catalogue.files("backbone"))
def test_a_file_declares_its_tables_and_its_source(path):
    tables = catalogue.declared(path).tables
    assert {"SIZES", "TWIN", "NEURON", "LAYOUTS"} <= tables.keys()
    assert catalogue.declared(path).doc and set(tables["LAYOUTS"]) <= set(TINY)
    assert not tables["NEURON"] or tables["NEURON"].keys() == {
        "tau", "v_threshold", "v_reset", "detach_reset", "decay_input", "surrogate", "alpha"
    }  # fmt: skip


@pytest.mark.parametrize("name", catalogue.backbones())
def test_every_size_has_a_small_twin(name):
    for kind in catalogue.backbone(name).family.tables["LAYOUTS"]:
        with torch.device("meta"):
            model = build(name, kind)
        assert len(model.widths) == len(model.blocks) and count_parameters(model) < 1_500_000


@each_case
def test_logits_and_tokens(name, kind):
    model, tokens = lively(name, kind), []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, output: tokens.append(model.token(output)))
    logits = run(model, images(kind))
    assert logits.shape == (model.steps, 4, CLASSES) and logits.isfinite().all()
    assert model.steps == (STEPS if catalogue.backbone(name).family.tables["NEURON"] else 1)
    assert [token.shape for token in tokens] == [(model.steps, 4, width) for width in model.widths]


@each_case
def test_gradients_reach_every_parameter(name, kind):
    model, silent = lively(name, kind), set()  # in evaluation, where a bias before a batch normalisation matters
    for key, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):  # no weight learns behind a neuron that never fires
            module.register_forward_hook(lambda _, x, __, key=key: silent.add(f"{key}.weight") if (x[0] == x[0][:1]).all() else None)
    nn.functional.cross_entropy(model(images(kind)).mean(0), torch.arange(4)).backward()
    without = [key for key, value in model.named_parameters() if value.grad is None or not (key in silent or value.grad.any())]
    assert not without, f"no gradient reaches {without}"


@each_case
def test_training_mode_gives_every_parameter_a_finite_gradient(name, kind):
    model = build(name, kind).train()
    nn.functional.cross_entropy(model(images(kind)).mean(0), torch.arange(4)).backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@each_case
def test_an_image_does_not_see_its_batch(name, kind):
    model, x = lively(name, kind).double(), images(kind).double()
    together = run(model, x)
    alone = [run(model, x[i : i + 1] if is_static(kind) else x[:, i : i + 1]) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone, 1), together, rtol=0, atol=1e-9)


@each_case
def test_a_reset_network_has_no_memory(name, kind):
    model, x = lively(name, kind), images(kind)
    first = run(model, x)
    run(model, 3 * x.flip(-1))
    assert torch.equal(run(model, x), first)


@each_case
def test_one_step_is_the_first_of_four(name, kind):
    four = lively(name, kind).double()
    one = build(name, kind, steps=1).double().eval()
    one.load_state_dict(four.state_dict())
    x = images(kind).double()
    torch.testing.assert_close(run(one, x if is_static(kind) else x[:1]), run(four, x)[:1], rtol=0, atol=1e-9)


@each_case
def test_neurons_emit_zeros_and_ones(name, kind):
    model, spikes = lively(name, kind), []
    neurons = [module for module in model.modules() if isinstance(module, LIF)]
    for module in neurons:
        module.register_forward_hook(lambda _, __, output: spikes.append(output))
    run(model, images(kind))
    assert len(spikes) == len(neurons) and bool(neurons) == bool(catalogue.backbone(name).family.tables["NEURON"])
    assert all(((s == 0) | (s == 1)).all() for s in spikes)
    assert not spikes or any(s.any() for s in spikes)


@each_case
def test_a_static_image_is_convolved_once(name, kind):
    model, seen = build(name, kind), []
    for first in (module for module in model.modules() if isinstance(module, First)):
        first[0].register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    run(model, images(kind))
    assert seen in ([], [4]) if is_static(kind) else seen == [4 * STEPS]


# ---- parameters, to the unit

DEAD = {  # what the official code builds, counts and never calls, by the name that parameters.csv gives it
    "norms": lambda size: 4 * size["dim"] * size["depth"],
    "norms_dvs": lambda size: 4 * size["dim"] * size["depth"] + 2 * size["dim"] + 64 * size["dim"],
    "heads": lambda size: size["heads"] ** 2 * size["depth"],
    "positions": lambda size: 95 * size["dim"],
    "": lambda size: 0,
}
COUNTS = structure.known_parameters()


@pytest.mark.parametrize("line", COUNTS, ids=[f"{line['backbone']}:{line['layout']}:{line['classes']}" for line in COUNTS])
def test_parameters(line):
    size = catalogue.backbone(line["backbone"]).size
    with torch.device("meta"):
        model = build(line["backbone"], line["layout"], size, int(line["classes"]), PAPER[line["layout"]])
    assert count_parameters(model) == int(line["params"])
    assert not line["official"] or int(line["official"]) - int(line["params"]) == DEAD[line["dead"]](size)


def test_vggsnn_has_the_official_parameters_on_48x48():
    with torch.device("meta"):
        model = build("vggsnn-8", "dvs", catalogue.backbone("vggsnn-8").size, 10, (2, 48, 48))
    assert count_parameters(model) == 9_271_498


# ---- what one family has alone


def test_idsnns_maps_and_the_start_of_its_normalisation():
    with torch.device("meta"):
        model, sides = build("idsnn-resnet-18", "cifar", catalogue.backbone("idsnn-resnet-18").size, image=PAPER["cifar"]), []
        for module in (model.stem, *model.blocks[1::2]):  # the last block of each stage
            module.register_forward_hook(lambda _, __, output: sides.append(output.shape[-2:]))
        run(model, torch.empty(1, *PAPER["cifar"]))
    assert sides == [(side, side) for side in (36, 36, 18, 9, 5)]
    norms = [module for module in build("idsnn-resnet-18", "cifar").modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all((norm.weight == 0.5).all() and not norm.bias.any() for norm in norms)


# ---- values, computed when the networks were equal to the official ones (max logit difference under 2e-6 with the same weights)

CHECKSUMS = {  # of twins; `checksum` gives the number for a changed twin
    "ann-resnet-18:cifar": 2.4408875747726047,
    "ann-resnet-18:imagenet": 10.322413258275473,
    "ann-sew-resnet-18:imagenet": 9.400818668672372,
    "ann-transformer-4-384:cifar": 3.9343483440444587,
    "ann-vgg-11:cifar": 0.9523308694162905,
    "eva-g-14:imagenet": 4.579466754703092,
    "idsnn-resnet-18:cifar": -1.0494041538942946,
    "meta-spikeformer-4-384:cifar": 5.282179656752016,
    "meta-spikeformer-4-384:imagenet": 4.087446660637748,
    "resnet-18:cifar": -2.2889240590204456,
    "resnet-18:imagenet": 11.360288471369177,
    "sew-resnet-18:imagenet": -4.387537538770867,
    "spike-driven-transformer-2-256:cifar": -3.664803477085824,
    "spike-driven-transformer-2-256:imagenet": -0.14322928542306546,
    "spike-driven-transformer-2-256:dvs": 2.2267762242927382,
    "spikformer-2-256:cifar": 4.311183490744009,
    "spikformer-2-256:imagenet": -7.722160111184854,
    "spikformer-2-256:dvs": -4.040564477048271,
    "spikformer-v2-8-384:imagenet": 3.941126525851117,
    "spikingformer-2-256:cifar": -6.381151910039704,
    "spikingformer-2-256:imagenet": -3.360794861808803,
    "spikingformer-2-256:dvs": 5.006624347114807,
    "vgg-11:cifar": 3.5461943105261815,
    "vggsnn-8:dvs": -0.49170357536242104,
    "vit-s-16:cifar": 2.8029842649354872,
    "vit-s-16:imagenet": -1.5530274852952306,
    "spikformer-v2-8-512-iand:imagenet": -2.152663540257931,
    "resnet-19:cifar": 2.7546495384849154,
    "resnet-19:imagenet": 0.8460130546546047,
    "sew-resnet-50:imagenet": 1.7980816155156631,
}


def checksum(name, kind):
    """A weighted sum of the logits in training mode and double precision, in which no rounding moves a spike."""
    model = fill(build(name, kind).double()).train()
    shape = TINY[kind] if is_static(kind) else (STEPS, *TINY[kind])
    x = torch.sin(torch.arange(math.prod(shape) * 2, dtype=torch.float64)).reshape((2, *shape))
    logits = run(model, x if is_static(kind) else x.transpose(0, 1))
    return float((logits.flatten() * torch.cos(torch.arange(logits.numel()))).sum())


@pytest.mark.parametrize("case", CHECKSUMS)
def test_values(case):
    assert checksum(*case.split(":")) == pytest.approx(CHECKSUMS[case], rel=1e-8, abs=1e-8)


# ---- equality with libraries that have the same network


def synapses(model, x):
    """Convolutions, normalisations and linear layers in the order in which the model calls them."""
    called = []
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)
    hooks = [m.register_forward_hook(lambda m, *_: called.append(m)) for m in model.modules() if isinstance(m, kinds)]
    run(model.eval(), x)
    for hook in hooks:
        hook.remove()
    return called


@pytest.mark.parametrize("size", ["18"])
def test_sew_resnet_equals_spikingjelly(size):
    theirs = getattr(spikingjelly_sew, f"sew_resnet{size}")(
        cnf="ADD", spiking_neuron=neuron.IFNode, num_classes=10, surrogate_function=surrogate.ATan(), detach_reset=True
    )
    functional.set_step_mode(theirs, "m")
    ours, x = build(f"sew-resnet-{size}", "imagenet", catalogue.backbone(f"sew-resnet-{size}").size), images("imagenet", 2)
    repeated = x.expand(STEPS, *x.shape)
    for mine, yours in zip(synapses(ours, x), synapses(theirs, repeated), strict=True):
        mine.load_state_dict(yours.state_dict())
    torch.testing.assert_close(run(ours.train(), x), run(theirs.train(), repeated), rtol=0, atol=1e-5)
