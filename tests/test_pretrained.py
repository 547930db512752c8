"""Published weights: loaded as they are, fed as timm feeds them, as accurate as their source states before anyone learns from them."""

from contextlib import closing

import pytest
import timm
import torch
from helpers import RECIPE, ROOT, data, made_up, method, network, run, specification
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config
from timm.models import generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn.functional import interpolate

from benchmark.method import Method, cross_entropy
from benchmark.networks import build as networks
from benchmark.pins import kinds
from benchmark.pins.settings import settings
from benchmark.runs import lines
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_sealed
from benchmark.training.batches import Batches, load

CPU = torch.device("cpu")
FED = {"mean": [0.6, 0.5, 0.4], "std": [0.3, 0.2, 0.1], "crop_pct": 0.8, "crop_mode": "center", "interpolation": "bicubic"}
MADE = {"patch": 8, "dim": 32, "depth": 2, "heads": 4, "resolution": 48, "pretrained": {"tag": "made_vit.made", **FED, "top1": {}}}
PUBLISHED = [found for found in map(kinds.backbone, kinds.backbones()) if found.size.get("pretrained")]

default_cfgs = generate_default_cfgs(
    {"made_vit.made": {**FED, "num_classes": 4, "input_size": (3, 48, 48), "first_conv": "patch_embed.proj", "classifier": "head"}}
)


@register_model
def made_vit(pretrained=False, **options):
    """A ViT that timm knows, in a size for tests."""
    from timm.models import build_model_with_cfg

    options = {"img_size": 48, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, **options}
    return build_model_with_cfg(VisionTransformer, "made_vit", pretrained, **options)


def source() -> nn.Module:
    """timm's own network, with weights that make its answers differ."""
    torch.manual_seed(7)
    module = timm.create_model("made_vit.made").eval()
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() > 1 else 0.1) + float(weight.dim() == 1))
        module.head.bias -= module(interpolate(torch.randn(32, 3, 5, 7), (48, 48), mode="bicubic")).mean(0)  # no class wins always
    return module


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder of the real data sets: wide photographs in classes, and the weights of the made-up ViT."""
    root = tmp_path_factory.mktemp("data")
    torch.manual_seed(1)
    for split, count in (("train", 4), ("val", 6)):
        for label in range(4):
            folder = root / "bar-files" / split / str(label)
            folder.mkdir(parents=True)
            for index in range(count):
                small = (torch.rand(5, 7, 3) * 255).byte().numpy()
                Image.fromarray(small).resize((90, 64), Image.BICUBIC).save(folder / f"{index}.jpg", quality=95)
    (root / "weights").mkdir()
    save_file(source().state_dict(), root / "weights" / "made_vit.made.safetensors")
    return root


def large(**published) -> dict:
    """The specification's `network` of the made-up ViT."""
    return {**network("vit"), "size": {**MADE, "pretrained": {**MADE["pretrained"], **published}}}


def teaching(published=None, entry=None, **recipe) -> dict:
    """A run of the published weights as they are."""
    recipe = {"epochs": 0, "pretrained": True, "crop": [1.0, 1.0], "eval_crop": None, "batch_size": 8, **recipe}
    return specification(network=large(**(published or {})), data=entry or data("bar-files"), time_steps=1, recipe=recipe)


def photographs(root, config) -> torch.Tensor:
    """The test pictures as timm's own evaluation shows them."""
    transform = create_transform(**config)
    return torch.stack([transform(Image.open(path)) for path in sorted((root / "bar-files" / "val").glob("*/*"))])


def fed(spec, root) -> torch.Tensor:
    """The test images of a run."""
    entry, published = spec["data"], networks.published(spec["network"])
    with closing(Batches(load(entry, root), {**RECIPE, **spec["recipe"]}, entry, 1, CPU, 0, 1, published)) as batches:
        return torch.cat([images for images, _ in batches.test()])


# ---- what is declared


