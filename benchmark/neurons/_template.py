"""A ternary neuron (an example, of no paper). Copy this file to benchmark/neurons/<name>.py; the tests find it by being there.

Write the neuron's equations here as the paper has them, and what it leaves open:
v <- v / tau + x; sends +1 where v >= threshold, -1 where v <= -threshold; v <- v - threshold * what was sent.

Source: <owner/repo>@<short commit>, <files read>, or: no public code found (searched: <words>), <paper, section>.
Parity: what was compared with the source, and how equal it was, measured; without a comparison no such line.
Deviations: what differs from the source, and why; or: none known.
Guessed: what no source says; only where there is such a thing. docs/systems.md is made of these lines.

A backbone names it in its NEURON table, {"name": "<name>", "tau": 2.0, ...}, or a method brings it; nothing else has to change. The literals
and functions that a file has are in `_base.py`, which also says what a layer promises. A file with a leading underscore is not offered.
"""

from benchmark.neurons._base import Stepwise
from benchmark.neurons._surrogates import surrogate_function

CONSTANTS = {  # literal, read without running the file: meaning and unit of each; all of them must be given
    "tau": "membrane time constant in steps",
    "v_threshold": "membrane from which on it fires; Transformers ask for another one behind their attention",
    "surrogate": "gradient of the step function, see _surrogates.py",
    "alpha": "its steepness",
}
SENDS = "signed"  # or "binary" or "graded": what a later layer receives, and so what an operation costs
EXAMPLE = {"tau": 2.0, "v_threshold": 1.0, "surrogate": "triangle", "alpha": 1.0}  # what the tests run


def neuron(*, tau, v_threshold, surrogate, alpha) -> "Ternary":
    """A new layer; no constant has a default here."""
    return Ternary(tau, v_threshold, surrogate_function(surrogate, alpha))


class Ternary(Stepwise):
    """Learned values would be `nn.Parameter`s, one for each layer: a neuron is not told how many channels it has."""

    sends = SENDS
    leaks = True

    def __init__(self, tau, v_threshold, fire):
        super().__init__()
        self.tau, self.v_threshold, self.fire = tau, v_threshold, fire
        self.register_memory("v", 0.0)  # what a membrane is before the first call and after a reset

    def step(self, x):
        """Currents of one step [B, ...], in single precision at least -> what is sent."""
        charged = self.v / self.tau + x
        sent = self.fire(charged - self.v_threshold) - self.fire(-charged - self.v_threshold)
        self.v = charged - self.v_threshold * sent
        return sent
