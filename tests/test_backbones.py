"""Contracts that every file in benchmark/backbones keeps by being there, its template too, and the sizes and values of the networks in it."""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.layer import Dropout, SeqToANNContainer
from spikingjelly.activation_based.model import parametric_lif_net as spikingjelly_plif
from spikingjelly.activation_based.model import sew_resnet as spikingjelly_sew
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmark import backbones
from benchmark.measuring.counter import Counter
from benchmark.networks.attention import SumOver
from benchmark.networks.layers import First, count_parameters
from benchmark.neurons import Maker, maker, names
from benchmark.neurons._base import Neuron
from benchmark.pins import kinds as catalogue
from benchmark.reports import structure as reported
from benchmark.shared import sizes

STEPS, CLASSES = 4, 10
LATE = 60  # steps in which a spike gets through every layer where each sends a step late (`DELAY` of the neuron's file)
TINY = {"cifar": (3, 16, 16), "imagenet": (3, 32, 32), "dvs": (2, 16, 16)}
PAPER = {"cifar": (3, 32, 32), "imagenet": (3, 224, 224), "dvs": (2, 128, 128)}
VARIANTS = ["spikformer-v2-8-512-iand", "resnet-19", "sew-resnet-50"]  # sizes whose layers differ from their family's first size
TEMPLATE = "-template"
FILES = {**catalogue.files("backbone"), TEMPLATE: Path(backbones.__file__).with_name("_template.py")}
TABLES = {family: catalogue.declared(path).tables for family, path in FILES.items()}


def backbone(name):
    """A backbone by its full name, the template's too."""
    if name.startswith(TEMPLATE):
        return catalogue.Backbone(name, catalogue.declared(FILES[TEMPLATE]), name.removeprefix(f"{TEMPLATE}-"))
    return catalogue.backbone(name)


def cases(names):
    """(name, kind of data) with every layout."""
    found = [(name, kind) for name in names for kind in backbone(name).family.tables["LAYOUTS"]]
    return pytest.mark.parametrize(("name", "kind"), found, ids=[f"{name}:{kind}" for name, kind in found])


NAMES = [f"{family}-{next(iter(tables['SIZES']))}" for family, tables in TABLES.items()] + VARIANTS
SPIKING = [name for name in NAMES if backbone(name).family.tables["NEURON"]]
each_case = cases(NAMES)
each_spiking_case = cases(SPIKING)


def build(name, kind, size=None, classes=CLASSES, image=None, steps=STEPS, fire=None):
    """The twin on tiny images unless told otherwise, weights from seed 0."""
    torch.manual_seed(0)
    found = backbone(name)
    family = importlib.import_module(f"benchmark.backbones.{found.family.path.stem}")
    fire = fire or (maker(family.NEURON) if family.NEURON else None)
    return family.build(size or found.twin, found.layout(kind), fire, classes, image or TINY[kind], steps)


def late(name):
    """Whether the network's neurons send a step late: it says nothing in few steps, and starts from another network's weights."""
    neuron = backbone(name).family.tables["NEURON"]
    return bool(neuron and catalogue.named("neuron", neuron["name"]).tables.get("DELAY"))


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
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
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


def test_a_twin_is_divided_but_no_less_than_it_says():
    rule = {"divide": {"stem": 8, "widths": 8}, "least": {"widths": [4, 8, 16]}, "set": {"gain": 4}}
    assert sizes.smaller({"stem": 17, "widths": [16, 128], "gain": 1}, rule) == {"stem": 3, "widths": [4, 16], "gain": 4}
    assert sizes.smaller({"stem": 8, "widths": [8] * 4}, rule) == {"stem": 1, "widths": [4, 8, 16, 1], "gain": 4}


# ---- contracts: of behaviour alone, so that a network of any make keeps them


@pytest.mark.parametrize("family", FILES)
def test_a_file_declares_its_tables_and_its_source(family):
    tables = TABLES[family]
    assert {"SIZES", "TWIN", "NEURON", "LAYOUTS"} <= tables.keys()
    assert catalogue.declared(FILES[family]).doc and set(tables["LAYOUTS"]) <= set(TINY)
    assert not tables["NEURON"] or maker(tables["NEURON"]).constants == tables["NEURON"]  # all of them, and no other


@cases([*catalogue.backbones(), *(f"{TEMPLATE}-{size}" for size in TABLES[TEMPLATE]["SIZES"])])
def test_every_size_is_built_whole_and_has_a_small_twin(name, kind):
    with torch.device("meta"):
        whole, twin = build(name, kind, backbone(name).size, image=PAPER[kind]), build(name, kind)
    assert len(whole.widths) == len(whole.blocks) and len(twin.widths) == len(twin.blocks)
    assert 0 < count_parameters(twin) < min(1_500_000, count_parameters(whole))


