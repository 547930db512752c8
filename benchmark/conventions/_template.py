"""A counting convention: copy this file to benchmark/conventions/<name>.py and say here whose rule it is and where it is written.

As it stands: every synaptic operation is a multiply-accumulate, whether its input is a spike or not. What a record holds
is said in `_record.py`; amounts are sums over all images, `record.each("dense")` is one image's.
"""

from benchmark.conventions._energy import PRESET, SYNAPTIC, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    """What one inference costs; more keyword arguments of `result` are more keys."""
    layers = [record for record in records if record.kind in SYNAPTIC]
    macs = sum(record.each("dense") for record in layers)
    return result("template", 0.0, macs, uncounted(records), preset)
