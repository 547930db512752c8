"""Batched augmentation against timm's and PIL's, one image at a time, with the same arguments."""

import os
import random
import signal

import helpers
import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment, create_transform

from benchmark import datasets
from benchmark.datasets import _event_augment, imagenet
from benchmark.pins import recipes
from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.batches import Batches, load
from benchmark.training.forms import folder as folders
from benchmark.training.forms._base import seed_everything

FILL = (125, 123, 114)
ARGUMENTS = {  # timm's operation -> arguments over its range
    "AutoContrast": [()],
    "Equalize": [()],
    "Invert": [()],
    "Rotate": [(-30.0,), (-7.3,), (0.0,), (13.0,), (30.0,)],
    "Posterize": [(1,), (3,), (4,), (8,)],
    "Solarize": [(0,), (1,), (77,), (128,), (256,)],
    "SolarizeAdd": [(0,), (40,), (110,), (128,)],
    "Color": [(0.1,), (0.55,), (1.0,), (1.9,)],
    "Contrast": [(0.1,), (0.55,), (1.0,), (1.9,)],
    "Brightness": [(0.1,), (0.55,), (1.0,), (1.9,)],
    "Sharpness": [(0.1,), (0.55,), (1.0,), (1.9,)],
    "ShearX": [(-0.3,), (0.11,), (0.3,)],
    "ShearY": [(-0.3,), (0.11,), (0.3,)],
    "TranslateX": [(-6.4,), (3.0,)],
    "TranslateY": [(-6.4,), (3.0,)],
    "TranslateXRel": [(-0.45,), (0.13,), (0.45,)],
    "TranslateYRel": [(-0.45,), (0.13,), (0.45,)],
}
# Not equal to PIL in every value, but never by more than one grey value: bilinear weights are float32 here and double in PIL (shares
# up to 4 % where all weights are round numbers), PIL's grey is fixed-point arithmetic, torchvision's AutoContrast cuts a float32 off.
UNEQUAL = {**dict.fromkeys(augment.GEOMETRIC, 0.05), "AutoContrast": 0.06, "Color": 0.002}


def images(count=6, size=32):
    """Photograph-like: smooth gradients, noise, dark ones and bright ones; one constant image."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(0, 256, (count, 3, 4, 4)).repeat(size // 4, 2).repeat(size // 4, 3)
    x = (0.7 * coarse + 0.3 * draw.integers(0, 256, (count, 3, size, size))) * np.linspace(0.3, 1, count)[:, None, None, None]
    x[-1] = 90
    return torch.from_numpy(x.astype(np.uint8))


def as_pil(image):
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def as_tensor(image):
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def timms(name, batch, arguments):
    """timm's own function on each image, bilinear."""
    operation = auto_augment.NAME_TO_OP[name]
    done = [operation(as_pil(image), *arguments, fillcolor=FILL, resample=Image.Resampling.BILINEAR) for image in batch]
    return torch.stack([as_tensor(image) for image in done])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_operation_is_timms(name):
    batch = images()
    for arguments in ARGUMENTS[name]:
        levels = torch.full((len(batch),), float(arguments[0]) if arguments else 0.0)
        ours = augment.apply(name, batch, levels, torch.tensor(FILL, dtype=torch.float32))
        difference = (ours.int() - timms(name, batch, arguments).int()).abs()
        assert ours.dtype == torch.uint8 and ours.shape == batch.shape and difference.max() <= 1
        assert (difference > 0).float().mean() <= UNEQUAL.get(name, 0), f"{name}{arguments}"


def test_every_image_has_its_own_argument():
    batch, levels, fill = images(), torch.tensor([-0.3, -0.1, 0.0, 0.1, 0.2, 0.3]), torch.tensor(FILL, dtype=torch.float32)
    for name in ("ShearX", "TranslateYRel", "Brightness"):
        together = augment.apply(name, batch, levels + (name == "Brightness"), fill)
        alone = [augment.apply(name, batch[i : i + 1], levels[i : i + 1] + (name == "Brightness"), fill) for i in range(6)]
        assert (together.int() - torch.cat(alone).int()).abs().max() <= 1  # a batched matrix product rounds otherwise
        assert len({image.numpy().tobytes() for image in together}) == len(batch)


