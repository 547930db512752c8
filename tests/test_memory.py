"""Less memory, same results: batches in parts, blocks that are computed again, and what a network keeps for its backward pass."""

from contextlib import nullcontext

import pytest
import torch
from helpers import RECIPE, ROOT, data, enliven, method, network, specification
from torch import nn

from benchmark.backbones import spikformer
from benchmark.networks import build as networks
from benchmark.networks import packing
from benchmark.networks.layers import conv_bn
from benchmark.networks.packing import pack, spikes_as_bits
from benchmark.networks.pooling import MaxPool2d
from benchmark.networks.recompute import memories, recomputed
from benchmark.neurons import maker
from benchmark.training.batches import Batches, load
from benchmark.training.checkpoint import Checkpoint
from benchmark.training.loop import Training
from benchmark.training.run import method_of

DRAWN = {"flip": 0.5, "mixup": 0.2, "erasing": 0.5, "label_smoothing": 0.1}
MOMENTUM = {"optimizer": "momentum", "momentum": 0.9, "lr": 0.05, "clip_grad": 0.05, "weight_decay": 0.0}
SIZE = spikformer.SIZES["8-512"]
STATIC, EVENTS = {}, {"data": data("moving-bars"), "network": network("spikformer-dvs"), "time_steps": 4}


def training(folder, changes=STATIC, name="direct", student=None, **recipe):
    """A training on bars, with a ViT as teacher if the method needs one; every network from the same seed."""
    spec = specification(method=method(name), above={"teacher": "t"} if name != "direct" else {}, **changes)
    torch.manual_seed(0)
    teacher = networks.network(specification(network=network("vit"), time_steps=1)).eval() if name != "direct" else None
    module = enliven(networks.network(spec)) if student is None else student(networks.network(spec))
    chosen = {**RECIPE, **MOMENTUM, **recipe}
    batches = Batches(load(spec["data"], ROOT), chosen, spec["data"], spec["time_steps"], torch.device("cpu"), 0)
    return Training(method_of(spec), module, teacher, batches, Checkpoint(folder, {}), {})


def steps(training, count=3):
    """The loss terms of each of so many steps."""
    training.trained.train()
    batches = [batch for batch, _ in zip(training.batches.train(0), range(count), strict=False)]
    return [{term: float(value) for term, value in training.train_step(*batch).items()} for batch in batches]


def without_norms(module):
    """The network with a normalisation of each image alone in place of batch normalisation, firing."""
    for container in [part for part in module.modules() if isinstance(part, nn.Sequential)]:
        for name, part in container.named_children():
            if isinstance(part, nn.BatchNorm2d):
                setattr(container, name, nn.GroupNorm(1, part.num_features))
                nn.init.constant_(container[int(name)].weight, 1.5)
    return module


def furthest(one, other):
    """The largest difference between two trainings' weights, parts of the method included."""
    pairs = zip(one.trained.parameters(), other.trained.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


# ---- a batch in parts


@pytest.mark.parametrize("size", [8, 6, 1, 16], ids="parts of {}".format)
@pytest.mark.parametrize(("changes", "name", "drawn"), [
    (STATIC, "direct", DRAWN), (EVENTS, "direct", {}), (STATIC, "ldd", {}), (STATIC, "ldd", DRAWN), (STATIC, "tser", DRAWN),
], ids=["direct", "events", "ldd, answers kept", "ldd", "tser"])  # fmt: skip
def test_parts_of_a_batch_make_the_step_of_the_whole(changes, name, drawn, size, tmp_path):
    """Where nothing looks at other images: momentum, clipping and scaled gradients included; 6 leaves a last part of 4."""
    whole, parts = (training(tmp_path, changes, name, without_norms, **drawn, micro_batch=micro_batch) for micro_batch in (None, size))
    begun = training(tmp_path, changes, name, without_norms, **drawn)
    for each in (whole, parts):
        each.precision.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    losses = steps(whole)
    assert furthest(whole, begun) > 1e-3, "nothing was learned"
    for one, other in zip(losses, steps(parts), strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    assert furthest(whole, parts) < 1e-6


def test_parts_differ_from_the_whole_by_batch_statistics(tmp_path):
    whole, parts = (training(tmp_path, micro_batch=micro_batch) for micro_batch in (None, 8))
    steps(whole)
    steps(parts)
    assert furthest(whole, parts) > 1e-4
    counts = [{norm.num_batches_tracked.item() for norm in norms(each.student)} for each in (whole, parts)]
    assert counts == [{3}, {6}]


def norms(module):
    return [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]


def test_a_part_is_what_a_forward_pass_sees(tmp_path):
    seen = []
    parts = training(tmp_path, EVENTS, micro_batch=6)
    parts.student.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[:2]))
    steps(parts, 1)
    assert seen == [(4, 6), (4, 6), (4, 4)]


# ---- blocks computed again

KINDS = {
    "resnet": (STATIC, "direct"),
    "spikformer": ({"network": network("spikformer", depth=2)}, "direct"),
    "events": (EVENTS, "direct"),
    "ldd": ({"network": network("spikformer", depth=2)}, "ldd"),
    "lasnn": (STATIC, "lasnn"),
}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_are_computed_again_give_the_same_bits(kind, precision, tmp_path):
    changes, name = KINDS[kind]
    kept, again = (training(tmp_path, changes, name, recompute=how, precision=precision, micro_batch=8) for how in ("none", "blocks"))
    begun = training(tmp_path, changes, name)
    assert steps(kept) == steps(again)
    assert furthest(kept, begun) > 1e-3, "nothing was learned"
    one, other = kept.trained.state_dict(), again.trained.state_dict()  # running statistics and counts of batches too
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_blocks_are_computed_twice_and_watched_once(tmp_path):
    inner, outer = [], []
    again = training(tmp_path, *KINDS["ldd"], recompute="blocks")
    for block in again.student.blocks:
        block.register_forward_hook(lambda *_: outer.append(1))
        block[0].register_forward_hook(lambda *_: inner.append(1))
    features = []
    loss = again.method.loss
    again.method.loss = lambda student, *others: features.append(len(student.features)) or loss(student, *others)
    steps(again, 1)
    assert (len(outer), len(inner), features) == (2, 4, [2])
    assert not any("forward" in vars(block) for block in again.student.blocks)


