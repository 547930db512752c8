"""Pictures of a pre-training: its decoder is kept and checked, and what is drawn are the right patches, against a slow loop over them."""

import csv

import helpers
import pytest
import torch
from PIL import Image

from benchmark.backbones import spikformer_v2
from benchmark.datasets import digits
from benchmark.networks import build as networks
from benchmark.networks.masking import MaskedEncoder, draw
from benchmark.networks.reconstruction import Decoder
from benchmark.pins import recipes
from benchmark.shared.errors import UserError
from benchmark.shared.files import read_sealed, sha256
from benchmark.training import pictures
from benchmark.training.forms._base import seed_everything
from benchmark.workflow import command

SIDE, GRID, SHOWN = 8, 4, 12  # pixels along a patch, patches along an image, images
DIM = 64  # of the encoder: with fewer it would be silent after so few steps
DECODER = {"depth": 1, "width": 32, "heads": 4}


@pytest.fixture(scope="module", params=["patch", "image"])
def run(request, tmp_path_factory):
    """The folder of a short pre-training on 32 x 32 images, and its target."""
    spec = helpers.specification(
        method=helpers.method("mae-pretrain", "mae_pretrain", target=request.param, **DECODER),
        network={**helpers.network("spikformer"), "file": "benchmark/backbones/spikformer_v2.py"}
        | {"size": {"depth": 1, "dim": DIM, "heads": 4, "shortcut": "add", "scale": 1.0, "patch": SIDE}}
        | {"layout": spikformer_v2.LAYOUTS["imagenet"]},
        data=helpers.data("large-digits", "digits"),
        time_steps=1,
        recipe={"batch_size": 32, "epochs": 2, "lr": 1e-2},
    )
    out = tmp_path_factory.mktemp("run") / "mae-pretrain" / "seed0"
    helpers.run(spec, out)
    pictures.write(out, out / "pictures", SHOWN, recipes.whole, helpers.ROOT / "data", "cpu", 1)
    return out, request.param


@pytest.fixture(scope="module")
def known(run):
    """By hand: the images as they are stored, [12, 3, 32, 32], which patches are seen, and what the decoder gives, [12, 16, 192]."""
    out, _ = run
    metrics = read_sealed(out / "metrics.json")
    encoder = MaskedEncoder(networks.network(metrics["spec"]), 75).eval()
    encoder.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    decoder = Decoder(DIM, SIDE * SIDE * 3, **DECODER)
    decoder.load_state_dict(torch.load(out / "parts.pt", weights_only=True))
    stored = digits.load("large-digits", None).test.images[[round(place * 499 / (SHOWN - 1)) for place in range(SHOWN)]]
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in metrics["normalisation"])
    seen = (stored / 255 - mean) / deviation
    seed_everything(0, 0, -2)
    visible = draw(SHOWN, (GRID, GRID), 75)
    with torch.no_grad():
        tokens = encoder.encode(seen, visible)
        assert tokens.tokens.any(3).float().mean() > 0.2  # else the decoder would say the same of every image
        return stored, seen, visible, decoder.eval()(tokens), mean, deviation


