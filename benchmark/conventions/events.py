"""`events`: what a machine does that adds a weight for every spike that arrives, exactly.

A layer whose inputs are spikes does one accumulate per arriving spike and output that it reaches, at the true borders; an integer
spike counts as that many, of either sign (`acs_nonzero` counts it once), and a spike of another height as one. A layer with other
inputs (an image, averages, graded values) does one multiply-accumulate per nonzero input and output. Softmax-free attention does one
accumulate per pair of nonzero operands that meet; softmax attention is dense.
Equal to brute force (tests/test_operations.py) and, on binary inputs, to spikingjelly's SynOpCounter and NeuroBench.
"""

from benchmark.conventions._energy import PRESET, SYNAPTIC, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    """acs_nonzero: accumulates if an integer spike costs one."""
    layers = [record for record in records if record.kind in SYNAPTIC]
    spiking = [record for record in layers if record.spiking]
    acs, once = sum(record.accumulates for record in spiking), sum(record.each("events") for record in spiking)
    macs = sum(record.each("events") for record in layers if not record.spiking)
    return result("events", acs, macs, uncounted(records), preset, acs_nonzero=once)
