"""How many accumulates a product with expectation compensation makes at each step (ECMT, eq. 18), without a second product.

A pair of nonzero operands that meet is one accumulate. K(t) = A(t) B(t) + A(t) S_B(t-1) + S_A(t-1) B(t), with the sums S of what was sent
before; the public code's counter reads the sums after they were updated, S(t), which counts A(t) B(t) three times and more. In two products,
K(t) = A(t) S_B(t) + S_A(t-1) B(t), it would be fewer. All multiply-accumulates of the artificial network: `dense`.
"""

import torch

READINGS = {  # (A before or after, B before or after) of each product: `now` is what is sent at t, `past` S(t-1), `past_and_now` S(t)
    "before": (("now", "now"), ("now", "past"), ("past", "now")),
    "after": (("now", "now"), ("now", "past_and_now"), ("past_and_now", "now")),
    "two": (("now", "past_and_now"), ("past", "now")),
}


def product_accumulates(a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
    """Reading -> accumulates of each step, int64 [T]; a [T, ..., n, k], b [T, ..., k, m] is what the neurons sent from the first step on."""
    left, right = nonzero(a, -2), nonzero(b, -1)  # [T, ..., k]
    return {reading: sum((left[one] * right[other]).flatten(1).sum(1) for one, other in pairs) for reading, pairs in READINGS.items()}


def nonzero(x, over: int) -> dict[str, torch.Tensor]:
    """How many values are not zero along a dimension: of what is sent, and of its sums before and after each step."""
    counts = {"now": (x != 0).sum(over), "past_and_now": (x.cumsum(0) != 0).sum(over)}
    counts["past"] = torch.cat([torch.zeros_like(counts["now"][:1]), counts["past_and_now"][:-1]])
    return counts


def layer_accumulates(sent: torch.Tensor, outputs: int) -> torch.Tensor:
    """Of a linear layer with `outputs` outputs: each nonzero input reaches all of them; [T] for what was sent [T, ..., inputs]."""
    return (sent != 0).flatten(1).sum(1) * outputs