@pytest.mark.parametrize("backbone", PUBLISHED, ids=lambda backbone: backbone.name)
def test_what_published_weights_are_fed_is_what_timm_says(backbone):
    size = backbone.size
    declared = dict(size["pretrained"])
    found = timm.get_pretrained_cfg(declared.pop("tag"))
    assert found.num_classes == 1000 and found.input_size == (3, size["resolution"], size["resolution"])
    assert set(declared.pop("top1")) <= {"ImageNet"}
    assert declared == {key: list(value) if isinstance(value := getattr(found, key), tuple) else value for key in FED}
    assert not backbone.twin["pretrained"]


def test_there_are_published_weights():
    assert {backbone.name for backbone in PUBLISHED} >= {"vit-s-16", "vit-b-16", "vit-l-16", "vit-l-32", "eva-g-14"}


@pytest.mark.parametrize("backbone", PUBLISHED, ids=lambda backbone: backbone.name)
def test_a_backbone_is_the_network_of_its_weights(backbone):
    """Name by name and shape by shape; on the meta device, which holds no values."""
    with torch.device("meta"):
        theirs = timm.create_model(backbone.size["pretrained"]["tag"])
        spec = {"file": backbone.family.file, "size": backbone.size, "layout": backbone.layout("imagenet"), "neuron": {}}
        ours = networks.build(spec, 1000, [3, 224, 224], 1).transformer
    assert {name: value.shape for name, value in ours.state_dict().items()} == {n: v.shape for n, v in theirs.state_dict().items()}


def test_published_weights_of_ldd_are_fed_as_timm_says():
    """No value of its recipes stands between a teacher and the configuration of its weights; students keep their data's own."""
    found = [one.resolved.spec for one in lines.runs_of(["table1_ldd", "table2_ldd", "table3_ldd"], settings({"scale": "paper"})).values()]
    published = [spec for spec in found if spec["recipe"].get("pretrained")]
    assert {spec["data"]["name"] for spec in published} == {"CIFAR10", "CIFAR100", "ImageNet"}
    for spec in published:
        assert networks.published(spec["network"]) and "statistics" not in spec["recipe"]
        assert spec["data"]["form"] != "folder" or spec["recipe"]["eval_crop"] is None
    assert not any(networks.published(spec["network"]) for spec in found if spec not in published)


# ---- what a run of them sees


@pytest.mark.parametrize(
    "published",
    [{}, {"crop_pct": 1.0, "crop_mode": "squash"}, {"interpolation": "bilinear", "std": [0.2, 0.2, 0.2]}],
    ids=["center", "squash", "bilinear"],
)
def test_a_run_of_published_weights_answers_as_timm_does(published, root, tmp_path):
    """The weights of the file, on pictures that timm's own transform shows: not the data set's size, normalisation or crop."""
    spec = teaching(published)
    metrics = run(spec, tmp_path / "runs" / "x" / "seed0", data_root=root)
    wanted = {**FED, **published}
    assert metrics["normalisation"] == [wanted["mean"], wanted["std"]] and metrics["epochs"] == 0
    module, _ = networks.finished(tmp_path / "runs" / "x" / "seed0", CPU)
    shown = photographs(root, resolve_data_config({**wanted, "input_size": (3, 48, 48)}))
    answers = source()(shown)
    images = fed(spec, root)
    torch.testing.assert_close(images, shown, rtol=0, atol=1e-4)
    torch.testing.assert_close(module(images)[0], answers, rtol=1e-4, atol=1e-4)
    right = answers.argmax(1) == torch.arange(4).repeat_interleave(6)
    assert answers.argmax(1).unique().numel() > 1 and metrics["accuracy"] == pytest.approx(100 * right.double().mean().item())


