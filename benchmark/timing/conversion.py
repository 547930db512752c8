"""CPU seconds of a converted ViT-S/16 with random weights per image, beside the artificial one and a loop over time, on one thread.

    python -m benchmark.timing.conversion [--steps 4 12] [--images 1] [--levels 8] [--repeats 3] [--depth 12]

The loop does what the public code of ECMT does at each step: every threshold of a neuron as a tensor of its own, summed before the layer;
each nonlinear function evaluated twice; six multiplications of matrices for a product. The three are interleaved, so that a machine whose
speed drifts slows all of them, and medians are printed; also by how much the first converted run raised the peak of memory.
"""

import argparse
import resource
import statistics
import time

import numba
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from benchmark.networks.converting.conversion import Converted
from benchmark.networks.converting.explicit import copy_of, explicit
from benchmark.networks.converting.places import kind_of
from methods.ecmt import ECMT


class Loop(nn.Module):
    """The same neurons and layers one step after the other, from the equations: images [B, C, H, W] -> logits [T, B, classes]."""

    def __init__(self, network: nn.Module, neurons: dict[str, nn.Module], steps: int):
        super().__init__()
        self.network, self.steps = copy_of(network).eval(), steps
        for name, module in list(self.network.named_modules()):
            if new := stepwise(name, module, neurons):
                self.network.set_submodule(name, new)

    @torch.no_grad()
    def forward(self, images):
        for module in self.modules():
            if isinstance(module, Step):
                module.t = 0
        return torch.stack([self.network(images).reshape(len(images), -1) for _ in range(self.steps)])


def stepwise(name, module, neurons) -> nn.Module | None:
    kind = kind_of(module)
    if kind in ("linear", "conv") and name in neurons:
        return nn.Sequential(Ladder(neurons[name]), Layer(module))
    if kind == "product":
        return ProductLoop(Ladder(neurons[f"{name}.left"]), Ladder(neurons[f"{name}.right"]))
    return FunctionLoop(module) if kind in ("activation", "nonlinear") else None


class Step(nn.Module):
    """Something that knows at which step it is."""

    t = 0


class Ladder(Step):
    """Equations 21 to 25: [B, ...] -> 2n tensors of 0 and lambda_p."""

    def __init__(self, neuron):
        super().__init__()
        self.n, self.theta1, self.theta2 = neuron.n, neuron.theta1, neuron.theta2

    def forward(self, x):
        self.t += 1
        theta1, theta2 = (theta.to(x.dtype) for theta in (self.theta1, self.theta2))
        membrane = x if self.t == 1 else self.membrane + x
        planes, above = [], torch.zeros_like(x, dtype=torch.bool)
        for p in reversed(range(self.n)):
            fires = (membrane >= 2**p * theta1 - theta1 / 2) & ~above
            planes.append(fires * (2**p * theta1))
            above |= fires
        below = torch.zeros_like(above)
        for p in reversed(range(self.n)):
            fires = (membrane < theta2 / 2 - 2**p * theta2) & ~below
            planes.append(fires * (-(2**p) * theta2))
            below |= fires
        self.membrane = membrane - sum(planes)
        return planes


class Layer(nn.Module):
    """A layer of the sum of its input's 2n tensors."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, planes):
        return self.layer(sum(planes))


class FunctionLoop(Step):
    """Equation 15."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        self.t += 1
        before, self.sum = (None, x) if self.t == 1 else (self.sum, self.sum + x)
        now = self.t * self.function(self.sum / self.t)
        return now if before is None else now - (self.t - 1) * self.function(before / (self.t - 1))


class ProductLoop(Step):
    """Equations 16 to 18; the sum of products is updated and the output made by three multiplications each."""

    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, a, b):
        self.t += 1
        a, b = sum(self.left(a)), sum(self.right(b))
        if self.t == 1:
            self.sum_a, self.sum_b, self.sum_k = a, b, a @ b
            return self.sum_k
        product = a @ b + a @ self.sum_b + self.sum_a @ b
        again = a @ b + a @ self.sum_b + self.sum_a @ b
        before, self.sum_k = self.sum_k, self.sum_k + product
        self.sum_a, self.sum_b = self.sum_a + a, self.sum_b + b
        return (before + again) / self.t - before / (self.t - 1)


# ---- networks


def networks(depth: int, levels: int, steps: int, size: int = 224) -> tuple[nn.Module, Converted, Loop]:
    """A ViT-S/16 of random weights large enough that attention is not flat, its conversion, and the loop with the same neurons."""
    torch.manual_seed(0)
    ann = VisionTransformer(img_size=size, embed_dim=384, depth=depth, num_heads=6).eval()
    for module in ann.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
    ann.steps = steps
    converted = ECMT(levels=levels, images=2).start(ann, {"ann": ann}, iter([torch.randn(2, 3, size, size)]))
    return ann, converted, Loop(explicit(ann), converted.neurons(), steps)


def seconds(call, images) -> float:
    began = time.process_time()
    call(images)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="*", default=[4, 12])
    for name, default in (("images", 1), ("levels", 8), ("repeats", 3), ("depth", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)  # after numba, whose first call sets torch's threads to all there are
    for steps in chosen.steps:
        ann, converted, loop = networks(chosen.depth, chosen.levels, steps)
        images, before = torch.randn(chosen.images, 3, 224, 224), peak_memory()
        converted(images)
        grown = peak_memory() - before
        calls = {"artificial": torch.no_grad()(ann), "converted": converted, "loop": loop}
        times = {name: [] for name in calls}
        for repeat in range(chosen.repeats + 1):  # the first one warms up
            for name, call in calls.items():
                times[name] += [seconds(call, images) / chosen.images] if repeat else []
        for name, spent in times.items():
            ratio = statistics.median(a / b for a, b in zip(spent, times["artificial"], strict=True))
            each = ratio / (1 if name == "artificial" else steps)
            print(f"T = {steps:3}  {name:10}  {statistics.median(spent):.3f} s an image  {each:.2f} x artificial a step")
        ratio = statistics.median(a / b for a, b in zip(times["loop"], times["converted"], strict=True))
        print(f"T = {steps:3}  loop / converted {ratio:.2f}, memory of the converted run {grown:.0f} MB", flush=True)


def peak_memory() -> float:
    """MB, of the process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
