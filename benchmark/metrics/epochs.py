"""Numbers of epochs."""

import statistics

from benchmark.metrics._metric import Metric


def reached(run, structure, reading, first):
    """The best epoch; of a row that says when it passes the table's first row (`at_epoch`), the first one better than that row's best."""
    if not isinstance(reading.epoch, int):
        return run["epoch_best"]
    if not first:
        return None
    best = statistics.mean(other["accuracy_best"] for other in first.values())
    return next((epoch for epoch, accuracy in enumerate(run["accuracy_by_epoch"], 1) if accuracy > best), None)


def trained(run, *_):
    """Epochs of the recipe, a cool-down left out."""
    return run["spec"]["recipe"].get("epochs", 0)


METRICS = (
    Metric(
        "epoch",
        "epoch at which the accuracy beside it was reached, or epochs trained",
        "epochs",
        reader=reached,
        relative=0.25,
        conventions={"trained": {"reader": trained}},
    ),
)
