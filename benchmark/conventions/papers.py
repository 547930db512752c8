"""`papers`: SOPs = firing rate x T x FLOPs, the formula of Spikformer, Spike-driven Transformer and the tables of Spikformer V2.

The rate is the mean magnitude of a layer's input (an integer spike weighs that much), padding counted as if it fired. The first
layer is multiply-accumulates of a single step: 4.6 pJ x FLOPs(first) + 0.9 pJ x SOPs (Spike-driven Transformer, Yao et al. 2023,
appendix; Spikformer V2's own rows leave the first term out). The rate of an attention product is the share of its operations in
which two nonzero operands meet. Decided here, as the papers are silent: a later layer whose inputs are signed reals, or averages of what
is graded where neurons send graded values, makes no SOPs but multiply-accumulates of every step.
"""

from benchmark.conventions._energy import PRESET, SYNAPTIC, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    """sops: the same as acs. ops: what the tables print as OPs, SOPs of a spiking network, FLOPs of an artificial one."""
    layers = [record for record in records if record.kind in SYNAPTIC]
    if not any(record.kind == "neuron" for record in records):
        macs = sum(record.each("dense") for record in layers)
        return result("papers", 0.0, macs, uncounted(records), preset, sops=0.0, ops=macs)
    graded = any(record.kind == "neuron" and record.sent in ("fraction", "real") for record in records)
    others = ("fraction", "real") if graded else ("real",)
    spiking = [record for record in layers if not record.first and record.input_kind not in others]
    sops = sum(record.each("dense") * rate(record) for record in spiking)
    macs = sum(record.each("dense") / (record.steps if record.first else 1) for record in layers if record not in spiking)
    return result("papers", sops, macs, uncounted(records), preset, sops=sops, ops=sops)


def rate(record) -> float:
    """Mean magnitude of the input; of a product, the share of its dense operations that happen."""
    if record.kind == "product":
        return record.events / record.dense if record.dense else 0.0
    return record.rate
