"""Augmentation of frames of events: one operation a recording, the same at every time step, pixels moved and never mixed.

Frames are [B, ..., height, width], so [B, T, C, H, W] as well as steps and channels merged. Whole counts stay whole: each policy's
operations are torchvision's, nearest, on a map that says which pixel each one comes from. Flipping is not part of a policy; its
probability is a recipe's of its own (Spikformer's: 0.5). Everything is drawn from torch's generator.
"""

import math

import torch
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from benchmark.shared.errors import unknown


def augment(frames: torch.Tensor, policy: str) -> torch.Tensor:
    """Frames [B, ..., height, width], each recording changed by an operation of this policy. UserError: no such policy."""
    if policy not in POLICIES:
        raise unknown("event policy", policy, POLICIES)
    size = frames.shape[-2:]
    return torch.stack([moved(recording, POLICIES[policy](size)) for recording in frames])


def spikformer(size: torch.Size) -> torch.Tensor:
    """Spikformer's on CIFAR10-DVS, official code (cifar10dvs/autoaugment.py): one of six, uniformly.

    Nothing; a shear by a factor up to 0.3, sideways; a shift by up to five whole pixels, sideways or up and down; a rotation by up to 30
    degrees, these four from 31 magnitudes; a square of 0.1 to 11 % of the area cut out.
    """
    drawn, place = (int(torch.randint(count, ())) for count in (6, 31))

    def magnitude(most: float) -> float:  # the official code draws a sign besides, which changes nothing: from -most to most it is even
        return float(torch.linspace(-most, most, 31)[place])

    affine = {
        1: lambda: warped(size, shear=math.degrees(magnitude(0.3))),
        2: lambda: warped(size, shift=(int(magnitude(5.0)), 0)),
        3: lambda: warped(size, shift=(0, int(magnitude(5.0)))),
        4: lambda: turned(size, magnitude(30.0)),
        5: lambda: cutout(size, float(torch.empty(()).uniform_(0.001, 0.11))),
    }
    return affine.get(drawn, lambda: places(size))()


def nda(size: torch.Size) -> torch.Tensor:
    """Neuromorphic data augmentation (Li et al., 2022), official code for CIFAR10-DVS: one of three, uniformly.

    Rolled by up to five whole pixels both ways, what leaves on one side coming in on the other; rotated by up to 30 degrees; sheared
    sideways by up to 30 degrees.
    """
    drawn, degrees = int(torch.randint(3, ())), float(torch.empty(()).uniform_(-30, 30))
    if drawn == 0:
        return places(size).roll(torch.randint(-5, 6, (2,)).tolist(), (0, 1))
    return turned(size, degrees) if drawn == 1 else warped(size, shear=degrees)


POLICIES = {"spikformer": spikformer, "nda": nda}


def places(size: torch.Size) -> torch.Tensor:
    """The map int64 [height, width] that moves nothing: each pixel's own number, from 1; 0 is a pixel from outside the frame."""
    return torch.arange(1, size[0] * size[1] + 1).view(tuple(size))


def moved(frames: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Frames [..., height, width] with the pixels that a map asks for, 0 where it asks for none."""
    inside = (source > 0).flatten().to(frames.device)
    chosen = (source - 1).clamp(min=0).flatten().to(frames.device)
    flat = frames.flatten(-2)
    return (flat.gather(-1, chosen.expand(flat.shape)) * inside).view(frames.shape)


def warped(size: torch.Size, shear: float = 0.0, shift: tuple[int, int] = (0, 0)) -> torch.Tensor:
    """torchvision's affine: sheared sideways by degrees, then shifted by whole pixels, right and down."""
    return _nearest(size, lambda x: functional.affine(x, 0.0, list(shift), 1.0, [shear, 0.0], InterpolationMode.NEAREST))


def turned(size: torch.Size, degrees: float) -> torch.Tensor:
    """torchvision's rotation around the centre, counter-clockwise."""
    return _nearest(size, lambda x: functional.rotate(x, degrees, InterpolationMode.NEAREST))


def _nearest(size: torch.Size, operation) -> torch.Tensor:
    return operation(places(size)[None].float())[0].long()  # exact up to 2^24 pixels


def cutout(size: torch.Size, share: float) -> torch.Tensor:
    """A square of this share of the area, anywhere inside the frame, comes from outside: it is empty."""
    side = round(math.sqrt(share * size[0] * size[1]))
    top, left = (int(torch.randint(length - side + 1, ())) for length in size)
    source = places(size)
    source[top : top + side, left : left + side] = 0
    return source
