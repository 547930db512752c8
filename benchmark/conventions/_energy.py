"""Energy of operations, and the sums over records that belong to no convention. Loads no torch."""

import csv
from functools import cache
from pathlib import Path

from benchmark.shared.errors import unknown

SYNAPTIC = ("conv", "linear", "product")
PRESET = "45nm_32bit"


@cache
def picojoule() -> dict[str, dict[str, float]]:
    """preset -> energy of one multiply-accumulate and of one accumulate in pJ, from picojoule.csv, which gives the sources."""
    with (Path(__file__).parent / "picojoule.csv").open(newline="", encoding="utf-8") as file:
        return {line["preset"]: {"mac": float(line["mac"]), "ac": float(line["ac"])} for line in csv.DictReader(file)}


def energy(macs: float, acs: float, preset: str = PRESET) -> float:
    """Millijoules of so many operations. UserError for an unknown preset."""
    if preset not in picojoule():
        raise unknown("energy preset", preset, picojoule())
    return (picojoule()[preset]["mac"] * macs + picojoule()[preset]["ac"] * acs) * 1e-9


def dense(records: list) -> float:
    """Multiply-accumulates of one inference if nothing were sparse: convolutions, linear layers, products, all steps; no biases."""
    return sum(record.each("dense") for record in records if record.kind in SYNAPTIC)


def firing_rate(records: list) -> float | None:
    """Outputs that are not zero per neuron and step in percent, over all neuron layers; None for an ANN."""
    neurons = sum(record.neurons for record in records)
    return 100 * sum(record.spikes for record in records) / neurons if neurons else None


def uncounted(records: list, counted: tuple = SYNAPTIC, biases: bool = False) -> list[str]:
    """What a convention that counts these kinds leaves out, by name. biases: it counts those."""
    left = [f"{record.name} ({record.layer or record.kind})" for record in records if record.kind not in counted]
    left += [] if biases else [f"{record.name} (bias)" for record in records if record.bias]
    return left + ["scaling of products and means over time (no layers)"]