@pytest.mark.parametrize("config", ["rand-m9-mstd0.5-inc1", "rand-m9-n1-mstd0.4-inc1", "rand-m7-n3-p1"])
def test_every_operation_of_a_policy_is_drawn_and_known(config):
    policy = augment.RandAugment(config, None, (0.5, 0.5, 0.5))
    batch = images()
    for operation in policy.policy.ops:
        seed_everything(0, 0, 0)
        levels = torch.tensor([augment.level(operation) for _ in batch])
        assert augment.apply(operation.name, batch, levels, policy.fill).shape == batch.shape
    names = {operation.name for operation in policy.policy.ops}
    assert len(names) == 15


def test_a_level_is_what_timm_calls_its_function_with():
    """timm's operation and ours, after the same seed, get the same argument."""
    for config in ("rand-m9-mstd0.5-inc1-p1", "rand-m6-mstd101-p1", "rand-m15-mmax20-p1"):
        for operation in augment.RandAugment(config, None, (0.5,) * 3).policy.ops:
            for seed in range(5):
                got = []
                operation.aug_fn = lambda image, *arguments, got=got, **_: got.append(arguments)
                random.seed(seed)
                operation(None)
                random.seed(seed)
                assert (augment.level(operation),) == (got[0] or (0.0,))


def test_an_operation_goes_both_ways_if_it_has_two():
    """timm draws a sign for what can be turned, moved or (with inc) enhanced either way; what cannot is never negative."""
    random.seed(0)
    policy = augment.RandAugment("rand-m9-mstd0.5-inc1", None, (0.5,) * 3).policy
    levels = {operation.name: [augment.level(operation) for _ in range(200)] for operation in policy.ops}
    for name in ("Rotate", "ShearX", "ShearY", "TranslateXRel", "TranslateYRel"):
        share = np.mean(np.array(levels[name]) < 0)
        assert 0.35 < share < 0.65 and min(levels[name]) == pytest.approx(-max(levels[name]), rel=0.3), name
    for name in ("ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing", "SharpnessIncreasing"):
        assert 0.35 < np.mean(np.array(levels[name]) < 1) < 0.65, name
    assert min(levels["SolarizeAdd"]) > 0 and set(levels["Invert"]) == {0.0}


def test_operations_are_drawn_evenly_and_half_of_them_done(monkeypatch):
    drawn = {}
    monkeypatch.setattr(augment, "apply", lambda name, batch, *_: drawn.update({name: drawn.get(name, 0) + len(batch)}) or batch)
    seed_everything(0, 0, 0)
    policy = augment.RandAugment("rand-m9-n2", ["Invert", "Rotate", "Color", "ShearX"], (0.5,) * 3)
    policy(images(2)[:1].expand(4000, -1, -1, -1))
    assert drawn.keys() == {"Invert", "Rotate", "Color", "ShearX"}
    assert all(abs(count - 1000) < 120 for count in drawn.values())  # 8,000 draws, a quarter each, done with probability 0.5


def test_the_recipes_operations_are_the_only_ones_drawn():
    """Of small images: each is left alone or inverted."""
    source = plain(randaugment="rand-m9-n1", randaugment_ops=["Invert"])
    shown = 0
    for images_, _, chosen in source.train(0):
        left, inverted = (source.form.normalise(each) for each in (BARS.train.images[chosen], 255 - BARS.train.images[chosen]))
        same = [(images_ == each).flatten(1).all(1) for each in (left, inverted)]
        assert (same[0] ^ same[1]).all()
        shown += int(same[1].sum())
    assert 16 < shown < 48


def test_crop_shifts_by_at_most_the_padding_and_moves_zeros_in():
    torch.manual_seed(0)
    batch, padding = images(2)[:1].expand(500, -1, -1, -1) // 2 + 1, 4
    found = set()
    framed = torch.nn.functional.pad(batch[0], (padding,) * 4)
    windows = {(y, x): framed[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)}
    for image in augment.crop(batch, padding):
        found |= {place for place, window in windows.items() if torch.equal(image, window)}
    assert len(found) > 75  # of 81 places, in 500 draws
    assert augment.crop(batch, 0) is batch


