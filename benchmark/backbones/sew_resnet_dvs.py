"""SEW-ResNet for event cameras (Fang et al., NeurIPS 2021): 7B-Net for DVS128 Gesture, Wide-7B-Net for CIFAR10-DVS.

Blocks x + fire(f(fire(g(x)))), each followed by a max pool; a 1x1 convolution, batch normalisation and neuron where the width changes,
and on the events themselves. Parameters are as printed there: 0.13 M and 1.19 M. `3b-16` is ours: three such blocks of 16 channels, for
sensors as small as N-MNIST's.
Neuron: the official PLIF, one time constant learned for each layer. On 128 x 128 pixels seven pools leave one position, so that the mean
over positions is the official flattening.

Source: fangwei123456/Spike-Element-Wise-ResNet@cfc547c, dvsgesture/smodels.py, cifar10dvs/smodels.py and the arguments in its logs.
Parity: both nets with their layer lists built from spikingjelly's layers, weights copied, in training mode, all layers firing: logits
equal to 1e-5 (tests/test_backbones.py).
"""

from torch import nn

from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, basic_branch, conv_bn, max_pool

SIZES = {
    "7b": {"widths": [32], "depths": [7]},
    "wide-7b": {"widths": [64, 128], "depths": [4, 3]},
    "3b-16": {"widths": [16], "depths": [3]},
}
TWIN = {"divide": {"widths": 8, "depths": 2}, "least": {"widths": [8, 16]}}
NEURON = {
    "name": "plif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "atan", "alpha": 2.0,
}  # fmt: skip
LAYOUTS = {"dvs": {}}


def build(size, layout, fire, classes, shape, steps):
    """A SEW-ResNet for frames of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    widths = [width for width, depth in zip(size["widths"], size["depths"], strict=True) for _ in range(depth)]
    stem = nn.Sequential(First(steps, *conv_bn(shape[0], widths[0])), fire())
    blocks = [block(before, width, fire) for before, width in zip([widths[0], *widths], widths, strict=False)]
    return SpikingBackbone(stem, blocks, widths, Head(widths[-1], classes), steps)


def block(before, width, fire):
    """[1x1 to another width], the residual block, a max pool that halves the frame."""
    wider = [conv_bn(before, width), fire()] if before != width else []
    return nn.Sequential(*wider, Residual(*basic_branch(width, width, 1, fire), fire()), max_pool(2, 2, 0))
