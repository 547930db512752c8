"""How far a run is that is not done: by what it tells of itself while it goes on, or by the name of its newest checkpoint. Never loads torch."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """epoch: epochs that are done; step: steps of the one under way, of `steps`; seconds: that all this took. None: not known."""

    epoch: int
    step: int
    steps: int | None = None
    seconds: float | None = None

    def shown(self, epochs: int, steps: int) -> str:
        """In words; steps: of an epoch, where the run has not told them."""
        steps = self.steps or steps
        if self.epoch >= epochs:
            return f"epoch {epochs}/{epochs}, to be measured"
        done = self.epoch + self.step / steps
        left = f", about {duration(self.seconds / done * (epochs - done))} left" if self.seconds and done else ""
        return f"epoch {self.epoch + 1}/{epochs}, step {self.step} of {steps}{left}"


def under_way(folder: Path) -> Progress | None:
    """What a running run tells of itself; None if it has not begun to train."""
    try:
        return Progress(**json.loads((folder / "progress.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def stopped(folder: Path) -> Progress | None:
    """Where the newest checkpoint of a run stands, `checkpoint.<epoch>.<step>.<checksum>.pt`; None without one."""
    places = [path.name.split(".")[1:3] for path in folder.glob("checkpoint.*.*.*.pt")]
    known = [tuple(map(int, place)) for place in places if all(number.isdecimal() for number in place)]
    return Progress(*max(known)) if known else None


def waits(folder: Path) -> bool:
    """Is there a checkpoint to go on from?"""
    return stopped(folder) is not None


def duration(seconds: float) -> str:
    """As people say it: 40 s, 12 min, 3.5 h, 6.2 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
