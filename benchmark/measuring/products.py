"""How a multiplication of activations with each other is counted, by the class of the layer that makes it.

Two functions a class: multiply-accumulates if nothing were sparse, from the inputs and the output; and accumulates that happen, from
the inputs alone: one per pair of nonzero operands that meet.
"""

from benchmark.measuring.spike_counts import nonzero_over
from benchmark.networks.attention import MatMul, Product, SumOver


def dense_matmul(inputs, output):
    return output.numel() * inputs[0].shape[-1]


def met_in_matmul(inputs):
    """a [..., n, k] @ b [..., k, m]: for each k, the nonzero values of a there times those of b."""
    a, b = inputs
    return (along(a, 2) * along(b, 3)).sum()


def along(x, dim):
    """Nonzero values of matrices [..., n, m] along their rows (2) or columns (3): [..., m] or [..., n]."""
    matrices = x.reshape(-1, *x.shape[-3:]) if x.dim() > 2 else x[None, None]
    return nonzero_over(matrices, dim).reshape(*x.shape[:-2], -1)


def dense_sum(inputs, output):
    return inputs[0].numel()


def met_in_sum(inputs):
    return (inputs[0] != 0).sum()


OPERATIONS = {MatMul: (dense_matmul, met_in_matmul), SumOver: (dense_sum, met_in_sum)}


def operation_of(module):
    """The two functions of a layer, None for a layer of another class."""
    return next((functions for kind, functions in OPERATIONS.items() if isinstance(module, kind)), None)


def product_around(model, name: str) -> str | None:
    """The innermost product that a layer is part of, by name."""
    parts = name.split(".")
    around = (".".join(parts[:end]) for end in range(len(parts) - 1, -1, -1))
    return next((outer for outer in around if isinstance(model.get_submodule(outer), Product)), None)
