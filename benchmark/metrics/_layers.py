"""What a run's records of layers come to: by a convention, or as plain sums. Loads no torch."""

from benchmark import conventions
from benchmark.conventions import Record


def records(run: dict) -> list[Record]:
    """The layers of the network that ran, as its pass over the test set left them."""
    return [Record.from_dict(layer) for layer in run["layers"]]


def counted(run: dict, reading, convention: str, amount: str) -> float | None:
    """An amount of one inference by a convention; None for a reading of other steps than those that were counted."""
    return conventions.count(convention, records(run))[amount] if whole(run, reading) else None


def whole(run: dict, reading) -> bool:
    """True for a reading of all the steps that ran: records are of no part of them."""
    return reading.steps in (None, run["spec"]["time_steps"]) and not reading.alone


def steps(run: dict, reading) -> int:
    """Time steps of one inference."""
    return reading.steps or run["spec"]["time_steps"]
