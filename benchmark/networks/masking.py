"""Masked images: which patches a network sees, and a spiking encoder that computes those alone (Spikformer V2, section 4.2).

The mask is drawn on the token grid; a patch is a token's pixels, 16 x 16 of them on ImageNet. The paper carries the mask up its stem (x8,
x4, x2, x1) and makes convolutions and normalisations sparse, as MC-MAE and SparK do: dense layers, with hidden positions set to zero
behind every layer and left out of the statistics. The same values come out when only the visible patches are computed, as tiles of 16, 8,
4, 2 and 1 positions a side, and what looks past a tile's edge sees its visible neighbours or zeros. Three quarters hidden is then a
quarter of the work, no hidden position is ever read, and a batch normalisation over tiles has the visible statistics as it is.
In the blocks hidden tokens are dropped. Without a softmax that changes nothing: a key and a value of zeros add nothing to any query.
"""

from contextlib import contextmanager
from functools import partial
from math import prod
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from benchmark.shared.errors import UserError


def grid_of(height: int, width: int, side: int) -> tuple[int, int]:
    """Patches down and across. UserError for an image that patches of this side do not divide."""
    if height % side or width % side:
        raise UserError(f"masked pre-training: patches of {side} x {side} pixels do not divide an image of {height} x {width}")
    return height // side, width // side


def draw(images: int, grid: tuple[int, int], hidden: float, device=None) -> torch.Tensor:
    """Which patches are visible, bool [B, down, across]: each image its own uniform choice of equally many, at least one.

    hidden: percent of the patches; of the others the whole part is kept, as MAE does. UserError for 100 and more.
    """
    if not 0 <= hidden < 100:
        raise UserError(f"masked pre-training: {hidden:g} % of the patches cannot be hidden, from 0 to less than 100 can")
    patches = prod(grid)
    kept = max(1, int(patches * (100 - hidden) / 100 + 1e-9))
    order = torch.rand(images, patches, device=device).argsort(1)
    visible = torch.zeros(images, patches, dtype=torch.bool, device=device).scatter_(1, order[:, :kept], True)
    return visible.unflatten(1, grid)


def carried(visible: torch.Tensor, factor: int) -> torch.Tensor:
    """The mask at a resolution `factor` times the grid's: bool [B, down, across] -> [B, down * factor, across * factor]."""
    return visible.repeat_interleave(factor, 1).repeat_interleave(factor, 2)


class Seen(NamedTuple):
    """What an encoder gives of a masked batch: tokens [T, B, visible, C] in reading order, and which they are, [B, down, across]."""

    tokens: torch.Tensor
    visible: torch.Tensor


class MaskedEncoder(nn.Module):
    """A spiking backbone that in training sees a random part of its patches; in evaluation it is that backbone, and its weights always are.

    hidden: percent of the patches. Its stem may hold convolutions, pools and what works position by position; its blocks the latter and
    attention. UserError for others.
    """

    def __init__(self, network: nn.Module, hidden: float):
        super().__init__()
        self.stem, self.blocks, self.head = network.stem, network.blocks, network.head
        self.widths, self.steps, self.token = network.widths, network.steps, network.token
        self.hidden = hidden
        if any(map(looks, self.blocks.modules())):
            raise UserError("masked pre-training: tokens cannot be dropped in blocks that look past a token, like 3x3 convolutions")

    @property
    def side(self) -> int:
        """Pixels along a patch: what the stem's strides make one token of."""
        return prod(pair(layer.stride)[0] for layer in self.stem.modules() if hasattr(layer, "stride"))

    @property
    def channels(self) -> int:
        """Of the images."""
        return next(layer.in_channels for layer in self.stem.modules() if isinstance(layer, nn.Conv2d))

    def forward(self, images):
        """[B, C, H, W] -> Seen in training, logits [T, B, classes] of the whole images in evaluation."""
        if not self.training:
            return self.head(self.blocks(self.stem(images)))
        return self.encode(images, draw(len(images), grid_of(*images.shape[2:], self.side), self.hidden, images.device))

    def encode(self, images: torch.Tensor, visible: torch.Tensor) -> Seen:
        """The tokens of the patches that `visible` [B, down, across] names, as many of each image."""
        tiles = Tiles(visible)
        with tiles.joined(self.stem):
            x = self.stem(tiles.cut(images))
        x = x.flatten(2).unflatten(1, (len(images), -1)).transpose(2, 3)  # [T, B, C, visible tokens]
        return Seen(self.blocks(x.unsqueeze(4)).squeeze(4).transpose(2, 3), visible)


