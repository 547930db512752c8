"""Thresholds with the least error, and calibration layer by layer (SNN Calibration, Li et al., ICML 2021, its successor of 2022; Fast-SNN).

A layer of T steps sends theta / T times a whole number from 0 to T, rounded down. `least_error` looks for the theta that changes the
artificial network's activations least by this. `calibrate` then goes through the spiking network once, all steps of its images together, and
at each layer of neurons, behind layers that are calibrated already, changes them by what they send less or more than the artificial network:
    bias       the mean over images and positions, for each channel, as a current at every step
    potential  T times the mean over images, for each neuron, as the membrane at the beginning
    weights    those of the layer with weights before it, by gradient steps on the rounded mean of what it got
Fast-SNN (Hu et al., TPAMI 2023) has a pass for each step of `Tuning`, with what the neurons really sent as the value.
"""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.networks.converting.conversion import Converted
from benchmark.networks.converting.expectation import Clock, Fires
from benchmark.networks.converting.places import SYNAPSES, Place, hooks
from benchmark.neurons.calibrated import Calibrated, neuron
from benchmark.shared.errors import UserError

SHARES = 1 - 0.01 * torch.arange(95, dtype=torch.float64)  # of the greatest value: thresholds that are tried


def batches(images: Iterable[torch.Tensor], size: int, count: int) -> list[torch.Tensor]:
    """The first count x size images of these batches in batches of `size`, fewer if there are fewer. UserError: less than two images."""
    kept, seen = [], 0
    for batch in images:
        kept.append(batch[: count * size - seen])
        seen += len(kept[-1])
        if seen == count * size:
            break
    if seen < 2:
        raise UserError("a calibration needs at least two training images")
    found = list(torch.cat(kept).split(size))
    return found if len(found[-1]) > 1 else found[:-1]


# ---- thresholds


def least_error(x: torch.Tensor, steps: int, by_channel: bool = False) -> torch.Tensor:
    """The theta for which floor(clip(x T / theta, 0, T)) theta / T differs least from activations x [B, C, ...], in squares.

    One for all [], or for each channel [C, 1, ...]. Of values in order, what exceeds a border is a sum up to there: no theta is tried out.
    """
    rows = x.transpose(0, 1).flatten(1) if by_channel else x.reshape(1, -1)
    ordered = rows.contiguous().sort(1).values.double()
    sums = nn.functional.pad(ordered.cumsum(1), (1, 0))
    greatest = ordered[:, -1:].clamp(min=0)
    greatest = torch.where(greatest > 0, greatest, greatest.max() if greatest.any() else torch.ones_like(greatest))  # where nothing comes
    thetas, level = greatest * SHARES.to(greatest), torch.arange(1, steps + 1, dtype=torch.float64, device=x.device)
    index = torch.searchsorted(ordered, (thetas[..., None] * level / steps).flatten(1)).view(*thetas.shape, steps)
    count = ordered.shape[1] - index  # of values at or above each border
    sum_above = sums[:, -1:, None] - sums.gather(1, index.flatten(1)).view_as(index)
    step = thetas / steps
    error = step**2 * ((2 * level - 1) * count).sum(-1) - 2 * step * sum_above.sum(-1)  # but for the sum of squares of x
    best = thetas.gather(1, error.argmin(1, keepdim=True))
    return best.view(-1, *[1] * (x.dim() - 2)) if by_channel else best[0, 0]


@torch.no_grad()
def thresholds(ann: nn.Module, places: list[Place], images: list[torch.Tensor], momentum: float, find: Callable) -> dict:
    """Name of a place in an activation's stead -> its threshold, those of batches averaged with `momentum`, the first one as it is.

    find: an activation, and what it made of a batch [B, ...] -> a threshold.
    """
    found, names = {}, {place.name for place in places if place.kind == "activation"}

    def look(name, module, inputs, output):
        if name in names:
            theta = find(module, clock.by_step(output)[0])
            found[name] = momentum * found[name] + (1 - momentum) * theta if name in found else theta

    with hooks(ann, after=look):
        for batch in images:
            clock = Clock(rows=len(batch))
            ann(batch)
    return found


def rounding(steps: int, by_channel: bool) -> Callable:
    """What `thresholds` finds them by: the least error of an activation."""
    return lambda activation, x: least_error(x, steps, by_channel)


def halved(theta: torch.Tensor, steps: int) -> Calibrated:
    """A neuron before calibration: half a threshold comes in over all steps."""
    return neuron(theta=theta, bias=theta / 2 / steps, start=0.0)


# ---- calibration


@dataclass(eq=False)
class Layer:
    """A layer of neurons during calibration: what it got [T, B, ...], what the artificial network has there [B, ...], and before it the
    layer with weights, its normalisation if it has one, and what that layer got [T, B, ...] (T = 1 for the image)."""

    fires: Fires
    got: torch.Tensor
    wanted: torch.Tensor
    synapse: nn.Module
    norm: nn.Module | None
    given: torch.Tensor

    @property
    def lack(self) -> torch.Tensor:
        """What the artificial network has more than these neurons send on average, [B, ...]."""
        sent = self.fires.neuron(self.got)
        self.fires.neuron.reset()
        return self.wanted - sent.mean(0)

    def before(self, x: torch.Tensor) -> torch.Tensor:
        """[B, ...] through the layer with weights and its normalisation."""
        x = self.synapse(x)
        return x if self.norm is None else self.norm(x)