def test_flip_mirrors_left_and_right_with_its_probability():
    torch.manual_seed(0)
    batch = images(2)[:1].expand(2000, -1, -1, -1)
    flipped = augment.flip(batch, 0.3)
    mirrored = (flipped == batch.flip(3)).flatten(1).all(1)
    assert (mirrored | (flipped == batch).flatten(1).all(1)).all() and abs(mirrored.float().mean() - 0.3) < 0.04
    assert augment.flip(batch, 0.0) is batch and torch.equal(augment.flip(batch, 1.0), batch.flip(3))


# ---- batches of small images

RECIPE = {
    **helpers.RECIPE, "crop": 2, "flip": 0.5, "randaugment": "rand-m9-mstd0.5-inc1", "erasing": 0.5, "mixup": 0.5, "cutmix": 1.0,
    "label_smoothing": 0.1,
}  # fmt: skip
BARS = load(helpers.data(), helpers.ROOT)


def batches(data=BARS, seed=0, entry=None, steps=2, threads=1, recipe=RECIPE, **changed):
    return Batches(data, {**recipe, **changed}, entry or helpers.data(), steps, torch.device("cpu"), seed, threads)


def plain(*arguments, **changed):
    """Batches whose recipe changes no image but as said."""
    return batches(*arguments, recipe=helpers.RECIPE, **changed)


def equal(one, two):
    return all(torch.equal(a, b) for ours, theirs in zip(one, two, strict=True) for a, b in zip(ours, theirs, strict=True))


def of(pictures, labels=None):
    """A data set in memory of these training images, whose normalisation divides by 255 alone."""
    labels = torch.arange(len(pictures)) % 4 if labels is None else labels
    return datasets.Data(datasets.Images(pictures, labels), datasets.Images(pictures[:2], labels[:2]), (0.0,) * 3, (1.0,) * 3, "")


def test_a_batch_follows_from_seed_epoch_and_step():
    whole = list(batches().train(3))
    assert len(whole) == 4 and equal(whole, batches().train(3))
    seed_everything(99, 9, 9)  # what was drawn before does not matter
    assert equal(whole[2:], batches().train(3, start=2))
    for other in (batches().train(4), batches(seed=1).train(3)):
        assert not any(torch.equal(image, different) for (image, *_), (different, *_) in zip(whole, other, strict=True))


