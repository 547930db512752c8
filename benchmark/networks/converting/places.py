"""Where in an artificial network neurons can stand, and what a conversion does with each of its layers."""

from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from timm.layers import DropPath, LayerScale, RmsNorm, SimpleNorm, activations, activations_me
from torch import nn

from benchmark.networks.attention import MatMul
from benchmark.networks.converting import activations as quantised
from benchmark.shared.errors import UserError

SYNAPSES = (nn.Linear, nn.Conv1d, nn.Conv2d)
LINEAR = (nn.modules.batchnorm._BatchNorm, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, LayerScale)
IDLE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Flatten, DropPath)  # in inference, as the norms above
NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, RmsNorm, SimpleNorm)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool2d)
ACTIVATIONS = (  # where their classes are defined
    "torch.nn.modules.activation",
    activations.__name__,
    activations_me.__name__,
    quantised.__name__,
)
SIDES = {"linear": ("",), "conv": ("",), "product": (".left", ".right"), "activation": ("",)}  # of a kind: its places


class Nonlinear(nn.Module):
    """A function of one or several inputs, not linear, with no places inside."""


@dataclass(frozen=True)
class Place:
    """At the input of a layer with weights, at the `left` or `right` one of a product, or in an activation's stead.

    name: the module's, with the side of a product. kind: linear, conv, product, activation. after: class of the nonlinear module that
    made what comes in, empty if no module did. first: the layer that sees the image. head: a layer that makes the logits.
    size: values that come in, of one image.
    """

    name: str
    kind: str
    size: int
    after: str = ""
    first: bool = False
    head: bool = False


def kind_of(module: nn.Module) -> str:
    """Of a Place, or `nonlinear`, or `kept` (linear in inference), or `inside` (its parts decide); empty if no rule knows it."""
    if isinstance(module, SYNAPSES):
        return "linear" if isinstance(module, nn.Linear) else "conv"
    if isinstance(module, MatMul):
        return "product"
    if isinstance(module, (*LINEAR, *IDLE)):
        return "kept"
    if isinstance(module, (*NORMS, *POOLS, Nonlinear)):
        return "nonlinear"
    if type(module).__module__ in ACTIVATIONS and not any(module.children()):
        return "activation"
    return "inside" if any(module.children()) and not hasattr(module, "fused_attn") else ""


@torch.no_grad()
def find_places(network: nn.Module, image: torch.Tensor) -> list[Place]:
    """All places in the order in which an image [1, C, H, W] comes to them; of timm's attentions only if they are `explicit`.

    UserError: layers that no rule knows, that are used without being called, or that are called twice; nothing to convert.
    """
    found, unknown, called = [], {}, Counter()

    def before(name, module, inputs):
        called[name] += 1
        kind = kind_of(module)
        if not kind:
            unknown.setdefault(type(module).__name__, name)
        for side, x in zip(SIDES.get(kind, ()), inputs, strict=False):
            found.append(Place(name + side, kind, x.numel(), getattr(x, "made_by", "")))

    def after(name, module, inputs, output):
        if kind_of(module) in ("activation", "nonlinear"):
            output.made_by = type(module).__name__  # what is idle passes the same object on

    with hooks(network, before, after):
        logits = network(image)
    layers = [place for place in found if place.kind in ("linear", "conv")]
    kinds = {name: kind_of(module) for name, module in network.named_modules()}
    never = [name for name, kind in kinds.items() if kind in ("linear", "conv") and not called[name]]
    often = [name for name, times in called.items() if times > 1 and kinds[name] not in ("kept", "inside")]
    if unknown or never or often or not layers:
        raise UserError(refusal(network, unknown, never, often))
    classifiers = heads(network, found, logits.shape[-1])
    return [replace(place, first=place is layers[0], head=place in classifiers) for place in found]


def heads(network, places, classes) -> list[Place]:
    """The last layers, with nothing nonlinear behind them, that have an output per class."""
    end = len(places)
    while end and places[end - 1].kind == "linear" and network.get_submodule(places[end - 1].name).out_features == classes:
        end -= 1
    return places[end:]


def refusal(network, unknown, never, often) -> str:
    """Why there is no conversion, in one line."""
    reasons = {
        "no rule knows": [f"{kind} ({name or 'the network itself'})" for kind, name in unknown.items()],
        "it never calls": never,
        "it calls more than once": often,
    }
    said = [f"{what} {', '.join(names[:5])}{' and more' if names[5:] else ''}" for what, names in reasons.items() if names]
    return f"{type(network).__name__} cannot be converted: {'; '.join(said) or 'it has no layer with weights'}"


@contextmanager
def hooks(network: nn.Module, before: Callable | None = None, after: Callable | None = None):
    """Around every call of a module inside the block: `before(name, module, inputs)`, `after(name, module, inputs, output)`."""
    handles = []
    for name, module in network.named_modules():
        if before:
            handles.append(module.register_forward_pre_hook(lambda module, inputs, name=name: before(name, module, inputs)))
        if after:
            handles.append(module.register_forward_hook(lambda module, inputs, output, name=name: after(name, module, inputs, output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
