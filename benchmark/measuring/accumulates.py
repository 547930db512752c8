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


def product_accumulates(a: torch.Tensor, b: torch.Tensor, before: tuple | None = None) -> dict[str, torch.Tensor]:
    """Reading -> accumulates of each step, int64 [T]; a [T, ..., n, k], b [T, ..., k, m] is what the neurons sent, from the first step on
    or after steps whose sums were `before`, (S_A [..., n, k], S_B [..., k, m])."""
    sums_a, sums_b = before or (None, None)
    left, right = nonzero(a, -2, sums_a), nonzero(b, -1, sums_b)  # [T, ..., k]
    return {reading: sum((left[one] * right[other]).flatten(1).sum(1) for one, other in pairs) for reading, pairs in READINGS.items()}


def nonzero(x, over: int, before: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
    """How many values are not zero along a dimension: of what is sent, and of its sums before and after each step."""
    sums = sums_with(x, before)
    past = torch.cat([torch.zeros_like(sums[:1]) if before is None else before[None], sums[:-1]])
    return {name: (each != 0).sum(over) for name, each in (("now", x), ("past", past), ("past_and_now", sums))}


def sums_with(x: torch.Tensor, before: torch.Tensor | None = None) -> torch.Tensor:
    """Sums [T, ...] of what was sent up to each step; those `before` stand in front of the first, so that any windows give the same."""
    return x.cumsum(0) if before is None else torch.cat([before[None], x]).cumsum(0)[1:]


def layer_accumulates(sent: torch.Tensor, outputs: int) -> torch.Tensor:
    """Of a linear layer with `outputs` outputs: each nonzero input reaches all of them; [T] for what was sent [T, ..., inputs]."""
    return (sent != 0).flatten(1).sum(1) * outputs
