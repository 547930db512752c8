"""The loss around trained weights, in two random directions with filter normalisation (Li et al., NeurIPS 2018, section 4)."""

import json
from pathlib import Path

import torch
from torch import nn

from benchmark import datasets
from benchmark.method import cross_entropy
from benchmark.networks import build as network
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError
from benchmark.shared.files import write_csv
from benchmark.training import device as devices
from benchmark.training.batches import Batches


def write(run: Path, points: int, images: int, data_root: Path, device_name: str, threads: int) -> None:
    """<run>/surface.csv: a, b and loss on a square grid from -1 to 1, `points` a side, a outermost."""
    if points < 3 or points % 2 == 0:
        raise UserError(f"--points {points}: the grid needs an odd number of points a side, so that the weights lie on it, at least 3")
    spec = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["spec"]
    device = devices.choose(device_name)
    devices.prepare(device, threads)
    entry, _ = catalogue.dataset(spec["data"])
    batches = Batches(datasets.load(spec["data"], data_root), spec["recipe"], entry["classes"], entry["image"], device, 0)
    module = network.load_weights(network.network(spec), run / "weights.pt", device)
    shown = first_images(batches, images)
    write_csv(run / "surface.csv", surface(module, shown, points))


def first_images(batches: Batches, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The first `count` training images without augmentation, with their labels as probabilities."""
    if batches.data.streams:
        raise UserError(f"a loss surface needs a data set in memory, not the {batches.source.count} files of a folder")
    size, source = batches.size, batches.source
    targets = nn.functional.one_hot(source.labels[:count], batches.classes).float()
    return list(zip(batches.normalise(source.images[:count]).split(size), targets.split(size), strict=True))


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
        total += cross_entropy(module(images).float().mean(0), target).double().cpu() * len(images)
        network.reset(module)
    return float(total) / sum(len(images) for images, _ in shown)
