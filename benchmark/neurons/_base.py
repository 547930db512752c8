"""What a neuron is: the contract of the files beside this one. A file is found by being there, unless its name starts with an underscore.

It declares, as literals that are read without running it,
    CONSTANTS = {"tau": "membrane time constant in steps"}    every constant, with its meaning and unit
    SENDS = "binary"                                          what a layer sends: 0 and 1; `signed`: also -1; `graded`: any number
    EXAMPLE = {"tau": 2.0}                                    a value of every constant; the contract tests run with these
and has
    neuron(**constants) -> a layer     all constants by keyword and none with a default, because library defaults drift
    reference(x, **constants)          optional, for the tests: what a layer sends, from the equations in a slow loop of plain torch whose
                                       gradient is autograd's; learned parameters are passed by their names among the constants

The layer is a module with `Neuron` among its bases. A neuron that is its equations alone derives from `Stepwise`, see `_template.py`; a
leaky one with fast kernels from `_fused.Fused`, see `lif.py` and `_back_ends.py`. Other kernels belong into the neuron's file.
"""

import torch
from spikingjelly.activation_based.base import MemoryModule


class Neuron:
    """A layer of neurons: [T, B, ...] currents -> what they send, of the same shape, precision and memory layout.

    Membranes are in single precision at least, whatever the input's, because half precision moves spikes. They are carried over from
    call to call, without their gradient, until `spikingjelly.activation_based.functional.reset_net`.
    """

    sends: str  # the file's SENDS; operations are counted by it
    leaks: bool = False  # whether its membranes are scaled at every step, which some conventions count as a multiplication
    at_times: tuple[str, ...] = ()  # parameters that have a gradient only where something is cut off, which may be nowhere
    ran: frozenset[str] = frozenset()  # what ran this layer so far: torch, numba, triton (also with normalisation) or spikingjelly


class Stepwise(Neuron, MemoryModule):
    """A neuron given by `step(x)`, one step's currents [B, ...] -> what is sent; its membranes are spikingjelly memories."""

    def step(self, x: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError

    def forward(self, x):
        self.ran |= {"torch"}
        sent = torch.stack([self.step(current) for current in single_precision(x)])
        for name, value in self.named_memories():
            setattr(self, name, value.detach())
        return sent.to(x.dtype)


def single_precision(x: torch.Tensor) -> torch.Tensor:
    """x, half precision widened."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
