"""Sizes of networks."""

from benchmark.metrics._metric import Metric

METRICS = (
    Metric(
        "params_M",
        "parameters of the paper-size model on the printed data set, millions, unused layers left out",
        "M",
        of="structure",
        reader=lambda run, structure, *_: structure["parameters"] / 1e6,
        pinned=("table", "figure"),
        column="params_M",
        place=1,
    ),
    Metric(
        "run_params_M",
        "parameters of the network that ran (perhaps a twin), millions",
        "M",
        reader=lambda run, *_: run["parameters"] / 1e6,
        pinned=(),
        column="run_params_M",
        place=3,
    ),
)
