"""Which implementation runs the leaky neurons of this process: the one that was chosen by name, or the device's own.

    torch    a slow loop over the steps, the gradient autograd's: what the others are held against
    numba    one pass on a CPU: `_fused.py`
    triton   one pass on a CUDA device: `_triton.py`; in Triton's interpreter (TRITON_INTERPRET=1) on a CPU too, which is for tests; in
             training with the batch normalisation before the neuron, where that sends to it alone: `_pair.py`; such a layer's `ran` has
             "triton-normalised"
    spikingjelly    what that library takes by itself; also where the chosen one cannot run (double precision, a membrane carried over)
A layer's `ran` says what did. Neurons that have a loop and one pass for a CPU take the pass with auto or numba.
"""

from importlib.util import find_spec

from benchmark.shared.errors import UserError, unknown

NAMES = ("auto", "torch", "numba", "triton", "spikingjelly")
_chosen = "auto"


def choose(name: str) -> None:
    """For all neurons of this process, from now on. UserError: no such name, or it is not installed."""
    global _chosen
    if name not in NAMES:
        raise unknown("implementation of neurons", name, NAMES)
    if name == "triton" and not installed():
        raise UserError("neurons 'triton': Triton is not installed; it comes with torch for CUDA on Linux")
    _chosen = name


def chosen(device: str) -> str:
    """The name for a type of device. Triton is taken by name alone, as long as no GPU has run its kernels."""
    if _chosen != "auto":
        return _chosen
    return "numba" if device == "cpu" else "spikingjelly"


def check(device: str) -> None:
    """UserError: what was chosen by name does not run on this type of device."""
    if _chosen == "numba" and device != "cpu":
        raise UserError(f"neurons 'numba' run on a CPU, not on device '{device}': use neurons: auto, torch or triton")
    if _chosen == "triton" and device != "cuda" and not interpreted():
        raise UserError(f"neurons 'triton' need a CUDA device, not '{device}', or TRITON_INTERPRET=1 for Triton's slow interpreter")


def installed() -> bool:
    return find_spec("triton") is not None


def interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on the tensors of any device."""
    from benchmark.neurons import _triton

    return _triton.INTERPRETED
