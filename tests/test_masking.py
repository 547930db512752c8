"""Masked pre-training: what is hidden stays hidden, tiles equal dense layers with masks, the decoder's size and loss, rates by layer."""

import math

import helpers
import pytest
import torch
from spikingjelly.activation_based import functional as memory
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.backbones import spikformer, spikformer_v2
from benchmark.method import Outputs
from benchmark.networks.attention import AttentionProduct, SoftmaxProduct
from benchmark.networks.layers import count_parameters
from benchmark.networks.masking import MaskedEncoder, Seen, carried, draw, grid_of, take
from benchmark.networks.reconstruction import Decoder, error, normalised, patches, pictures, positions, triplet
from benchmark.neurons import maker
from benchmark.shared.errors import UserError
from benchmark.training import optimiser as optimising
from benchmark.training.layer_decay import Trained
from methods.mae import MAE
from methods.mae_pretrain import MAEPretrain, fits
from methods.mae_steps import MAESteps

SIZE = {"depth": 2, "dim": 32, "heads": 4, "shortcut": "add"}
NETWORKS = {  # family, layout, size
    "v2": (spikformer_v2, "imagenet", SIZE),
    "v2-iand": (spikformer_v2, "imagenet", {**SIZE, "shortcut": "iand"}),
    "v1": (spikformer, "imagenet", SIZE),
    "v1-cifar": (spikformer, "cifar", SIZE),
}
each_network = pytest.mark.parametrize("name", NETWORKS)
PIXELS = {"v1-cifar": 16}  # along an image; patches of 4 there, of 16 elsewhere


def network(name="v2", steps=1, dim=32, seed=0, dtype=torch.float64):
    """A small backbone; in double precision no rounding moves a spike."""
    family, layout, size = NETWORKS[name]
    torch.manual_seed(seed)
    layout = {**family.LAYOUTS[layout], "scale": 1.0}  # so few channels and tokens would seldom fire behind attention
    built = family.build({**size, "dim": dim}, layout, maker(family.NEURON), 10, (3, 64, 64), steps).to(dtype)
    norms = [module for module in built.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.bias, 0.5, 0.5)  # so that a position of zeros would fire behind it
        norm.momentum = 1.0
    built(images(name, 4, dtype))  # running statistics under which neurons fire in evaluation
    memory.reset_net(built)
    for norm in norms:
        norm.momentum = 0.1
    return built


def images(name="v2", count=2, dtype=torch.float64):
    side = PIXELS.get(name, 64)
    return torch.randn(count, 3, side, side, dtype=dtype, generator=torch.Generator().manual_seed(1))


def mask(count=2, hidden=75, seed=2):
    torch.manual_seed(seed)
    return draw(count, (4, 4), hidden)


def complaint(do):
    with pytest.raises(UserError) as found:
        do()
    assert len(str(found.value).splitlines()) == 1
    return str(found.value)


# ---- the mask


@pytest.mark.parametrize(("hidden", "kept"), [(75, 49), (60, 78), (50, 98), (0, 196), (99.9, 1)])
def test_exactly_so_many_patches_are_visible(hidden, kept):
    assert draw(5, (14, 14), hidden).flatten(1).sum(1).tolist() == [kept] * 5


def test_the_mask_is_uniform_and_each_image_has_its_own():
    torch.manual_seed(0)
    drawn = draw(4000, (2, 4), 75).flatten(1)
    assert len({tuple(one.tolist()) for one in drawn}) == math.comb(8, 2)
    assert (drawn.double().mean(0) - 0.25).abs().max() < 0.03  # four deviations of a share of 4000


