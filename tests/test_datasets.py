"""Data sets: stand-ins that are the same everywhere, real ones read whole or refused in one line."""

import hashlib
import os
import pickle
from functools import cache
from pathlib import Path

import helpers
import numpy as np
import pytest
import torch
import torchvision.datasets

from benchmark import datasets
from benchmark.datasets import cifar, digits, imagenet
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError
from benchmark.training.batches import Batches, load
from benchmark.training.forms import FORMS
from benchmark.training.forms._base import seed_everything
from benchmark.training.forms.events import framed
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


# ---- contracts, for every file in benchmark/datasets by its being there

FOLDER = catalogue.FOLDERS["data set"]
FILES = [*sorted(catalogue.files("data set").values()), catalogue.FOLDERS["data set"] / "_template.py"]
NAMES = [(path, name) for path in FILES for name in catalogue.declared(path).tables["DATASETS"]]
HERE = Path(os.environ.get("SPIKELEDGER_DATA", helpers.ROOT / "data"))

each = pytest.mark.parametrize(("path", "name"), NAMES, ids=[name for _, name in NAMES])


def entry_of(path, name):
    """A specification's `data`."""
    return {"name": name, "file": f"benchmark/datasets/{path.name}", **catalogue.declared(path).tables["DATASETS"][name]}


@cache
def loaded(path, name):
    """The data set, skipped where it is a real one whose files are not here."""
    try:
        return load(entry_of(path, name), HERE)
    except UserError as error:
        if entry_of(path, name)["stand_in"]:
            raise
        pytest.skip(str(error))


def splits_of(path, name):
    data, entry = loaded(path, name), entry_of(path, name)
    if entry["form"] == "folder":
        pytest.skip("pictures in a folder are not read here")
    return data, entry, {"train": framed(data.train, 4), "test": framed(data.test, 4)}


@each
def test_a_data_set_is_declared_whole(path, name):
    entry = entry_of(path, name)
    assert entry["form"] in FORMS and isinstance(entry["stand_in"], bool)
    assert all(isinstance(entry[key], int) and entry[key] > 0 for key in ("classes", "train", "test"))
    assert len(entry["shape"]) == 3 and all(isinstance(side, int) and side > 0 for side in entry["shape"])
    assert any(entry["layout"] in catalogue.declared(family).tables["LAYOUTS"] for family in catalogue.files("backbone").values())
    assert len(catalogue.declared(path).doc) > 100


@each
def test_a_data_set_is_as_declared(path, name):
    _, entry, splits = splits_of(path, name)
    for split, found in splits.items():
        steps = found.images.shape[1:-3]
        assert found.images.shape == (entry[split], *steps, *entry["shape"]) and len(steps) == (entry["form"] == "events")
        assert found.images.dtype in ((torch.uint8,) if entry["form"] == "images" else (torch.uint8, torch.float16, torch.float32))
        assert found.labels.dtype == torch.int64 and found.labels.shape == (entry[split],)
        assert found.labels.min() >= 0 and found.labels.max() < entry["classes"]
    assert len(splits["train"].labels.unique()) == entry["classes"]


@each
def test_a_data_set_is_the_same_every_time_and_its_checksum_that_of_its_bytes(path, name):
    data, entry, splits = splits_of(path, name)
    seed_everything(1, 2, 3)  # nobody else's random numbers
    again = load(entry, HERE)
    assert data.checksum == again.checksum
    if hasattr(data.train, "images"):
        assert data.checksum == datasets.checksum(again.train, again.test)
        changed = datasets.Images(data.test.images, data.test.labels.flip(0))
        assert datasets.checksum(data.train, changed) != data.checksum != datasets.checksum(data.test, data.train)
    for split, found in splits.items():
        other = framed(getattr(again, split), 4)
        assert torch.equal(found.images, other.images) and torch.equal(found.labels, other.labels)


@each
def test_no_test_image_is_a_training_image(path, name):
    _, entry, splits = splits_of(path, name)
    if not entry["stand_in"]:
        pytest.skip("a real data set is as it is")
    train, test = ({image.numpy().tobytes() for image in found.images.contiguous()} for found in splits.values())
    assert not train & test


