"""What a file in methods/ is: a class that says its parameters, what it needs, its extra trained parts and its loss.

The loop runs the networks, gathers what the method may see and sums the loss's named terms. A method knows networks and tensors only:
no files, data sets, optimisers.

Beside its class a file may have `def fits(student, **above) -> str` (`fits(student, teacher)` of a method that needs a teacher): empty,
or the reason why these networks do not go together. It is compiled alone from the file's text and asked before anything trains, so it
is plain Python without imports. Each argument is a backbone's `name`, `family`, `size` (its literal) and `ann` (no neurons).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional


@dataclass
class Outputs:
    """One network's answer to a batch.

    logits: [T, B, classes] (an ANN has T = 1). Of a method that sees `blocks`: features, block outputs as the backbone gives them, and
    tokens, one [T, B, width] per block, the vector that stands for its output (mean over positions, or a class token). Of one that sees
    `images`: what went in, [B, C, H, W], or events [T, B, C, H, W].
    """

    logits: torch.Tensor
    features: list = field(default_factory=list)
    tokens: list = field(default_factory=list)
    images: torch.Tensor | None = None


class Method:
    """Base of all methods. What stands here is all that a method may replace, the tables as plain literals.

    params, params_for: the paper's values, and those of a printed data set where they differ. choices, ranges: what a word and a number
    may be. needs: role -> {"method": name}, the networks that are trained before: `teacher` answers every batch, `ann`
    (to convert), `encoder` and `start` are handed to `start` alone; with "backbone": "same" where it is the student's own, "time_steps"
    where a spiking one has others than the student, "options" for the row's recipe options that are its own. sees: "blocks", "images".
    recipe: the groups of recipe keys that a cell of it needs; without `training` nothing is trained, and there is no loss. neuron:
    constants of a neuron in place of the backbone's. any_time: one run answers at each of its steps, for every row of fewer steps. keeps:
    the trained `parts` are kept beside the weights, for `pictures`.
    """

    params: dict = {}
    params_for: dict = {}
    choices: dict = {}
    ranges: dict = {}
    needs: dict = {}
    sees: tuple = ()
    recipe: tuple = ("training", "augmentation", "evaluation")
    neuron: dict = {}
    any_time: bool = False
    keeps: bool = False

    def __init__(self, **chosen):
        self.__dict__.update({**self.params, **chosen})

    def start(self, network: nn.Module, above: dict[str, nn.Module], calibration: Iterator[torch.Tensor]) -> nn.Module:
        """The network that trains, or is measured: `network` as it was built, changed in place, or another in its place.

        Called once, before training. network: its `steps` are the cell's.
        above: what `needs` asks for, by role. calibration: batches of training images, not augmented.
        """
        return network

    def before_epoch(self, network: nn.Module, images: torch.Tensor, target: torch.Tensor) -> None:
        """What is done before every epoch to the network that trains, in training mode, given the epoch's first batch; nothing is kept of it
        but the network's weights and buffers."""

    def parts(self, student: nn.Module, teacher: nn.Module | None) -> nn.Module:
        """Extra modules that are trained with the student and thrown away at inference."""
        return nn.Identity()

    def loss(self, student: Outputs, teacher: Outputs | None, target: torch.Tensor, parts: nn.Module) -> dict[str, torch.Tensor]:
        """Named terms, already weighted; their sum is minimised. target: class probabilities [B, classes]."""
        raise NotImplementedError

    def pictures(self, student: nn.Module, parts: nn.Module, images: torch.Tensor) -> tuple[dict, dict]:
        """Of a method that keeps its parts, what it makes of images [B, C, H, W]: name -> pictures of that shape, and name -> numbers [B].

        Both modules are the trained ones, for evaluation; all that is random is drawn from torch's generator of the CPU.
        """
        raise NotImplementedError


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of logits [B, classes] with class probabilities [B, classes], in float32."""
    return functional.cross_entropy(logits.float(), target)


# Pieces of distillation losses. log_q, log_p: log-probabilities [..., classes]; every piece is a mean over all but the classes.


def log_probabilities(logits: torch.Tensor, temperature: float = 1.0, over: str = "steps") -> torch.Tensor:
    """Log of softmax(z / temperature) of logits [T, B, classes], in float32.

    over: `steps` keeps every step, [T, B, classes]; `logits` averages z over time before the softmax and `probabilities` averages
    its outputs, both [1, B, classes].
    """
    logits = logits.float()
    if over == "logits":
        logits = logits.mean(0, keepdim=True)
    log_q = functional.log_softmax(logits / temperature, -1)
    return log_q.logsumexp(0, keepdim=True) - math.log(len(log_q)) if over == "probabilities" else log_q


def label_loss(log_q: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """CE = -sum_i y_i log q_i for class probabilities y [B, classes]."""
    return -(target * log_q).sum(-1).mean()


def divergence(log_q: torch.Tensor, log_p: torch.Tensor) -> torch.Tensor:
    """KL(p || q) = sum_i p_i (log p_i - log q_i); the teacher's p gets no gradient."""
    log_p = log_p.detach()
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def entropy(log_q: torch.Tensor) -> torch.Tensor:
    """H(q) = -sum_i q_i log q_i."""
    return -(log_q.exp() * log_q).sum(-1).mean()


def distance(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared differences of two features [B, ...], summed over the feature and averaged over the batch; none to the teacher."""
    return (student.float() - teacher.detach().float()).square().flatten(1).sum(1).mean()


def stage_ends(widths: list[int]) -> list[int]:
    """Index of the last block of each stage, a run of blocks of equal width: [64, 64, 128] -> [1, 2]."""
    return [index for index, width in enumerate(widths) if widths[index + 1 : index + 2] != [width]]
