"""A spiking MLP on flattened images (an example, of no paper). Copy this file to benchmark/backbones/<family>.py; the tests find it by
being there.

Say where neurons and shortcuts stand, and which layers the source builds and never calls: they are left out here.

Source: <owner/repo>@<short commit>, <files read>, or: no public code found (searched: <words>), <paper, section>.
Parity: what was compared with the source (logits and gradients on copied weights), and how equal it was, measured; else no such line.
Deviations: what differs from the source, and why; or: none known.
Decisions: what the source leaves open and how it is read here.
Guessed: what no source says; only where there is such a thing. docs/systems.md is made of these lines, but for the decisions.

Each size is a backbone, `<family>-<size>`, that a table's row may name. A printed number of parameters goes into
benchmark/papers/parameters.csv, to which a test holds the network. A file with a leading underscore, like this one, is not offered.
"""

from torch import nn

# Literals, since they are read without running the file.
SIZES = {"2-256": {"hidden": [256, 256]}}
TWIN = {"divide": {"hidden": 8}}  # what the smoke scale runs: numbers of a size divided, or replaced ("set"); at most 1.5 M parameters
MINI = {"divide": {"hidden": 4}}  # what the mini scale runs, the same way; without it, the scale has no such network
NEURON = {  # every constant of a file in benchmark/neurons; {} for an artificial network, whose `fire` is then None
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {"cifar": {}, "imagenet": {}, "dvs": {}}  # what each kind of data changes; a kind that is not here is refused


def build(size, layout, fire, classes, shape, steps):
    """A spiking MLP for inputs of shape (channels, height, width).

    size, layout: entries of the tables above. fire: makes a new layer of neurons, `fire(v_threshold=0.5)` one with another constant.
    """
    channels, height, width = shape
    return SpikingMLP(channels * height * width, size["hidden"], fire, classes, steps)


class SpikingMLP(nn.Module):
    """Static images [B, C, H, W] or events [T, B, C, H, W] in, logits [T, B, classes] out.

    Methods see `blocks`, whose outputs they may tap, `widths`, the channels of each block's output, `steps`, and `token`.
    Convolutional networks and Transformers have all this from `benchmark.networks.layers.SpikingBackbone`.
    """

    def __init__(self, inputs, hidden, fire, classes, steps):
        super().__init__()
        pairs = zip([inputs, *hidden], hidden, strict=False)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Linear(before, width), fire()) for before, width in pairs))
        self.classifier = nn.Linear(hidden[-1], classes)
        self.widths, self.steps = hidden, steps

    def forward(self, x):
        x = x.flatten(-3)
        if x.dim() == 2:  # the same image at every step
            x = x.expand(self.steps, *x.shape)
        return self.classifier(self.blocks(x))

    @staticmethod
    def token(feature):
        """Block output [T, B, C] -> [T, B, C]: the vector that stands for it."""
        return feature