@each_case
def test_logits_and_tokens(name, kind):
    model, tokens = lively(name, kind), []
    for block in model.blocks:
        block.register_forward_hook(lambda _, __, output: tokens.append(model.token(output)))
    logits = run(model, images(kind))
    assert logits.shape == (model.steps, 4, CLASSES) and logits.isfinite().all()
    assert model.steps == (STEPS if name in SPIKING else 1)
    assert [token.shape for token in tokens] == [(model.steps, 4, width) for width in model.widths]


@each_spiking_case
def test_a_static_image_is_the_same_image_at_every_step(name, kind):
    model, x = lively(name, kind).double(), images(kind).double()
    x = x if is_static(kind) else x[0]
    logits = run(model, x)
    assert logits.shape == (STEPS, 4, CLASSES)
    torch.testing.assert_close(run(model, x.expand(STEPS, *x.shape)), logits, rtol=0, atol=1e-9)


@each_case
def test_gradients_reach_every_parameter(name, kind):
    model, silent = (
        lively(name, kind, steps=LATE if late(name) else STEPS),
        set(),
    )  # in evaluation, where a bias before a batch normalisation matters
    kinds = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.Linear)
    for key, module in model.named_modules():
        if isinstance(module, kinds):  # no weight learns behind a neuron that never fires
            module.register_forward_hook(lambda _, x, __, key=key: silent.add(f"{key}.weight") if (x[0] == x[0][:1]).all() else None)
        silent.update(f"{key}.{parameter}" for parameter in getattr(module, "at_times", ()))
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
    if not getattr(four, "causal", True):
        pytest.skip("a step's answer depends on later ones, as the network says")
    one = build(name, kind, steps=1).double().eval()
    one.load_state_dict(four.state_dict())
    x = images(kind).double()
    torch.testing.assert_close(run(one, x if is_static(kind) else x[:1]), run(four, x)[:1], rtol=0, atol=1e-9)


def neuron_files():
    """What makes layers of each neuron that has a threshold, the template's too."""
    for name in [*names(), "_template"]:
        file = importlib.import_module(f"benchmark.neurons.{name.replace('-', '_')}")
        if "v_threshold" in file.CONSTANTS:
            yield Maker(file, {"name": name, **file.EXAMPLE})


@each_spiking_case
def test_every_neuron_is_the_one_it_is_given_and_is_asked_once(name, kind):
    """Tried with every neuron file: layers made are layers of the network, each one runs, all learn."""
    changed = set(backbone(name).layout(kind).get("neuron", {}))  # constants that this kind of data changes, if it has them
    for make in (make for make in neuron_files() if changed <= make.constants.keys()):
        made, asked = [], []

        def fire(make=make, made=made, **changes):
            made.append(make(**changes))
            return made[-1]

        fire.constants = make.constants
        model = build(name, kind, fire=fire).train()
        neurons = [module for module in model.modules() if isinstance(module, Neuron)]
        assert made and {*map(id, made)} == {*map(id, neurons)}
        for module in neurons:
            module.register_forward_hook(lambda module, _, __, asked=asked: asked.append(id(module)))
        nn.functional.cross_entropy(model(images(kind)).mean(0), torch.arange(4)).backward()
        assert sorted(asked) == sorted(map(id, neurons))
        assert all(value.grad is not None and value.grad.isfinite().all() for value in model.parameters())


@each_spiking_case
def test_neurons_fire_and_send_what_they_say(name, kind):
    model, seen = lively(name, kind), []
    for module in model.modules():
        if isinstance(module, Neuron):
            module.register_forward_hook(lambda module, _, output: seen.append((module.sends, set(output.unique().tolist()))))
    run(model, images(kind))
    assert all(values <= {"binary": {0, 1}, "signed": {-1, 0, 1}}.get(sends, values) for sends, values in seen)
    assert any(values != {0} for _, values in seen)


ALL_SPIKING = [name for name in catalogue.backbones() if catalogue.backbone(name).family.tables["NEURON"]]


@cases([name for name in ALL_SPIKING if not late(name)])
def test_a_twin_is_alive_when_it_starts(name, kind):
    """Of every size: its gradient has a usual length, no neuron layer is silent, and its answers differ between images."""
    model = build(name, kind).train()
    spikes, handles = {}, []
    for layer, module in model.named_modules():
        if isinstance(module, Neuron):
            handles.append(module.register_forward_hook(lambda _, __, out, layer=layer: spikes.update({layer: float((out != 0).sum())})))
    logits = model(images(kind, batch=32)).mean(0)
    torch.nn.functional.cross_entropy(logits, torch.arange(32) % CLASSES).backward()
    for handle in handles:
        handle.remove()
    norm = math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in model.parameters() if parameter.grad is not None))
    assert 1e-3 < norm < 100
    assert spikes and not [layer for layer, count in spikes.items() if not count]
    assert (logits - logits[:1]).abs().max() > 1e-4


