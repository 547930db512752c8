"""Networks of a cell: built from its specification, loaded with an upstream run's weights, asked for outputs a method can use."""

import importlib
from pathlib import Path

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.method import Method, Outputs
from benchmark.pins import kinds as catalogue
from benchmark.shared.errors import UserError


def module_of(file: str):
    """The module of a file given by its path in the repository."""
    return importlib.import_module(file.removesuffix(".py").replace("/", "."))


def build(name: str, size: dict, layout: dict, neuron: dict, classes: int, image: list, steps: int) -> nn.Module:
    """A backbone by name, with these sizes and constants."""
    family = importlib.import_module(f"benchmark.backbones.{catalogue.backbone(name).family.path.stem}")
    return family.build(size, layout, neuron, classes, tuple(image), steps)


def network(spec: dict) -> nn.Module:
    """The network that a specification trains, on the data it trains on."""
    entry, _ = catalogue.dataset(spec["data"])
    return build(spec["backbone"], spec["size"], spec["layout"], spec["neuron"], entry["classes"], entry["image"], spec["time_steps"])


def method(spec: dict) -> Method:
    """The method object with its parameters."""
    module = importlib.import_module(f"methods.{catalogue.method(spec['method']).path.stem}")
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, Method) and value is not Method]
    return next(found for found in classes if found.__module__ == module.__name__)(**spec["params"])


def load_weights(module: nn.Module, path: Path, device: torch.device) -> nn.Module:
    """Put an upstream run's weights into a network, for evaluation only. UserError for a file that cannot be read."""
    try:
        module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:
        raise UserError(f"{path} is not a readable weights file ({str(error).splitlines()[0]}): delete it and run again") from error
    return module.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def load_pretrained(module: nn.Module, spec: dict, root: Path) -> None:
    """timm's published weights, from <data_root>/weights/<timm's name>.safetensors or timm's own download."""
    family = importlib.import_module(f"benchmark.backbones.{catalogue.backbone(spec['backbone']).family.path.stem}")
    if not hasattr(family, "load_pretrained"):
        raise UserError(f"recipe key 'pretrained': {spec['backbone']} has no published weights to start from")
    name = spec["size"].get("pretrained")
    if not name:
        raise UserError(f"recipe key 'pretrained': a twin of {spec['backbone']} has no published weights to start from")
    try:
        family.load_pretrained(module, spec["size"], root / "weights")
    except Exception as error:
        raise UserError(
            f"no pretrained weights for {spec['backbone']}: put timm's {name} into {root / 'weights' / name}.safetensors, "
            f"or let timm download them ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


class Tapped:
    """A network whose block outputs are kept while a method asks for them."""

    def __init__(self, module: nn.Module, taps: bool):
        self.module, self.taps, self.features = module, taps, []
        if taps:
            for block in module.blocks:
                block.register_forward_hook(lambda _, __, output: self.features.append(output))

    def __call__(self, images: torch.Tensor) -> Outputs:
        self.features.clear()
        logits = self.module(images)
        features = list(self.features)
        self.features.clear()
        return Outputs(logits, features, [self.module.token(feature) for feature in features])


def reset(*modules: nn.Module) -> None:
    """Forget every membrane; once per batch, in training and test alike."""
    for module in modules:
        functional.reset_net(module)
