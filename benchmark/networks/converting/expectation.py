"""Expectation compensation (ECMT, ACM MM 2024, section 4.2), and time inside a batch.

A network that codes by rates sends x(1), x(2), ... and means their average. A function F of it has to send, at step t,

    o(t) = t F(S(t) / t) - (t - 1) F(S(t-1) / (t-1)),   S(t) = x(1) + ... + x(t)                        (15)

so that the average of what it sent is F of the average that it received, at every t. What is linear (with its bias at every step) needs
none of this. The product of two inputs A and B is a function like any other: (15) is then S_A(t) S_B(t) / t - S_A(t-1) S_B(t-1) / (t-1),
that is equations 16 to 18 with one multiplication of matrices instead of three; operations are counted by equation 18, not by this.

Nothing feeds back between layers. So all T steps of a layer run as one batch, F once for all of them, and only averages and membranes go
from step to step. A longer run goes through the network window by window, each layer keeping one step's average and value.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(eq=False)
class Clock:
    """Where in time a pass through a network is, for all of its layers: `steps` of them after `before` earlier ones, `last` if the run
    ends with them. A batch has time outermost: `rows` = steps x images, or rows times a whole number (windows of an image).
    """

    steps: int = 1
    before: int = 0
    last: bool = True
    rows: int = 1

    def set(self, before: int, steps: int, images: int, last: bool) -> None:
        self.before, self.steps, self.last, self.rows = before, steps, last, steps * images

    def by_step(self, x: torch.Tensor) -> torch.Tensor:
        """[T*B, ...], or [1, T*B, ...] as this project's artificial networks have it, seen as [T, B, ...]."""
        x = x if x.shape[0] % self.rows == 0 else x[0]
        return x.unflatten(0, (self.steps, -1))


def running_mean(x: torch.Tensor, before: int = 0, mean: torch.Tensor | None = None) -> torch.Tensor:
    """Averages [T, ...] of x up to each step, after `before` steps whose average was `mean`."""
    means = torch.empty_like(x)
    for t, now in enumerate(x):
        mean = means[t].copy_(now) if before + t == 0 else torch.lerp(mean, now, 1 / (before + t + 1), out=means[t])
    return means


def increments(y: torch.Tensor, before: int = 0, previous: torch.Tensor | None = None) -> torch.Tensor:
    """The inverse, in place: what was sent at each step if y [T, ...] are the averages up to it, `previous` the one before."""
    for t in reversed(range(len(y))):
        if before + t:
            torch.lerp(y[t - 1] if t else previous, y[t], before + t + 1, out=y[t])
    return y


class Expectation(nn.Module):
    """F with expectation compensation, of one or several inputs; F may be a module or a function, and must not change them."""

    def __init__(self, function: Callable, clock: Clock):
        super().__init__()
        self.function, self.clock = function, clock
        self.means, self.value = [], None  # of the step before this window

    def forward(self, *inputs):
        clock, means = self.clock, []
        for x, mean in zip(inputs, self.means or [None] * len(inputs), strict=True):
            means.append(running_mean(clock.by_step(x), clock.before, mean))
        y = self.function(*(mean.view(x.shape) for mean, x in zip(means, inputs, strict=True)))
        by_step, previous = clock.by_step(y), self.value
        self.means, self.value = ([], None) if clock.last else ([mean[-1].clone() for mean in means], by_step[-1].clone())
        increments(by_step, clock.before, previous)
        return y


class Product(Expectation):
    """A @ B with expectation compensation: its inputs are what the neurons before it send."""

    def __init__(self, clock: Clock):
        super().__init__(torch.matmul, clock)


class Fires(nn.Module):
    """Neurons over the steps of a batch."""

    def __init__(self, neuron: nn.Module, clock: Clock):
        super().__init__()
        self.neuron, self.clock = neuron, clock

    def forward(self, x):
        sent = self.neuron(self.clock.by_step(x)).reshape(x.shape)
        if self.clock.last:
            self.neuron.reset()
        return sent


class Held(nn.Module):
    """A layer on the image itself: of an image that stays, computed once and given to every step."""

    def __init__(self, layer: nn.Module, clock: Clock):
        super().__init__()
        self.layer, self.clock = layer, clock

    def forward(self, x):
        y = self.layer(x)
        return y if len(x) == self.clock.rows else y.expand(self.clock.steps, *y.shape).flatten(0, 1)