def test_an_artificial_network_is_given_no_neuron():
    artificial = [name for name in NAMES if name not in SPIKING]
    assert artificial
    for name in artificial:
        model = build(name, next(iter(backbone(name).family.tables["LAYOUTS"])))
        assert not any(isinstance(module, Neuron) for module in model.modules())


@pytest.mark.parametrize("shape", [(4, 3, 8, 8), (STEPS, 4, 3, 8, 8)], ids=["static", "events"])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.Sequential(nn.Flatten(), nn.Linear(192, 5))], ids=["map", "vector"])
def test_the_first_layers_see_a_static_image_once(shape, layer):
    first, seen, x = First(STEPS, layer), [], torch.randn(shape)
    layer.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    y = first(x)
    assert seen == [4 if len(shape) == 4 else 4 * STEPS]
    torch.testing.assert_close(y, torch.stack([layer(image) for image in (x.expand(STEPS, *x.shape) if len(shape) == 4 else x)]))


@each_case
def test_every_multiplication_is_counted(name, kind):
    """As many multiply-accumulates as torch's own counter sees dispatched: no product hides outside the layers that are counted."""
    model, x, counter = build(name, kind, steps=1).eval(), images(kind, steps=1), Counter()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as flops, torch.no_grad(), counter.watching(model, 1):
        model(x)
    sums = {part.rpartition(".")[0] for part, module in model.named_modules() if isinstance(module, SumOver)}  # which multiply nothing
    assert 2 * sum(record.dense for record in counter.records.values() if record.name not in sums) == flops.get_total_flops() > 0


# ---- parameters, to the unit

DEAD = {  # what the official code builds, counts and never calls, by the name that parameters.csv gives it
    "norms": lambda size: 4 * size["dim"] * size["depth"],
    "norms_dvs": lambda size: 4 * size["dim"] * size["depth"] + 2 * size["dim"] + 64 * size["dim"],
    "heads": lambda size: size["heads"] ** 2 * size["depth"],
    "positions": lambda size: 95 * size["dim"],
    "": lambda size: 0,
}
COUNTS = reported.known_parameters()


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
    "eva-g-14:imagenet": 1.3374313457702487,
    "idsnn-resnet-18:cifar": -1.0494041538942946,
    "meta-spikeformer-4-384:cifar": -4.398993230783125,
    "meta-spikeformer-4-384:imagenet": -4.01783074640643,
    "resnet-18:cifar": -2.2889240590204456,
    "resnet-18:imagenet": 11.360288471369177,
    "sew-resnet-18:imagenet": -4.387537538770867,
    "spike-driven-transformer-2-256:cifar": -3.664803477085824,
    "spike-driven-transformer-2-256:imagenet": -0.14322928542306546,
    "spike-driven-transformer-2-256:dvs": 2.2267762242927382,
    "spikformer-2-256:cifar": 4.354719575428996,
    "spikformer-2-256:imagenet": -9.210768455995794,
    "spikformer-2-256:dvs": 6.901447654715174,
    "spikformer-v2-8-384:imagenet": -2.081680272721006,
    "spikingformer-2-256:cifar": -4.591668681430924,
    "spikingformer-2-256:imagenet": -6.269744494173887,
    "spikingformer-2-256:dvs": -23.698574576763484,
    "vgg-11:cifar": 3.5461943105261815,
    "vggsnn-8:dvs": -0.49170357536242104,
    "vit-s-16:cifar": -0.47105617140793915,
    "vit-s-16:imagenet": -2.3022380657195085,
    "spikformer-v2-8-512-iand:imagenet": 0.3020467926753396,
    "resnet-19:cifar": -2.502047144650863,
    "resnet-19:imagenet": 0.7363783225532332,
    "sew-resnet-50:imagenet": 1.7980816155156631,
}


def run_alive(model, x):
    """Logits, once it is seen that they differ between images and that every neuron layer fires: dead networks agree with anything."""
    silent, handles = set(), []
    for name, module in model.named_modules():
        if isinstance(module, Neuron):
            handles.append(module.register_forward_hook(lambda _, __, y, name=name: None if y.any() else silent.add(name)))
    logits = run(model, x)
    for handle in handles:
        handle.remove()
    over_time = logits.mean(0)
    assert not silent and (over_time - over_time[:1]).abs().max() > 1e-2, f"not alive, silent: {silent}"
    return logits


