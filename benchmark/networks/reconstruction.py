"""Filling in hidden patches: an artificial decoder over all tokens, its target, its error and the pictures (Spikformer V2, section 4.2).

Size: 3.41 M are printed (line 142) for 4 layers of width 256. At 196 patches of 16 x 16 x 3 values that is what the four blocks, the last
normalisation, the layer to pixels, the mask token and the 196 positions have together, 3.407 M; the layer from the encoder's width (0.13 M
from 512) is not in it. The positions are fixed (sines and cosines, as in MAE and in the closest spiking code), so they are not trained.
"""

import torch
from torch import nn

from benchmark.networks.masking import Seen, carried


class Decoder(nn.Module):
    """Transformer blocks (norm first, GELU, MLP of four times the width) over visible tokens and, for hidden ones, one learned token.

    dim: the encoder's width. values: of a patch, side * side * channels. Seen -> predicted values [B, patches, values].
    """

    def __init__(self, dim: int, values: int, depth: int = 4, width: int = 256, heads: int = 4):
        super().__init__()
        self.embed, self.hidden = nn.Linear(dim, width), nn.Parameter(torch.zeros(width))
        blocks = (nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", 1e-6, True, True) for _ in range(depth))
        self.blocks, self.norm, self.pixels = nn.Sequential(*blocks), nn.LayerNorm(width, 1e-6), nn.Linear(width, values)
        self.initialise()

    def initialise(self) -> None:
        """As MAE: the mask token normal, linear weights uniform by fan in and out, biases zero."""
        nn.init.normal_(self.hidden, std=0.02)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, seen: Seen) -> torch.Tensor:
        images, *grid = seen.visible.shape
        tokens = self.embed(seen.tokens.mean(0))
        width = tokens.shape[2]
        hidden = self.hidden.to(tokens.dtype).expand(images, grid[0] * grid[1], width)
        x = hidden.masked_scatter(seen.visible.flatten(1).unsqueeze(2), tokens)
        return self.pixels(self.norm(self.blocks(x + positions(grid, width, x.device).to(x.dtype))))


def positions(grid, width: int, device=None) -> torch.Tensor:
    """[down * across, width]: for half of the channels sines and cosines of the row, for the other half of the column, as MAE."""
    rates = 10000 ** -(torch.arange(width // 4, device=device) / (width // 4))
    rows, columns = (torch.arange(size, device=device)[:, None] * rates for size in grid)
    both = torch.stack(torch.broadcast_tensors(columns[None], rows[:, None]))  # [2, down, across, width / 4]
    return torch.cat([both.sin(), both.cos()], 3).permute(1, 2, 0, 3).reshape(-1, width)


def patches(images: torch.Tensor, grid) -> torch.Tensor:
    """[B, C, H, W] -> [B, patches, side * side * C] in float32, patches in reading order."""
    x = images.float().unflatten(3, (grid[1], -1)).unflatten(2, (grid[0], -1))
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def pictures(values: torch.Tensor, grid, channels: int) -> torch.Tensor:
    """The opposite of `patches`."""
    side = int((values.shape[2] // channels) ** 0.5)
    x = values.unflatten(1, tuple(grid)).unflatten(3, (side, side, channels))
    return x.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def spread(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each patch, [B, patches, 1] each."""
    return values.mean(2, keepdim=True), (values.var(2, keepdim=True) + 1e-6).sqrt()


def normalised(values: torch.Tensor) -> torch.Tensor:
    """Each patch with mean 0 and deviation 1, MAE's target."""
    mean, deviation = spread(values)
    return (values - mean) / deviation


def error(predicted: torch.Tensor, wanted: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Mean squared error over the hidden patches alone."""
    return errors(predicted, wanted, visible).mean()


def errors(predicted: torch.Tensor, wanted: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """The same of each image, [B]: as many patches are hidden of each."""
    return (predicted.float() - wanted).square().mean(2)[~visible.flatten(1)].view(len(wanted), -1).mean(1)


def triplet(images: torch.Tensor, predicted: torch.Tensor, visible: torch.Tensor, per_patch: bool) -> dict[str, torch.Tensor]:
    """Figure 8: the images, what of them is seen (0 elsewhere) and the filled-in ones, [B, C, H, W] each.

    per_patch: the decoder was trained on normalised patches, so that each gets its own mean and deviation back, as in MAE's pictures.
    """
    values, grid = patches(images, visible.shape[1:]), visible.shape[1:]
    if per_patch:
        mean, deviation = spread(values)
        predicted = predicted * deviation + mean
    filled = pictures(torch.where(visible.flatten(1).unsqueeze(2), values, predicted.float()), grid, images.shape[1])
    seen = carried(visible, images.shape[2] // grid[0]).unsqueeze(1)
    return {"image": images, "masked": images * seen, "reconstructed": filled}
