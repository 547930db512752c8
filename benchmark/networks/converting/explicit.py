"""timm's softmax attention with its two products and its softmax as layers, so that they can be seen, counted or replaced.

timm multiplies inside one function (`scaled_dot_product_attention`), and its EVA uses the weights of a layer without calling it.
"""

import copy

import torch
from timm.layers.attention import Attention, AttentionRope
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models.eva import EvaAttention
from torch import nn

from benchmark.networks.attention import MatMul

ATTENTIONS = (Attention, AttentionRope, EvaAttention)
LAYERS = ("qkv", "q_proj", "k_proj", "v_proj", "q_norm", "k_norm", "norm", "proj", "proj_drop")
BIASES = ("q_bias", "k_bias", "v_bias")


class ExplicitAttention(nn.Module):
    """The layers of a timm attention around `scores` (Q K^T), `softmax` and `mix` (its result times V)."""

    def __init__(self, attention: nn.Module):
        super().__init__()
        for name in (*LAYERS, *BIASES):
            setattr(self, name, getattr(attention, name, None))
        self.heads, self.scale = attention.num_heads, attention.scale
        self.prefix_tokens = getattr(attention, "num_prefix_tokens", 0)
        self.rotate_half = getattr(attention, "rotate_half", False)
        self.scores, self.softmax, self.mix = MatMul(), nn.Softmax(-1), MatMul()

    def forward(self, x, rope=None, attn_mask=None, is_causal=False):
        """x [B, N, C] -> the same. Classifiers have no mask."""
        if attn_mask is not None or is_causal:
            raise NotImplementedError("attention with a mask")
        q, k, v = self.project(x)
        q, k = self.turn(self.q_norm(q), rope), self.turn(self.k_norm(k), rope)
        weights = self.softmax(self.scores(q, k.transpose(2, 3)) * self.scale)
        return self.proj_drop(self.proj(self.norm(self.mix(weights, v).transpose(1, 2).flatten(2))))

    def project(self, x):
        """Queries, keys and values, each [B, heads, N, d] without gaps."""
        if self.qkv is None:
            projected = (layer(x).unflatten(2, (self.heads, -1)) for layer in (self.q_proj, self.k_proj, self.v_proj))
            return [each.transpose(1, 2) for each in projected]
        together = self.qkv(x)
        if self.q_bias is not None:
            together = together + torch.cat([self.q_bias, self.k_bias, self.v_bias])
        return together.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).contiguous()

    def turn(self, x, rope):
        """Rotary position embedding of all tokens but the class tokens."""
        if rope is None:
            return x
        first, rest = x[:, :, : self.prefix_tokens], x[:, :, self.prefix_tokens :]
        return torch.cat([first, apply_rot_embed_cat(rest, rope, half=self.rotate_half)], 2)


def explicit(network: nn.Module) -> nn.Module:
    """A copy with the same weights, for inference, its attentions of timm's as layers; others stay as they are."""
    network = copy_of(network).eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, ATTENTIONS) and plain(module):
            network.set_submodule(name, ExplicitAttention(module).eval())
    return network


def plain(attention: nn.Module) -> bool:
    """Without a gate, and with as many keys as queries."""
    return getattr(attention, "gate", None) is None and getattr(attention, "num_kv_groups", 1) == 1


def copy_of(network: nn.Module) -> nn.Module:
    """The same modules anew, their weights and buffers shared."""
    return copy.deepcopy(network, {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())})
