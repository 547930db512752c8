"""What a run's records of layers come to: by a convention, or as plain sums. Loads no torch."""

from benchmark import conventions
from benchmark.conventions import Record


def records(run: dict) -> list[Record]:
    """The layers of the network that ran, as its pass over the test set left them."""
    return run["records"] if "records" in run else [Record.from_dict(layer) for layer in run["layers"]]


def counted(run: dict, reading, convention: str, amount: str) -> float | None:
    """An amount of one inference by a convention; None for a reading of other steps than those that were counted."""
    found = read(run, reading)
    return None if found is None else conventions.count(convention, found)[amount]


def read(run: dict, reading) -> list[Record] | None:
    """The layers up to the step that is read, steps that only probed included; None for a part of a run whose layers have no amounts of each."""
    found, asked, ran = records(run), steps(run, reading), run["spec"]["time_steps"]
    if reading.alone or asked > ran:
        return None
    if asked == ran:
        return found
    return [record.up_to(asked + record.steps - ran) for record in found] if any(record.by_step for record in found) else None


def steps(run: dict, reading) -> int:
    """Time steps of one inference."""
    return reading.steps or run["spec"]["time_steps"]
