"""Conventions: one file each, a pure function `count` from records to the operations and the energy of one inference.

Every result has acs (accumulates), macs (multiply-accumulates), energy_mJ, convention, uncounted (what it leaves out, by name) and
perhaps more. Loads no torch.
"""

from benchmark.conventions import events, papers, spikingformer, syops

CONVENTIONS = {"events": events.count, "papers": papers.count, "syops": syops.count, "spikingformer": spikingformer.count}


def count(name: str, records: list, preset: str = "45nm_32bit") -> dict:
    """One convention by name, with its energy at a preset of picojoule.csv."""
    return CONVENTIONS[name](records, preset)
