"""What Spikformer V2 puts in place of spiking self-attention (Tables I and VI), each as the product and what stands before Q, K and V.

    ssa          Q, K, V spikes, (Q K^T) V s
    i            Q, K real numbers, V spikes, (Q K^T) V s
    relu         the same with ReLU(Q), ReLU(K);    leakyrelu with LeakyReLU
    vsa          Q, K real numbers, V spikes, softmax(Q K^T / sqrt(d)) V, the paper's eq. 10
    vsa-float-v  the same with a real V, eq. 9
A real one is BN(X W) without the neuron. Everything else stays, the neuron behind the product too ("keeping the remaining network structure
unchanged"). Not printed: the slope of LeakyReLU (0.01 here, torch's) and the scale s without spikes (that of the spiking product here).
"""

from torch import nn

from benchmark.networks.layers import AttentionProduct, SelfAttention, SoftmaxProduct

REAL = {"ssa": "", "i": "qk", "relu": "qk", "leakyrelu": "qk", "vsa": "qk", "vsa-float-v": "qkv"}  # which of Q, K, V are real numbers


class EitherOrder(AttentionProduct):
    """A product without softmax that takes the cheaper order for the shapes it gets; `order` says which it was."""

    def __init__(self, heads: int, scale: float):
        super().__init__(heads, scale, None)

    def forward(self, q, k, v):
        self.order = cheaper(q.shape[3] * q.shape[4], q.shape[2] // self.heads)
        return super().forward(q, k, v)


class ActivatedProduct(AttentionProduct):
    """scale * (f(Q) f(K)^T) V."""

    def __init__(self, heads: int, scale: float, order: str, activation: nn.Module):
        super().__init__(heads, scale, order)
        self.activation = activation

    def forward(self, q, k, v):
        return super().forward(self.activation(q), self.activation(k), v)


def cheaper(tokens: int, width: int) -> str:
    """The order with fewer multiplications for this many tokens and channels per head: (Q K^T) V has N^2 d a head, Q (K^T V) N d^2."""
    return "qk_v" if tokens <= width else "q_kv"


def product(attention: str, heads: int, scale: float, order: str) -> nn.Module:
    """The product of one variant; `order` is for those without softmax, which cannot be reordered."""
    if attention in ("vsa", "vsa-float-v"):
        return SoftmaxProduct(heads)
    activations = {"relu": nn.ReLU, "leakyrelu": nn.LeakyReLU}
    if attention in activations:
        return ActivatedProduct(heads, scale, order, activations[attention]())
    return AttentionProduct(heads, scale, order)


def self_attention(attention: str, synapse, fire, heads: int, scale: float, order: str, project: nn.Module) -> SelfAttention:
    """`SelfAttention` with this variant: without neurons where its Q, K or V are real numbers. Same weights' names in all."""
    found = SelfAttention(synapse, fire, product(attention, heads, scale, order), project)
    for name in REAL[attention]:
        setattr(found, name, nn.Sequential(getattr(found, name)[0]))
    return found
