"""PyramidNet (Han et al., CVPR 2017), the teacher of KDSNN's row in IDSNN's Table 1: every block is wider than the one before it.

    D_k = 64 + k alpha / N,   x + BN(W2 relu(BN(W1 BN(x)))),   the shortcut a 2x2 average where the image halves, padded with zero channels
with N the number of blocks and D_k, rounded, the width of block k. A norm and a ReLU stand before the mean over positions.
Source: dyhan0920/PyramidNet-PyTorch@5a0b32f, PyramidNet.py. KDSNN has no public code (searched: its title, KDSNN, Pyramidnet18).
Parity: logits as the official module's with the same weights (see tests/test_quoted_networks.py).
Deviations: `cifar`, the official four stages behind a 3x3 convolution of stride 1 without ReLU, is a form that the official code has not.
Guessed: "Pyramidnet18" is the official four stages of two basic blocks, its only network of depth 18 (the official small-image form has
three stages, in which 18 layers do not come out), with alpha = 48, the factor of the official CIFAR commands; the row prints neither.
"""

from spikingjelly.activation_based import layer
from torch import nn
from torch.nn.functional import avg_pool2d, pad

from benchmark.networks.layers import First, Head, SpikingBackbone, conv_bn, kaiming_normal, max_pool

SIZES = {"18": {"stem": 64, "alpha": 48, "depths": [2, 2, 2, 2]}}
TWIN = {"divide": {"stem": 8, "alpha": 4, "depths": 2}}
NEURON = {}
LAYOUTS = {"cifar": {"kernel": 3, "stride": 1, "pool": False}, "imagenet": {"kernel": 7, "stride": 2, "pool": True}}


def build(size, layout, fire, classes, shape, steps):
    """A PyramidNet for images of shape (channels, height, width); logits [1, B, classes]."""
    first = First(1, *conv_bn(shape[0], size["stem"], layout["kernel"], layout["stride"]))
    stem = nn.Sequential(first, nn.ReLU(), max_pool()) if layout["pool"] else nn.Sequential(first)
    blocks, widths, before = [], [], size["stem"]
    for stage, depth in enumerate(size["depths"]):
        for index in range(depth):
            width = round(size["stem"] + (len(blocks) + 1) * size["alpha"] / sum(size["depths"]))
            blocks.append(Block(before, width, 2 if stage and not index else 1))
            widths.append(width)
            before = width
    end = nn.Sequential(layer.SeqToANNContainer(nn.BatchNorm2d(before)), nn.ReLU())
    network = SpikingBackbone(stem, blocks, widths, nn.Sequential(end, Head(before, classes)), 1)
    kaiming_normal(network)
    return network


class Block(nn.Module):
    """Norm, convolution, norm, ReLU, convolution, norm; [1, B, C, H, W] in and out."""

    def __init__(self, before, width, stride):
        super().__init__()
        self.stride, self.more = stride, width - before
        norm = layer.SeqToANNContainer(nn.BatchNorm2d(before))
        self.branch = nn.Sequential(norm, conv_bn(before, width, 3, stride), nn.ReLU(), conv_bn(width, width, 3))

    def forward(self, x):
        shortcut = avg_pool2d(x.flatten(0, 1), 2, ceil_mode=True).unflatten(0, x.shape[:2]) if self.stride == 2 else x
        return self.branch(x) + pad(shortcut, (0, 0, 0, 0, 0, self.more))
