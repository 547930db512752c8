"""What a figure draws of a run beyond a number: reports/figures.py has its points."""

from benchmark.metrics._metric import Metric

METRICS = (
    Metric("curve", "accuracy and loss by epoch", "", pinned=("figure",)),
    Metric("loss_surface", "loss around the trained weights in two random directions", "", pinned=("figure",)),
    Metric("pictures", "test images and what a method with trained parts of its own makes of them", "", pinned=("figure",)),
)