def test_the_mask_goes_up_the_stem():
    visible = torch.tensor([[[True, False], [False, True]]])
    assert carried(visible, 2)[0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


# ---- the encoder


@each_network
@pytest.mark.parametrize("training", [True, False])
def test_no_pixel_of_a_hidden_patch_reaches_the_encoder(name, training):
    before, after = (MaskedEncoder(network(name, dtype=torch.float32), 75).train(training) for _ in range(2))
    visible, seen = mask(), images(name, dtype=torch.float32)
    changed = torch.where(carried(visible, seen.shape[2] // 4).unsqueeze(1), seen, torch.nan)
    found = before.encode(seen, visible).tokens
    assert torch.equal(found, after.encode(changed, visible).tokens) and found.any()
    assert all(torch.equal(one, other) for one, other in zip(before.buffers(), after.buffers(), strict=True))


@each_network
def test_a_visible_pixel_does_reach_it(name):
    encoder, visible, seen = MaskedEncoder(network(name), 75), mask(), images(name)
    changed = torch.where(carried(visible, seen.shape[2] // 4).unsqueeze(1), seen.flip(3), seen)
    before = encoder.encode(seen, visible).tokens
    memory.reset_net(encoder)
    assert (before != encoder.encode(changed, visible).tokens).flatten(3).any(3).all()


@each_network
@pytest.mark.parametrize("training", [True, False])
def test_nothing_hidden_is_the_plain_network(name, training):
    plain, encoder = network(name).train(training), MaskedEncoder(network(name), 0).train(training)
    x = images(name)
    expected = plain.blocks(plain.stem(x)).flatten(3).transpose(2, 3)
    found = encoder.encode(x, mask(hidden=0)).tokens
    assert torch.equal(found, expected) and found.any()
    for one, other in zip(plain.buffers(), encoder.buffers(), strict=True):
        torch.testing.assert_close(one, other)


def test_in_evaluation_the_encoder_is_the_network_and_its_weights_always_are():
    plain, encoder = network().eval(), MaskedEncoder(network(), 75)
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()(images())
    memory.reset_net(encoder)
    encoder.load_state_dict(state)  # a training step moves statistics, and nothing else of the plain network
    assert torch.equal(plain(images()), encoder.eval()(images()))
    assert {name: value.shape for name, value in encoder.state_dict().items()} == {
        name: value.shape for name, value in plain.state_dict().items()
    }
    seen = encoder.train()(images())
    assert seen.tokens.shape == (1, 2, 4, 32) and seen.visible.flatten(1).sum(1).tolist() == [4, 4]


def dense(net, x, visible):
    """The paper's way, slowly: all positions are computed, hidden ones set to zero behind every layer, left out of the statistics, and
    never the largest of a pool."""
    grid = visible.shape[1]

    def seen_at(x):
        seen = carried(visible, x.shape[-1] // grid).unsqueeze(1)
        return seen.repeat(x.shape[0] // len(seen), 1, 1, 1) if x.dim() == 4 else seen

    def hide(layer, inputs, output):
        seen = seen_at(output)
        return sparse_norm(layer, inputs[0], seen) if isinstance(layer, nn.BatchNorm2d) else output.masked_fill(~seen, 0)

    def before_pool(layer, inputs):
        return inputs[0].masked_fill(~seen_at(inputs[0]), -torch.inf) if isinstance(layer, nn.MaxPool2d) else None

    def sparse_norm(layer, x, seen):
        count = seen.sum()
        mean = (x * seen).sum((0, 2, 3), keepdim=True) / count
        variance = ((x - mean).square() * seen).sum((0, 2, 3), keepdim=True) / count
        weight, bias = (value[:, None, None] for value in (layer.weight, layer.bias))
        return ((x - mean) / (variance + layer.eps).sqrt() * weight + bias) * seen

    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, type(net.stem[1]))
    assert len({type(layer) for layer in net.modules()} & set(kinds)) >= 3
    for layer in net.modules():
        if isinstance(layer, kinds):
            layer.register_forward_pre_hook(before_pool)
            layer.register_forward_hook(hide)
    out = net.blocks(net.stem(x * carried(visible, x.shape[3] // grid).unsqueeze(1)))
    return out.permute(0, 1, 3, 4, 2)[:, visible].unflatten(1, (len(x), -1))


@each_network
@pytest.mark.parametrize("steps", [1, 2])
def test_tiles_are_sparse_convolution_and_sparse_normalisation(name, steps):
    plain, encoder = network(name, steps), MaskedEncoder(network(name, steps), 75)
    visible, x = mask(), images(name)
    expected, found = dense(plain, x, visible), encoder.encode(x, visible).tokens
    assert torch.equal(found, expected) and found.any()
    weights = torch.randn(found.shape, dtype=found.dtype)
    for tokens in (expected, found):
        (tokens * weights).sum().backward()
    compared = 0
    for (label, one), other in zip(plain.named_parameters(), encoder.parameters(), strict=True):
        if not label.startswith("head."):
            torch.testing.assert_close(other.grad, one.grad, msg=label)
            compared += bool(other.grad.any())
    assert compared > 20


def test_tokens_can_be_dropped_because_there_is_no_softmax():
    """With one the zeros of a hidden key would take weight from the others."""
    q, k, v = ((torch.rand(1, 2, 8, 3, 3, dtype=torch.float64) < 0.5).double() for _ in range(3))
    visible = torch.rand(3, 3) < 0.5
    whole, dropped = (x * visible for x in (q, k, v)), (x[..., visible].unsqueeze(4) for x in (q, k, v))
    whole, dropped = list(whole), list(dropped)
    for order in ("qk_v", "q_kv"):
        product = AttentionProduct(2, 0.125, order)
        assert torch.equal(product(*whole)[..., visible], product(*dropped).squeeze(4)) and product(*dropped).any()
    assert not torch.allclose(SoftmaxProduct(2)(*whole)[..., visible], SoftmaxProduct(2)(*dropped).squeeze(4))


def test_running_statistics_are_of_visible_pixels_only():
    encoder, visible, x = MaskedEncoder(network(), 75), mask(), images()
    convolution, norm = encoder.stem[0]
    before = norm.running_mean.clone()
    encoder.encode(x, visible)
    seen = carried(visible, 8).unsqueeze(1) & torch.ones(2, 4, 1, 1, dtype=torch.bool)
    expected = convolution(x).transpose(0, 1)[seen.transpose(0, 1)].view(4, -1).mean(1)
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * expected)


@pytest.mark.parametrize("name", ["v2", "v1"])
def test_three_quarters_hidden_are_a_quarter_of_the_operations(name):
    encoder, x = MaskedEncoder(network(name, dtype=torch.float32), 75), images(name, dtype=torch.float32)
    counts = []
    for run in (lambda: encoder.blocks(encoder.stem(x)), lambda: encoder.encode(x, mask())):
        with FlopCounterMode(display=False) as counter:
            run()
        memory.reset_net(encoder)
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(0.25, abs=0.005)


# ---- the decoder


def test_the_decoder_has_the_printed_size():
    decoder = Decoder(512, 16 * 16 * 3)
    embedding, places = count_parameters(decoder.embed), positions((14, 14), 256).numel()
    assert count_parameters(decoder) == 4 * 789_760 + 512 + 197_376 + 256 + 131_328
    assert round((count_parameters(decoder) - embedding + places) / 1e6, 2) == 3.41  # spikformer_v2.txt:142
    assert [round(count / 1e6, 2) for count in (count_parameters(decoder), count_parameters(decoder) - embedding)] == [3.49, 3.36]


def test_positions_are_sines_and_cosines_of_column_and_row():
    found, quarter = positions((2, 3), 8), 2
    for row in range(2):
        for column in range(3):
            expected = [f(place / 10000 ** (i / quarter)) for place in (column, row) for f in (math.sin, math.cos) for i in range(quarter)]
            assert found[row * 3 + column].tolist() == pytest.approx(expected)


def test_visible_tokens_come_to_their_places_and_hidden_ones_are_one_vector():
    decoder, visible = Decoder(2, 3, depth=1, width=4, heads=1), torch.tensor([[[False, True], [True, False]]])
    decoder.blocks, decoder.norm, decoder.pixels = nn.Identity(), nn.Identity(), nn.Identity()
    tokens = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    with torch.no_grad():
        embedded = decoder.embed(tokens[0, 0])
        expected = torch.stack([decoder.hidden, embedded[0], embedded[1], decoder.hidden]) + positions((2, 2), 4)
        assert torch.equal(decoder(Seen(tokens, visible))[0], expected)


def test_patches_and_pictures_are_opposites_in_reading_order():
    x = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6).float()
    values = patches(x, (2, 3))
    assert values.shape == (2, 6, 12) and set(values[0, 1].tolist()) == set(x[0, :, :2, 2:4].flatten().tolist())
    assert torch.equal(pictures(values, (2, 3), 3), x)


def test_the_target_has_each_patch_normalised():
    values = torch.tensor([[[1.0, 3.0, 5.0], [2.0, 2.0, 2.0]]])
    assert normalised(values)[0].tolist() == [pytest.approx([-1, 0, 1], abs=1e-6), [0, 0, 0]]  # deviation of 1, 3, 5 with n - 1: 2


def test_the_loss_is_of_hidden_patches_only():
    predicted, wanted = torch.randn(2, 4, 5, requires_grad=True), torch.randn(2, 4, 5)
    visible = torch.tensor([[[True, False], [False, False]], [[False, False], [True, False]]])
    loss = error(predicted, wanted, visible)
    hidden = [(0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 3)]
    squares = [(predicted[i, j] - wanted[i, j]).square().sum().item() for i, j in hidden]
    assert loss.item() == pytest.approx(sum(squares) / (6 * 5))
    loss.backward()
    assert not predicted.grad[visible.flatten(1)].any() and predicted.grad[~visible.flatten(1)].all()


@pytest.mark.parametrize("per_patch", [True, False])
def test_pictures_keep_what_is_seen_and_fill_in_the_rest(per_patch):
    encoder, decoder = MaskedEncoder(network(dtype=torch.float32), 75).eval(), Decoder(32, 16 * 16 * 3, width=32).eval()
    x, visible = images(dtype=torch.float32), mask()
    seen = carried(visible, 16).unsqueeze(1).expand_as(x)
    with torch.no_grad():
        original, masked, filled = triplet(x, decoder(encoder.encode(x, visible)), visible, per_patch).values()
    assert torch.equal(original, x)
    assert torch.equal(masked[seen], x[seen]) and not masked[~seen].any()
    assert torch.equal(filled[seen], x[seen]) and (filled != x)[~seen].float().mean() > 0.99


# ---- the methods


def pretraining(name="v2", **params):
    """(method, student, parts) of a pre-training run."""
    method = MAEPretrain(**{"width": 32, "depth": 1, **params})
    student = method.start(network(name, dtype=torch.float32), {}, iter(()))
    return method, student, method.parts(student, None)


def answer(student, x):
    return Outputs(student(x), images=x)


@each_network
def test_everything_but_the_classifier_learns_from_filling_in(name):
    method, student, parts = pretraining(name)
    terms = method.loss(answer(student, images(name, dtype=torch.float32)), None, None, parts)
    sum(terms.values()).backward()
    dead = {
        label for module in (student, parts) for label, value in module.named_parameters() if value.grad is None or not value.grad.any()
    }
    assert dead == {"head.classifier.weight", "head.classifier.bias"}


def test_the_loss_is_that_of_the_target():
    torch.manual_seed(3)
    method, student, parts = pretraining(target="image")
    x = images(dtype=torch.float32)
    given = answer(student, x)
    predicted, visible = parts(given.logits), given.logits.visible
    for target, wanted in (("image", patches(x, (4, 4))), ("patch", normalised(patches(x, (4, 4))))):
        method.target = target
        assert method.loss(given, None, None, parts)["reconstruction"] == error(predicted, wanted, visible)


def test_pre_training_learns():
    """Four images of coloured patches, the same ones hidden in every step."""
    method, student, parts = pretraining(target="image")
    x = torch.randn(4, 3, 4, 4).repeat_interleave(16, 2).repeat_interleave(16, 3)
    optimizer, losses = torch.optim.AdamW([*student.parameters(), *parts.parameters()], 1e-2), []
    for _ in range(40):
        torch.manual_seed(5)
        losses.append(method.loss(answer(student, x), None, None, parts)["reconstruction"])
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        memory.reset_net(student)
    assert losses[-1] < 0.6 * losses[0]


def test_fine_tuning_takes_all_but_the_classifier():
    pretrained, fresh = network(seed=1), network(seed=2)
    classifier = fresh.head.classifier.weight.clone()
    found = MAE().start(fresh, {"encoder": pretrained}, iter(()))
    same = {label for label, value in pretrained.state_dict().items() if torch.equal(found.state_dict()[label], value)}
    assert pretrained.state_dict().keys() - same == {"head.classifier.weight"}  # its biases begin at 0 in every network
    assert torch.equal(found.head.classifier.weight, classifier)


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_more_steps_start_from_one_step_unchanged(steps):
    trained = network(seed=1).train()
    trained(images())
    memory.reset_net(trained)
    found = MAESteps().start(network(steps=steps, seed=2), {"start": trained}, iter(()))
    assert found.state_dict().keys() == trained.state_dict().keys()
    assert all(torch.equal(found.state_dict()[label], value) for label, value in trained.state_dict().items())
    assert torch.equal(found.eval()(images())[0], trained.eval()(images())[0])  # the first step is the one-step network's
    assert len(found.eval()(images())) == steps


def test_rates_by_layer_are_those_worked_out_by_hand():
    recipe = {**helpers.RECIPE, "lr": 1e-3, "weight_decay": 0.05, "epochs": 10, "min_lr": 0.0, "layer_decay": 0.7}
    net = network()
    trained = Trained({"student": net, "parts": nn.Linear(2, 2)})
    optimizer = optimising.optimiser(recipe, trained)
    optimising.schedule(recipe, optimizer).step(0)
    labels = {id(value): label for label, value in trained.named_parameters()}
    rates = {labels[id(value)]: group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert rates.keys() == set(labels.values())
    by_hand = {"student.stem.": 0.343e-3, "student.blocks.0.": 0.49e-3, "student.blocks.1.": 0.7e-3, "student.head.": 1e-3, "parts.": 1e-3}
    for label, rate in rates.items():
        (expected,) = [value for prefix, value in by_hand.items() if label.startswith(prefix)]
        assert rate == pytest.approx(expected), label
    decayed = {labels[id(value)] for group in optimizer.param_groups if group["weight_decay"] for value in group["params"]}
    assert decayed == {label for label, value in trained.named_parameters() if value.dim() > 1}


def test_layers_with_rates_of_their_own_decay_no_biases():
    with pytest.raises(UserError, match="layer_decay decays no biases .* decay: all says that they are decayed"):
        optimising.optimiser({**helpers.RECIPE, "layer_decay": 0.7, "decay": "all"}, Trained({"student": network()}))


# ---- runs


def stage(folder, name, above, epochs, run=""):
    """(metrics, weights) of one of the three methods on 32 x 32 images, which are 2 x 2 patches; it lies under `run`, or its name."""
    spec = helpers.specification(
        method=helpers.method(name, name.replace("-", "_")),
        network={**helpers.network("spikformer"), "file": "benchmark/backbones/spikformer_v2.py", "size": {**SIZE, "scale": 1.0}}
        | {"layout": spikformer_v2.LAYOUTS["imagenet"]},
        data=helpers.data("large-digits", "digits"),
        time_steps=4 if name == "mae-steps" else 1,
        recipe={"batch_size": 128, "epochs": epochs, "layer_decay": 0.7},
        above=above,
    )
    out = folder / (run or name) / "seed0"
    return helpers.run(spec, out), torch.load(out / "weights.pt", weights_only=True)


def changed(one, two):
    return {name for name in one if not torch.equal(one[name], two[name])}


def test_the_three_stages_as_runs(tmp_path):
    """Pre-training changes all but the classifier; a stage of no epochs has the weights of the one before, but for a new classifier."""
    _, drawn = stage(tmp_path, "mae-pretrain", {}, 0, "untrained")
    _, encoder = stage(tmp_path, "mae-pretrain", {}, 1)
    assert changed(drawn, encoder) == {name for name in encoder if not name.startswith("head.")}
    _, taken = stage(tmp_path, "mae", {"encoder": "mae-pretrain"}, 0, "taken")
    assert changed(encoder, taken) <= {"head.classifier.weight", "head.classifier.bias"}
    _, tuned = stage(tmp_path, "mae", {"encoder": "mae-pretrain"}, 1)
    assert "head.classifier.weight" in changed(taken, tuned)
    more, longer = stage(tmp_path, "mae-steps", {"start": "mae"}, 0)
    assert len(more["accuracy_by_step"]) == 4 and not changed(tuned, longer)


# ---- a user's mistakes


def test_all_patches_hidden():
    for hidden in (100, 120, -1):
        assert complaint(lambda hidden=hidden: draw(1, (2, 2), hidden)) == (
            f"masked pre-training: {hidden} % of the patches cannot be hidden, from 0 to less than 100 can"
        )


def test_patches_that_do_not_divide_the_image():
    assert grid_of(224, 224, 16) == (14, 14)
    encoder = MaskedEncoder(network(dtype=torch.float32), 75)
    said = complaint(lambda: encoder(torch.randn(1, 3, 64, 40)))
    assert said == "masked pre-training: patches of 16 x 16 pixels do not divide an image of 64 x 40"


def test_weights_of_another_width():
    said = complaint(lambda: take(network(dim=32), network(dim=64)))
    assert "the trained network to start from is another one" in said and "[" in said
    assert complaint(lambda: MAE().start(network(dim=32), {"encoder": network(dim=64)}, iter(()))) == said
    said = complaint(lambda: take(nn.Linear(2, 2), nn.Linear(2, 2, bias=False)))
    assert said == "the trained network to start from is another one: bias is not there in it, [2] in this one"


def test_blocks_that_look_past_a_token():
    built = network()
    built.blocks.append(nn.Conv2d(32, 32, 3, padding=1))
    assert complaint(lambda: MaskedEncoder(built, 75)) == (
        "masked pre-training: tokens cannot be dropped in blocks that look past a token, like 3x3 convolutions"
    )


def test_stems_of_other_layers():
    built = network()
    built.stem.append(nn.AvgPool2d(3, 1, 1))
    said = complaint(lambda: MaskedEncoder(built, 75).encode(images(), mask()))
    assert said == "masked pre-training: AvgPool2d with padding has no sparse form here"


def test_only_spikformers_fit():
    from types import SimpleNamespace

    assert fits(SimpleNamespace(name="spikformer-v2-8-512", ann=False)) == fits(SimpleNamespace(name="spikformer-8-512", ann=False)) == ""
    assert "vit-b-16 has none" in fits(SimpleNamespace(name="vit-b-16", ann=True))
