"""Batched augmentation against timm's and PIL's, one image at a time, with the same arguments."""

import random

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment, create_transform

from benchmark.datasets import digits, imagenet
from benchmark.shared.errors import UserError
from benchmark.training import augment
from benchmark.training.batches import Batches, seed_everything

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


def test_operations_are_drawn_evenly_and_half_of_them_done(monkeypatch):
    drawn = {}
    monkeypatch.setattr(augment, "apply", lambda name, batch, *_: drawn.update({name: drawn.get(name, 0) + len(batch)}) or batch)
    seed_everything(0, 0, 0)
    policy = augment.RandAugment("rand-m9-n2", ["Invert", "Rotate", "Color", "ShearX"], (0.5,) * 3)
    policy(images(2)[:1].expand(4000, -1, -1, -1))
    assert drawn.keys() == {"Invert", "Rotate", "Color", "ShearX"}
    assert all(abs(count - 1000) < 120 for count in drawn.values())  # 8,000 draws, a quarter each, done with probability 0.5


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


RECIPE = {
    "batch_size": 16, "crop": 2, "flip": 0.5, "randaugment": "rand-m9-mstd0.5-inc1", "randaugment_ops": None, "erasing": 0.5,
    "autoaugment": None, "cutout": 0, "mixup": 0.5, "cutmix": 1.0, "mixup_prob": 1.0, "mixup_off_epoch": 0, "label_smoothing": 0.1,
}  # fmt: skip


@pytest.fixture
def few_digits(monkeypatch):
    monkeypatch.setitem(digits.DATASETS, "digits", {**digits.DATASETS["digits"], "train": 100, "test": 20})
    return digits.load("digits", None)


def batches(data, seed=0, **changed):
    return Batches(data, {**RECIPE, **changed}, 10, [3, 16, 16], torch.device("cpu"), seed)


def equal(one, two):
    return all(torch.equal(a, b) for ours, theirs in zip(one, two, strict=True) for a, b in zip(ours, theirs, strict=True))


def test_a_batch_follows_from_seed_epoch_and_step(few_digits):
    whole = list(batches(few_digits).train(3))
    assert len(whole) == 6 and equal(whole, batches(few_digits).train(3))
    seed_everything(99, 9, 9)  # what was drawn before does not matter
    assert equal(whole[2:], batches(few_digits).train(3, start=2))
    for other in (batches(few_digits).train(4), batches(few_digits, seed=1).train(3)):
        assert not any(torch.equal(image, different) for (image, *_), (different, *_) in zip(whole, other, strict=True))


def test_an_epoch_shows_each_image_once_and_targets_are_probabilities(few_digits):
    plain = {"crop": 0, "flip": 0.0, "randaugment": None, "erasing": 0.0, "mixup": 0.0, "cutmix": 0.0}
    source = batches(few_digits, **plain, batch_size=20)
    shown = torch.cat([image for image, *_ in source.train(0)])
    whole = source.normalise(few_digits.train.images)
    assert {image.numpy().tobytes() for image in shown.contiguous()} == {image.numpy().tobytes() for image in whole.contiguous()}
    assert shown.mean().abs() < 1e-3 and (shown.std() - 1).abs() < 1e-2
    image, targets, chosen = next(source.train(0))
    assert source.fixed and torch.equal(image, source.normalise(few_digits.train.images[chosen]))
    assert targets.amax(1).allclose(torch.tensor(0.91)) and targets.sum(1).allclose(torch.tensor(1.0))


def test_mixup_can_be_switched_off_from_an_epoch(few_digits):
    source = batches(few_digits, mixup_off_epoch=5, label_smoothing=0.0)
    assert next(source.train(4))[1].amax(1).min() < 1.0
    assert next(source.train(5))[1].amax(1).min() == 1.0


def test_the_test_set_is_whole_in_order_and_untouched(few_digits):
    source = batches(few_digits)
    shown, labels = (torch.cat(parts) for parts in zip(*source.test(), strict=True))
    assert torch.equal(labels, few_digits.test.labels) and torch.equal(shown, source.normalise(few_digits.test.images))


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """A folder tree like ImageNet's with two classes of twelve small pictures."""
    for split, count in (("train", 12), ("val", 3)):
        for label in ("n01", "n02"):
            (tmp_path / "imagenet" / split / label).mkdir(parents=True)
            for index in range(count):
                as_pil(images()[index % 5]).save(tmp_path / "imagenet" / split / label / f"{index}.JPEG")
    monkeypatch.setitem(imagenet.DATASETS, "ImageNet", {**imagenet.DATASETS["ImageNet"], "classes": 2})
    monkeypatch.setattr("benchmark.training.batches.WORKERS", 2)
    return imagenet.load("ImageNet", tmp_path)


LARGE = {"crop": [0.08, 1.0], "randaugment": "rand-m10-n4-p1-inc1", "eval_crop": 1.0, "batch_size": 4}  # m10: posterizes to 0 bits


def streamed(data, **changed):
    return Batches(data, {**RECIPE, **LARGE, **changed}, 2, [3, 24, 24], torch.device("cpu"), 0)


def test_streamed_batches_repeat_from_any_step(photographs):
    whole = list(streamed(photographs).train(1))
    assert len(whole) == 6 and whole[0][0].shape == (4, 3, 24, 24) and whole[0][1].shape == (4, 2)
    assert equal(whole[3:], streamed(photographs).train(1, start=3))
    assert not torch.equal(whole[0][0], next(streamed(photographs).train(2))[0])


def test_a_streamed_test_set_is_in_order(photographs):
    shown = list(streamed(photographs).test())
    assert torch.cat([labels for _, labels in shown]).tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.equal(shown[0][0], next(streamed(photographs).test())[0])


def test_pillow_lets_timm_posterize_to_no_bits():
    transform = create_transform(32, is_training=True, use_prefetcher=True, auto_augment="rand-m10-n1-p1-inc1")
    augment.mend(transform)
    (policy,) = (step for step in transform.transforms if isinstance(step, auto_augment.RandAugment))
    (posterize,) = (operation for operation in policy.ops if operation.name == "PosterizeIncreasing")
    assert as_tensor(posterize(as_pil(images()[0]))).max() == 0
    posterize.magnitude = 5
    assert torch.equal(as_tensor(posterize(as_pil(images()[0]))), images()[0] & 0b11000000)


def test_large_images_refuse_a_list_of_operations(photographs):
    with pytest.raises(UserError, match="randaugment_ops"):
        streamed(photographs, randaugment_ops=["Rotate"])


def test_mixup_refuses_an_odd_batch(few_digits):
    with pytest.raises(UserError, match="mixup needs an even batch size, not 15"):
        batches(few_digits, batch_size=15)
