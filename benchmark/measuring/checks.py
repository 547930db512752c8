"""Checks of a trained network that do not depend on its accuracy: what it computes for an image depends on that image alone.

In double precision, in which no rounding moves a spike; on a copy, so that the network keeps its state.
"""

import copy

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.networks.layers import First
from benchmark.neurons.lif import LIF

TOLERANCE = 1e-6  # of logits
ALONE = 4  # images that go through by themselves, and that gradients are taken for


def check(model: nn.Module, images: torch.Tensor) -> dict:
    """gap_*: largest difference of logits between two ways that must agree; binary: neurons emit 0 and 1 only; dead_parameters: no
    gradient reaches them from these images; failed: names of the checks that did not hold. images: [B, C, H, W] or [T, B, C, H, W]."""
    model = copy.deepcopy(model).double().eval().requires_grad_(True)
    for module in model.modules():
        module._forward_hooks.clear()  # a method's taps would collect the copy's features
    images, batch = images.double(), images.dim() - 4
    with torch.no_grad():
        whole, binary = run(model, images), emits_spikes(model, images)
        found = {
            "gap_batch_size": gap(whole[:, :ALONE], torch.cat([run(model, one) for one in images.split(1, batch)[:ALONE]], 1)),
            "gap_neighbours": gap(whole[:, :1], run(model, with_others(images, batch))[:, :1]),
            "gap_after_reset": gap(whole, run(model, images)),
            "gap_first_step": gap(whole[:1], run(with_one_step(model), images if batch == 0 else images[:1])),
        }
    found |= {"binary": binary, "dead_parameters": dead(model, images.narrow(batch, 0, min(ALONE, images.shape[batch])))}
    failed = [name for name, value in found.items() if name.startswith("gap_") and not value <= TOLERANCE]
    return {**found, "failed": failed + ([] if binary else ["binary"])}


def run(model, images):
    """Logits [T, B, classes] of a network that starts without memory and keeps none."""
    logits = model(images)
    functional.reset_net(model)
    return logits


def gap(a, b) -> float:
    return (a - b).abs().max().item()


def with_others(images, batch):
    """The first image among others than before."""
    first, rest = images.split([1, images.shape[batch] - 1], batch)
    return torch.cat([first, -rest.flip(batch)], batch)


def with_one_step(model):
    """The same weights at T = 1."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, First):
            module.steps = 1
    return model


def emits_spikes(model, images) -> bool:
    """True if every neuron's output is 0 or 1, at every step."""
    good: list[bool] = []
    neurons = [module for module in model.modules() if isinstance(module, LIF)]
    handles = [neuron.register_forward_hook(lambda _, __, s: good.append(bool(((s == 0) | (s == 1)).all()))) for neuron in neurons]
    run(model, images)
    for handle in handles:
        handle.remove()
    return all(good)


def dead(model, images) -> list[str]:
    """Parameters whose gradient is zero or missing, all classes asked for."""
    logits = run(model, images).mean(0)
    nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device) % logits.shape[1]).backward()
    return [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
