"""Which test images a run answered right, from what it kept of its answers. Loads no torch, and numpy only once it is asked."""

import zipfile
from pathlib import Path

from benchmark.shared.errors import Damaged
from benchmark.shared.files import sha256


def right(folder: Path, metrics: dict):
    """(whether each test image was answered right, their labels), two arrays [images]; None if the run kept no answers.

    Damaged: the file is not what the run wrote.
    """
    import numpy as np

    path, written = folder / "predictions.npz", metrics.get("predictions")
    if not written or not path.exists():
        return None
    if (found := sha256(path)) != written:
        raise Damaged(f"{path} is damaged: its checksum is {found}, the run wrote {written}")
    try:
        with np.load(path) as kept:
            return kept["logits"].argmax(1) == kept["labels"], kept["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Damaged(f"{path} is damaged: {' '.join(str(error).split())}") from None
