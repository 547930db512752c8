"""A batch normalisation and the leaky neuron that alone takes what it sends: in training the neuron does the work of both in one operation.

`benchmark/networks/pairing.py` says which these are in a network. Both modules stay where they are, with their parameters, statistics and
names. Where the operation can run, the normalisation sends on what it was given; what lies between the two only looks at it in another
shape; the neuron knows that it has to normalise. Everywhere else both are what they were: in evaluation, with another back end, on several
devices (whose statistics are those of all), and while anyone watches through a hook what one sends to the other.
"""

import torch
from torch import distributed, nn
from torch.nn.modules import module as module_hooks

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Pair:
    """between: the modules whose last layer is the normalisation, one in the other. To the neuron it is the kernels that run its input."""

    name = "triton-normalised"

    def __init__(self, norm: nn.BatchNorm2d, neuron: nn.Module, between: list[nn.Module]):
        self.norm, self.neuron, self.between = norm, neuron, between
        self.left: torch.Tensor | None = None  # what was not normalised, until the neuron gets it
        norm.forward, neuron.pair = self.send, self

    def send(self, x: torch.Tensor) -> torch.Tensor:
        """In place of the normalisation's `forward`."""
        left, self.left = self.left, None  # for the next call, should this one end with an error
        if left is not None:
            raise RuntimeError("a normalisation was left to the neuron behind it, which was not called")
        if not self.fits(x):
            return self.normalised(x)
        self.left = x
        return x

    def fits(self, x: torch.Tensor) -> bool:
        """Whether neuron and normalisation can be one operation now."""
        modules = self.norm, self.neuron, *self.between
        watched = any(getattr(module, hooks) for module in modules for hooks in HOOKS) or module_hooks._has_any_global_hook()
        return (
            plain(self.norm)
            and not watched
            and self.neuron.step_mode == "m"
            and self.neuron.implementation(x[None]) == "triton"
            and one_operation().fits(x)
        )

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return nn.BatchNorm2d.forward(self.norm, x)

    def take(self, name: str, kernels, x_seq) -> tuple:
        """The neuron's input and what runs it: as given; or if the normalisation was left to it, this pair, or what torch's makes of it."""
        x, self.left = self.left, None
        if x is None:
            return name, kernels, x_seq
        if x.data_ptr() != x_seq.data_ptr():
            raise RuntimeError("a normalisation was left to the neuron behind it, which was given something else")
        if name == "triton" and x_seq.shape[2:] == x.shape[1:]:
            return self.name, self, x_seq
        y = self.normalised(x)
        return name, kernels, y.reshape(x_seq.shape) if y.numel() == x_seq.numel() else y.expand(x_seq.shape)

    # ---- what kernels have

    @property
    def surrogates(self) -> dict:
        return one_operation().surrogates

    @staticmethod
    def origin(currents, given) -> None:
        """Nothing: the input itself is kept."""

    def apply(self, x, rate, steps, shared, charge, back, _):
        norm = self.norm
        spikes, last, lines = one_operation().apply(x, rate, norm.weight, norm.bias, norm.eps, steps, shared, charge, back)
        track(norm, lines[0], lines[1], x.numel() // len(norm.weight))
        return spikes, last


def plain(norm: nn.BatchNorm2d) -> bool:
    """Whether it trains alone, with all that torch's has by default."""
    alone = not (distributed.is_available() and distributed.is_initialized())
    return alone and norm.training and norm.affine and norm.track_running_stats and norm.weight.dtype == torch.float32


def one_operation():
    from benchmark.neurons._triton_normalised import NormalisedPass

    return NormalisedPass


@torch.no_grad()
def track(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
    """Move the running statistics as torch does. variance: the biased one, of so many values of each channel."""
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * (count / (count - 1)), share)
