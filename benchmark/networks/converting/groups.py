"""Universal group operators (STA, Jiang et al., ICLR 2024): functions of one number as sums of ReLUs, and a Transformer made of them.

    y = sum_g c_g relu(w_g x + b_g) + c                                                a group; neurons stand in for its ReLUs
    norm(x) = gamma z / sqrt(mean(z^2)) + beta,  z = x - mean(x)                       1 / sqrt is a group
    softmax(x) = e / sum(e),  e = exp(min(x - x_0 + 1, 3)), 0 from -20 down            exp and 1 / sum are such sums; x_0: of the first key,
                                                                                       or x_0 = max(x) - 2, which nothing exceeds
Real values on their way into a layer with weights pass an `Encoder`, relu(x) - relu(-x). The mean square, the product of z with the root and
the softmax get expectation compensation: STA's temporal correction is equation 15 of ECMT in other words.

A function is a table [3, units + 1] of w, b and c; the last unit has weight 0 and bias 1, so that its c is the constant. `fitted` makes one
from its knots, by least squares over a range: straight lines between knots, the last of which go on beyond the range.
Source: ViviaHu/STA@0d3ef07, model.py (Distilled_EXP and its kin, fit_softmax, SpikeLN, X2X, X2X_POS).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from benchmark.networks.converting.activations import Unit
from benchmark.networks.converting.explicit import ExplicitAttention
from benchmark.networks.converting.places import Nonlinear, hooks

TOP, BOTTOM = 3.0, -20.0  # of an exponent
POINTS = 4000  # where a table is compared with its function


# ---- functions as tables


def fitted(function: Callable, up: torch.Tensor, down: torch.Tensor, grid: torch.Tensor, relative: bool = False) -> torch.Tensor:
    """The table of relu(x - k) for each knot k in `up` and relu(k - x) for each in `down` that is nearest to function on `grid` [n].

    Nearest in squares, of the error divided by the function if `relative`. In double precision.
    """
    weight = torch.cat([torch.ones_like(up), -torch.ones_like(down), torch.zeros(1).double()])
    bias = torch.cat([-up, down, torch.ones(1).double()])
    wanted = function(grid)
    scale = 1 / wanted.abs() if relative else torch.ones_like(wanted)
    basis = applied_units(torch.stack([weight, bias]), grid) * scale[:, None]
    return torch.stack([weight, bias, torch.linalg.lstsq(basis, (wanted * scale)[:, None]).solution[:, 0]])


def evenly(low: float, high: float, count: int) -> torch.Tensor:
    return torch.linspace(low, high, count, dtype=torch.float64)


def by_ratio(low: float, high: float, count: int) -> torch.Tensor:
    """Each as many times the one before."""
    return torch.logspace(*torch.tensor([low, high], dtype=torch.float64).log(), count, torch.e, dtype=torch.float64)


def exponential(low: float, units: int) -> torch.Tensor:
    """exp from `low` to TOP, constant below."""
    return fitted(torch.exp, evenly(low, TOP, units + 1)[:-1], torch.empty(0).double(), evenly(low, TOP, POINTS), relative=True)


def falling(function: Callable, low: float, high: float, units: int) -> torch.Tensor:
    """A positive function that falls from `low` to `high`, constant above."""
    return fitted(function, torch.empty(0).double(), by_ratio(low, high, units + 1)[1:], by_ratio(low, high, POINTS), relative=True)


def bent(function: Callable, reach: float, units: int) -> torch.Tensor:
    """One that bends around 0, straight beyond -reach and reach; half of its units look each way, from 0 on."""
    knots = evenly(0, reach, units // 2 + 1)[:-1]
    return fitted(function, knots, -knots, evenly(-reach, reach, POINTS))


def applied_units(table: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (x.unsqueeze(-1) * table[0] + table[1]).relu()


def applied(table: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return applied_units(table, x) @ table[2]


# ---- what a Transformer is made of


class Group(nn.Module):
    """A function whose ReLUs are places: x [...] -> [...], thresholds by unit and by index of the last `axes` - 1 axes of x."""

    def __init__(self, table: torch.Tensor, axes: int):
        super().__init__()
        weight, bias, mix = table[:, :-1]
        self.look, self.unit, self.mix = nn.Linear(1, len(mix)), Unit(axes), nn.Linear(len(mix), 1)
        parameters = {"look.weight": weight[:, None], "look.bias": bias, "mix.weight": mix[None], "mix.bias": table[2, -1:]}
        self.load_state_dict(parameters)
        self.to(table.dtype)

    def forward(self, x):
        return self.mix(self.unit(self.look(x.unsqueeze(-1)))).squeeze(-1)


class Encoder(nn.Module):
    """relu(x) - relu(-x), thresholds by sign and by channel, the last axis of x."""

    def __init__(self):
        super().__init__()
        self.unit = Unit(2)

    def forward(self, x):
        sent = self.unit(torch.stack([x, -x], -1))
        return sent[..., 0] - sent[..., 1]


class Softmax(Nonlinear):
    """Over the last axis; see above. largest: by what x_0 is."""

    def __init__(self, exponential: torch.Tensor, inverse: torch.Tensor, largest: bool):
        super().__init__()
        self.largest = largest
        self.register_buffer("exponential", exponential)
        self.register_buffer("inverse", inverse)

    def forward(self, x):
        x = x - x.amax(-1, keepdim=True) + TOP if self.largest else (x - x[..., :1] + 1).clamp(max=TOP)
        powers = applied(self.exponential, x) * (x > BOTTOM)
        return powers * applied(self.inverse, powers.sum(-1, keepdim=True))


class MeanSquare(Nonlinear):
    """Over the last axis, [..., 1]."""

    def forward(self, x):
        return x.square().mean(-1, keepdim=True)


class Times(Nonlinear):
    """a b, element by element."""

    def forward(self, a, b):
        return a * b


class Norm(nn.Module):
    """A layer norm but for its gamma and beta, its 1 / sqrt a group."""

    def __init__(self, root: torch.Tensor):
        super().__init__()
        self.square, self.root, self.times, self.encoder = MeanSquare(), Group(root, 1), Times(), Encoder()

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return self.encoder(self.times(x, self.root(self.square(x))))


# ---- a network made of them


@dataclass(frozen=True)
class Units:
    """How many each function has, and where it is fitted: exp from `exp_low`, an activation from -reach to reach, 1 / sqrt from the least
    mean square divided by `margin` to the greatest times it. largest: see `Softmax`."""

    exponential: int
    inverse: int
    root: int
    activation: int
    exp_low: float
    reach: float
    margin: float
    largest: bool


def approximated(network: nn.Module, images: Iterable[torch.Tensor], units: Units) -> nn.Module:
    """A timm vision Transformer, `explicit`, whose blocks have groups in place of norms, softmax and activations; changed in place.

    gamma and beta of a norm go into the layer behind it. images: batches [B, C, H, W], for the ranges of mean squares.
    """
    like = next(network.parameters())
    blocks = [module for module in network.modules() if isinstance(getattr(module, "attn", None), ExplicitAttention)]
    ranges, tokens = mean_squares(network, blocks, images)
    exp = exponential(units.exp_low, units.exponential).to(like)
    greatest = math.exp(TOP)  # of a key; the one that others are held against has e, or is the greatest
    inverse = falling(torch.reciprocal, greatest if units.largest else math.e, tokens * greatest, units.inverse).to(like)
    for block in blocks:
        attention, mlp = block.attn, block.mlp
        attention.softmax = nn.Sequential(Softmax(exp, inverse, units.largest), Unit(1))
        attention.qkv, mlp.fc1 = folded(attention.qkv, block.norm1), folded(mlp.fc1, block.norm2)
        attention.proj = nn.Sequential(Encoder(), attention.proj)
        mlp.act = Group(bent(mlp.act, units.reach, units.activation).to(like), 2)
        for name in ("norm1", "norm2"):
            norm = getattr(block, name)
            low, high = ranges[norm]
            root = falling(lambda x, eps=norm.eps: (x + eps).rsqrt(), low / units.margin, high * units.margin, units.root)
            setattr(block, name, Norm(root.to(like)))
    return network.eval()


@torch.no_grad()
def mean_squares(network, blocks, images) -> tuple[dict, int]:
    """Norm of a block -> the least and the greatest mean square that it divides by over these images; how many tokens there are."""
    norms = {norm for block in blocks for norm in (block.norm1, block.norm2)}
    found, tokens = {}, set()

    def look(name, module, inputs):
        if module in norms:
            x = inputs[0].var(-1, correction=0)
            low, high = found.get(module, (torch.inf, 0.0))
            found[module] = min(low, x.min().item()), max(high, x.max().item())
            tokens.add(x.shape[1])

    with hooks(network, before=look):
        for batch in images:
            network(batch)
    return found, max(tokens)


def folded(layer: nn.Linear, norm: nn.LayerNorm) -> nn.Linear:
    """A layer behind a norm without gamma and beta: W gamma, b + W beta."""
    new = nn.Linear(layer.in_features, layer.out_features).to(layer.weight)
    bias = layer.weight @ norm.bias if layer.bias is None else layer.bias + layer.weight @ norm.bias
    new.load_state_dict({"weight": layer.weight * norm.weight, "bias": bias})
    return new
