"""The leaky integrate-and-fire neuron of all backbones: spikingjelly's LIFNode with every constant written out, all steps in one kernel.

h = v + (x - (v - rest)) / tau, or v - (v - rest) / tau + x; a spike where h >= threshold; then v = rest, or h - threshold.
A tau of 1e9 makes it integrate without a leak in single precision.

Source: spikingjelly 2.0.0, activation_based/neuron (LIFNode).
Parity: spikes equal to that node's, gradients and membranes within 2e-6, for every kind of reset, leak and surrogate
(tests/test_neurons.py); the Triton kernels likewise, with a slow loop, in Triton's interpreter alone (tests/test_triton.py), and those that
normalise as well, with torch's batch normalisation before the loop (tests/test_triton_normalised.py).
Deviations: none known.
"""

import torch
from spikingjelly.activation_based.neuron import LIFNode

from benchmark.neurons._fused import Fused, leaky, loop
from benchmark.neurons._surrogates import surrogate_function

CONSTANTS = {
    "tau": "membrane time constant in steps, more than 1",
    "v_threshold": "membrane from which on it fires",
    "v_reset": "membrane at rest and after a spike; None: rest at 0, and a spike takes the threshold away",
    "detach_reset": "whether the reset passes no gradient",
    "decay_input": "whether the input is divided by tau as well (spikingjelly's eq. 1)",
    "surrogate": "gradient of the step function: sigmoid, atan, rect or triangle",
    "alpha": "its steepness, see _surrogates.py",
}
SENDS = "binary"
EXAMPLE = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "sigmoid", "alpha": 4.0}


def neuron(*, tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha) -> "LIF":
    """A layer for all steps in one call. UserError for a constant without sense."""
    return LIF(**leaky(tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha))


class LIF(Fused, LIFNode):
    """[T, B, ...] currents -> spikes."""

    sends = SENDS


def reference(x, *, tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha):
    """Spikes [T, ...] from the equations; tau may be a tensor."""
    constants = v_threshold, v_reset, detach_reset, decay_input, surrogate_function(surrogate, alpha)
    return loop(x, torch.full_like(x[0], v_reset or 0.0), lambda value: value / tau, *constants)[0]
