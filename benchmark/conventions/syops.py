"""`syops`: the convention of syops-counter 0.0.5 (github.com/iCGY96/syops-counter), which TSER's Table 4 follows to the digit.

Every operation of every step is counted, padding too. A layer whose input is strictly 0 and 1 makes accumulates = operations x mean
input; any other layer makes multiply-accumulates, integer spikes included. Convolutions and linear layers have dense operations plus
one per output for a bias, batch normalisation 2 per element, pooling 1 per input, ReLU 1 per element. Attention products, additions
and neurons of one's own class are not counted (the library adds one accumulate per element for spikingjelly's own neurons).
"""

from benchmark.conventions._energy import PRESET, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    """ops: all operations, whether they happen or not."""
    counted = [record for record in records if operations(record)]
    acs = sum(operations(record) * record.rate for record in counted if record.input_kind == "binary")
    macs = sum(operations(record) for record in counted if record.input_kind != "binary")
    left = uncounted([record for record in records if record not in counted], (), biases=True)
    return result("syops", acs, macs, left, preset, ops=sum(operations(record) for record in counted))


def operations(record) -> float:
    """Operations of a layer per inference, 0 for one that is not counted."""
    if record.kind in ("conv", "linear"):
        return record.each("dense") + (record.each("outputs") if record.bias else 0)
    each = {"norm": 2 * ("BatchNorm" in record.layer), "pool": 1, "activation": record.layer == "ReLU"}
    return each.get(record.kind, 0) * record.each("inputs")
