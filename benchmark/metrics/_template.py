"""Example: synaptic operations for each correct answer (of no paper). Copy this file to benchmark/metrics/<name>.py.

It is found by being there: pins may then name the metric, tables get its columns and verdicts, and tests/test_metrics.py reads it from a
made-up run. A file whose name starts with an underscore, like this one, is not offered.
"""

from benchmark.metrics._layers import counted
from benchmark.metrics._metric import Metric


def per_correct(run, structure, reading, first):
    """Operations of one inference by the papers' formula, 1e9, over the share of images that are told right; None at no accuracy.

    run: a run's metrics.json. structure: the paper-size network's file (for a metric of="structure"). reading: where on the run the row
    reads its number. first: the runs of the table's first row, for what is printed relative to it.
    """
    accuracy, operations = reading.read(run), counted(run, reading, "papers", "ops")
    return operations / 1e9 / (accuracy / 100) if accuracy and operations is not None else None


METRICS = (
    Metric(
        name="ops_per_correct_G",  # as in pins, and its column: <name>_published, <name>, <name>_verdict
        meaning="operations of one inference for each correct answer, 1e9",
        unit="G",  # as in pins
        reader=per_correct,
        good=-1,  # less is better
        relative=0.10,  # agrees within a tenth of the printed value; `floor` would be absolute, per data set
    ),
)
