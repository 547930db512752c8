"""A leaky neuron that learns its decay, and with it the width of its surrogate (LSG, Lian et al., IJCAI 2023), one for each layer.

    h(t) = beta v(t-1) + x(t);   s = [h >= threshold];   v = h (1 - s), the reset passing its gradient
    beta = sigmoid(-w);   the derivative of s is 1 / width inside |h - threshold| < width / 2, width = 2 threshold sqrt(1 + beta^2)
Of currents of deviation `threshold` (tdBN) a membrane has about width / 2. No gradient goes through the width: beta learns by the membranes.

Source: no code of its authors found (searched: title, LSG, authors' names; repositories, code and pages); its equations as a public report on
the paper restates them, section by section (found by the title); jqjiang1999/MPD-AGL@61abbf3, neuron.py, surrogate.py, by one of its authors
later, has the same learned decay and width, the latter times a learned weight.
Parity: with that code's neuron, its weight 1, the width of its later steps at the first one too, in double precision, T=4, 18 % firing: all
spikes, the gradients of currents and decay to 7e-8 of the largest (its spikes are in single precision).
Deviations: none known.
"""

from spikingjelly.activation_based.neuron import ParametricLIFNode

from benchmark.neurons import lif
from benchmark.neurons._fused import Fused, leaky
from benchmark.shared.errors import UserError

CONSTANTS = {
    "decay": "share beta of the membrane that is left after a step at the start, between 0 and 1",
    "v_threshold": "membrane from which on it fires",
}
SENDS = "binary"
EXAMPLE = {"decay": 0.2, "v_threshold": 0.5}
REST = {"v_reset": 0.0, "detach_reset": False, "decay_input": False, "surrogate": "rect"}


def neuron(*, decay, v_threshold) -> "LSG":
    """A layer for all steps in one call. UserError for a constant without sense."""
    if not 0 < decay < 1:
        raise UserError(f"LSG's decay is {decay}; it must be between 0 and 1")
    constants = leaky(1 / (1 - decay), v_threshold, REST["v_reset"], REST["detach_reset"], REST["decay_input"], REST["surrogate"], 1.0)
    return LSG(init_tau=constants.pop("tau"), **constants)


class LSG(Fused, ParametricLIFNode):
    """[T, B, ...] currents -> spikes; `w` is a parameter, sigmoid(w) the share that leaks."""

    sends = SENDS

    def learned_leak(self):
        return self.w.sigmoid()

    def multi_step_forward(self, x_seq, *args, **kwargs):
        self.surrogate_function.alpha = steepness(self.w.sigmoid().item(), self.v_threshold)
        return super().multi_step_forward(x_seq, *args, **kwargs)


def steepness(leak: float, v_threshold: float) -> float:
    """1 / width."""
    return 1 / (2 * v_threshold * (1 + (1 - leak) ** 2) ** 0.5)


def reference(x, *, w, decay, v_threshold):
    """Spikes of a leaky neuron with the decay and the width that w stands for now."""
    leak = w.sigmoid()
    return lif.reference(x, tau=1 / leak, v_threshold=v_threshold, **REST, alpha=steepness(leak.item(), v_threshold))
