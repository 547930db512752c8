"""What a figure draws of a run beyond a number: reports/figures.py has its points."""

from benchmark.metrics._metric import Metric

METRICS = (
    Metric("curve", "accuracy and loss by epoch", "", pinned=("figure",)),
    Metric("loss_surface", "loss around the trained weights in two random directions", "", pinned=("figure",)),
    Metric("accuracy_up_to_step", "accuracy of the mean of the first t outputs, for every t", "%", pinned=("figure",)),
    Metric(
        "firing_by_threshold", "spikes of each threshold of a multi-threshold neuron, per neuron and time step", "%", pinned=("figure",)
    ),
    Metric("pictures", "test images and what a method with trained parts of its own makes of them", "", pinned=("figure",)),
)