@torch.no_grad()
def calibrate(network: Converted, ann: nn.Module, images: torch.Tensor, correct: Callable[[Layer], None], only: str = "") -> None:
    """One pass: `correct` changes each layer of neurons, or `only` that of this place, or what is before it, in order, in place."""
    wanted, since, clock = {}, [], network.clock
    clock.set(0, network.steps, len(images), True)

    def activation(name, module, inputs, output):
        if name in network.places:
            wanted[name] = Clock(rows=len(images)).by_step(output)[0].clone()

    def before(name, module, inputs):
        if isinstance(module, (*SYNAPSES, nn.modules.batchnorm._BatchNorm)):
            since.append((module, inputs[0]))

    def after(name, module, inputs, output):
        if not isinstance(module, Fires):
            return None
        layer = layer_of(module, clock, inputs[0], wanted[name], since)
        if only in ("", name):
            correct(layer)
        since.clear()
        return module.forward(layer.got.reshape(inputs[0].shape))  # in place of the output

    with hooks(ann, after=activation):
        ann(images)
    with hooks(network.network, before, after):
        network.network(images)


def layer_of(fires, clock, got, wanted, since) -> Layer:
    """Of several layers with weights since the last neurons, the first is the one on the branch; the other is a shortcut's."""
    (synapse, given), following = since[0], since[1][0] if len(since) > 1 else None
    norm = following if isinstance(following, nn.modules.batchnorm._BatchNorm) else None
    given = given[None] if len(given) == len(wanted) else clock.by_step(given)
    return Layer(fires, clock.by_step(got), wanted, synapse, norm, given)


def bias(layer: Layer) -> None:
    """Each channel gets what it lacks as a current."""
    lack, before = layer.lack, layer.fires.neuron
    lack = lack.mean([axis for axis in range(lack.dim()) if axis != 1], keepdim=True)[0]
    layer.fires.neuron = neuron(theta=before.theta, bias=before.bias + lack, start=before.start)


def potential(layer: Layer) -> None:
    """Each neuron starts from what it lacks in all steps together."""
    before = layer.fires.neuron
    start = before.start + len(layer.got) * layer.lack.mean(0) / before.theta
    layer.fires.neuron = neuron(theta=before.theta, bias=before.bias, start=start)


def weights(iterations: int, rate: float, size: int) -> Callable[[Layer], None]:
    """A correction by stochastic gradient descent (momentum 0.9, a cosine of `rate`) on the weights with their normalisation folded in.

    The error of a batch of `size` images is that of the rounded mean, squared, summed over channels, averaged over the rest; the gradient
    passes the rounding straight through. Inputs of a shortcut stay as they are.
    """

    def correct(layer):
        steps, theta, given = len(layer.got), layer.fires.neuron.theta.to(layer.got.dtype), layer.given.mean(0)
        whole = layer.given.flatten(0, 1)
        rest, plain = layer.got.mean(0) - layer.before(given), layer.before(whole)
        weight, scale = layer.synapse.weight.detach(), folded(layer)
        change = torch.zeros_like(weight, requires_grad=True)
        optimizer = torch.optim.SGD([change], lr=rate, momentum=0.9)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
        for _ in range(iterations):
            chosen = torch.randperm(len(given))[:size].to(given.device)
            with torch.enable_grad():
                y = torch.func.functional_call(layer.synapse, {"weight": weight + change / scale}, (given[chosen],))
                y = (y if layer.norm is None else layer.norm(y)) + rest[chosen]
                raised = (y / theta * steps).clamp(0, steps)
                sent = (raised + (raised.floor() - raised).detach()) * theta / steps
                error = (sent - layer.wanted[chosen]).square().sum(1).mean()
                (change.grad,) = torch.autograd.grad(error, change)
            optimizer.step()
            schedule.step()
        layer.synapse.weight = nn.Parameter(weight + change.detach() / scale, requires_grad=False)
        layer.got = layer.got + (layer.before(whole) - plain).unflatten(0, layer.given.shape[:2])

    return correct


class Tuning:
    """Fast-SNN's fine-tuning of one place: a correction that is one step on one batch, its layer and its normalisation trained together.

    A copy of both in training mode and the activation of the artificial network get the mean of what came in; the error is the mean squared
    difference of the artificial network's activations, its gradient taken at what the neurons sent on average. Neurons stay as they are.
    """

    def __init__(self, activation: nn.Module, rate: float):
        self.activation, self.rate, self.parts, self.optimizer = activation, rate, None, None

    def __call__(self, layer: Layer) -> None:
        real = [layer.synapse] if layer.norm is None else [layer.synapse, layer.norm]
        if self.parts is None:
            self.parts = nn.Sequential(*copy.deepcopy(real)).train().requires_grad_(True)
            self.optimizer = torch.optim.SGD(self.parts.parameters(), lr=self.rate, momentum=0.9, weight_decay=1e-4)
        sent = layer.wanted - layer.lack
        with torch.enable_grad():
            y = self.activation(self.parts(layer.given.mean(0)))
            error = nn.functional.mse_loss(y + (sent - y).detach(), layer.wanted)
            self.optimizer.zero_grad()
            error.backward()
        self.optimizer.step()
        for module, part in zip(real, self.parts, strict=True):
            module.load_state_dict(part.state_dict())


def folded(layer: Layer) -> torch.Tensor:
    """What its normalisation multiplies each channel of the weights by."""
    ones = torch.ones_like(layer.synapse.weight[:, :1])
    if layer.norm is None:
        return ones
    return ones * (layer.norm.weight / (layer.norm.running_var + layer.norm.eps).sqrt()).view(-1, *[1] * (ones.dim() - 1))