@each
def test_a_data_set_gives_batches_as_its_form_says(path, name):
    data, entry, splits = splits_of(path, name)
    steps = splits["train"].images.shape[1] if entry["form"] == "events" else 3
    batches = Batches(data, {**helpers.RECIPE, "batch_size": 8}, entry, steps, torch.device("cpu"), 0)
    images, targets, _ = next(batches.train(0))
    assert images.shape == ((steps, 8) if entry["form"] == "events" else (8,)) + tuple(entry["shape"]) and images.dtype == torch.float32
    assert targets.shape == (8, entry["classes"]) and batches.form.axis == (entry["form"] == "events")
    if entry["form"] == "images":
        values = data.train.images.float() / 255
        assert torch.allclose(values.mean((0, 2, 3)), torch.tensor(data.mean), atol=3e-4)
        assert torch.allclose(values.transpose(0, 1).flatten(1).std(1), torch.tensor(data.std), atol=3e-4)
    else:
        assert (data.mean, data.std) == ((), ())


def test_tables_are_offered_every_file_but_those_with_an_underscore():
    assert set(catalogue.datasets()) == {name for path, name in NAMES if not path.stem.startswith("_")}
    assert "bars" not in catalogue.datasets() and ("bars" in dict(zip([n for _, n in NAMES], NAMES, strict=True)))


def test_a_stand_in_never_has_a_real_name():
    names = {name: entry_of(path, name)["stand_in"] for path, name in NAMES}
    assert {name for name, stand_in in names.items() if not stand_in} >= REAL and set(STAND_INS) <= {n for n, s in names.items() if s}
    assert len(names) == len(NAMES), "one name, one data set"
    assert not any(real.lower() in name.lower() for name, stand_in in names.items() if stand_in for real in REAL)


def test_the_template_of_a_folder(tmp_path):

    entry = helpers.data("bar-files")
    with pytest.raises(
        UserError, match=f"bar-files is not in {tmp_path}/bar-files: put its pictures into {tmp_path}/bar-files/train/<class>/"
    ):
        load(entry, tmp_path)
    helpers.bar_files(tmp_path)
    spec = helpers.specification(data=entry, network=helpers.network("ann-resnet"), time_steps=1, recipe={"epochs": 1, "crop": [0.5, 1.0]})
    metrics = helpers.run(spec, tmp_path / "runs" / "x" / "seed0", data_root=tmp_path)
    assert metrics["images"] == {"train": 64, "test": 32} and metrics["data_checksum"] == datasets.listing(tmp_path / "bar-files")


# ---- the stand-ins of digits


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_is_the_same_on_every_machine(name):
    assert loaded(FOLDER / "digits.py", name).checksum == CHECKSUMS[name]


@pytest.mark.parametrize("name", STAND_INS)
def test_classes_of_a_stand_in_are_balanced(name):
    data = loaded(FOLDER / "digits.py", name)
    for split in (data.train, data.test):
        counts = torch.bincount(split.labels, minlength=digits.DATASETS[name]["classes"])
        assert counts.max() - counts.min() <= 1


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


def test_an_unknown_data_set_is_named_with_its_neighbours():
    with pytest.raises(UserError) as error:
        catalogue.dataset("CIFAR-10")
    assert "unknown data set 'CIFAR-10'" in one_line(error) and "CIFAR10" in one_line(error)


# ---- real ones


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
    data = cifar.load("CIFAR10", small_cifar)
    assert data.train.images.shape == (100, 3, 32, 32) and data.train.images.dtype == torch.uint8 and len(data.test) == 20
    stored = pickle.loads((small_cifar / "cifar10/cifar-10-batches-py/test_batch").read_bytes())
    assert np.array_equal(data.test.images.flatten(1).numpy(), stored["data"]) and data.test.labels.tolist() == stored["labels"]
    assert (data.mean, data.std) == cifar.STATISTICS["CIFAR10"]
    assert data.checksum == datasets.checksum(data.train, data.test)


def test_what_is_held_out_is_the_end_of_the_training_set(small_cifar, monkeypatch):
    monkeypatch.setitem(cifar.DATASETS["CIFAR10-held-out"], "train", 90)
    whole, data = cifar.load("CIFAR10", small_cifar), cifar.load("CIFAR10-held-out", small_cifar)
    assert torch.equal(torch.cat([data.train.images, data.test.images]), whole.train.images) and len(data.test) == 10
    assert torch.equal(torch.cat([data.train.labels, data.test.labels]), whole.train.labels) and data.checksum != whole.checksum


def test_statistics_are_the_official_configurations():
    """Typed from them, not read: a changed digit here or there has to be meant."""
    assert cifar.STATISTICS["CIFAR10"] == ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616))
    assert cifar.STATISTICS["CIFAR100"] == ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
    assert imagenet.STATISTICS == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_cifar_may_lie_in_the_root_itself(small_cifar):
    assert cifar.load("CIFAR10", small_cifar / "cifar10").checksum == cifar.load("CIFAR10", small_cifar).checksum