def test_small_images_are_resized_as_timm_resizes_pictures():
    module = networks.build(large(), 4, [3, 16, 16], 1).eval()
    module.transformer.load_state_dict(source().state_dict())
    small = load(data(), ROOT).test.images[:4] // 2 + 64  # nothing is cut off below 0 or above 255
    resized = [Image.fromarray(image.permute(1, 2, 0).numpy()).resize((48, 48), Image.BICUBIC) for image in small]
    shown = torch.stack([torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(48, 48, 3) for image in resized])
    seen = []
    module.transformer.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    module(small.float())
    assert (seen[0] - shown.permute(0, 3, 1, 2)).abs().max() < 1.6  # PIL rounds twice
    bilinear = interpolate(small.float(), (48, 48), mode="bilinear")
    assert (bilinear - shown.permute(0, 3, 1, 2)).abs().max() > 10


def test_a_recipe_may_say_otherwise(root):
    spec = teaching(statistics=[[0.5] * 3, [0.25] * 3], eval_crop=0.5)
    config = {**FED, "mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 0.5, "input_size": (3, 48, 48)}
    torch.testing.assert_close(fed(spec, root), photographs(root, config), rtol=0, atol=1e-4)


def test_a_crop_of_its_own_is_for_published_weights(root):
    spec = specification(data=data("bar-files"), recipe={"crop": [1.0, 1.0], "eval_crop": None})
    with pytest.raises(UserError, match="recipe key 'eval_crop' is null, the network's own, but this network has no published weights"):
        run(spec, root / "runs" / "none" / "seed0", data_root=root)


# ---- as a teacher


class Listening(Method):
    """Plain training that keeps what the teacher answers."""

    params = {}
    needs = {"teacher": {"method": "direct"}}
    heard = []

    def loss(self, student, teacher, target, parts):
        self.heard.append(teacher.logits)
        return {"task": cross_entropy(student.logits.mean(0), target)}


class Starting(Listening):
    """The same with another role above."""

    needs = {"ann": {"method": "direct"}}


@pytest.fixture
def taught(root, tmp_path, monkeypatch):
    """A function that runs a teacher and its student, `role` being the teacher's; gives the student's images and the answers it got."""

    def answers(entry, teacher, student, role="teacher", listener=Listening):
        run(teacher, tmp_path / "runs" / "above" / "seed0", data_root=root)
        monkeypatch.setattr(Listening, "heard", [])
        spec = specification(
            method=made_up(monkeypatch, listener), data=entry, above={role: "above"}, recipe={"epochs": 1, "batch_size": 8, **student}
        )
        run(spec, tmp_path / "runs" / "student" / "seed0", data_root=root)
        with closing(Batches(load(entry, root), {**RECIPE, **spec["recipe"]}, entry, 2, CPU, 0)) as batches:
            return torch.cat([images for images, *_ in batches.train(0)]), torch.cat(Listening.heard, 1)[0]

    return answers


STUDENT = {"crop": [0.5, 1.0], "flip": 0.5, "erasing": 0.5, "mixup": 0.4}


def test_a_teacher_sees_the_students_pictures_as_its_own_are_shown(taught):
    """Augmented, mixed and erased as for the student; of the teacher's size, by the teacher's mean and deviation."""
    entry = data("bar-files")
    images, heard = taught(entry, teaching(), STUDENT)
    own_mean, own_std = (torch.tensor(FED[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    plain = images * 0.25 + 0.5  # bar-files: 0.5 and 0.25
    large = interpolate(plain, (48, 48), mode="bicubic", antialias=True)
    torch.testing.assert_close(heard, source()((large - own_mean) / own_std), rtol=1e-3, atol=1e-3)
    assert images.shape[-1] == 32 and (heard - source()(interpolate(images, (48, 48), mode="bicubic"))).abs().max() > 0.1


@pytest.mark.parametrize("augmentation", [{}, {"flip": 0.5}], ids=["kept", "asked anew"])
def test_any_teacher_is_fed_by_its_own_runs_normalisation(taught, augmentation, tmp_path):
    """A teacher without published weights, whose recipe has other statistics than its student's: none, and so the data set's own."""
    own = [[0.2, 0.3, 0.4], [0.5, 0.6, 0.7]]
    teacher = specification(network=network("ann-resnet"), time_steps=1, recipe={"epochs": 1, "statistics": own})
    images, heard = taught(data(), teacher, {"epochs": 2, **augmentation})
    module, metrics = networks.finished(tmp_path / "runs" / "above" / "seed0", CPU)
    assert metrics["normalisation"] == own
    bars = load(data(), ROOT)
    mean, std, own_mean, own_std = (torch.tensor(value).view(1, 3, 1, 1) for value in (bars.mean, bars.std, *own))
    wanted = module((images * std + mean - own_mean) / own_std)[0]
    torch.testing.assert_close(heard[: len(images)], wanted, rtol=1e-4, atol=1e-4)
    assert (wanted - module(images)[0]).abs().max() > 0.05
    first, second = heard.chunk(2)
    order = [torch.cat(list(Batches(bars, {**RECIPE, "batch_size": 8}, data(), 1, CPU, 0).order(epoch))).argsort() for epoch in (0, 1)]
    assert torch.equal(first[order[0]], second[order[1]]) == (not augmentation)


def test_weights_that_are_taken_over_need_the_images_they_know(taught):
    teacher = specification(network=network("ann-resnet"), time_steps=1, recipe={"epochs": 1, "statistics": [[0.5] * 3, [0.5] * 3]})
    with pytest.raises(UserError, match=r"above/seed0, the ann: its images were normalised by \[\[0.5.*those of this run by \[\[0\."):
        taught(data(), teacher, {}, "ann", Starting)
    taught(data(), teacher, {"statistics": [[0.5] * 3, [0.5] * 3]}, "ann", Alone)


class Alone(Starting):
    """Hears nobody."""

    def loss(self, student, teacher, target, parts):
        self.heard.append(student.logits)
        return {"task": cross_entropy(student.logits.mean(0), target)}


# ---- the accuracy that the source states


@pytest.mark.parametrize(
    ("off", "recipe", "images", "refused"),
    [
        (1.1, {}, 24, True),
        (-1.1, {}, 24, True),
        (0.9, {}, 24, False),
        (40.0, {}, 50, False),  # a part of the test set
        (40.0, {"epochs": 1}, 24, False),  # trained here
        (40.0, {"pretrained": False}, 24, False),
        (40.0, {"statistics": [[0.5] * 3, [0.5] * 3]}, 24, False),  # fed otherwise than the source feeds them
        (40.0, {"eval_crop": 0.7}, 24, False),
        (40.0, {"eval_crop": 0.8}, 24, True),  # its own, stated
    ],
)
def test_nobody_learns_from_published_weights_that_are_not_what_they_should_be(off, recipe, images, refused, root, tmp_path):
    above, entry = tmp_path / "runs" / "above" / "seed0", data("bar-files", test=images)
    spec = teaching(entry=entry, **recipe)
    metrics = run(spec, above, data_root=root)
    metrics["spec"]["network"]["size"]["pretrained"]["top1"] = {"bar-files": round(metrics["accuracy"] + off, 3)}
    write_sealed(above / "metrics.json", metrics)
    student = specification(method=method("skd"), data=entry, above={"teacher": "above"}, recipe={"epochs": 1, "crop": [1.0, 1.0]})
    if not refused:
        run(student, tmp_path / "runs" / "student" / "seed0", data_root=root)
        return
    with pytest.raises(UserError) as error:
        run(student, tmp_path / "runs" / "student" / "seed0", data_root=root)
    said = str(error.value)
    assert "\n" not in said and f"made_vit.made has {metrics['accuracy']:.2f} % on bar-files, and its source states" in said
    assert not (tmp_path / "runs" / "student" / "seed0" / "metrics.json").exists()
