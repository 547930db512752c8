"""Checks of a trained network that do not depend on its accuracy: it is alive, and what it computes for an image depends on that image alone.

In double precision, in which no rounding moves a spike, in evaluation mode, and on a copy, so that the network keeps its state.
"""

import copy

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.neurons._base import Neuron

TOLERANCE = 1e-6  # of logits
FEW = 8  # steps of a converted network
ENOUGH = 512  # steps of a converted network that runs for thousands: what is asked here does not need them
ALONE = 4  # images that go through by themselves, and that gradients are taken for at a time


def check(model: nn.Module, images: torch.Tensor) -> dict:
    """What is wrong with a network, and `failed`, the names of the checks that did not hold.

    images: at least two, [B, C, H, W], or events [T, B, C, H, W]. gap_*: largest difference of logits between two ways that must agree.
    silent: neuron layers without one spike. sends: neuron layers that sent something else than their kind may. spread_of_logits:
    largest difference between images. dead_parameters: no gradient reaches them from any image.
    """
    model = copy.deepcopy(model).double().eval().requires_grad_(True)
    for module in model.modules():
        module._forward_hooks.clear()  # a method's taps would collect the copy's features
    images, batch = images.double(), images.dim() - 4
    if images.shape[batch] < 2:
        raise ValueError("checks compare images: two or more")
    if hasattr(model, "clock") and not batch:
        model.steps = min(model.steps, ENOUGH)
    with torch.no_grad():
        sent, whole = watch(model, images)
        gaps = {
            "gap_batch_size": gap(whole[:, :ALONE], torch.cat([run(model, one) for one in images.split(1, batch)[:ALONE]], 1)),
            "gap_neighbours": gap(whole[:, :1], run(model, with_others(images, batch))[:, :1]),
            "gap_after_reset": gap(whole, run(model, images)),
        }
        if getattr(model, "causal", True):  # else a step's answer depends on later ones
            gaps["gap_first_step"] = gap(whole[:1], run(with_one_step(model), images if batch == 0 else images[:1]))
    named = {
        "silent": [name for name, values in sent.items() if not values["any"]],
        "sends": [name for name, values in sent.items() if not values["allowed"]],
        "dead_parameters": dead(model, images, batch),
    }
    spread = (whole.mean(0) - whole.mean(0)[:1]).abs().max().item()
    failed = [name for name, value in gaps.items() if not value <= TOLERANCE] + [name for name, wrong in named.items() if wrong]
    return {**gaps, **named, "spread_of_logits": spread, "failed": failed + ([] if spread > TOLERANCE else ["constant_logits"])}


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
        if isinstance(getattr(module, "steps", None), int):
            module.steps = 1
    return model


# ---- neurons


def watch(model, images) -> tuple[dict[str, dict], torch.Tensor]:
    """Neuron layer -> `any` (it sent something), `allowed` (nothing but what its kind may send); and the logits."""
    sent: dict[str, dict] = {}

    def look(name):
        def hook(neuron, _, output):
            before = sent.get(name, {"any": False, "allowed": True})
            sent[name] = {"any": before["any"] or bool(output.any()), "allowed": before["allowed"] and may_send(neuron.sends, output)}

        return hook

    neurons = {name: module for name, module in model.named_modules() if isinstance(module, Neuron)}
    handles = [neuron.register_forward_hook(look(name)) for name, neuron in neurons.items()]
    logits = run(model, images)
    for handle in handles:
        handle.remove()
    return {name: sent.get(name, {"any": False, "allowed": True}) for name in neurons}, logits


def may_send(sends: str, values: torch.Tensor) -> bool:
    """binary: 0 and 1. signed: 0 and plus or minus one unit, whatever it is. graded: anything that is a number."""
    if sends == "binary":
        return bool(((values == 0) | (values == 1)).all())
    if sends == "signed":
        return bool(((values == 0) | (values.abs() == values.abs().max())).all())
    return bool(values.isfinite().all())


# ---- parameters


def dead(model, images, batch) -> list[str]:
    """Parameters that no image sends a gradient to, all classes asked for.

    A batch normalisation in evaluation has stored statistics, so that a bias in front of it counts. Where the neurons pass no gradient
    (a converted network's need not), or a neuron says that a parameter has one only `at_times`, it is dead if the logits do not change with
    it either.
    """
    without = {name for name, _ in model.named_parameters()}
    for part in images.split(ALONE, batch):
        without &= without_gradient(model, part) if without else set()
    passes = not without or passes_gradient(model, images.narrow(batch, 0, 1))
    if asked := without & at_times(model) if passes else without:
        without = without - asked | without_matter(model, asked, images.narrow(batch, 0, 2))
    return [name for name, _ in model.named_parameters() if name in without]


def at_times(model) -> set[str]:
    """Parameters that need not have a gradient from any few images, as their neurons say."""
    neurons = [(name, module) for name, module in model.named_modules() if isinstance(module, Neuron)]
    return {f"{name}.{parameter}" for name, neuron in neurons for parameter in neuron.at_times}


def without_gradient(model, images) -> set[str]:
    logits = run(model, images).mean(0)
    loss = nn.functional.cross_entropy(logits, torch.arange(len(logits), device=logits.device) % logits.shape[1])
    names, parameters = zip(*model.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True) if loss.requires_grad else [None] * len(names)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is None or not gradient.any()}


def passes_gradient(model, images) -> bool:
    """False if no neuron layer does."""
    seen = []
    neurons = [module for module in model.modules() if isinstance(module, Neuron)]
    handles = [neuron.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output))) for neuron in neurons]
    run(model, images)
    for handle in handles:
        handle.remove()
    return not seen or any(flows(*each) for each in seen)


def flows(x, y) -> bool:
    """True if y = neuron(x) has a gradient for x."""
    if not (x.requires_grad and y.requires_grad):
        return False
    (gradient,) = torch.autograd.grad(y.sum(), x, retain_graph=True, allow_unused=True)
    return gradient is not None and bool(gradient.any())


def without_matter(model, names, images) -> set[str]:
    """Those of these parameters that do not change the logits; what does so within a few steps is not asked for more."""
    steps = getattr(model, "steps", FEW)
    for model.steps in sorted({min(steps, FEW), steps}):
        before = run(model, images)
        names = {name for name in names if not matters(model, name, images, before)}
    return names


@torch.no_grad()
def matters(model, name, images, before) -> bool:
    """True if other values of a parameter give other logits than those `before`."""
    parameter = model.get_parameter(name)
    kept = parameter.clone()
    parameter.mul_(2).add_(0.7)  # what is left as it is, -0.7, nobody sets a parameter to
    changed = gap(run(model, images), before) > 0
    parameter.copy_(kept)
    return changed