def test_a_training_keeps_its_spikes_as_bits_and_learns_the_same(tmp_path, monkeypatch):
    packed, found = [], []
    for few in (packing.FEW, 256):
        monkeypatch.setattr(packing, "FEW", few)
        monkeypatch.setattr(packing, "pack", lambda x, pack=pack: packed.append(pack(x)) or packed[-1])
        packed.clear()
        run = training(tmp_path)
        found.append((steps(run), run.trained.state_dict()))
        bits = [each for each in packed if isinstance(each, packing.Packed)]
        assert bool(bits) == (few == 256) and packed
    (terms, one), (again, other) = found
    assert terms == again and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("followed", ["inside", "behind"])
def test_a_neuron_behind_a_normalisation_of_a_block_that_is_computed_again(followed):
    """What that kept is not there to be followed: asking for it would compute the block again in the middle of the first pass."""
    found = []
    for again in (False, True):
        torch.manual_seed(0)
        fire = maker(spikformer.NEURON)
        block = nn.Sequential(*conv_bn(3, 8, 3), *([fire()] if followed == "inside" else []))
        blocks, last, x = nn.Sequential(Timed(block)), fire(), torch.randn(2, 4, 3, 16, 16)
        with spikes_as_bits(), recomputed(blocks) if again else nullcontext():
            sent = last(blocks(x))
        (sent * torch.linspace(-1, 1, sent.numel()).view_as(sent)).sum().backward()
        found.append([parameter.grad for parameter in blocks.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True)) and found[0][0].any()


class Timed(nn.Sequential):
    """Layers of a merged batch on [T, B, ...], neurons among them."""

    def forward(self, x):
        for layer in self[0]:
            x = layer(x) if hasattr(layer, "ran") else layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return x


def test_a_second_pass_leaves_membranes_and_begins_from_those_of_the_first(tmp_path):
    """Without a reset in between: two batches on end, as the first of which the second one's membranes come."""
    torch.manual_seed(0)
    module = enliven(networks.network(specification()))
    images, found = torch.randn(2, 4, 3, 16, 16), []
    for context in (torch.enable_grad, lambda: recomputed(module.blocks)):
        networks.reset(module)
        module.zero_grad()
        for batch in images:
            with context():
                loss = module(batch).square().sum()
            left = memories(module)
            loss.backward()
            assert all(one[key] is other[key] for one, other in zip(left, memories(module), strict=True) for key in one)
        found.append([weight.grad.clone() for weight in module.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True)) and any(grad.any() for grad in found[0])


# ---- what is kept for the backward pass


@pytest.mark.parametrize("window", [(3, 2, 1), (2, 2, 0), (3, 1, 1), (4, 3, 2)], ids=str)
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format], ids=["channels last", "channels first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_pool_sends_its_gradients_where_torch_does(window, order, dtype):
    """Among spikes, most of whose windows hold several that are the largest; the sides are odd, or no window's multiple."""
    draw, found, saved = torch.Generator().manual_seed(0), [], []
    spikes = (torch.rand(5, 3, 17, 300, generator=draw) > 0.7).to(dtype).contiguous(memory_format=order)
    for pool in (nn.MaxPool2d(*window), MaxPool2d(*window)):
        x = spikes.clone().requires_grad_()
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
            y = pool(x)
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        (y * weights).sum().backward()
        found.append((y, x.grad))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1]) and found[0][1].any()
    assert [(one.shape, one.dtype) for one in saved] == [(found[1][0].shape, torch.int16)]


def kept(batch, size, side, bf16=True):
    """MiB that a forward pass of a Spikformer at T = 4 keeps for the backward one: each storage once, parameters not."""
    torch.manual_seed(0)
    module = spikformer.build(size, spikformer.LAYOUTS["imagenet"], maker(spikformer.NEURON), 10, (3, side, side), 4)
    module, images = (each.to(memory_format=torch.channels_last) for each in (module, torch.randn(batch, 3, side, side)))
    own, found, alive = {weight.untyped_storage().data_ptr() for weight in module.parameters()}, {}, []

    def pack(tensor):
        storage = tensor.untyped_storage()
        alive.append(tensor)  # so that no address is used twice
        found[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        module(images)
    return sum(found.values()) / 2**20


def test_spikformer_8_512_keeps_at_most_260_mib_of_an_image():
    """At 224 x 224, as the difference of a second image: the copies of the weights in bf16, 56 MiB, are the batch's.

    Every block keeps as much as another, so two of them and one tell what eight would.
    """
    of_an_image = {depth: kept(2, size, 224) - kept(1, size, 224) for depth, size in ((n, {**SIZE, "depth": n}) for n in (1, 2))}
    block = of_an_image[2] - of_an_image[1]
    assert 15 < block < 25 and of_an_image[1] + 7 * block < 260


def test_a_block_keeps_as_much_as_another():
    """What the test above rests on, at a small size."""
    amounts = [kept(2, {"depth": depth, "dim": 64, "heads": 4}, 64) for depth in (1, 2, 3)]
    assert amounts[2] - amounts[1] == pytest.approx(amounts[1] - amounts[0], rel=1e-6)