def lines(out):
    with (out / "pictures.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def panel(sheet, place, kind):
    """One 32 x 32 image out of the picture, [3, 32, 32]: the `place`-th drawn, its `kind`-th panel."""
    zoom = 3  # 96 / 32
    line, column = divmod(place, 2)
    left = pictures.MARGIN + column * (3 * (96 + pictures.MARGIN) + pictures.MARGIN) + kind * (96 + pictures.MARGIN)
    top = pictures.CAPTION + line * (96 + pictures.MARGIN)
    pixels = [[sheet.getpixel((left + zoom * x + 1, top + zoom * y + 1)) for x in range(32)] for y in range(32)]
    return torch.tensor(pixels).permute(2, 0, 1)


def places():
    return [(row, column, row * GRID + column) for row in range(GRID) for column in range(GRID)]


def test_the_decoder_is_kept_and_named_by_its_checksum(run, tmp_path):
    out, _ = run
    metrics = read_sealed(out / "metrics.json")
    assert metrics["parts"] == sha256(out / "parts.pt") and (out / "parts.pt").stat().st_size < 300_000
    untrained = Decoder(DIM, SIDE * SIDE * 3, **DECODER).state_dict()
    kept = torch.load(out / "parts.pt", weights_only=True)
    assert kept.keys() == untrained.keys() and kept["hidden"].any()
    plain = tmp_path / "direct" / "seed0"
    assert "parts" not in helpers.run(helpers.specification(recipe={"epochs": 0}), plain) and not (plain / "parts.pt").exists()


def test_each_patch_of_the_picture_is_the_right_one(run, known):
    """Seen patches as they are stored; hidden ones gray in the middle, on the right what the decoder gives for that very place."""
    out, target = run
    stored, seen, visible, predicted, mean, deviation = known
    sheet = Image.open(out / "pictures.png")
    gray = (mean * 255).round().view(3, 1, 1)
    for place in range(6):
        index = round(place * (SHOWN - 1) / 5)
        image, masked, filled = (panel(sheet, place, kind) for kind in range(3))
        assert torch.equal(image, stored[index].int())
        for row, column, number in places():
            at = (slice(None), slice(row * SIDE, (row + 1) * SIDE), slice(column * SIDE, (column + 1) * SIDE))
            if visible[index, row, column]:
                assert torch.equal(masked[at], image[at]) and torch.equal(filled[at], image[at])
                continue
            assert (masked[at] == gray).all()
            values = predicted[index, number].view(SIDE, SIDE, 3).permute(2, 0, 1)
            if target == "patch":
                original = seen[index][at]
                values = values * (original.var() + 1e-6).sqrt() + original.mean()
            expected = ((values * deviation[0] + mean[0]).clamp(0, 1) * 255).round()
            assert (filled[at] - expected).abs().max() <= 1 and (filled[at] != image[at]).any()


def test_the_error_is_of_hidden_patches_and_of_these_weights(run, known):
    out, target = run
    _, seen, visible, predicted, *_ = known
    for index, line in enumerate(lines(out)):
        found, plain = [], []
        for row, column, number in places():
            if not visible[index, row, column]:
                wanted = seen[index][:, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
                if target == "patch":
                    wanted = (wanted - wanted.mean()) / (wanted.var() + 1e-6).sqrt()
                found.append((predicted[index, number] - wanted.permute(1, 2, 0).flatten()).square().mean())
                plain.append(wanted.square().mean())
        assert len(found) == 12
        assert float(line["error"]) == pytest.approx(torch.stack(found).mean().item(), abs=1e-4)
        assert float(line["error_of_mean"]) == pytest.approx(torch.stack(plain).mean().item(), abs=1e-4)


def test_a_decoder_that_has_learned_is_better_than_one_that_has_not(run, known):
    """Which weights are loaded decides: with those that were drawn the error is another, and larger."""
    out, _ = run
    _, seen, visible, predicted, *_ = known
    torch.manual_seed(1)
    fresh = Decoder(DIM, SIDE * SIDE * 3, **DECODER)
    encoder = MaskedEncoder(networks.network(read_sealed(out / "metrics.json")["spec"]), 75).eval()
    encoder.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    with torch.no_grad():
        drawn = fresh(encoder.encode(seen, visible))
    hidden = ~visible.flatten(1)
    wanted = seen.unflatten(3, (GRID, SIDE)).unflatten(2, (GRID, SIDE)).permute(0, 2, 4, 3, 5, 1).reshape(SHOWN, 16, -1)
    if run[1] == "patch":
        wanted = (wanted - wanted.mean(2, keepdim=True)) / (wanted.var(2, keepdim=True) + 1e-6).sqrt()
    trained, untrained = ((values - wanted)[hidden].square().mean() for values in (predicted, drawn))
    mean = sum(float(line["error"]) for line in lines(out)) / SHOWN
    assert mean == pytest.approx(trained.item(), abs=1e-4) and mean < 0.95 * untrained.item()


def test_hidden_patches_are_of_the_image_the_decoder_saw_nothing_of(run, known):
    """Other pixels under the mask: the same prediction."""
    out, _ = run
    _, seen, visible, predicted, *_ = known
    metrics = read_sealed(out / "metrics.json")
    encoder = MaskedEncoder(networks.network(metrics["spec"]), 75).eval()
    encoder.load_state_dict(torch.load(out / "weights.pt", weights_only=True))
    decoder = Decoder(DIM, SIDE * SIDE * 3, **DECODER).eval()
    decoder.load_state_dict(torch.load(out / "parts.pt", weights_only=True))
    shown = visible.repeat_interleave(SIDE, 1).repeat_interleave(SIDE, 2).unsqueeze(1)
    with torch.no_grad():
        assert torch.equal(decoder(encoder.encode(torch.where(shown, seen, 9.0), visible)), predicted)


def test_the_command_draws_where_it_is_told(run, tmp_path, capsys):
    out, _ = run
    assert command.main(["pictures", str(out), "--out", str(tmp_path / "x.png"), "--images", "3", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "3 test images of large-digits, error " in said and ", error_of_mean " in said
    assert Image.open(tmp_path / "x.png").size[0] == Image.open(out / "pictures.png").size[0]
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [line["image"] for line in csv.DictReader(file)] == ["0", "250", "499"]


def test_what_cannot_be_drawn_is_said_in_one_line(run, tmp_path):
    import shutil

    out, target = run
    copy = tmp_path / "mae-pretrain" / "seed0"
    shutil.copytree(out, copy)
    (copy / "parts.pt").write_bytes((out / "parts.pt").read_bytes()[:-9] + b"other bytes")
    with pytest.raises(UserError, match=r"parts.pt is not what its run wrote: its checksum is \w+, metrics.json has \w+; run it again$"):
        pictures.write(copy, copy / "pictures", 3, recipes.whole, tmp_path, "cpu", 1)
    (copy / "parts.pt").unlink()
    with pytest.raises(UserError, match=r"parts.pt cannot be read \(No such file"):
        pictures.write(copy, copy / "pictures", 3, recipes.whole, tmp_path, "cpu", 1)
    plain = tmp_path / "direct" / "seed0"
    helpers.run(helpers.specification(recipe={"epochs": 0}), plain)
    with pytest.raises(UserError, match="direct on bars leaves nothing to draw"):
        pictures.write(plain, plain / "pictures", 3, recipes.whole, tmp_path, "cpu", 1)


def test_the_same_run_gives_the_same_picture(run, tmp_path):
    out, _ = run
    pictures.write(out, tmp_path / "again", SHOWN, recipes.whole, helpers.ROOT / "data", "cpu", 1)
    for kind in ("png", "csv"):
        assert (tmp_path / f"again.{kind}").read_bytes() == (out / f"pictures.{kind}").read_bytes()
