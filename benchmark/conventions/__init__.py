"""Conventions: one file each, a pure function `count` from records to the operations and the energy of one inference.

Every result has acs (accumulates), macs (multiply-accumulates), energy_mJ, convention, uncounted (what it leaves out, by name) and
perhaps more. A file is offered by being there; copy `_template.py` to add one. Loads no torch.
"""

import importlib
from functools import cache
from pathlib import Path

from benchmark.conventions._record import Record
from benchmark.shared.errors import unknown

__all__ = ["Record", "count", "names"]


@cache
def names() -> tuple[str, ...]:
    """All conventions, by the names that their file names stand for."""
    return tuple(sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py")))


def count(name: str, records: list[Record], preset: str = "") -> dict:
    """One convention by name, at its own prices or a preset of picojoule.csv. UserError for an unknown name, or prices it does not have."""
    if name not in names():
        raise unknown("convention", name, names())
    counted = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").count
    return counted(records, preset) if preset else counted(records)
