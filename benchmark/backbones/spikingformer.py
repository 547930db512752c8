"""Spikingformer (Zhou et al., 2023): Spikformer with shortcuts on membrane potentials.

Each neuron stands before its convolution, so that every convolution but the first sees spikes; the classifier sees potentials. LayerNorms
that are built and never called are left out: 9,320,122 parameters for 4-384 on CIFAR10 against the official 9,326,266.
Decisions: 12 heads in 4-384 (the official CIFAR10 configuration; CIFAR100's has 8) and 8 in 8-768 (the official configuration; the
official energy script has 12).

Source: zhouchenlin2096/Spikingformer@4378623, cifar10/model.py, imagenet/model.py, cifar10-dvs/model.py.
Parity: all three with those models on copied weights, two blocks, spikingjelly 2.0.0's LIF in place of its older one, in training mode and
double precision, T=4, all layers firing: logits equal to 6e-15, gradients to 2e-14 of the largest.
Deviations: none known.
"""

from functools import partial

from torch import nn

from benchmark.networks.attention import AttentionProduct, SelfAttention
from benchmark.networks.layers import (
    Head,
    Residual,
    SpikingBackbone,
    conv_bn,
    membrane_mlp,
    spiking_stages,
    truncated_normal,
)

SIZES = {
    "2-256": {"depth": 2, "dim": 256, "heads": 16},
    "4-256": {"depth": 4, "dim": 256, "heads": 8},
    "2-384": {"depth": 2, "dim": 384, "heads": 12},
    "4-384": {"depth": 4, "dim": 384, "heads": 12},
    "8-384": {"depth": 8, "dim": 384, "heads": 8},
    "8-512": {"depth": 8, "dim": 512, "heads": 8},
    "8-768": {"depth": 8, "dim": 768, "heads": 8},
}
TWIN = {"divide": {"depth": 2, "dim": 8, "heads": 4}, "set": {"scale": 1.0}}  # of attention: so few spikes meet that one has to be enough
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {  # `neuron`: constants that the official model for this kind of data changes
    "cifar": {"pools": [0, 0, 1, 1], "scale": 0.125, "order": "qk_v", "attention_threshold": 0.5, "neuron": {}},
    "imagenet": {"pools": [1, 1, 1, 1], "scale": 0.125, "order": "q_kv", "attention_threshold": 0.5, "neuron": {}},
    "dvs": {"pools": [1, 1, 1, 1], "scale": 0.125, "order": "qk_v", "attention_threshold": 0.5, "neuron": {"tau": 1.5}},
}


def build(size, layout, fire, classes, shape, steps):
    """A Spikingformer for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    fire = partial(fire, **layout["neuron"])
    dim, layout = size["dim"], {**layout, "scale": size.get("scale", layout["scale"])}
    blocks = [block(dim, size["heads"], layout, fire) for _ in range(size["depth"])]
    stages = spiking_stages(shape[0], (dim // 8, dim // 4, dim // 2, dim), layout["pools"], fire, steps)
    model = SpikingBackbone(nn.Sequential(*stages, conv_bn(dim, dim, 3)), blocks, [dim] * len(blocks), Head(dim, classes), steps)
    truncated_normal(model.head, nn.Linear)  # as the official model; its convolutions keep PyTorch's own
    return model


def block(dim, heads, layout, fire):
    """x + SSA(LIF(x)), then x + MLP(LIF(x)); both branches end in a batch normalisation."""
    project = nn.Sequential(fire(v_threshold=layout["attention_threshold"]), conv_bn(dim, dim, bias=True))
    attention = SelfAttention(partial(conv_bn, dim, dim), fire, AttentionProduct(heads, layout["scale"], layout["order"]), project)
    return nn.Sequential(Residual(fire(), attention), membrane_mlp(dim, fire))
