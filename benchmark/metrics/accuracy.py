"""Accuracies: shares of the test images in percent, their spread and their differences."""

import statistics

from benchmark.metrics._metric import Metric

FLOOR = {"CIFAR10": 0.3, "CIFAR100": 0.6, "ImageNet": 0.4, "CIFAR10-DVS": 1.5, "DVS128": 1.0, "*": 0.5}  # about two deviations over seeds


def top1(run, structure, reading, first):
    """The accuracy where the row reads it."""
    value = reading.read(run)
    return None if value is None else [value]


def artificial(run, structure, reading, first):
    """The accuracy of a network that has no neurons and is no conversion; None for others."""
    spiking = run["spec"]["network"]["neuron"] or "ann" in run["spec"]["above"]
    return None if spiking else top1(run, structure, reading, first)


def last(run, structure, reading, first):
    """The last epoch's; of a run that trains nothing, the only accuracy there is, where the row reads it."""
    return [run["accuracy"]] if run["epochs"] else top1(run, structure, reading, first)


def best(run, structure, reading, first):
    """The best epoch's; of a run that trains nothing, the only accuracy there is, where the row reads it."""
    return [run["accuracy_best"]] if run["epochs"] else top1(run, structure, reading, first)


def over_first(run, structure, reading, first):
    """This row's and, of the same seed, the first row's accuracy: [row, first row]."""
    base, value = (first or {}).get(run["seed"]), reading.read(run)
    base = base and reading.read(base)
    return None if base is None or value is None else [value, base]


def spread_of_steps(run, *_):
    """Best time step less worst, each by its own logits."""
    return max(run["accuracy_by_step"]) - min(run["accuracy_by_step"])


METRICS = (
    Metric(
        "accuracy",
        "top-1 test accuracy, %; of our runs at the epoch that the paper reports, mean over seeds",
        "%",
        shares=top1,
        good=1,
        floor=FLOOR,
        spread="accuracy_std",
        pinned=("table", "figure"),
        beside=("accuracy_last", "accuracy_best"),
        digits=2,
    ),
    Metric("accuracy_std", "spread of `accuracy`: as printed behind +-, of our runs over seeds, percentage points", "%", digits=2),
    Metric(
        "accuracy_last",
        "top-1 test accuracy after the last epoch, %, mean over seeds",
        "%",
        shares=last,
        good=1,
        floor=FLOOR,
        pinned=(),
        digits=2,
    ),
    Metric(
        "accuracy_best",
        "top-1 test accuracy of the best epoch, %, mean over seeds",
        "%",
        shares=best,
        good=1,
        floor=FLOOR,
        pinned=(),
        digits=2,
    ),
    Metric(
        "accuracy_ann",
        "top-1 test accuracy of the ANN that a spiking network starts from, %",
        "%",
        shares=artificial,
        good=1,
        floor=FLOOR,
    ),
    Metric("accuracy_gain", "accuracy above the table's first row, percentage points", "%", shares=over_first, good=1, floor=FLOOR),
    Metric(
        "accuracy_step_mean",
        "top-1 test accuracy of each time step alone; printed: its mean over the steps, %",
        "%",
        shares=lambda run, *_: [statistics.mean(run["accuracy_by_step"])],
        good=1,
        floor=FLOOR,
        pinned=("figure",),
    ),
    Metric(
        "accuracy_step_spread",
        "the same; printed: best step less worst, percentage points",
        "%",
        reader=spread_of_steps,
        good=-1,
        floor=FLOOR,
        pinned=("figure",),
    ),
)