def test_missing_cifar_names_files_folder_and_command(tmp_path, small_cifar):
    for name, file in (("CIFAR100", "train"), ("CIFAR10", "data_batch_3")):
        if name == "CIFAR10":
            (small_cifar / "cifar10/cifar-10-batches-py" / file).unlink()
        with pytest.raises(UserError) as error:
            cifar.load(name, tmp_path)
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
        cifar.load("CIFAR10", small_cifar)
    found = hashlib.md5(content).hexdigest()
    assert str(path) in one_line(error) and found in one_line(error) and official in one_line(error) and found != official


def test_missing_imagenet_says_what_to_put_where(tmp_path):
    with pytest.raises(UserError) as error:
        imagenet.load("ImageNet", tmp_path)
    assert str(tmp_path / "imagenet") in one_line(error) and "train/ has 0 class folders, 1000 are needed" in one_line(error)
    for index in range(1000):
        (tmp_path / "imagenet/train" / f"n{index:08d}").mkdir(parents=True)
    (tmp_path / "imagenet/val/n00000000").mkdir(parents=True)
    with pytest.raises(UserError, match="val/ has 1 class folders"):
        imagenet.load("ImageNet", tmp_path)


def test_imagenet_validation_folders_must_be_those_of_training(tmp_path):
    """torchvision numbers the classes of each split by its own folder names."""
    for index in range(1000):
        (tmp_path / "imagenet/train" / f"n{index:08d}").mkdir(parents=True)
        (tmp_path / "imagenet/val" / f"n{index + 1:08d}").mkdir(parents=True)
    with pytest.raises(UserError, match="n00000000"):
        imagenet.load("ImageNet", tmp_path)


def test_imagenets_checksum_follows_names_and_sizes(tmp_path, monkeypatch):
    monkeypatch.setitem(imagenet.DATASETS, "ImageNet", {**imagenet.DATASETS["ImageNet"], "classes": 1})
    for split in ("train", "val"):
        (tmp_path / "imagenet" / split / "n01").mkdir(parents=True)
    image = tmp_path / "imagenet/train/n01/a.JPEG"
    image.write_bytes(b"12")
    data = imagenet.load("ImageNet", tmp_path)
    assert data.test == tmp_path / "imagenet/val"
    image.write_bytes(b"34")
    assert imagenet.load("ImageNet", tmp_path).checksum == data.checksum
    image.write_bytes(b"123")
    assert imagenet.load("ImageNet", tmp_path).checksum != data.checksum


def test_what_cannot_be_downloaded_is_said(capsys):
    assert main(["download", "ImageNet"]) == 2
    assert "ImageNet cannot be fetched" in capsys.readouterr().err
    assert main(["download", "CIFAR11"]) == 2
    assert "CIFAR10 or CIFAR100" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "classes"), [("CIFAR10", 10), ("CIFAR100", 100)])
@pytest.mark.skipif("SPIKELEDGER_DATA" not in os.environ, reason="needs the real data: set SPIKELEDGER_DATA to the folder of both CIFARs")
def test_the_real_cifars(name, classes):
    data = cifar.load(name, Path(os.environ["SPIKELEDGER_DATA"]))
    assert len(data.train) == 50000 and torch.bincount(data.train.labels).tolist() == [50000 // classes] * classes
    assert len(data.test) == 10000 and torch.bincount(data.test.labels).tolist() == [10000 // classes] * classes
    values = data.train.images.transpose(0, 1).flatten(1).double() / 255
    for found, official in zip((values.mean(1), values.std(1)), cifar.STATISTICS[name], strict=True):
        # the customary values of CIFAR100 are off in the fourth digit
        assert torch.allclose(found, torch.tensor(official, dtype=torch.double), atol=3e-4)


def test_real_data_sets_are_declared_as_they_are_published():
    """Classes, shape, training and test images: Krizhevsky 2009; Amir et al. 2017 (1,176 and 288 clips); Li et al. 2017, 90 % of each class."""
    entries = {name: catalogue.dataset(name)[0] for name in ("CIFAR10", "CIFAR100", "DVS128", "CIFAR10-DVS", "ImageNet")}
    found = {name: (entry["classes"], entry["shape"], entry["train"], entry["test"]) for name, entry in entries.items()}
    assert found == {
        "CIFAR10": (10, [3, 32, 32], 50000, 10000),
        "CIFAR100": (100, [3, 32, 32], 50000, 10000),
        "DVS128": (11, [2, 128, 128], 1176, 288),
        "CIFAR10-DVS": (10, [2, 128, 128], 9000, 1000),
        "ImageNet": (1000, [3, 224, 224], 1281167, 50000),
    }
