"""How long training takes."""

from benchmark.metrics._metric import Metric

MACHINES = 0.5  # share: other hardware than the paper's


def of_batch(run, *_):
    """Seconds of one training step of a batch; None for a run without training."""
    return run["images_per_second"] and run["spec"]["recipe"]["batch_size"] / run["images_per_second"]


def hours(run, *_):
    """See `seconds`."""
    found = seconds(run)
    return None if found is None else found / 3600


def seconds(run: dict) -> float | None:
    """Of the run and of what it goes on from (a pre-trained encoder, fewer steps), not of a teacher's training; None where one is unknown."""
    going_on_from = [other for role, other in run.get("before", {}).items() if role in ("encoder", "start")]
    times = [run.get("seconds"), *map(seconds, going_on_from)]
    return None if None in times else sum(times)


def times_faster(run, *_):
    """Seconds of training the same network from scratch, its run being `scratch`, over those of this run with what it goes on from."""
    times = [found and seconds(found) for found in (run.get("scratch"), run)]
    return times[0] / times[1] if all(times) else None


METRICS = (
    Metric("training_time_s", "seconds of training per batch", "s", reader=of_batch, good=-1, relative=MACHINES),
    Metric("training_time_h", "hours of training", "h", reader=hours, good=-1, relative=MACHINES),
    Metric("speedup", "times faster than training the same network from scratch", "x", reader=times_faster, good=1, relative=MACHINES),
    Metric(
        "train_seconds",
        "seconds of training",
        "s",
        reader=lambda run, *_: run["seconds"],
        pinned=(),
        column="train_seconds",
        place=9,
        digits=1,
    ),
)
