"""How often neurons fire."""

from benchmark.conventions import _energy
from benchmark.metrics._layers import records, whole
from benchmark.metrics._metric import Metric

METRICS = (
    Metric(
        "firing_rate_pct",
        "spikes per neuron and time step in percent, on the whole test set",
        "%",
        reader=lambda run, structure, reading, first: _energy.firing_rate(records(run)) if whole(run, reading) else None,
        relative=0.10,
        column="firing_rate",
        place=8,
        digits=2,
    ),
)
