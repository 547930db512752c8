"""What a file in methods/ is: a class that says its parameters, its extra trained parts and its loss.

The loop runs student and teacher, gathers what the method asks for and sums the loss's named terms. A method knows tensors only:
no files, data sets, optimisers.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional


@dataclass
class Outputs:
    """One network's answer to a batch.

    logits: [T, B, classes] (an ANN has T = 1). features: block outputs as the backbone gives them, if the method has `taps`.
    tokens: one [T, B, width] per block, the vector that stands for its output (mean over positions, or a class token).
    """

    logits: torch.Tensor
    features: list = field(default_factory=list)
    tokens: list = field(default_factory=list)


class Method:
    """Base of all methods. `params` are the paper's values; `taps` asks for block outputs; `needs_teacher` for a teacher."""

    params: dict = {}
    taps = False
    needs_teacher = False

    def __init__(self, **chosen):
        self.__dict__.update({**self.params, **chosen})

    def parts(self, student: nn.Module, teacher: nn.Module | None) -> nn.Module:
        """Extra modules that are trained with the student and thrown away at inference."""
        return nn.Identity()

    def loss(self, student: Outputs, teacher: Outputs | None, target: torch.Tensor, parts: nn.Module) -> dict[str, torch.Tensor]:
        """Named terms, already weighted; their sum is minimised. target: class probabilities [B, classes]."""
        raise NotImplementedError


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits [B, classes] with class probabilities [B, classes], in float32."""
    return functional.cross_entropy(logits.float(), target)
