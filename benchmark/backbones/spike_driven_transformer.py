"""Spike-driven Transformer (Yao et al., NeurIPS 2023), which LDD calls Spiking Transformer.

Shortcuts join membrane potentials, so that every convolution but the first sees spikes; attention masks Q with the spikes of a sum over
tokens of K * V and needs no scale. The official code builds a heads x heads convolution ("talking heads") per block and never calls it:
left out, 9,320,122 parameters for 4-384 on CIFAR10 against the official 9,320,378.
Decisions: `dvs` is the official CIFAR10-DVS form (64x64), with its max pooling of K and V over the image, and of K * V and of the
output over the (token, channel) plane of a head, which is what the official reshape amounts to. 12-512 and 24-512 are LDD's.

Source: BICLab/Spike-Driven-Transformer@3faa822, model/spikeformer.py, module/ms_conv.py, module/sps.py.
Parity: all three forms with that model on copied weights, two blocks, spikingjelly 2.0.0's LIF in place of its older one, in training mode
and double precision, T=4, all layers firing: logits equal to the bit, gradients to 1e-14 of the largest.
Deviations: none known.
"""

from functools import partial

from torch import nn
from torch.nn.functional import max_pool2d

from benchmark.networks.attention import Product, SelfAttention, SumOver
from benchmark.networks.layers import (
    Head,
    Residual,
    SpikingBackbone,
    conv_bn,
    max_pool,
    membrane_mlp,
    spiking_stages,
    truncated_normal,
)

SIZES = {
    "2-256": {"depth": 2, "dim": 256, "heads": 8},
    "2-512": {"depth": 2, "dim": 512, "heads": 8},
    "4-384": {"depth": 4, "dim": 384, "heads": 8},
    "8-384": {"depth": 8, "dim": 384, "heads": 8},
    "6-512": {"depth": 6, "dim": 512, "heads": 8},
    "8-512": {"depth": 8, "dim": 512, "heads": 8},
    "10-512": {"depth": 10, "dim": 512, "heads": 8},
    "12-512": {"depth": 12, "dim": 512, "heads": 8},
    "24-512": {"depth": 24, "dim": 512, "heads": 8},
    "8-768": {"depth": 8, "dim": 768, "heads": 8},
}
TWIN = {"divide": {"depth": 2, "dim": 8, "heads": 4}}
MINI = {"divide": {"depth": 2, "dim": 4, "heads": 4}}
NEURON = {
    "name": "lif", "tau": 2.0, "v_threshold": 1.0, "v_reset": 0.0, "detach_reset": True, "decay_input": True,
    "surrogate": "sigmoid", "alpha": 4.0,
}  # fmt: skip
LAYOUTS = {  # pooling_stat and dvs mode of the official configurations; 0.5 is the threshold behind the sum over tokens
    "cifar": {"pools": [0, 0, 1, 1], "pool_attention": False, "attention_threshold": 0.5},
    "imagenet": {"pools": [1, 1, 1, 1], "pool_attention": False, "attention_threshold": 0.5},
    "dvs": {"pools": [0, 0, 1, 1], "pool_attention": True, "attention_threshold": 0.5},
}


def build(size, layout, fire, classes, shape, steps):
    """A Spike-driven Transformer for images of shape (channels, height, width); see `SpikingBackbone` for inputs and outputs."""
    dim = size["dim"]
    blocks = [block(dim, size["heads"], layout, fire) for _ in range(size["depth"])]
    head = Head(dim, classes, before=fire())
    model = SpikingBackbone(stem(shape[0], dim, layout["pools"], fire, steps), blocks, [dim] * len(blocks), head, steps)
    truncated_normal(model, nn.Conv2d)  # as the official model; its head keeps PyTorch's own
    return model


def stem(channels, dim, pools, fire, steps):
    """Three Conv-BN-LIF-[Pool] stages, a fourth without a neuron, whose membrane u goes on as u + BN(Conv(LIF(u)))."""
    stages = spiking_stages(channels, (dim // 8, dim // 4, dim // 2), pools[:3], fire, steps)
    last = [conv_bn(dim // 2, dim, 3), max_pool()] if pools[3] else [conv_bn(dim // 2, dim, 3)]
    return nn.Sequential(*stages, *last, Residual(fire(), conv_bn(dim, dim, 3)))


def block(dim, heads, layout, fire):
    """x + attention(LIF(x)), then x + MLP(LIF(x)); both branches end in a batch normalisation."""
    product = MaskedValues(heads, layout["pool_attention"], fire(v_threshold=layout["attention_threshold"]))
    attention = SelfAttention(partial(conv_bn, dim, dim), fire, product, conv_bn(dim, dim, bias=True))
    return nn.Sequential(Residual(fire(), attention), membrane_mlp(dim, fire))


class MaskedValues(Product):
    """Q * LIF(sum over tokens of K * V) of three spike tensors [T, B, C, H, W]: masks and additions only, linear in the tokens."""

    def __init__(self, heads: int, pool: bool, neuron: nn.Module):
        super().__init__()
        self.heads, self.pool, self.neuron = heads, pool, neuron
        self.over_tokens = SumOver(3)

    def forward(self, q, k, v):
        kv = self._pool_plane(self._pool_image(k) * self._pool_image(v))
        mask = self.neuron(self.over_tokens(kv.flatten(3)))
        return self._pool_plane(q * mask[..., None, None])

    def _pool_image(self, x):
        return max_pool2d(x.flatten(0, 1), 3, 1, 1).reshape(x.shape) if self.pool else x

    def _pool_plane(self, x):
        """Over 3 consecutive tokens x 3 channels of a head, in the order in which the official gradient meets equal spikes."""
        if not self.pool:
            return x
        plane = x.flatten(0, 1).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)
        return max_pool2d(plane, 3, 1, 1).transpose(2, 3).reshape(x.shape)
