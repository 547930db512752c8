"""MS-ResNet with attention (Hu et al., 2021; Attention-SNN, Yao et al., TPAMI 2023): shortcuts on membrane potentials, for ImageNet.

x + CSA(BN(W2 LIF(BN(W1 LIF(x))))), basic blocks of two 3x3 convolutions; a 7x7 convolution with stride 2 first, and every stage, the first
too, halves the map: its shortcut is average pooling, a 1x1 convolution and BN. CSA weighs channels, then positions (networks/excitation.py;
channels by a bottleneck of an eighth) and rectifies, over all steps at once, so that no step is known before the last (`causal`).
Weights of the batch normalisations start at 0.5, the threshold, and at 0.1 in front of the attention. Dropout of 0.2 before the classifier.

Source: BICLab/Attention-SNN@ad80e7b, Att_Res_SNN/models/resnet_2.py, module/LIF_Module.py
Parity: with the official network of one or two blocks a stage, all layers firing: logits equal to 1.2e-7, gradients to 7e-7 of the largest
(double precision: 1e-8); weights of normalisations at the start equal; parameters equal, 78,369,598 for 104, as printed.
Deviations: the official neuron fires above its threshold, this one at it too.
"""

from spikingjelly.activation_based.layer import Dropout, SeqToANNContainer
from torch import nn

from benchmark.networks.excitation import Attended, Excitation, Positions
from benchmark.networks.layers import First, Head, Residual, SpikingBackbone, Sum, conv_bn

SIZES = {
    "18": {"widths": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "ratio": 8},
    "34": {"widths": [64, 128, 256, 512], "depths": [3, 4, 6, 3], "ratio": 8},
    "104": {"widths": [64, 128, 256, 512], "depths": [3, 8, 32, 8], "ratio": 8},
}
TWIN = {"divide": {"widths": 8, "depths": 16}, "set": {"ratio": 2}}
NEURON = {
    "name": "lif", "tau": 1.3333333333333333, "v_threshold": 0.5, "v_reset": 0.0, "detach_reset": True, "decay_input": False,
    "surrogate": "rect", "alpha": 1.0,
}  # fmt: skip
LAYOUTS = {"imagenet": {}}
START, START_BRANCH = 0.5, 0.1  # weights of batch normalisations


def build(size, layout, fire, classes, shape, steps):
    """An MS-ResNet for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    before, blocks, outputs = size["widths"][0], [], []
    stem = First(steps, *scaled(conv_bn(shape[0], before, 7, 2), START))
    for width, depth in zip(size["widths"], size["depths"], strict=True):
        for index in range(depth):
            blocks.append(block(before, width, 1 if index else 2, size["ratio"], fire))
            before = width
            outputs.append(width)
    head = nn.Sequential(fire(), Head(before, classes, Dropout(0.2, step_mode="m")))
    model = SpikingBackbone(stem, blocks, outputs, head, steps)
    model.causal = False
    return model


def block(before, width, stride, ratio, fire):
    """The residual block; its shortcut is a convolution where it halves the map."""
    branch = [fire(), scaled(conv_bn(before, width, 3, stride), START), fire(), scaled(conv_bn(width, width, 3), START_BRANCH)]
    branch.append(Attended(Excitation(2, width, ratio), Positions()))
    if stride == 1:
        return Residual(*branch)
    shortcut = [SeqToANNContainer(nn.AvgPool2d(2)), scaled(conv_bn(before, width), START)]
    return Sum(nn.Sequential(*branch), nn.Sequential(*shortcut))


def scaled(convolution, start):
    """A convolution whose batch normalisation starts with these weights."""
    nn.init.constant_(convolution[1].weight, start)
    return convolution
