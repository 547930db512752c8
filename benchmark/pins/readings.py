"""Where on its run a number is read: as the paper reports its accuracies unless the row says otherwise. No part of a cell or of an id.

paper.yaml's `reports` says which epoch a paper prints, the last or the best on the test set, with its source; where the paper does not
say, what the code behind it does stands under `official` and decides. A paper without `reports` is read after the last epoch, a row that
it quotes at the best one, as the public code of cited works does (read of SEW-ResNet, PLIF, SRP and the Spike-driven Transformer).

Options of a row say it (OPTIONS), and its time steps do for a method that answers at every step of one run (its literal `any_time`, as
converted networks do): such rows share the run of the largest T that any of them asks for, and each reads the mean up to its own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from benchmark.pins import published
from benchmark.pins.published import Number
from benchmark.shared.errors import UserError

OPTIONS = {
    "at_epoch": "the epoch whose accuracy is printed, counted from 1, or `best`",
    "at_step": "the time step whose logits alone answer, counted from 1",
    "up_to_step": "the time step up to which logits are averaged, counted from 1",
    "layer": "the layer of a Transformer's block whose operations are printed, of the network alone",
}
NOT_STATED = "not stated"
STEPS = re.compile(r"(\d+)(?:\((\d+)\)|/(\d+))?")


@dataclass(frozen=True)
class Reading:
    """epoch: None for the last, `best`, or counted from 1. steps: the mean of the first so many, None for all that ran.
    alone: only the last of `steps`. beside: what stands in brackets or behind the slash of the printed steps. layer: of the network, no
    place on a run."""

    epoch: int | str | None = None
    steps: int | None = None
    alone: bool = False
    beside: int | None = None
    layer: str | None = None

    @classmethod
    def of(cls, number: Number, any_time: bool = False) -> "Reading":
        """Where a printed number is read. UserError for an option that makes no sense, or two that contradict each other."""
        chosen = options(number)
        found = {key: place(number, key, text) for key, text in chosen.items()}
        read, beside = parts(number.time_steps)
        steps = found.get("up_to_step", found.get("at_step", read if any_time else None))
        if len(chosen) > 1 or ("at_epoch" in chosen and steps is not None):
            raise UserError(f"{number.name}, row {number.row}: a run keeps no accuracy of one epoch and of single steps: {number.options}")
        best = steps is None and (number.origin == "quoted" or reported(number.paper, "accuracy")[0] == "best")
        return cls(found.get("at_epoch", "best" if best else None), steps, "at_step" in chosen, beside, found.get("layer"))

    def read(self, metrics: dict) -> float | None:
        """The accuracy of a run there, %; None if the run is shorter."""
        if self.epoch == "best":
            return metrics["accuracy_best"]
        if self.epoch is not None:
            return counted_from_1(metrics["accuracy_by_epoch"], self.epoch)
        if self.steps is not None:
            return counted_from_1(metrics["accuracy_by_step" if self.alone else "accuracy_up_to"], self.steps)
        return metrics["accuracy"]


def reported(paper: str, what: str) -> tuple[str, bool]:
    """(how the paper's accuracies were read, whether the paper says so): where it does not, what the code behind it does."""
    said = published.sheet(paper).get("reports")
    if said is None:
        return NOT_STATED, False
    stated = said[what] != NOT_STATED
    return (said if stated else said["official"])[what], stated


def counted_from_1(values: list[float], place: int) -> float | None:
    return values[place - 1] if 1 <= place <= len(values) else None


def options(number: Number) -> dict[str, str]:
    """A row's options that say where it is read."""
    return {key: text for key, _, text in (item.partition("=") for item in number.options.split()) if key in OPTIONS}


def place(number: Number, key: str, text: str) -> int | str:
    """The value of such an option. UserError for one that is no epoch or step."""
    if (key == "at_epoch" and text == "best") or key == "layer":
        return text
    if not re.fullmatch(r"[1-9]\d*", text):
        raise UserError(f"{number.name}, row {number.row}: option {key} ({OPTIONS[key]}) cannot be '{text}'")
    return int(text)


def parts(time_steps: str) -> tuple[int | None, int | None]:
    """Printed steps -> those that are read, and what stands beside: 4 -> (4, None), 4(8) -> (4, 8), 10/5 -> (10, 5), - -> (None, None)."""
    found = STEPS.fullmatch(time_steps)
    if not found:
        return None, None
    read, bracketed, behind = found.groups()
    beside = bracketed or behind
    return int(read), int(beside) if beside else None


def key(number: Number) -> tuple:
    """What rows share that are readings of one run: cell, data set, and the options that say no reading."""
    others = sorted(item for item in number.options.split() if item.partition("=")[0] not in OPTIONS)
    return number.cell, number.dataset, tuple(others)


def largest(number: Number, among: Iterable[Number] | None = None) -> int:
    """The most steps that any row reads of the run behind this one. UserError if none prints steps.

    among: the numbers to look through; by default all pinned ones, but for tables that cannot be read.
    """
    rows = [other for other in (readable() if among is None else among) if key(other) == key(number)]
    asked = [steps for steps, _ in (parts(other.time_steps) for other in (number, *rows)) if steps]
    if not asked:
        raise UserError(f"{number.name}, row {number.row}: no row of {number.cell} on {number.dataset} prints its time steps")
    return max(asked)


def readable() -> Iterable[Number]:
    """The numbers of every table that can be read; a broken one is left to whoever asks for it."""
    for table in published.tables():
        try:
            yield from published.read(table)
        except UserError:
            continue
