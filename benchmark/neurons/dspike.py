"""A leaky neuron whose surrogate has a temperature that its method moves while it trains (Dspike, Li et al., NeurIPS 2021).

    h(t) = decay v(t-1) + x(t);   s = [h >= threshold];   v = h (1 - s), the reset passing its gradient
The derivative of s is that of (tanh(b u) / tanh(b / 2) + 1) / 2 at u = h - threshold within 1/2 on both sides, 0 outside: from a rectangle
(b near 0) to a spike. b, the temperature, is kept with the weights.

Source: no public code found (see methods/dspike.py); the function is in yfguo91/MPBN@149379d, models/spike_layer.py, by two of its authors,
with b = 3.
Guessed: the reset to 0 and its gradient, as in that code.
"""

import math

import torch

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import TanhFunction
from benchmark.shared.errors import UserError

CONSTANTS = {
    "decay": "share of the membrane that is left after a step, 0 to 1",
    "v_threshold": "membrane from which on it fires",
    "temperature": "steepness b of the surrogate at the start",
}
SENDS = "binary"
EXAMPLE = {"decay": 0.25, "v_threshold": 0.5, "temperature": 3.0}


def neuron(*, decay, v_threshold, temperature) -> "Dspike":
    """A new layer. UserError for a temperature without sense."""
    if not 0 < temperature < math.inf:
        raise UserError(f"Dspike's temperature is {temperature}; it must be positive")
    return Dspike(decay, v_threshold, float(temperature))


class Dspike(Stepwise):
    """[T, B, ...] currents -> spikes; `temperature` is a buffer."""

    sends = SENDS
    leaks = True

    def __init__(self, decay, v_threshold, temperature):
        super().__init__()
        self.decay, self.v_threshold = decay, v_threshold
        self.register_buffer("temperature", torch.tensor(temperature))
        self.register_memory("v", 0.0)

    def forward(self, x):
        self.steepness = self.temperature.item()
        return super().forward(x)

    def step(self, x):
        charged = self.decay * self.v + x
        spike = TanhFunction.apply(charged - self.v_threshold, self.steepness)
        self.v = charged * (1 - spike)
        return spike


def reference(x, *, decay, v_threshold, temperature):
    """What is sent [T, ...], from the equations; a straight line of the surrogate's slope stands for the step."""
    v, sent = torch.zeros_like(x[0]), []
    for current in x:
        h = decay * v + current
        u = h - v_threshold
        slope = temperature / (2 * math.tanh(temperature / 2)) / torch.cosh(temperature * u.clamp(-0.5, 0.5)) ** 2 * (u.abs() <= 0.5)
        fired = (u >= 0).to(x) + slope.detach() * (u - u.detach())
        sent.append(fired)
        v = h * (1 - fired)
    return torch.stack(sent)