class Tiles:
    """The visible patches of a batch as small images [n, C, side, side], in reading order; the same tiles at any resolution."""

    def __init__(self, visible: torch.Tensor):
        self.grid = visible.shape[1:]
        self.image, self.row, self.column = visible.nonzero(as_tuple=True)
        self.count = len(self.row)
        self.number = torch.full(visible.shape, self.count, device=visible.device)  # `count` stands for what is not there
        self.number[visible] = torch.arange(self.count, device=visible.device)
        self.known: dict[tuple, torch.Tensor] = {}

    def cut(self, images: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] -> [n, C, side, side]."""
        down, across = self.grid
        patches = images.unflatten(3, (across, -1)).unflatten(2, (down, -1)).permute(0, 2, 4, 3, 5, 1)
        return patches[self.image, self.row, self.column].permute(0, 3, 1, 2)

    @contextmanager
    def joined(self, module: nn.Module):
        """Inside, layers of `module` that look past a tile's edge see its visible neighbours there."""
        layers = [layer for layer in module.modules() if looks(layer)]
        for layer in layers:
            layer.forward = partial(self.apply, layer)
        try:
            yield
        finally:
            for layer in layers:
                del layer.forward

    def apply(self, layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """A convolution or max pool over tiles [T * n, C, side, side]; a pool takes the largest visible value."""
        border = pair(layer.padding)[0]
        if isinstance(layer, nn.MaxPool2d):
            return functional.max_pool2d(self.bordered(x, border, -torch.inf), layer.kernel_size, layer.stride)
        if isinstance(layer, nn.Conv2d):
            windows = self.bordered(x, border, 0.0)
            small = layer.groups == 1 and layer.dilation == (1, 1) and x.shape[3] < layer.kernel_size[1]
            return (as_rows if small else as_images)(layer, windows)
        raise UserError(f"masked pre-training: {type(layer).__name__} with padding has no sparse form here")

    def bordered(self, x: torch.Tensor, border: int, nothing: float) -> torch.Tensor:
        """[T * n, C, side, side] -> [T * n, C, border + side + border, ...], with `nothing` where no visible neighbour is."""
        rows = x.permute(0, 2, 3, 1).flatten(0, 2)
        rows = torch.cat([rows, rows.new_full((1, rows.shape[1]), nothing)])
        return functional.embedding(self.places(len(x) // self.count, x.shape[3], border), rows).permute(0, 3, 1, 2)

    def places(self, steps: int, side: int, border: int) -> torch.Tensor:
        """Where each position of the bordered tiles lies among all positions of all tiles, [T * n, window, window]; last: nowhere."""
        if (steps, side, border) not in self.known:
            along = torch.arange(-border, side + border, device=self.row.device)
            reach = -(-border // side)
            number = functional.pad(self.number, (reach,) * 4, value=self.count)
            tile = along.div(side, rounding_mode="floor") + reach
            down, across = self.row[:, None] + tile, self.column[:, None] + tile
            source = number[self.image[:, None, None], down[:, :, None], across[:, None, :]]
            inside = along % side
            place = source * side**2 + inside[:, None] * side + inside
            step = torch.arange(steps, device=place.device)[:, None, None, None] * self.count * side**2
            nowhere = steps * self.count * side**2
            self.known[steps, side, border] = torch.where(source < self.count, place + step, nowhere).flatten(0, 1)
        return self.known[steps, side, border]


def as_images(layer: nn.Conv2d, windows: torch.Tensor) -> torch.Tensor:
    """A convolution of bordered tiles."""
    return functional.conv2d(windows, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


def as_rows(layer: nn.Conv2d, windows: torch.Tensor) -> torch.Tensor:
    """The same as one matrix product, which is many times faster for tiles smaller than the kernel."""
    (high, wide), (down, across) = layer.kernel_size, layer.stride
    rows = windows.permute(0, 2, 3, 1).unfold(1, high, down).unfold(2, wide, across).permute(0, 1, 2, 4, 5, 3).flatten(3)
    return functional.linear(rows, layer.weight.permute(0, 2, 3, 1).flatten(1), layer.bias).permute(0, 3, 1, 2)


def looks(layer: nn.Module) -> bool:
    """True for a layer that looks past the edge of what it covers."""
    return pair(getattr(layer, "padding", 0)) != (0, 0)


def pair(value) -> tuple[int, int]:
    """torch's one number or two."""
    return tuple(value) if isinstance(value, (tuple, list)) else (value, value)


def take(network: nn.Module, source: nn.Module, but: tuple[str, ...] = ()) -> nn.Module:
    """`network` with the weights and statistics of `source`, but for names that begin with `but`. UserError for another network's."""
    ours, theirs = network.state_dict(), source.state_dict()
    for name in sorted({*ours, *theirs}):
        there, here = (list(one[name].shape) if name in one else "not there" for one in (theirs, ours))
        if there != here and not name.startswith(but):
            raise UserError(f"the trained network to start from is another one: {name} is {there} in it, {here} in this one")
    network.load_state_dict({name: ours[name] if name.startswith(but) else theirs[name] for name in ours})
    return network
