"""Attention, and the layers without weights that it is made of. A spiking tensor is [T, B, C, H, W]; N = H * W tokens.

A multiplication of activations with each other is a layer here, as a convolution is: it can be counted, watched or replaced by a method.
An attention of one's own derives from `Product` and multiplies with `MatMul` and `SumOver`; nothing else need know of it.
"""

from torch import nn


class MatMul(nn.Module):
    """a @ b."""

    def forward(self, a, b):
        return a @ b


class SumOver(nn.Module):
    """The sum of x over one of its dimensions."""

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        return x.sum(self.dim)


class Product(nn.Module):
    """Activations multiplied with each other. spiking: they hold zeros, whose products need not be computed."""

    spiking = True


class AttentionProduct(Product):
    """Softmax-free attention scale * (Q K^T) V of three spike tensors [T, B, C, H, W], per head (Spikformer V2, eq. 12).

    order: `qk_v` multiplies (Q K^T) V, cost N^2 C; `q_kv` multiplies Q (K^T V), cost N C^2 / heads. Both give the same values.
    """

    def __init__(self, heads: int, scale: float, order: str):
        super().__init__()
        self.heads, self.scale, self.order = heads, scale, order
        self.first, self.second = MatMul(), MatMul()

    def forward(self, q, k, v):
        shape = q.shape
        q, k, v = (self.split(x) for x in (q, k, v))
        k = k.transpose(2, 3)
        both = self.second(self.first(q, k), v) if self.order == "qk_v" else self.second(q, self.first(k, v))
        return (both * self.scale).transpose(2, 3).reshape(shape)

    def split(self, x):
        """[T, B, C, H, W] -> [T*B, heads, N, d]."""
        return x.flatten(0, 1).flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)


class SoftmaxProduct(AttentionProduct):
    """softmax(Q K^T / sqrt(d)) V, what an artificial Transformer has in place of the spiking product."""

    spiking = False

    def __init__(self, heads: int):
        super().__init__(heads, None, "qk_v")
        self.softmax = nn.Softmax(3)

    def forward(self, q, k, v):
        shape = q.shape
        q, k, v = (self.split(x) for x in (q, k, v))
        scores = self.softmax(self.first(q, k.transpose(2, 3)) * q.shape[3] ** -0.5)
        return self.second(scores, v).transpose(2, 3).reshape(shape)


class SelfAttention(nn.Module):
    """project(product(Q, K, V)), each of Q, K, V = neuron(synapse(x)); `synapse` and `fire` make new layers when called."""

    def __init__(self, synapse, fire, product: nn.Module, project: nn.Module):
        super().__init__()
        self.q, self.k, self.v = (nn.Sequential(synapse(), fire()) for _ in range(3))
        self.product, self.project = product, project

    def forward(self, x):
        return self.project(self.product(self.q(x), self.k(x), self.v(x)))
