"""Spikformer (Zhou et al., ICLR 2023), the first version that Spikformer V2 and LDD compare with.

The pool stands behind the neuron (Conv-BN-LIF-Pool); residuals add spikes, so that the stream holds small integers; the attention's scale
is a constant. Layers that the official code builds and never calls (LayerNorms) are left out: 9,324,730 parameters for 4-384 on CIFAR10
against the official 9,330,874.

Source: ZK-Zhou/spikformer@6212689, cifar10/model.py, imagenet/model.py, cifar10dvs/model.py.
Parity: all three with those models on copied weights, two blocks, spikingjelly 2.0.0's LIF in place of its older one, in training mode and
double precision, T=4, all layers firing: logits equal to 3e-15, gradients to 2e-14 of the largest.
Deviations: none known.
"""

from functools import partial

from torch import nn

from benchmark.networks.attention_variants import self_attention
from benchmark.networks.layers import (
    Head,
    Residual,
    SpikingBackbone,
    conv_bn,
    spiking_stages,
    truncated_normal,
)

SIZES = {
    "2-256": {"depth": 2, "dim": 256, "heads": 16},
    "4-256": {"depth": 4, "dim": 256, "heads": 8},
    "2-384": {"depth": 2, "dim": 384, "heads": 12},
    "4-384": {"depth": 4, "dim": 384, "heads": 12},
    "8-384": {"depth": 8, "dim": 384, "heads": 8},
    "6-512": {"depth": 6, "dim": 512, "heads": 8},
    "8-512": {"depth": 8, "dim": 512, "heads": 8},
    "10-512": {"depth": 10, "dim": 512, "heads": 8},
    "8-768": {"depth": 8, "dim": 768, "heads": 8},
    "2-64": {"depth": 2, "dim": 64, "heads": 4},  # ours, for N-MNIST's reference table
}
TWIN = {"divide": {"depth": 2, "dim": 8, "heads": 4}, "set": {"scale": 1.0}}  # of attention: so few spikes meet that one has to be enough
MINI = {"divide": {"depth": 2, "dim": 4, "heads": 4}}  # as many channels to a head as printed, and so its scale
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
OPTIONS = {"attention": ["ssa", "i", "leakyrelu", "relu", "vsa", "vsa-float-v"]}  # networks/attention_variants.py; ssa if a row says none
LAYOUTS = {  # official cifar10/, imagenet/ and cifar10dvs/ models
    "cifar": {"pools": [0, 0, 1, 1], "linear": True, "scale": 0.125, "order": "qk_v", "attention_threshold": 0.5},
    "imagenet": {"pools": [1, 1, 1, 1], "linear": False, "scale": 0.125, "order": "q_kv", "attention_threshold": 0.5},
    "dvs": {"pools": [1, 1, 1, 1], "linear": False, "scale": 0.25, "order": "qk_v", "attention_threshold": 0.5},
}


def build(size, layout, fire, classes, shape, steps):
    """A Spikformer for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    dim, layout = size["dim"], {**layout, "scale": size.get("scale", layout["scale"]), "attention": size.get("attention", "ssa")}
    blocks = [block(dim, size["heads"], layout, fire) for _ in range(size["depth"])]
    model = SpikingBackbone(stem(shape[0], dim, layout["pools"], fire, steps), blocks, [dim] * len(blocks), Head(dim, classes), steps)
    # The official init touches Linear layers only; the CIFAR model's encoder is made of them, the others' of 1x1 convolutions.
    truncated_normal(model.head, nn.Linear)
    if layout["linear"]:
        truncated_normal(model.blocks, nn.Conv2d)
    return model


def stem(channels, dim, pools, fire, steps):
    """Spiking patch splitting: four Conv-BN-LIF-[Pool] stages, then x + LIF(BN(Conv(x))) as position embedding."""
    stages = spiking_stages(channels, (dim // 8, dim // 4, dim // 2, dim), pools, fire, steps)
    return nn.Sequential(*stages, Residual(conv_bn(dim, dim, 3), fire()))


def block(dim, heads, layout, fire):
    """x + SSA(x), then x + MLP(x); both branches end in a neuron. Q, K, V = LIF(BN(W x)) on the integer stream."""
    low = fire(v_threshold=layout["attention_threshold"])
    project = nn.Sequential(low, conv_bn(dim, dim, bias=True), fire())
    synapse = partial(conv_bn, dim, dim, bias=layout["linear"])
    attention = self_attention(layout["attention"], synapse, fire, heads, layout["scale"], layout["order"], project)
    mlp = Residual(conv_bn(dim, 4 * dim, bias=True), fire(), conv_bn(4 * dim, dim, bias=True), fire())
    return nn.Sequential(Residual(attention), mlp)
