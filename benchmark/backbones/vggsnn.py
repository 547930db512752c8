"""VGGSNN (Deng et al., ICLR 2022: TET), for event streams of 48x48.

Eight biased 3x3 convolutions, average pooling behind every second one, and a linear classifier on the flattened map. `blocks` are the
four pairs, the first one without its first convolution.
Neuron: the official code's, v <- v / 2 + x with a triangle of height 1 (its gamma is 1) for the gradient of the step function.

Source: brain-intelligence-lab/temporal_efficient_training@8217492, models/VGG_models.py, models/layers.py.
Parity: with its VGGSNN on copied weights, in training mode and double precision, T=4, 36 to 39 % of each layer firing: logits equal to the
bit, gradients to 4e-14 of the largest; parameters equal, 9,271,498.
Deviations: a neuron fires at the threshold, the code's above it.
"""

from torch import nn

from benchmark.backbones.vgg import group
from benchmark.networks.layers import First, SpikingBackbone, conv_bn, kaiming_normal

SIZES = {"8": {"widths": [64, 128, 256, 256, 512, 512, 512, 512]}}
TWIN = {"divide": {"widths": 8}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": False, "decay_input": False,
    "surrogate": "triangle", "alpha": 1.0,
}  # fmt: skip
LAYOUTS = {"dvs": {}}


def build(size, layout, fire, classes, shape, steps):
    """A VGGSNN for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    widths = size["widths"]
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], widths[0], 3, bias=True)), fire())
    blocks = [pair(widths[max(index - 1, 0)], widths[index : index + 2], fire, first=index == 0) for index in range(0, len(widths), 2)]
    positions = (shape[1] // 16) * (shape[2] // 16)
    head = nn.Sequential(nn.Flatten(2), nn.Linear(widths[-1] * positions, classes))
    model = SpikingBackbone(stem, blocks, widths[1::2], head, steps)
    kaiming_normal(model)
    return model


def pair(before, widths, fire, first):
    """Two Conv3x3-BN-neuron (one if the stem has the other), then average pooling."""
    convolutions = [] if first else [group(before, widths[0], 1, False, fire)]
    return nn.Sequential(*convolutions, group(widths[0], widths[1], 1, True, fire))