def test_every_epoch_and_seed_has_its_own_order():
    orders = [torch.cat([chosen for *_, chosen in plain(seed=seed).train(epoch)]).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(sorted(order) == list(range(64)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    kept = [sum(a == b for a, b in zip(orders[0], other, strict=True)) for other in orders[1:]]
    assert max(kept) < 8  # one image on average is where it was


@pytest.mark.parametrize("changed", [
    {"crop": 4}, {"flip": 0.5}, {"randaugment": "rand-m9-n2-mstd0.5-inc1"}, {"autoaugment": "cifar10"}, {"cutout": 5}, {"erasing": 0.5},
    {"mixup": 0.5}, {"cutmix": 1.0},
], ids=lambda changed: next(iter(changed)))  # fmt: skip
def test_augmentation_follows_from_seed_epoch_and_step(changed):
    """The images are always the same two, in the same order; each batch is augmented in its own way, and repeatably."""
    data = of(images(3, 16)[:2].repeat(32, 1, 1, 1), torch.zeros(64, dtype=torch.int64))  # two, for mixing's sake

    def shown(seed, epoch):
        source = plain(data, seed=seed, **changed)
        source.order = lambda *_: torch.arange(64).view(4, 16)
        return [image for image, *_ in source.train(epoch)]

    first, *others = shown(0, 0), shown(1, 0), shown(0, 1)
    assert all(torch.equal(a, b) for a, b in zip(first, shown(0, 0), strict=True))
    different = [*zip(first, others[0], strict=True), *zip(first, others[1], strict=True), (first[0], first[1]), (first[1], first[2])]
    assert not any(torch.equal(a, b) for a, b in different)


def test_an_epoch_shows_each_image_once_and_targets_are_probabilities():
    source = plain(label_smoothing=0.1, batch_size=32)
    shown = torch.cat([image for image, *_ in source.train(0)])
    whole = source.form.normalise(BARS.train.images)
    assert {image.numpy().tobytes() for image in shown.contiguous()} == {image.numpy().tobytes() for image in whole.contiguous()}
    assert shown.mean().abs() < 1e-3 and (shown.std() - 1).abs() < 1e-2
    image, targets, chosen = next(source.train(0))
    assert source.form.fixed and torch.equal(image, source.form.normalise(BARS.train.images[chosen]))
    wanted = torch.full((32, 4), 0.025)
    wanted[torch.arange(32), BARS.train.labels[chosen]] = 0.925
    torch.testing.assert_close(targets, wanted)


def constant(count=16):
    """Images of one value each, 10 times their number, all of different labels as far as there are."""
    return of((10 * torch.arange(count, dtype=torch.uint8))[:, None, None, None].expand(-1, 3, 16, 16).contiguous())


def test_mixup_by_hand():
    """Each image is lam of itself and 1 - lam of its mirror image in the batch, and so are the labels, a fifth of them smoothed."""
    ((shown, targets, chosen),) = plain(constant(), mixup=1.0, label_smoothing=0.2).train(0)
    values, partner = 10 * chosen.float(), 10 * chosen.flip(0).float()
    mixed = 255 * shown.mean((1, 2, 3))
    lam = float((mixed[0] - partner[0]) / (values[0] - partner[0]))
    assert 0.01 < lam < 0.99 and torch.allclose(mixed, lam * values + (1 - lam) * partner, atol=1e-3)
    one_hot = 0.8 * torch.nn.functional.one_hot(chosen % 4, 4) + 0.05
    assert torch.allclose(targets, lam * one_hot + (1 - lam) * one_hot.flip(0), atol=1e-4)


def test_cutmix_by_hand():
    """A rectangle of each image is its mirror image's in the batch, and the labels are shared as the area is."""
    ((shown, targets, chosen),) = plain(constant(), cutmix=1.0).train(0)
    values, partner = (10 * each.float()[:, None, None, None] for each in (chosen, chosen.flip(0)))
    own, other = ((255 * shown - each).abs() < 1e-2 for each in (values, partner))
    assert (own ^ other).all()
    box = other[0, 0]
    assert 0 < box.sum() < 256 and box.sum() == box.any(0).sum() * box.any(1).sum() and (other == box).all()
    lam = 1 - float(box.float().mean())
    one_hot = torch.nn.functional.one_hot(chosen % 4, 4)
    assert torch.allclose(targets, lam * one_hot + (1 - lam) * one_hot.flip(0), atol=1e-4)


def test_mixing_is_done_with_its_probability():
    """Of 40 batches a quarter is mixed; the rest has one label each."""
    source = plain(constant(), mixup=1.0, mixup_prob=0.25)
    mixed = sum(float(targets.amax(1).min()) < 0.9999 for epoch in range(40) for _, targets, _ in source.train(epoch))
    assert 3 <= mixed <= 18


def test_mixup_can_be_switched_off_from_an_epoch():
    source = batches(mixup_off_epoch=5, label_smoothing=0.0)
    assert next(source.train(4))[1].amax(1).min() < 1.0
    assert next(source.train(5))[1].amax(1).min() == 1.0


def test_erasing_blanks_a_rectangle_of_its_share_of_images():
    white = of(torch.full((64, 3, 16, 16), 255, dtype=torch.uint8))
    shown = torch.cat([image for epoch in range(10) for image, *_ in plain(white, erasing=0.3).train(epoch)])
    blank = (shown == 0).all(1)
    assert ((shown == 0).any(1) == blank).all() and 0.22 < blank.any(1).any(1).float().mean() < 0.38
    assert all(box.sum() == box.any(0).sum() * box.any(1).sum() for box in blank)


def test_the_test_set_is_whole_in_order_and_untouched():
    shown, labels = (torch.cat(parts) for parts in zip(*batches().test(), strict=True))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (BARS.mean, BARS.std))
    assert torch.equal(labels, BARS.test.labels) and torch.equal(shown, (BARS.test.images.float() / 255 - mean) / std)


@pytest.mark.parametrize("changed", ["crop", "flip", "randaugment", "autoaugment", "cutout", "erasing", "mixup", "cutmix"])
def test_what_changes_an_image_keeps_nothing_of_it(changed):
    assert plain().form.fixed
    assert not plain(**{changed: {"randaugment": "rand-m9", "autoaugment": "cifar10"}.get(changed, 1)}).form.fixed


def test_mixup_refuses_an_odd_batch():
    with pytest.raises(UserError, match="mixup needs an even batch size, not 15"):
        batches(batch_size=15)


def test_images_of_another_shape_than_declared_are_refused():
    with pytest.raises(UserError, match=r"bars declares images of shape \[3, 32, 32\] and has \[3, 16, 16\]"):
        plain(entry=helpers.data(shape=[3, 32, 32]))


def test_small_images_are_not_cropped_to_a_share():
    with pytest.raises(UserError, match=r"recipe key 'crop' cannot be \[0.08, 1.0\] for bars, whose form is images"):
        plain(crop=[0.08, 1.0])


# ---- events

MOVING = helpers.data("moving-bars")
CLIPS = load(MOVING, helpers.ROOT)


def events(data=CLIPS, steps=4, **changed):
    return plain(data, entry=MOVING, steps=steps, **changed)


def frames_of(data=CLIPS):
    """[T, N, C, H, W] float, as a network gets them."""
    return data.train.images.transpose(0, 1).float()


def test_events_have_time_first_and_are_not_normalised():
    source = events()
    assert source.form.axis == 1 and source.form.fixed and (source.form.count, source.form.test_count) == (64, 32)
    for shown, targets, chosen in source.train(0):
        assert torch.equal(shown, frames_of()[:, chosen]) and shown.dtype == torch.float32 and len(targets) == 16
    shown, labels = (torch.cat(parts, axis) for parts, axis in zip(zip(*source.test(), strict=True), (1, 0), strict=True))
    assert torch.equal(shown, CLIPS.test.images.transpose(0, 1).float()) and torch.equal(labels, CLIPS.test.labels)
    assert torch.equal(torch.cat(list(source.calibration()), 1), frames_of()[:, source.order(0).flatten()])


def test_frames_may_be_floats():
    halves = datasets.Data(*(datasets.Images(s.images / 2, s.labels) for s in (CLIPS.train, CLIPS.test)), (), (), "")
    before = halves.train.images.clone()
    shown, _, chosen = next(events(halves, mixup=1.0).train(0))
    assert shown.shape == (4, 16, 2, 32, 32) and torch.equal(halves.train.images, before)
    assert torch.equal(next(events(halves).train(0))[0], frames_of(halves)[:, chosen])


@pytest.mark.parametrize(
    "changed",
    [{"flip": 1.0}, {"flip": 0.5}, {"event_augment": "nda"}, {"event_augment": "spikformer"}, {"crop": 2}, {"mixup": 1.0}, {"cutmix": 1.0}],
    ids=str,
)
def test_augmentation_of_events_is_the_same_at_every_step_and_polarity(changed):
    """Clips that do not move, all of one polarity, stay so."""
    still = CLIPS.train.images[:, :1, :1].expand(-1, 4, 2, -1, -1).contiguous()
    data = datasets.Data(datasets.Images(still, CLIPS.train.labels), CLIPS.test, (), (), "")
    source = events(data, **changed)
    assert not source.form.fixed
    shown, _, chosen = next(source.train(0))
    assert (shown == shown[:1, :, :1]).all() and not torch.equal(shown, frames_of(data)[:, chosen])
    if changed == {"flip": 1.0}:
        assert torch.equal(shown, frames_of(data)[:, chosen].flip(4))


@pytest.mark.parametrize("policy", _event_augment.POLICIES)
def test_events_are_flipped_and_then_changed_by_the_policy(policy):
    """As its own function changes them, drawn from the seed of the step."""
    source = events(event_augment=policy, flip=1.0)
    shown, _, chosen = next(source.train(0))
    seed_everything(source.seed, 0, 0)
    torch.rand(16)  # who is flipped
    expected = _event_augment.augment(CLIPS.train.images[chosen].flip(4), policy)
    assert torch.equal(shown, expected.transpose(0, 1).float())


def test_the_policies_of_events_are_those_that_recipes_may_name():
    assert [*_event_augment.POLICIES, None] == recipes.KEYS["event_augment"]["enum"]


def test_another_number_of_steps_than_the_frames_have_is_refused():
    with pytest.raises(UserError, match="moving-bars has frames of 4 time steps, and the cell asks for 6"):
        events(steps=6)


@pytest.mark.parametrize("changed", [{"randaugment": "rand-m9"}, {"autoaugment": "cifar10"}, {"cutout": 4}])
def test_what_is_made_for_colours_is_refused_for_events(changed):
    with pytest.raises(UserError, match=f"recipe key '{next(iter(changed))}' cannot be .* for moving-bars, whose form is events"):
        events(**changed)


# ---- folders

SIDE = 24
LARGE = {"crop": [0.08, 1.0], "randaugment": "rand-m10-n4-p1-inc1", "batch_size": 4}  # m10: posterizes to 0 bits


def pictures(root, monkeypatch, picture=lambda index: as_pil(images()[index % 5])):
    """A folder tree like ImageNet's with two classes of twelve small pictures."""
    for split, count in (("train", 12), ("val", 3)):
        for label in ("n01", "n02"):
            (root / "imagenet" / split / label).mkdir(parents=True)
            for index in range(count):
                picture(index).save(root / "imagenet" / split / label / f"{index}.PNG")
    monkeypatch.setitem(imagenet.DATASETS, "ImageNet", {**imagenet.DATASETS["ImageNet"], "classes": 2, "shape": [3, SIDE, SIDE]})
    return imagenet.load("ImageNet", root)


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    return pictures(tmp_path, monkeypatch)


def streamed(data, seed=0, **changed):
    return batches(data, seed=seed, entry=helpers.data("ImageNet", "imagenet"), threads=2, **{**LARGE, **changed})


def unaugmented(data, **changed):
    """Whole pictures, not changed."""
    return plain(data, entry=helpers.data("ImageNet", "imagenet"), **{**LARGE, "randaugment": None, "crop": [1.0, 1.0], **changed})


def test_streamed_batches_repeat_from_any_step(photographs):
    whole = list(streamed(photographs).train(1))
    assert len(whole) == 6 and whole[0][0].shape == (4, 3, SIDE, SIDE) and whole[0][1].shape == (4, 2)
    assert equal(whole[3:], streamed(photographs).train(1, start=3))
    assert not torch.equal(whole[0][0], next(streamed(photographs).train(2))[0])


def test_workers_stay_as_many_as_threads_and_every_epoch_has_its_own_order(photographs):
    source = streamed(photographs)
    first = list(source.train(0))
    workers = [worker.pid for worker in source.form.loaders["train"]._iterator._workers]
    list(source.test())
    second = list(source.train(1))
    assert len(workers) == 2 and [worker.pid for worker in source.form.loaders["train"]._iterator._workers] == workers
    assert source.form.loaders.keys() == {"train", "test"}
    assert equal(second, streamed(photographs).train(1)) and equal(first, source.train(0))
    assert torch.equal(torch.cat([chosen for *_, chosen in first]).sort().values, torch.arange(24))


def test_workers_leave_a_stop_to_the_process_that_trains(photographs):
    """A cluster signals all processes of a job: the one that trains goes on to its checkpoint, and then ends the workers."""
    source = streamed(photographs)
    shown = [next(source.train(0))]
    workers = source.form.loaders["train"]._iterator._workers
    for worker in workers:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(worker.pid, number)
    shown += list(source.train(0, start=1))
    assert equal(shown, streamed(photographs).train(0)) and all(worker.is_alive() for worker in workers)
    source.close()
    assert not any(worker.is_alive() for worker in workers)


def test_streamed_labels_are_those_of_the_pictures(photographs):
    for _, targets, chosen in unaugmented(photographs).train(0):
        assert torch.equal(targets.argmax(1), (chosen >= 12).long())


def test_streamed_augmentation_follows_from_seed_epoch_and_picture(tmp_path, monkeypatch):
    """All pictures are the same one, and come in the same order."""
    data = pictures(tmp_path, monkeypatch, lambda _: as_pil(images()[1]))
    for changed in ({"randaugment": None}, {"crop": [1.0, 1.0]}):
        sources = [streamed(data, seed, **{"flip": 0.0, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0, **changed}) for seed in (0, 1)]
        first, other, later = (
            next(sources[seed].form.train(torch.arange(8).view(2, 4), epoch))[0] for seed, epoch in ((0, 0), (1, 0), (0, 1))
        )
        for one, two in ((first, other), (first, later), (first, first.roll(1, 0))):
            assert not any(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        assert torch.equal(first, next(sources[0].form.train(torch.arange(8).view(2, 4), 0))[0])


def halves(_):
    """Black on the left, white on the right."""
    picture = Image.new("RGB", (64, 64))
    picture.paste((255, 255, 255), (32, 0, 64, 64))
    return picture


def test_a_resized_crop_has_the_recipes_share(tmp_path, monkeypatch):
    data = pictures(tmp_path, monkeypatch, halves)

    def both(**crop):
        shown = torch.cat([image for image, *_ in unaugmented(data, **crop).train(0)])
        return ((shown.amax((1, 2, 3)) - shown.amin((1, 2, 3))) > 3).float().mean()

    assert both(crop=[1.0, 1.0]) == 1.0 and both(crop=[0.01, 0.02]) < 0.5


def test_streamed_pictures_are_mirrored_as_often_as_the_recipe_says(tmp_path, monkeypatch):
    data = pictures(tmp_path, monkeypatch, halves)
    for probability in (0.0, 1.0):
        shown = torch.cat([image for image, *_ in unaugmented(data, flip=probability).train(0)])
        left, right = shown[..., : SIDE // 3].mean((1, 2, 3)), shown[..., -SIDE // 3 :].mean((1, 2, 3))
        assert ((left > right) == bool(probability)).all()


def framed(_):
    """White with a black middle, half as wide."""
    picture = Image.new("RGB", (96, 96), (255, 255, 255))
    picture.paste((0, 0, 0), (24, 24, 72, 72))
    return picture


def test_a_test_crop_keeps_the_recipes_share_of_the_picture(tmp_path, monkeypatch):
    data = pictures(tmp_path, monkeypatch, framed)
    black = {share: (next(unaugmented(data, eval_crop=share).test())[0] < 0).float().mean() for share in (0.5, 1.0)}
    assert black[0.5] > 0.95 and black[1.0] == pytest.approx(0.25, abs=0.03)
    calibration = next(unaugmented(data, eval_crop=0.5).calibration())
    assert (calibration < 0).float().mean() > 0.95 and calibration.shape == (4, 3, SIDE, SIDE)


def test_a_run_without_training_needs_no_crop(tmp_path, monkeypatch):
    data = pictures(tmp_path, monkeypatch, framed)
    assert len(next(unaugmented(data, epochs=0, crop=0).test())[0]) == 4
    with pytest.raises(UserError, match="'crop'"):
        unaugmented(data, epochs=1, crop=0)


def test_a_streamed_test_set_is_in_order(photographs):
    shown = list(streamed(photographs).test())
    assert torch.cat([labels for _, labels in shown]).tolist() == [0, 0, 0, 1, 1, 1] and [len(labels) for _, labels in shown] == [4, 2]
    assert torch.equal(shown[0][0], next(streamed(photographs).test())[0])
    assert not streamed(photographs).form.fixed and streamed(photographs).form.test_count == 6


def test_pillow_lets_timm_posterize_to_no_bits():
    transform = create_transform(32, is_training=True, use_prefetcher=True, auto_augment="rand-m10-n1-p1-inc1")
    augment.mend(transform)
    (policy,) = (step for step in transform.transforms if isinstance(step, auto_augment.RandAugment))
    (posterize,) = (operation for operation in policy.ops if operation.name == "PosterizeIncreasing")
    assert as_tensor(posterize(as_pil(images()[0]))).max() == 0
    posterize.magnitude = 5
    assert torch.equal(as_tensor(posterize(as_pil(images()[0]))), images()[0] & 0b11000000)


@pytest.mark.parametrize("changed", [{"randaugment_ops": ["Rotate"]}, {"autoaugment": "imagenet"}, {"cutout": 8}, {"crop": 4}])
def test_large_images_refuse_what_is_for_small_ones(changed, photographs):
    with pytest.raises(UserError, match=f"recipe key '{next(iter(changed))}' cannot be .* for ImageNet, whose form is folder"):
        streamed(photographs, **changed)


def test_a_jobs_threads_are_its_loaders_workers(photographs):
    for threads, workers in ((0, 1), (1, 1), (2, 2)):
        form = folders.Folder(
            photographs, {**RECIPE, **LARGE}, helpers.data("ImageNet", "imagenet"), 1, torch.device("cpu"), 0, threads, {}
        )
        assert form.loader("train").num_workers == workers and form.loader("test").persistent_workers
