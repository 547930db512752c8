"""The loss around trained weights, in two random directions with filter normalisation (Li et al., NeurIPS 2018, section 4)."""

from pathlib import Path

import torch
from torch import nn

from benchmark.method import cross_entropy
from benchmark.networks import build as network
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv
from benchmark.training import device as devices
from benchmark.training.batches import load
from benchmark.training.forms import FORMS
from benchmark.training.forms._base import Form


def write(run: Path, points: int, images: int, data_root: Path, device_name: str, threads: int) -> None:
    """<run>/surface.csv: a, b and loss on a square grid from -1 to 1, `points` a side, a outermost."""
    if points < 3 or points % 2 == 0:
        raise UserError(f"--points {points}: the grid needs an odd number of points a side, so that the weights lie on it, at least 3")
    device = devices.choose(device_name)[0]
    devices.prepare(device, threads)
    module, metrics = network.finished(run, device)
    spec = metrics["spec"]
    entry, size = spec["data"], spec["recipe"]["batch_size"]
    if entry["form"] == "folder":
        raise UserError(f"a loss surface needs a data set in memory, not the folder of {entry['name']}")
    form = FORMS[entry["form"]](
        load(entry, data_root), spec["recipe"], entry, spec["time_steps"], device, 0, threads, network.published(spec["network"])
    )
    write_csv(run / "surface.csv", surface(module, first_images(form, images, size), points))


def first_images(form: Form, count: int, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first `count` training images without augmentation in batches of `size`, with their labels as probabilities."""
    rows = torch.arange(min(count, form.count)).split(size)
    shown = (raw for row in rows for raw in form.plain(row[None]))
    classes = form.entry["classes"]
    return [(form.arranged(form.normalise(images)), nn.functional.one_hot(labels, classes).float()) for images, labels in shown]


@torch.no_grad()
def surface(module: nn.Module, shown: list, points: int) -> list[dict]:
    """Mean cross-entropy of the time-averaged logits at weights w + a d1 + b d2 for a, b in -1..1; w is put back."""
    weights = list(module.parameters())
    start = [weight.clone() for weight in weights]
    one, two = (direction(weights, seed) for seed in (1, 2))
    steps = torch.linspace(-1, 1, points).tolist()
    lines = []
    for a in steps:
        for b in steps:
            for weight, w, d, e in zip(weights, start, one, two, strict=True):
                weight.copy_(w + a * d + b * e)
            lines.append({"a": round(a, 6), "b": round(b, 6), "loss": loss(module, shown)})
    for weight, w in zip(weights, start, strict=True):
        weight.copy_(w)
    return lines


def direction(weights: list[torch.Tensor], seed: int) -> list[torch.Tensor]:
    """A random direction whose every filter is as long as the network's own; 0 for biases and normalisations (one dimension)."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for weight in weights:
        random = torch.randn(weight.shape, generator=draw).to(weight)
        found.append(filters(random, weight) if weight.dim() > 1 else torch.zeros_like(weight))
    return found


def filters(random: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`random` [out, ...] with each of its `out` filters scaled to the length of the weight's."""
    ours, theirs = (value.flatten(1).norm(dim=1).view(-1, *[1] * (value.dim() - 1)) for value in (random, weight))
    return random * theirs / ours.clamp(min=1e-10)


def loss(module: nn.Module, shown: list) -> float:
    """Mean over all images."""
    total = torch.zeros((), dtype=torch.float64)
    for images, target in shown:
        total += cross_entropy(module(images).float().mean(0), target).double().cpu() * len(target)
        network.reset(module)
    return float(total) / sum(len(target) for _, target in shown)
