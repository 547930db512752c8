"""Masked pre-training and the fine-tuning after it. What ran before a run is its `before`, by role; see reports/measured.py."""

from benchmark.metrics._metric import Metric


def stage(run: dict, method: str) -> dict | None:
    """The run of this method: itself, or what ran before it; None if there is none."""
    if run["spec"]["method"]["name"] == method:
        return run
    return next(filter(None, (stage(other, method) for other in run.get("before", {}).values())), None)


def epochs(method: str):
    def read(run, *_):
        found = stage(run, method)
        return found and found["spec"]["recipe"].get("epochs", 0)

    return read


def hidden(run, *_):
    """Percent of the patches that pre-training hid."""
    found = stage(run, "mae-pretrain")
    return found and found["spec"]["method"]["params"]["mask"]


METRICS = (
    Metric("mask_ratio_pct", "share of masked patches, %", "%", reader=hidden),
    Metric("epoch_pretrain", "epochs of pre-training", "epochs", reader=epochs("mae-pretrain")),
    Metric("epoch_finetune", "epochs of fine-tuning", "epochs", reader=epochs("mae")),
)
