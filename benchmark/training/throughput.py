"""How fast a device trains a network: a few timed steps on random images."""

import time

import torch
from torch import nn

from benchmark.networks import build

BATCH, STEPS = 8, 3  # enough to tell hours from weeks


def images_per_second(spec: dict, device: torch.device, batch: int = BATCH, steps: int = STEPS) -> list[float]:
    """Of each of some training steps in fp32 without a teacher, after one that is not counted."""
    module, data = build.network(spec).to(device, memory_format=torch.channels_last), spec["data"]
    times = (spec["time_steps"],) if data["form"] == "events" else ()
    images = torch.rand(*times, batch, *data["shape"], device=device)
    labels = torch.zeros(batch, dtype=torch.long, device=device)
    seconds = [step(module, images, labels) for _ in range(1 + steps)]
    return [batch / each for each in seconds[1:]]


def step(module: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Seconds of one forward and backward pass."""
    began = time.monotonic()
    nn.functional.cross_entropy(module(images).float().mean(0), labels).backward()
    module.zero_grad()
    build.reset(module)
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.monotonic() - began
