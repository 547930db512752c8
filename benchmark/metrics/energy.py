"""Energy of one inference, at 45 nm: 4.6 pJ per multiply-accumulate, 0.9 pJ per accumulate."""

from benchmark.metrics._metric import Metric
from benchmark.metrics.operations import TRAINED, by

METRICS = (
    Metric(
        "power_mJ",
        "energy of one inference, mJ, where the paper says power: the papers' formula",
        "mJ",
        reader=by("papers", "energy_mJ", 1.0),
        good=-1,
        relative=TRAINED,
        pinned=("table", "figure"),
    ),
    Metric(
        "energy_mJ",
        "energy of one inference of the network that ran, mJ: exact events, or the paper's own convention where it prints one",
        "mJ",
        reader=by("events", "energy_mJ", 1.0),
        good=-1,
        relative=TRAINED,
        column="energy_mJ",
        place=7,
        conventions={"syops": {"reader": by("syops", "energy_mJ", 1.0)}},
    ),
    Metric(
        "energy_uJ",
        "energy of one inference, uJ: exact events",
        "uJ",
        reader=by("events", "energy_mJ", 1e-3),
        good=-1,
        relative=TRAINED,
        conventions={"single-attention": {"reader": by("single-attention", "energy_mJ", 1e-3)}},
    ),
    Metric(
        "energy_ratio",
        "energy divided by the ANN's, as ECMT counts it",
        "x",
        reader=by("ecmt", "ratio", 1.0),
        good=-1,
        relative=TRAINED,
    ),
)
