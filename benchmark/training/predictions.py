"""What a run answers to each test image, kept beside its metrics: two runs are then compared image by image."""

from pathlib import Path

import numpy as np
import torch

from benchmark.shared.files import replacing, sha256


def write(folder: Path, logits: torch.Tensor, labels: torch.Tensor) -> str:
    """predictions.npz; returns its checksum.

    logits: [test images, classes], the mean over all steps in the fp32 pass that is counted, kept as float16; labels: of the same images.
    """
    path = folder / "predictions.npz"
    with replacing(path, "wb") as file:
        np.savez_compressed(file, logits=logits.cpu().half().numpy(), labels=labels.cpu().numpy().astype(np.int16))
    return sha256(path)
