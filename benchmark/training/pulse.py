"""How far a run is, in a small file beside it that `status` reads while the run goes on: `progress.json`, nothing that a result depends on."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path

EVERY = 2.0  # seconds


class Pulse:
    """epoch: of those that are done; step of steps: of the one under way; seconds: since the run began, those of earlier sessions counted."""

    def __init__(self, folder: Path):
        self.path, self.told = folder / "progress.json", -EVERY

    def beat(self, epoch: int, step: int, steps: int, began: float) -> None:
        """Write it if the last time is long enough ago. began: on the monotonic clock. A disk that is full is not what ends a run here."""
        now = time.monotonic()
        if now - self.told < EVERY:
            return
        self.told, partial = now, self.path.with_name(".progress.partial")
        with suppress(OSError):
            partial.write_text(json.dumps({"epoch": epoch, "step": step, "steps": steps, "seconds": round(now - began, 1)}))
            os.replace(partial, self.path)

    def remove(self) -> None:
        for path in (self.path, self.path.with_name(".progress.partial")):
            path.unlink(missing_ok=True)
