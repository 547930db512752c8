"""The parts that spiking backbones share. A spiking tensor is [T, B, C, H, W]; synaptic layers see time merged into the batch.

`fire` is what makes a layer of neurons when called: `benchmark.neurons.maker`'s, or `nn.ReLU` in an artificial network.
"""

from spikingjelly.activation_based import layer
from torch import nn

from benchmark.networks.convolving import Conv2d
from benchmark.networks.normalising import BatchNorm2d
from benchmark.networks.pooling import MaxPool2d
from benchmark.neurons._normalised import computed


def conv_bn(channels_in, channels_out, kernel=1, stride=1, padding=None, groups=1, bias=False):
    """Convolution and batch normalisation over the merged [T*B] batch; same padding unless given."""
    padding = kernel // 2 if padding is None else padding
    return layer.SeqToANNContainer(
        Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=bias), BatchNorm2d(channels_out)
    )


def max_pool(kernel=3, stride=2, padding=1):
    """Max pooling at every step."""
    return layer.SeqToANNContainer(MaxPool2d(kernel, stride, padding))


def average_pool(kernel=3, stride=2, padding=1):
    """Mean pooling at every step: of spikes it makes fractions, which cost multiplications behind it."""
    return layer.SeqToANNContainer(nn.AvgPool2d(kernel, stride, padding))


def spiking_stages(channels, widths, pools, fire, steps):
    """Conv3x3-BN-neuron-[max pool] for each width, as a list of layers; the first convolution of a static image runs once."""
    stages, before = [], channels
    for index, (width, pool) in enumerate(zip(widths, pools, strict=True)):
        convolution = conv_bn(before, width, 3)
        stages.append(First(steps, *convolution) if index == 0 else convolution)
        stages += [fire(), max_pool()] if pool else [fire()]
        before = width
    return stages


def membrane_mlp(dim, fire, ratio=4):
    """x + BN(W2 fire(BN(W1 fire(x)))), the shortcut on membrane potentials; 1x1 convolutions with bias."""
    return Residual(fire(), conv_bn(dim, ratio * dim, bias=True), fire(), conv_bn(ratio * dim, dim, bias=True))


class First(nn.Sequential):
    """The layers before the first neuron: once for a static image [B, C, H, W], at every step for events [T, B, C, H, W].

    A static image is the same at each of the T steps, so the result is computed once and expanded (its batch statistics are
    those of the T copies); operation counts multiply it by T where their convention says so. A backbone without it computes T times.
    """

    def __init__(self, steps: int, *layers):
        super().__init__(*layers)
        self.steps = steps

    def forward(self, x):
        if x.dim() == 4:
            y = super().forward(x).unsqueeze(0)
            return y.expand(self.steps, *y.shape[1:])
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Residual(nn.Sequential):
    """x + f(x)."""

    def forward(self, x):
        x = computed(x)  # once, since it is needed twice
        return x + super().forward(x)


class InverseAndResidual(nn.Sequential):
    """x AND NOT f(x), the IAND shortcut of SEW-ResNet (Fang et al., 2021): binary where x and f(x) are."""

    def forward(self, x):
        return x * (1 - super().forward(x))


class Sum(nn.Module):
    """f(x) + g(x), for a shortcut that is not the identity."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.branch, self.shortcut = branch, shortcut

    def forward(self, x):
        return self.branch(x) + self.shortcut(x)


def basic_branch(before, width, stride, fire):
    """Conv3x3-BN-neuron-Conv3x3-BN, the branch of ResNet-18, -19 and -34, as a list."""
    return [conv_bn(before, width, 3, stride), fire(), conv_bn(width, width, 3)]


def bottleneck_branch(before, width, stride, fire):
    """1x1, 3x3 (strided, as torchvision has it), 1x1 to four times the width: the branch of ResNet-50 and deeper, as a list."""
    return [conv_bn(before, width), fire(), conv_bn(width, width, 3, stride), fire(), conv_bn(width, 4 * width)]


def residual_blocks(before, widths, depths, block, expansion=1):
    """All blocks of a residual network with the width of each one's output; every stage but the first halves the image.

    `block(before, width, stride)` makes one, its shortcut a convolution where `stride` or the width change.
    """
    blocks, outputs = [], []
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for index in range(depth):
            blocks.append(block(before, width, 2 if stage and not index else 1))
            before = width * expansion
            outputs.append(before)
    return blocks, outputs


class Head(nn.Module):
    """Mean over positions, then (after `before`, if any) a linear classifier at every step: [T, B, C, H, W] -> [T, B, classes]."""

    def __init__(self, width: int, classes: int, before: nn.Module | None = None):
        super().__init__()
        self.before = before
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        x = x.flatten(3).mean(3)
        return self.classifier(x if self.before is None else self.before(x))


class SpikingBackbone(nn.Module):
    """stem -> blocks -> head. Input [B, C, H, W] static or [T, B, C, H, W] events; output logits [T, B, classes].

    `blocks` is what a method may tap, `widths` the channels of each block's output, `token` the vector that stands for an output.
    Neurons keep their state until `spikingjelly.activation_based.functional.reset_net`.
    """

    def __init__(self, stem: nn.Module, blocks: list[nn.Module], widths: list[int], head: nn.Module, steps: int):
        super().__init__()
        self.stem, self.blocks, self.head = stem, nn.Sequential(*blocks), head
        self.widths, self.steps = widths, steps

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))

    @staticmethod
    def token(feature):
        """Block output [T, B, C, H, W] -> [T, B, C], the mean over positions, which is what the classifier sees of it."""
        return feature.flatten(3).mean(3)


def truncated_normal(module: nn.Module, kinds) -> None:
    """Weights of these kinds of layers from a normal distribution of deviation 0.02, biases zero (as the official models do)."""
    for layer_ in module.modules():
        if isinstance(layer_, kinds):
            nn.init.trunc_normal_(layer_.weight, std=0.02)
            if layer_.bias is not None:
                nn.init.zeros_(layer_.bias)


def kaiming_normal(module: nn.Module) -> None:
    """Convolutions from a normal distribution that keeps the variance of ReLU gradients (He et al., 2015), as torchvision does."""
    for layer_ in module.modules():
        if isinstance(layer_, nn.Conv2d):
            nn.init.kaiming_normal_(layer_.weight, mode="fan_out", nonlinearity="relu")


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters())
