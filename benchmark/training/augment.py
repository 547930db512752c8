"""Augmentation of a whole batch of small images where it lies: crop, flip, RandAugment, AutoAugment, cutout on uint8 [B, C, H, W].

RandAugment draws what timm draws (its operations, probabilities, magnitudes and level functions are timm's own objects); only the
pixel work is done for all images that drew the same operation at once, because timm's works on one PIL image at a time.
"""

import random

import torch
from PIL import Image, ImageOps
from torch.nn import functional
from torchvision.transforms.v2 import functional as vision

PIL_GREY = (0.299, 0.587, 0.114)


def crop(images: torch.Tensor, padding: int) -> torch.Tensor:
    """Each image shifted by up to `padding` pixels in both directions, zeros moving in (pad, then random crop)."""
    if not padding:
        return images
    count, _, height, width = images.shape
    padded = functional.pad(images, (padding,) * 4)
    rows, columns = (
        torch.randint(2 * padding + 1, (count, 1), device=images.device) + torch.arange(n, device=images.device) for n in (height, width)
    )
    return padded[torch.arange(count, device=images.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def flip(images: torch.Tensor, probability: float) -> torch.Tensor:
    """Each image mirrored left to right with this probability."""
    if not probability:
        return images
    mirrored = torch.rand(len(images), device=images.device) < probability
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


class RandAugment:
    """timm's RandAugment string (`rand-m9-mstd0.5-inc1`) for batches; `names` restricts its operations; mean fills borders."""

    def __init__(self, config: str, names: list[str] | None, mean: tuple):
        from timm.data.auto_augment import rand_augment_transform

        self.fill = torch.tensor([min(255, round(255 * value)) for value in mean], dtype=torch.float32)
        self.policy = rand_augment_transform(config, {"img_mean": tuple(int(v) for v in self.fill)}, transforms=names)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        for _ in range(self.policy.num_layers):
            images = self.layer(images)
        return images

    def layer(self, images):
        """One operation per image, drawn as timm draws it."""
        drawn = {}
        for index in range(len(images)):
            operation = random.choice(self.policy.ops)
            if operation.prob >= 1 or random.random() <= operation.prob:
                drawn.setdefault(operation.name, []).append((index, level(operation)))
        return apply_drawn(images, drawn, self.fill)


class AutoAugment:
    """torchvision's AutoAugment policy (cifar10, imagenet, svhn) for batches: each image draws a pair of operations; grey fills borders."""

    def __init__(self, policy: str):
        from torchvision.transforms import v2

        self.table = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
        self.fill = torch.full((3,), 128.0)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        policies = [random.choice(self.table._policies) for _ in images]
        for half in (0, 1):
            drawn = {}
            for index, (name, probability, strength) in enumerate(policy[half] for policy in policies):
                if random.random() <= probability:
                    drawn.setdefault(name, []).append((index, self.level(name, strength, *images.shape[2:])))
            images = apply_drawn(images, drawn, self.fill)
        return images

    def level(self, name: str, strength: int | None, height: int, width: int) -> float:
        """The argument of an operation, as `apply` takes it, from the policy's strength 0 to 9 (None for an operation without one)."""
        if strength is None:
            return 0.0
        values, signed = self.table._AUGMENTATION_SPACE[name]
        value = float(values(10, height, width)[strength]) * (random.choice((-1, 1)) if signed else 1)
        return 1 + value if name in BLENDS else 255 * value if name == "Solarize" else value


def apply_drawn(images: torch.Tensor, drawn: dict[str, list], fill: torch.Tensor) -> torch.Tensor:
    """The images with each operation done to those that drew it, drawn: name -> [(index, argument)]."""
    out = images.clone()
    for name, chosen in drawn.items():
        where = torch.tensor([index for index, _ in chosen], device=images.device)
        levels = torch.tensor([value for _, value in chosen], dtype=torch.float32, device=images.device)
        out[where] = apply(name, images[where], levels, fill.to(images.device))
    return out


def cutout(images: torch.Tensor, side: int) -> torch.Tensor:
    """A black square of this side around a random pixel of each image, cut off at the borders (DeVries and Taylor, 2017)."""
    if not side:
        return images
    inside = []
    for size in images.shape[2:]:
        start = torch.randint(size, (len(images), 1), device=images.device) - side // 2
        place = torch.arange(size, device=images.device)
        inside.append((place >= start) & (place < start + side))
    rows, columns = inside
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0)


def level(operation) -> float:
    """The argument that a timm AugmentOp would call its function with (0 for an operation without one)."""
    magnitude = operation.magnitude
    if operation.magnitude_std > 0:
        uniform = operation.magnitude_std == float("inf")
        magnitude = random.uniform(0, magnitude) if uniform else random.gauss(magnitude, operation.magnitude_std)
    magnitude = max(0.0, min(magnitude, operation.magnitude_max or 10.0))
    return operation.level_fn(magnitude, operation.hparams)[0] if operation.level_fn else 0.0


def mend(transform) -> None:
    """Let timm's transforms for PIL images posterize to 0 bits (black), which timm draws and Pillow refuses from version 13 on."""
    for operation in [op for step in transform.transforms for op in getattr(step, "ops", ()) if op.name.startswith("Posterize")]:
        operation.aug_fn = _posterize_pil


def _posterize_pil(image, bits, **_):
    return ImageOps.posterize(image, bits) if bits else Image.new(image.mode, image.size)


def apply(name: str, images: torch.Tensor, levels: torch.Tensor, fill: torch.Tensor) -> torch.Tensor:
    """One of timm's operations with one argument per image; uint8 in, uint8 out."""
    name = name.removesuffix("Increasing").removesuffix("Original")
    if name in GEOMETRIC:
        return warp(images, GEOMETRIC[name](levels, *images.shape[2:]), fill)
    if name in BLENDS:
        return blend(BLENDS[name](images.float()), images.float(), levels)
    return PIXELWISE[name](images, levels[:, None, None, None])


def _affine(levels, a=1.0, b=0.0, c=0.0, d=0.0, e=1.0, f=0.0):
    """PIL's six affine numbers as [n, 2, 3]: output pixel -> input pixel."""
    rows = [torch.as_tensor(v, device=levels.device).expand(len(levels)) for v in (a, b, c, d, e, f)]
    return torch.stack(rows, 1).view(-1, 2, 3)


def _rotation(levels, height, width):
    """PIL's rotate: counter-clockwise by degrees around the image's centre."""
    angle = -levels * torch.pi / 180
    cos, sin, x, y = angle.cos(), angle.sin(), width / 2, height / 2
    return _affine(levels, cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


GEOMETRIC = {
    "ShearX": lambda levels, h, w: _affine(levels, b=levels),
    "ShearY": lambda levels, h, w: _affine(levels, d=levels),
    "TranslateX": lambda levels, h, w: _affine(levels, c=levels),
    "TranslateY": lambda levels, h, w: _affine(levels, f=levels),
    "TranslateXRel": lambda levels, h, w: _affine(levels, c=levels * w),
    "TranslateYRel": lambda levels, h, w: _affine(levels, f=levels * h),
    "Rotate": _rotation,
}


def warp(images, matrices, fill):
    """Bilinear PIL affine transform (timm draws bilinear or bicubic); pixels from outside take `fill`."""
    height, width = images.shape[2:]
    y, x = torch.meshgrid(*(torch.arange(n, device=images.device) + 0.5 for n in (height, width)), indexing="ij")
    target = matrices @ torch.stack([x.flatten(), y.flatten(), torch.ones(height * width, device=images.device)])
    size = torch.tensor([width, height], device=images.device)[None, :, None]
    grid = (2 * target / size - 1).transpose(1, 2).view(-1, height, width, 2)
    inside = ((target >= 0) & (target < size)).all(1).view(-1, 1, height, width)
    warped = functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    out = torch.where(inside, warped, fill[None, :, None, None])
    return (out + 1e-3).clamp(0, 255).to(torch.uint8)  # PIL cuts off; the thousandth is for float32's rounding


def _grey(images):
    """PIL's convert('L') as floats [n, 1, H, W]."""
    return sum(weight * images[:, c : c + 1] for c, weight in enumerate(PIL_GREY)).round()


def _smooth(images):
    """PIL's SMOOTH filter, which leaves the border as it is."""
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    channels = images.shape[1]
    inner = functional.conv2d(images, (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    out = images.clone()
    out[:, :, 1:-1, 1:-1] = inner.round()
    return out


BLENDS = {  # what PIL's ImageEnhance blends with
    "Color": lambda images: _grey(images).expand_as(images),
    "Contrast": lambda images: (_grey(images).mean((1, 2, 3), keepdim=True) + 0.5).floor().expand_as(images),
    "Brightness": torch.zeros_like,
    "Sharpness": _smooth,
}


def blend(degenerate, images, factors):
    """degenerate + factor * (image - degenerate), cut off as PIL does."""
    factors = factors[:, None, None, None]
    return (degenerate + factors * (images - degenerate)).clamp(0, 255).to(torch.uint8)


def _posterize(images, bits):
    keep = (255 - (2 ** (8 - bits) - 1)).to(torch.uint8)
    return images & keep


PIXELWISE = {
    "AutoContrast": lambda images, _: vision.autocontrast(images),
    "Equalize": lambda images, _: vision.equalize(images),
    "Invert": lambda images, _: 255 - images,
    "Posterize": _posterize,
    "Solarize": lambda images, threshold: torch.where(images >= threshold, 255 - images, images),
    "SolarizeAdd": lambda images, add: torch.where(images < 128, (images.float() + add).clamp(max=255).to(torch.uint8), images),
}