def checksum(name, kind):
    """A weighted sum of the logits in training mode and double precision, in which no rounding moves a spike."""
    model = fill(build(name, kind).double()).train()
    shape = TINY[kind] if is_static(kind) else (STEPS, *TINY[kind])
    x = torch.sin(torch.arange(math.prod(shape) * 2, dtype=torch.float64)).reshape((2, *shape))
    logits = run_alive(model, x if is_static(kind) else x.transpose(0, 1))
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
    torch.testing.assert_close(run_alive(ours.train(), x), run(theirs.train(), repeated), rtol=0, atol=1e-5)


class OfficialDvs(nn.Module):
    """7B-Net and its wide form from spikingjelly's layers, one block a line of the official list; time first."""

    def __init__(self, widths, classes):
        super().__init__()
        before, layers = 2, []

        def unit(channels_in, channels_out, kernel):
            convolution = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False)
            fire = neuron.ParametricLIFNode(init_tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan(), step_mode="m")
            return nn.Sequential(SeqToANNContainer(convolution, nn.BatchNorm2d(channels_out)), fire)

        for width in widths:
            layers.append(nn.ModuleDict({"up": unit(before, width, 1) if before != width else nn.Identity()}))
            layers[-1]["conv"] = nn.Sequential(unit(width, width, 3), unit(width, width, 3))
            before = width
        self.layers, self.pool = nn.ModuleList(layers), SeqToANNContainer(nn.MaxPool2d(2, 2))
        self.out = nn.Linear(widths[-1], classes)

    def forward(self, x):
        for one in self.layers:
            x = one["up"](x)
            x = self.pool(one["conv"](x) + x)
        return self.out(x.flatten(2))


@pytest.mark.parametrize(("size", "widths"), [("7b", [32] * 7), ("wide-7b", [64] * 4 + [128] * 3)])
def test_sew_resnet_for_events_equals_the_official_layer_list(size, widths):
    """On the whole sensor, time constants and normalisation of their own in each layer."""
    torch.manual_seed(3)
    theirs, name = OfficialDvs(widths, CLASSES), f"sew-resnet-dvs-{size}"
    for module in theirs.modules():
        if isinstance(module, neuron.ParametricLIFNode):
            nn.init.normal_(module.w, 0.0, 0.5)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.uniform_(module.bias, 0.0, 0.5)
    ours = build(name, "dvs", catalogue.backbone(name).size, image=PAPER["dvs"])
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, neuron.ParametricLIFNode)
    mine, yours = ([module for module in model.modules() if isinstance(module, kinds)] for model in (ours, theirs))
    for one, other in zip(mine, yours, strict=True):
        one.load_state_dict(other.state_dict())
    x = torch.randint(0, 4, (STEPS, 2, *PAPER["dvs"]), generator=torch.Generator().manual_seed(1)).float()
    torch.testing.assert_close(run_alive(ours.train(), x), run(theirs.train(), x), rtol=0, atol=1e-5)


def test_plif_net_5_equals_spikingjellys():
    """DVSGestureNet, time constants and normalisation of their own in each layer; dropout off, as a mask is drawn anew."""
    torch.manual_seed(3)
    theirs = spikingjelly_plif.DVSGestureNet(
        spiking_neuron=neuron.ParametricLIFNode, init_tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan()
    )
    functional.set_step_mode(theirs, "m")
    ours = build("plif-net-5", "dvs", catalogue.backbone("plif-net-5").size, 11, PAPER["dvs"])
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, neuron.ParametricLIFNode)
    mine, yours = ([module for module in model.modules() if isinstance(module, kinds)] for model in (ours, theirs))
    for one, other in zip(mine, yours, strict=True):
        if isinstance(other, neuron.ParametricLIFNode):
            nn.init.normal_(other.w, 0.0, 0.5)
        elif isinstance(other, nn.BatchNorm2d):
            nn.init.uniform_(other.weight, 0.5, 2.0)
            nn.init.uniform_(other.bias, 0.0, 0.5)
        elif isinstance(other, nn.Linear):
            other.weight.data = 30 * other.weight.data  # so that its neurons fire
            other.bias = None  # the official code has none
        one.load_state_dict(other.state_dict())
    for model in (ours, theirs):
        for module in model.modules():
            if isinstance(module, Dropout):
                module.p = 0.0
    x = torch.randint(0, 4, (STEPS, 2, *PAPER["dvs"]), generator=torch.Generator().manual_seed(1)).float()
    torch.testing.assert_close(run_alive(ours.train(), x), run(theirs.train(), x), rtol=0, atol=1e-6)
