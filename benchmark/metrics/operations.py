"""Operations of one inference over all time steps."""

from benchmark.conventions import _energy
from benchmark.metrics._layers import counted, read, steps
from benchmark.metrics._metric import Metric

TRAINED = 0.10  # share: counted on trained networks, whose firing rates differ from run to run


def by(convention: str, amount: str, unit: float):
    """Reader of an amount by a convention."""

    def reader(run, structure, reading, first):
        value = counted(run, reading, convention, amount)
        return None if value is None else value / unit

    return reader


def dense(run, structure, reading, first):
    """Dense multiply-accumulates of the paper-size model; None for an ANN at several steps, whose operations are its conversion's."""
    each = structure["layers_macs"] + structure["products_macs"]
    return None if structure["ann"] and steps(run, reading) > 1 else steps(run, reading) * each / 1e9


def run_macs(run, structure, reading, first):
    """Dense multiply-accumulates of the network that ran."""
    found = read(run, reading)
    return None if found is None else _energy.dense(found) / 1e9


def of_layer(run, structure, reading, first):
    """Of the paper-size network's first block; None for a layer that it does not have."""
    found = structure.get("block", {}).get(reading.layer)
    return None if found is None else found / 1e6


def dense_syops(amount: str, unit: float):
    """Reader of what syops-counter counts of the paper-size model, from its layers alone."""

    def reader(run, structure, reading, first):
        several = steps(run, reading)
        return None if structure["ann"] and several > 1 else several * structure[amount] / unit

    return reader


METRICS = (
    Metric(
        "ops_G",
        "operations of one inference over all time steps, 1e9 (each paper's own convention)",
        "G",
        reader=by("papers", "ops", 1e9),
        good=-1,
        relative=TRAINED,
        pinned=("table", "figure"),
        conventions={"syops": {"of": "structure", "reader": dense_syops("syops_ops", 1e9), "relative": 0.0}},
    ),
    Metric(
        "ops_M",
        "the same, 1e6",
        "M",
        reader=by("papers", "ops", 1e6),
        good=-1,
        relative=TRAINED,
        conventions={"single-attention": {"reader": by("single-attention", "ops", 1e6)}},
    ),
    Metric(
        "macs_M",
        "multiply-accumulates of one inference, 1e6",
        "M",
        reader=by("events", "macs", 1e6),
        good=-1,
        relative=TRAINED,
        conventions={"syops": {"of": "structure", "reader": dense_syops("syops_macs", 1e6), "relative": 0.0}},
    ),
    Metric(
        "acs_M",
        "accumulates of one inference, 1e6",
        "M",
        reader=by("events", "acs", 1e6),
        good=-1,
        relative=TRAINED,
        conventions={"syops": {"reader": by("syops", "acs", 1e6)}},
    ),
    Metric(
        "complexity_M",
        "operations of one layer of a Transformer's block; printed: by the paper's formula, 1e6",
        "M",
        of="structure",
        reader=of_layer,
    ),
    Metric(
        "macs_G",
        "dense multiply-accumulates of the paper-size model, one inference, all time steps, attention products included, 1e9",
        "G",
        of="structure",
        reader=dense,
        pinned=(),
        column="macs_G",
        place=2,
    ),
    Metric(
        "run_macs_G",
        "the same of the network that ran (perhaps a twin), 1e9",
        "G",
        reader=run_macs,
        pinned=(),
        column="run_macs_G",
        place=4,
    ),
    Metric(
        "acs_G",
        "accumulates of the network that ran, exact events, one inference, 1e9",
        "G",
        reader=by("events", "acs", 1e9),
        pinned=(),
        column="acs_G",
        place=5,
    ),
    Metric(
        "sops_G",
        "firing rate x T x FLOPs of the network that ran, the papers' formula, 1e9",
        "G",
        reader=by("papers", "sops", 1e9),
        pinned=(),
        column="sops_G",
        place=6,
    ),
)
