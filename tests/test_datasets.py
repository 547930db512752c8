"""Data sets: stand-ins that are the same everywhere, real ones read whole or refused in one line."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from benchmark import datasets
from benchmark.datasets import cifar, digits
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError
from benchmark.workflow.command import main

CHECKSUMS = {
    "digits": "c45324a40f248440fec50ff308966751c7d71df9eb6e458fa5d9c2cff0f0417b",
    "digit-pairs": "3d276971e3f2986980bc9a6cdf18fe0885e4e2d8c6b41878a127280e99bf084b",
    "large-digits": "dc4fba89869e81609f1c6030b6389920379dad24581cc6323a1af4fe47477fcc",
    "digit-triples": "debfe2602f17bf199724d06f9859f8026bec7f9ee3ef9e0f68a277c3ef392993",
}
STAND_INS = list(CHECKSUMS)
REAL = {"CIFAR10", "CIFAR100", "ImageNet"}


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_the_same_on_every_machine(name):
    assert datasets.load(name, Path()).checksum == CHECKSUMS[name]


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_as_declared(name):
    entry, data = digits.DATASETS[name], datasets.load(name, Path())
    for split, count in ((data.train, entry["train"]), (data.test, entry["test"])):
        assert split.images.shape == (count, *entry["image"]) and split.images.dtype == torch.uint8
        counts = torch.bincount(split.labels, minlength=entry["classes"])
        assert len(counts) == entry["classes"] and counts.max() - counts.min() <= 1
    values = data.train.images.float() / 255
    assert torch.allclose(values.mean((0, 2, 3)), torch.tensor(data.mean), atol=1e-4)
    assert torch.allclose(values.transpose(0, 1).flatten(1).std(1), torch.tensor(data.std), atol=1e-4)


@pytest.mark.parametrize("name", STAND_INS)
def test_train_and_test_are_composed_of_disjoint_digits(name, monkeypatch):
    sources = []
    compose = digits.compose
    monkeypatch.setattr(digits, "compose", lambda glyphs, *rest, **seed: sources.append(glyphs) or compose(glyphs, *rest, **seed))
    digits.load(name, Path())
    train, test = ({glyph.tobytes() for glyph in glyphs} for glyphs in sources)
    assert len(train) + len(test) > 1700 and not train & test
    assert len(sources[1]) == digits.TEST_SOURCES


def test_a_composed_number_shows_its_digits():
    """Without colours and noise, each slot of an image holds one glyph of its digit."""
    glyphs = np.stack([np.full((8, 8), (digit + 1) / 10) for digit in range(10)])
    images = digits.compose(glyphs, np.arange(10), digits.DATASETS["digit-triples"], 50, seed=0)
    for image, label in zip(images.images.float().mean(1), images.labels.tolist(), strict=True):
        shown = [(int(digit), image[12:20, 10 * place + 2 : 10 * place + 8].mean()) for place, digit in enumerate(f"{label:03d}")]
        assert all(shade < other for digit, shade in shown for higher, other in shown if digit < higher)


def test_a_stand_in_never_has_a_real_name():
    declared = {name: file.tables["DATASETS"][name] for name, file in catalogue.datasets().items()}
    real = {name for name, entry in declared.items() if not entry["stand_in"]}
    assert real >= REAL
    assert {name for name, entry in declared.items() if entry["stand_in"]} == set(STAND_INS)
    assert not any(other.lower() in name.lower() for name in STAND_INS for other in real)


def test_an_unknown_data_set_is_named_with_its_neighbours():
    with pytest.raises(UserError) as error:
        datasets.load("CIFAR-10", Path())
    assert "unknown data set 'CIFAR-10'" in one_line(error) and "CIFAR10" in one_line(error)


@pytest.fixture
def small_cifar(tmp_path, monkeypatch):
    """A CIFAR-10 of made-up files, 20 images each, with torchvision's list of checksums changed to theirs."""
    kind = torchvision.datasets.CIFAR10
    folder = tmp_path / "cifar10" / kind.base_folder
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    def batch(name):
        return [name, write(name, {"data": draw.integers(0, 256, (20, 3072), np.uint8), "labels": draw.integers(0, 10, 20).tolist()})]

    monkeypatch.setattr(kind, "train_list", [batch(f"data_batch_{k}") for k in range(1, 6)])
    monkeypatch.setattr(kind, "test_list", [batch("test_batch")])
    names = {"label_names": [str(k) for k in range(10)]}
    monkeypatch.setattr(kind, "meta", {"filename": "batches.meta", "key": "label_names", "md5": write("batches.meta", names)})
    return tmp_path


