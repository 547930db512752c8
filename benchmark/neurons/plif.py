"""Parametric LIF (Fang et al., ICCV 2021): a LIF that learns its time constant, one for each layer, all steps in one kernel.

1 / tau = sigmoid(w), w = -log(tau - 1) at the start. EXAMPLE is the paper's neuron: tau starts at 2, the reset is hard and passes no
gradient in its public code, the surrogate is an arc tangent.

Source: spikingjelly 2.0.0, activation_based/neuron (ParametricLIFNode), by the paper's authors; the reset is that of the logs of
fangwei123456/Parametric-Leaky-Integrate-and-Fire-Spiking-Neuron@f644ff6.
Parity: spikes equal to that node's, gradients and membranes within 2e-6, for every kind of reset, leak and surrogate
(tests/test_neurons.py); the Triton kernels likewise, with a slow loop, in Triton's interpreter alone (tests/test_triton.py), and those that
normalise as well, with torch's batch normalisation before the loop (tests/test_triton_normalised.py).
Deviations: none known.
"""

from spikingjelly.activation_based.neuron import ParametricLIFNode

from benchmark.neurons import lif
from benchmark.neurons._fused import Fused, leaky

CONSTANTS = {
    "tau": "membrane time constant in steps at the start, more than 1",
    "v_threshold": "membrane from which on it fires",
    "v_reset": "membrane at rest and after a spike; None: rest at 0, and a spike takes the threshold away",
    "detach_reset": "whether the reset passes no gradient",
    "decay_input": "whether the input is divided by tau as well",
    "surrogate": "gradient of the step function: sigmoid, atan, rect or triangle",
    "alpha": "its steepness, see _surrogates.py",
}
SENDS = "binary"
EXAMPLE = {"tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True, "surrogate": "atan", "alpha": 2.0}


def neuron(*, tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha) -> "PLIF":
    """A layer for all steps in one call. UserError for a constant without sense."""
    constants = leaky(tau, v_threshold, v_reset, detach_reset, decay_input, surrogate, alpha)
    return PLIF(init_tau=constants.pop("tau"), **constants)


class PLIF(Fused, ParametricLIFNode):
    """[T, B, ...] currents -> spikes; `w` is a parameter."""

    sends = SENDS

    def learned_leak(self):
        return self.w.sigmoid()


def reference(x, *, w, tau, **constants):
    """A LIF's spikes with the time constant that w stands for now."""
    return lif.reference(x, tau=1 / w.sigmoid(), **constants)
