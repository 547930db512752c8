"""What a figure draws of a run beyond a number: reports/figures.py has its points."""

from benchmark.metrics._metric import Metric

METRICS = (
    Metric("curve", "accuracy and loss by epoch", "", pinned=("figure",)),
    Metric("loss_surface", "loss around the trained weights in two random directions", "", pinned=("figure",)),
)
