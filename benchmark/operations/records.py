"""One pass over a model writes one record per layer; every convention of operations and energy reads records alone.

Counting is exact: the accumulates of a convolution are, summed over input positions, the spikes that arrive there times the
outputs that this position reaches (borders, stride and groups included), which equals going through every product one by one.
"""

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from spikingjelly.activation_based.surrogate import SurrogateFunctionBase
from torch import nn

from benchmark.layers import First
from benchmark.neurons import LIF

SYNAPTIC = (nn.Conv2d, nn.Conv1d, nn.Linear)


@dataclass
class Record:
    """Sums over all images seen; divide by `images` for one inference. A static first layer's numbers are those of all T steps.

    kind: conv, linear, product (two spike tensors), neuron, or another layer's class name (counted by no convention yet).
    dense: multiply-accumulates if nothing were sparse. inputs: elements that came in; nonzero: those that were not 0.
    events: accumulates with one per nonzero input; values: with one per unit of an integer input (a 2 counts twice).
    input_kind: binary (0/1), integer or real. spikes, neurons: of a neuron layer, `rates` its spikes per step.
    """

    name: str
    kind: str
    steps: int
    images: int = 0
    dense: int = 0
    inputs: int = 0
    nonzero: int = 0
    events: int = 0
    values: float = 0.0
    input_kind: str = "binary"
    spikes: int = 0
    neurons: int = 0
    rates: list = field(default_factory=list)

    def line(self) -> dict:
        """For layers.csv: numbers per inference, the firing rate in percent."""
        line = {key: value for key, value in asdict(self).items() if key != "rates"}
        for key in ("dense", "inputs", "nonzero", "events", "values", "spikes", "neurons"):
            line[key] = getattr(self, key) / max(1, self.images)
        rate = 100 * self.spikes / self.neurons if self.neurons else ""
        steps = {f"firing_rate_t{t + 1}": 100 * value * len(self.rates) / self.neurons for t, value in enumerate(self.rates)}
        return {**line, "firing_rate": rate, **steps}


ORDER = ("binary", "integer", "real")


class Counter:
    """Hooks that fill records while the model runs; `with counter.watching(model, steps):` around inference."""

    def __init__(self, values: bool = True):
        self.records: dict[str, Record] = {}
        self.with_values = values  # False: shapes only (a model on the meta device)
        self.reach: dict = {}

    @contextmanager
    def watching(self, model: nn.Module, steps: int):
        """Count every forward pass of `model`, whose inputs are static images or have `steps` time steps."""
        firsts = {id(layer) for module in model.modules() if isinstance(module, First) for layer in module}
        handles = []
        for name, module in model.named_modules():
            if hasattr(module, "count_operations"):
                module.watched = True
            observe = self.observer(module)
            if observe:
                record = self.records.setdefault(name, Record(name, kind_of(module), steps))
                handles.append(module.register_forward_hook(self.hook(observe, record, steps, id(module) in firsts)))
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()
            for module in model.modules():
                if hasattr(module, "count_operations"):
                    module.watched = False

    def hook(self, observe, record, steps, first):
        def forward_hook(module, inputs, output):
            with torch.no_grad():
                once = first and inputs[0].dim() == 4 and steps > 1 and self.static
                observe(record, module, inputs, output, steps if once else 1)

        return forward_hook

    static = True  # the model's input has no time axis: its first layers run once for all steps

    def observer(self, module):
        if isinstance(module, LIF):
            return self.neuron
        if isinstance(module, SYNAPTIC):
            return self.synapse
        if hasattr(module, "count_operations"):
            return self.product
        leaf = not any(module.children()) and not isinstance(module, (nn.Identity, SurrogateFunctionBase))
        return self.other if leaf else None

    def synapse(self, record, module, inputs, output, repeat):
        x = inputs[0]
        linear = isinstance(module, nn.Linear)
        kernel = module.in_features if linear else module.weight[0].numel()
        record.dense += output.numel() * kernel * repeat
        record.inputs += x.numel() * repeat
        if not self.with_values:
            return
        reach = module.out_features if linear else self.outputs_reached(module, x, output)
        dims = None if linear else (0, 1)
        nonzero = torch.count_nonzero(x) if linear else torch.count_nonzero(x, dim=dims)
        record.nonzero += int(nonzero.sum()) * repeat
        events = int((nonzero * reach).sum()) * repeat
        record.events += events
        kind = kind_of_values(x)
        record.input_kind = max(record.input_kind, kind, key=ORDER.index)
        record.values += events if kind == "binary" else float(((x.double().sum() if linear else x.double().sum(dims)) * reach).sum()) * repeat

    def outputs_reached(self, conv, x, output):
        """How many output values each input position contributes to: int64 [H, W] (or [N])."""
        key = (id(conv), x.shape[2:])
        if key not in self.reach:
            ones = torch.ones(1, 1, *output.shape[2:], dtype=torch.float64, device=x.device)
            kernel = torch.ones(1, 1, *conv.kernel_size, dtype=torch.float64, device=x.device)
            transpose = nn.functional.conv_transpose2d if x.dim() == 4 else nn.functional.conv_transpose1d
            rest = [
                size - ((out - 1) * stride - 2 * pad + dilation * (k - 1) + 1)
                for size, out, stride, pad, dilation, k in zip(
                    x.shape[2:], output.shape[2:], conv.stride, conv.padding, conv.dilation, conv.kernel_size, strict=True
                )
            ]
            touched = transpose(ones, kernel, None, conv.stride, conv.padding, rest, 1, conv.dilation)
            self.reach[key] = touched[0, 0].round().long() * (conv.out_channels // conv.groups)
        return self.reach[key]

    def product(self, record, module, inputs, output, repeat):
        dense, events, binary = module.count_operations(*inputs, values=self.with_values)
        record.dense += dense
        record.events += events
        record.values += events
        record.input_kind = max(record.input_kind, "binary" if binary else "integer", key=ORDER.index)

    def neuron(self, record, module, inputs, output, repeat):
        record.neurons += output.numel()
        if self.with_values:
            per_step = torch.count_nonzero(output, dim=tuple(range(1, output.dim()))).tolist()
            record.rates = [a + b for a, b in zip(record.rates or [0] * len(per_step), per_step, strict=True)]
            record.spikes += sum(per_step)

    def other(self, record, module, inputs, output, repeat):
        record.inputs += inputs[0].numel() * repeat if inputs and torch.is_tensor(inputs[0]) else 0

    def seen(self, images: int) -> None:
        """Say how many images went through since the last call."""
        for record in self.records.values():
            record.images += images


def kind_of(module: nn.Module) -> str:
    """conv, linear, neuron, product or the class name."""
    kinds = ((nn.Linear, "linear"), ((nn.Conv1d, nn.Conv2d), "conv"), (LIF, "neuron"))
    found = [kind for classes, kind in kinds if isinstance(module, classes)]
    return found[0] if found else "product" if hasattr(module, "count_operations") else type(module).__name__


def kind_of_values(x: torch.Tensor) -> str:
    """binary if all values are 0 or 1, integer if whole and not negative, else real."""
    if bool(((x == 0) | (x == 1)).all()):
        return "binary"
    return "integer" if bool((x == x.round()).all()) and bool((x >= 0).all()) else "real"
