"""Networks of a cell: built from its specification alone, and loaded with the weights of a finished run."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from spikingjelly.activation_based import functional
from torch import nn

from benchmark.neurons import maker
from benchmark.shared.errors import Damaged, UserError, in_one_line
from benchmark.shared.files import read_sealed, sha256


def module_of(file: str) -> ModuleType:
    """The module of a file as specifications name it, `benchmark/backbones/spikformer.py`."""
    return importlib.import_module(file.removesuffix(".py").replace("/", "."))


def build(network: dict, classes: int, shape: list, steps: int) -> nn.Module:
    """A backbone from its `file`, `size`, `layout` and `neuron` (empty for an artificial one), for inputs of shape [C, H, W]."""
    neuron = network["neuron"]
    fire = maker(neuron) if neuron else None
    return module_of(network["file"]).build(network["size"], network["layout"], fire, classes, tuple(shape), steps)


def network(spec: dict) -> nn.Module:
    """The network that a specification trains, on the data it trains on; its `steps` are the cell's, also of one that will be converted."""
    module = build(spec["network"], spec["data"]["classes"], spec["data"]["shape"], spec["time_steps"])
    module.steps = spec["time_steps"]
    return module


def finished(run: Path, device: torch.device, changed: Callable[[dict, nn.Module], None] | None = None) -> tuple[nn.Module, dict]:
    """The network of a finished run with its weights, for evaluation only, and what the run's metrics.json says.

    changed: does to a network as it was built what the run's method did before it trained, given the run's specification.

    UserError: not there, damaged, weights that are not the run's; a converted network, which its specification alone does not build.
    """
    metrics = written(run, "weights")
    if "ann" in metrics["spec"]["above"]:
        raise UserError(
            f"{run} is a conversion by {metrics['spec']['method']['name']}: it was measured, and cannot be loaded for another run"
        )
    module = network(metrics["spec"])
    if changed:
        changed(metrics["spec"], module)
    return load_weights(module, run / "weights.pt", device), metrics


def written(run: Path, what: str) -> dict:
    """What a finished run's metrics.json says, <what>.pt beside it being the file that the run wrote. UserError: not there, or damaged."""
    try:
        metrics = read_sealed(run / "metrics.json")
        found = sha256(run / f"{what}.pt")
    except Damaged as error:
        raise UserError(f"{error}; delete it and run again") from None
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}): the run above has to be finished") from None
    if found != metrics.get(what):
        path = run / f"{what}.pt"
        raise UserError(f"{path} is not what its run wrote: its checksum is {found}, metrics.json has {metrics.get(what)}; run it again")
    return metrics


def load_weights(module: nn.Module, path: Path, device: torch.device) -> nn.Module:
    """Put weights into a network, for evaluation only. UserError: a file that cannot be read, or the weights of another network."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {name: list(value.shape) for name, value in weights.items()}
    except Exception as error:
        raise UserError(f"{path} is not a readable weights file ({in_one_line(error)}): delete it and run again") from error
    wanted = {name: list(value.shape) for name, value in module.state_dict().items()}
    for name in sorted({*shapes, *wanted}):
        if shapes.get(name) != wanted.get(name):
            said = (f"{there.get(name, 'not there')}" for there in (shapes, wanted))
            raise UserError(f"{path} holds the weights of another network: {name} is {next(said)} in it, {next(said)} in this one")
    module.load_state_dict(weights)
    return module.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)


def published(network: dict) -> dict:
    """What timm says of a network's published weights and what they are fed, with its `resolution`; empty for one without (a twin)."""
    size = network["size"]
    return {"resolution": size["resolution"], **size["pretrained"]} if size.get("pretrained") else {}


def load_pretrained(module: nn.Module, network: dict, root: Path) -> None:
    """timm's published weights, from <data_root>/weights/<timm's name>.safetensors or timm's own download."""
    family = module_of(network["file"])
    if not hasattr(family, "load_pretrained"):
        raise UserError(f"recipe key 'pretrained': {network['name']} has no published weights to start from")
    name = published(network).get("tag")
    if not name:
        raise UserError(f"recipe key 'pretrained': a twin of {network['name']} has no published weights to start from")
    try:
        family.load_pretrained(module, network["size"], root / "weights")
    except Exception as error:
        raise UserError(
            f"no pretrained weights for {network['name']}: put timm's {name} into {root / 'weights' / name}.safetensors, "
            f"or let timm download them ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        ) from error


def reset(*modules: nn.Module) -> None:
    """Forget every membrane; once per batch, in training and test alike."""
    for module in modules:
        functional.reset_net(module)
