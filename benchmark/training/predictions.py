"""What a run answers to each test image, kept beside its metrics: two runs are then compared image by image."""

from pathlib import Path

import numpy as np
import torch

from benchmark.shared.files import replacing


def write(folder: Path, logits: torch.Tensor) -> None:
    """predictions.npz: `logits` [test images, classes], float16, the mean over all steps of the pass in fp32 that is counted, in the order
    of the test set."""
    with replacing(folder / "predictions.npz", "wb") as file:
        np.savez_compressed(file, logits=logits.cpu().half().numpy())