def test_cifar_is_read_as_it_lies_in_the_files(small_cifar):
    data = datasets.load("CIFAR10", small_cifar)
    assert data.train.images.shape == (100, 3, 32, 32) and data.train.images.dtype == torch.uint8 and len(data.test) == 20
    stored = pickle.loads((small_cifar / "cifar10/cifar-10-batches-py/test_batch").read_bytes())
    assert np.array_equal(data.test.images.flatten(1).numpy(), stored["data"]) and data.test.labels.tolist() == stored["labels"]
    assert (data.mean, data.std) == cifar.STATISTICS["CIFAR10"] and not data.streams
    assert data.checksum == datasets.checksum(data.train, data.test)


def test_cifar_may_lie_in_the_root_itself(small_cifar):
    assert datasets.load("CIFAR10", small_cifar / "cifar10").checksum == datasets.load("CIFAR10", small_cifar).checksum


def test_missing_cifar_names_files_folder_and_command(tmp_path, small_cifar):
    for name, file in (("CIFAR100", "train"), ("CIFAR10", "data_batch_3")):
        if name == "CIFAR10":
            (small_cifar / "cifar10/cifar-10-batches-py" / file).unlink()
        with pytest.raises(UserError) as error:
            datasets.load(name, tmp_path)
        text = one_line(error)
        assert file in text and str(tmp_path / name.lower()) in text
        assert f"python -m benchmark download {name} --data-root {tmp_path}" in text


def test_a_damaged_cifar_file_is_named_with_both_checksums(small_cifar):
    path = small_cifar / "cifar10/cifar-10-batches-py/data_batch_2"
    official = torchvision.datasets.CIFAR10.train_list[1][1]
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        datasets.load("CIFAR10", small_cifar)
    found = hashlib.md5(content).hexdigest()
    assert str(path) in one_line(error) and found in one_line(error) and official in one_line(error) and found != official


def test_missing_imagenet_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as error:
        datasets.load("ImageNet", tmp_path)
    assert str(tmp_path / "imagenet") in one_line(error) and "train/ has 0 class folders, 1000 are needed" in one_line(error)
    for index in range(1000):
        (tmp_path / "imagenet/train" / f"n{index:08d}").mkdir(parents=True)
    (tmp_path / "imagenet/val/n00000000").mkdir(parents=True)
    with pytest.raises(UserError, match="val/ has 1 class folders"):
        datasets.load("ImageNet", tmp_path)


def test_imagenet_validation_folders_must_be_those_of_training(tmp_path):
    """torchvision numbers the classes of each split by its own folder names."""
    for index in range(1000):
        (tmp_path / "imagenet/train" / f"n{index:08d}").mkdir(parents=True)
        (tmp_path / "imagenet/val" / f"n{index + 1:08d}").mkdir(parents=True)
    with pytest.raises(UserError, match="n00000000"):
        datasets.load("ImageNet", tmp_path)


def test_imagenets_checksum_follows_names_and_sizes(tmp_path, monkeypatch):
    from benchmark.datasets import imagenet

    monkeypatch.setitem(imagenet.DATASETS, "ImageNet", {**imagenet.DATASETS["ImageNet"], "classes": 1})
    for split in ("train", "val"):
        (tmp_path / "imagenet" / split / "n01").mkdir(parents=True)
    image = tmp_path / "imagenet/train/n01/a.JPEG"
    image.write_bytes(b"12")
    data = datasets.load("ImageNet", tmp_path)
    assert data.streams and data.test == tmp_path / "imagenet/val"
    image.write_bytes(b"34")
    assert datasets.load("ImageNet", tmp_path).checksum == data.checksum
    image.write_bytes(b"123")
    assert datasets.load("ImageNet", tmp_path).checksum != data.checksum


def test_what_cannot_be_downloaded_is_said(capsys):
    assert main(["download", "ImageNet"]) == 2
    assert "ImageNet cannot be fetched" in capsys.readouterr().err
    assert main(["download", "CIFAR11"]) == 2
    assert "CIFAR10 or CIFAR100" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "classes"), [("CIFAR10", 10), ("CIFAR100", 100)])
@pytest.mark.skipif("SPIKELEDGER_DATA" not in os.environ, reason="needs the real data: set SPIKELEDGER_DATA to the folder of both CIFARs")
def test_the_real_cifars(name, classes):
    data = datasets.load(name, Path(os.environ["SPIKELEDGER_DATA"]))
    assert len(data.train) == 50000 and torch.bincount(data.train.labels).tolist() == [50000 // classes] * classes
    assert len(data.test) == 10000 and torch.bincount(data.test.labels).tolist() == [10000 // classes] * classes
    values = data.train.images.transpose(0, 1).flatten(1).double() / 255
    for found, official in zip((values.mean(1), values.std(1)), cifar.STATISTICS[name], strict=True):
        # the customary values of CIFAR100 are off in the fourth digit
        assert torch.allclose(found, torch.tensor(official, dtype=torch.double), atol=3e-4)
