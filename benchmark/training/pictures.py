"""What a method that keeps its trained parts makes of test images, as a picture to look at and as numbers, from a finished run."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from benchmark.networks import build as network
from benchmark.shared.errors import UserError
from benchmark.shared.files import replacing, write_csv
from benchmark.training import device as devices
from benchmark.training.batches import Batches, load
from benchmark.training.forms._base import seed_everything
from benchmark.training.run import method_of

MARGIN, CAPTION = 4, 14  # pixels between images, and above all of them for the names
SIDE = 96  # pixels that an image has at least, each of its own drawn as a square
ACROSS = 2  # images in a line, each with all that is made of it


def write(run: Path, out: Path, images: int, whole: Callable, data_root: Path, device_name: str, threads: int) -> str:
    """<out>.png with some of the images, and <out>.csv, a line for each of all; returns what was found, readable.

    images: how many test images, taken evenly from all. whole: gives a specification's recipe with the neutral values filled in.
    UserError: a run that is not finished, is damaged, or keeps nothing to draw with.
    """
    device = devices.choose(device_name)[0]
    devices.prepare(device, threads)
    student, metrics = network.finished(run, device)
    spec = metrics["spec"]
    method = method_of(spec)
    if not method.keeps or spec["data"]["form"] == "events":
        raise UserError(f"{run}: {spec['method']['name']} on {spec['data']['name']} leaves nothing to draw")
    network.written(run, "parts")
    student = method.start(student, {}, iter(())).eval()
    parts = network.load_weights(method.parts(student, None), run / "parts.pt", device)
    data, recipe = load(spec["data"], data_root), whole(spec["recipe"])
    with closing(
        Batches(data, recipe, spec["data"], spec["time_steps"], device, 0, threads, network.published(spec["network"]))
    ) as batches:
        form = batches.form
        order = torch.linspace(0, form.test_count - 1, min(images, form.test_count)).round().long()
        stored, labels = form.shown(order)
        seed_everything(0, 0, -2)
        with torch.no_grad():
            drawn, numbers = method.pictures(student, parts, form.normalise(stored))
        mean, deviation = form.statistics
    lines = [
        {"image": int(image), "label": int(label), **{name: round(float(values[place]), 6) for name, values in numbers.items()}}
        for place, (image, label) in enumerate(zip(order, labels, strict=True))
    ]
    write_csv(out.with_name(f"{out.name}.csv"), lines)
    found = {name: (values * deviation + mean).clamp(0, 1).mul(255).round().to(torch.uint8).cpu() for name, values in drawn.items()}
    with replacing(out.with_name(f"{out.name}.png"), "wb") as file:
        sheet(found).save(file, "PNG", optimize=True)
    means = ", ".join(f"{name} {float(values.mean()):.4f}" for name, values in numbers.items())
    return f"{out}.png, {out}.csv: {len(lines)} test images of {spec['data']['name']}, {means}"


def sheet(drawn: dict[str, torch.Tensor], shown: int = 6) -> Image.Image:
    """name -> uint8 [B, C, H, W] as one picture: for `shown` of the images, taken evenly, all that is made of one side by side."""
    count, _, height, width = next(iter(drawn.values())).shape
    chosen = torch.linspace(0, count - 1, min(shown, count)).round().long().tolist()
    zoom = -(-SIDE // max(height, width))
    high, wide, kinds = height * zoom + MARGIN, width * zoom + MARGIN, len(drawn)
    across = min(ACROSS, len(chosen))
    whole = Image.new("RGB", (across * (kinds * wide + MARGIN) + MARGIN, -(-len(chosen) // across) * high + CAPTION + MARGIN), (40, 40, 40))
    pen = ImageDraw.Draw(whole)
    for place, index in enumerate(chosen):
        line, column = divmod(place, across)
        for kind, (name, images) in enumerate(drawn.items()):
            left = MARGIN + column * (kinds * wide + MARGIN) + kind * wide
            if line == 0:
                pen.text((left, 1), name, (220, 220, 220))
            pixels = images[index].expand(3, -1, -1).permute(1, 2, 0).repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
            whole.paste(Image.fromarray(pixels.numpy()), (left, CAPTION + line * high))
    return whole
