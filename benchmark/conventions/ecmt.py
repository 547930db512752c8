"""`ecmt`: the energy of ECMT (ACM MM 2024, section 5.5), relative to the artificial network's: E = 0.9 pJ x accumulates, none of them multiplied.

A nonzero input of a linear layer is one accumulate per output, whatever its height (2n thresholds are 2n copies of the weights, eq. 26 to
29). A product of two spiking inputs makes the accumulates of equation 18, with the sums S(t-1) before the step; the public code, which made
the printed ratios, reads them after it, S(t), and so does this (`acs_equation` is the printed equation, `acs_two` its two products
A(t) S_B(t) + S_A(t-1) B(t)). The artificial network's energy is 4.6 pJ for each multiply-accumulate of its linear layers and products,
once. The classifier, whose input is real, counts as if spikes arrived. The image's layer, softmax, norms and compensation count nowhere.
`events` calls the same inputs graded, and multiplies.
"""

from benchmark.conventions._energy import PRESET, SYNAPTIC, energy, uncounted
from benchmark.conventions._result import result


def count(records: list, preset: str = PRESET) -> dict:
    """ratio: energy divided by the artificial network's, whose multiply-accumulates are macs_ann; 1 of a network without neurons."""
    layers = [record for record in records if record.kind in SYNAPTIC and not record.first]
    macs = sum(record.each("dense") / record.steps for record in layers)
    left = [f"{record.name} ({record.layer or record.kind})" for record in records if record.first] + uncounted(records)
    if not any(record.kind == "neuron" for record in records):
        return result("ecmt", 0.0, macs, left, preset, macs_ann=macs, ratio=1.0)
    acs, equation, two = (sum(accumulates(record, reading) for record in layers) for reading in ("after", "before", "two"))
    ratio = energy(0.0, acs, preset) / energy(macs, 0.0, preset)
    return result("ecmt", acs, 0.0, left, preset, acs_equation=equation, acs_two=two, macs_ann=macs, ratio=ratio)


def accumulates(record, reading: str) -> float:
    """Per inference; a layer without this reading (all but compensated products) has one."""
    return sum(record.by_step[reading]) / max(1, record.images) if reading in record.by_step else record.each("events")
