"""How often neurons fire."""

from benchmark.conventions import _energy
from benchmark.metrics._layers import read
from benchmark.metrics._metric import Metric


def rate(run, structure, reading, first):
    """Of all neuron layers, up to the step that is read."""
    found = read(run, reading)
    return None if found is None else _energy.firing_rate(found)


METRICS = (
    Metric(
        "firing_rate_pct",
        "spikes per neuron and time step in percent, on the test images that were counted: all, or fewer of a conversion of many steps",
        "%",
        reader=rate,
        relative=0.10,
        column="firing_rate",
        place=8,
        digits=2,
    ),
)
