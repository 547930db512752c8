"""Layer-wise learning-rate decay: which layer a parameter belongs to, said in timm's words, so that timm's optimiser and schedule do it.

The stem is layer 0, block i layer i + 1; the head and the parts that a method trains beside the student come last. A recipe's `layer_decay`
d gives layer l of the last one L the rate d^(L - l) of the schedule's, warm-up and floor included (timm's `lr_scale`).
"""

from torch import nn


class Trained(nn.ModuleDict):
    """What a run trains, `student` and `parts`."""

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """timm's: patterns of parameter names in the order of layers, each number in one a layer of its own, the rest after all of them."""
        return {"stem": r"^student\.stem\.", "blocks": r"^student\.blocks\.(\d+)\."}
