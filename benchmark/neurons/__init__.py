"""Spiking neurons, one file each: constants, fused kernel, surrogate, and the values that they send. `maker` makes layers of one."""

import importlib
from pathlib import Path

from benchmark.shared.errors import UserError, unknown


def names() -> list[str]:
    """The neurons that there are, by their files' names."""
    return sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("[!_]*.py"))


def maker(constants: dict) -> "Maker":
    """What makes layers of the neuron `constants["name"]`. UserError for an unknown one, and for constants that are too few or too many."""
    name = constants.get("name")
    if name not in names():
        raise unknown("neuron", str(name), names())
    return Maker(importlib.import_module(f"benchmark.neurons.{name.replace('-', '_')}"), constants)


def ran(module) -> list[str]:
    """The implementations that ran a network's neurons so far: torch, numba, triton-normalised or without, spikingjelly."""
    return sorted({name for layer in module.modules() for name in getattr(layer, "ran", ())})


class Maker:
    """`fire()` is a new layer with these constants, `fire(v_threshold=0.5)` one with another threshold; `constants` has all, and `name`."""

    def __init__(self, file, constants: dict):
        self.file, self.constants = file, dict(constants)
        self.values = self._complete({key: value for key, value in constants.items() if key != "name"})

    def __call__(self, **changes):
        return self.file.neuron(**self._complete({**self.values, **changes}))

    def _complete(self, values: dict) -> dict:
        """The values themselves, if they are those that the file asks for."""
        name, asked = self.constants["name"], self.file.CONSTANTS
        for key in sorted(values.keys() - asked.keys()):
            raise unknown(f"constant of neuron {name}", key, asked)
        if missing := [key for key in asked if key not in values]:
            raise UserError(f"neuron {name} lacks {', '.join(missing)}: no constant has a default")
        return values
