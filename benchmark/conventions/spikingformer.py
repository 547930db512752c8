"""`spikingformer`: the calculator that comes with Spikingformer (Zhou et al. 2023; github.com/TheBrainLab/Spikingformer).

A convolution or linear layer, bias included, makes accumulates = operations x mean input if its input is strictly 0 and 1, else
the whole layer makes multiply-accumulates; the first layer at every step, the classifier once, on the mean over time. Attention is
always counted in the order Q (K^T V): T x heads x N x d^2 x (min(rate of K, rate of V) + rate of Q). Its README's 7.46 mJ for 8-512
on ImageNet is 4.6 pJ x 0.3473 G + 0.9 pJ x 6.5175 G.
"""

from benchmark.conventions._energy import PRESET, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    layers = [record for record in records if record.kind in ("conv", "linear")]
    attention = [record for record in records if record.kind == "product" and record.input_kind == "binary" and record.head_width]
    binary = [record for record in layers if record.input_kind == "binary"]
    acs = sum(operations(record) * record.rate for record in binary) + sum(products(record) for record in attention)
    macs = sum(operations(record) / (record.steps if record is layers[-1] else 1) for record in layers if record not in binary)
    left = uncounted([record for record in records if record not in layers + attention], (), biases=True)
    return result("spikingformer", acs, macs, left, preset)


def operations(record) -> float:
    """Dense operations of one inference, biases included."""
    return record.each("dense") + (record.each("outputs") if record.bias else 0)


def products(record) -> float:
    """Accumulates of Q (K^T V): K and V meet at most where the rarer one fires."""
    q, k, v = (nonzero / elements for elements, nonzero in record.operands)
    return record.operands[0][0] / max(1, record.images) * record.head_width * (min(k, v) + q)
