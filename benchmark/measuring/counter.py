"""One pass over a model writes one record per layer; every convention of operations and energy reads records alone.

Counting is exact: the accumulates of a convolution are, summed over input positions, the spikes that arrive there times the
outputs that this position reaches (borders, stride and groups included), which equals going through every product one by one.
"""

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

import torch
from spikingjelly.activation_based.surrogate import SurrogateFunctionBase
from torch import nn

from benchmark.measuring.spike_counts import KINDS, Remembered
from benchmark.networks.layers import First, Head, InverseAndResidual, Residual, SoftmaxProduct, Sum
from benchmark.neurons.lif import LIF

AMOUNTS = ("dense", "outputs", "inputs", "nonzero", "total", "events", "values", "scores", "spikes", "neurons")


@dataclass(eq=False)
class Record:
    """One layer. Amounts are sums over all images seen and all time steps, those of a static first layer included; see `each`.

    kind: conv, linear, product (of spike tensors, or attention), neuron, norm, pool, activation, addition (a shortcut), other.
    layer: class name. first: the first synaptic layer of the network. steps: time steps of one inference. bias: adds one per output.
    dense: multiply-accumulates if nothing were sparse, biases left out. outputs, inputs: elements. nonzero: inputs that were not 0.
    total: sum of the inputs' values (of real ones, how many are not 0). events: accumulates with one per nonzero input; values: with
    one per unit of an integer input (a 2 counts twice). input_kind: binary (0 and 1), integer, fraction (not negative) or real, over
    everything seen. operands: of a product, [elements, nonzero] of each input; head_width: channels per head; scores: elements of Q K^T.
    spikes, neurons: of a neuron layer, elements of its output; `rates` its spikes per step.
    """

    name: str
    kind: str
    steps: int
    layer: str = ""
    first: bool = False
    bias: bool = False
    images: int = 0
    calls: int = 0
    dense: int = 0
    outputs: int = 0
    inputs: int = 0
    nonzero: int = 0
    total: float = 0.0
    events: int = 0
    values: float = 0.0
    input_kind: str = "binary"
    operands: list = field(default_factory=list)
    head_width: int = 0
    scores: int = 0
    spikes: int = 0
    neurons: int = 0
    rates: list = field(default_factory=list)

    def each(self, amount: str) -> float:
        """An amount per inference of one image."""
        return getattr(self, amount) / max(1, self.images)

    @property
    def rate(self) -> float:
        """Mean value of the inputs, for spikes the share of ones; of real inputs the share that is not 0."""
        return self.total / self.inputs if self.inputs else 0.0

    def line(self) -> dict:
        """For layers.csv: numbers per inference, the firing rate in percent."""
        line = {key: value for key, value in asdict(self).items() if key not in ("rates", "operands", "calls")}
        line |= {key: self.each(key) for key in AMOUNTS}
        rate = 100 * self.spikes / self.neurons if self.neurons else ""
        steps = {f"firing_rate_t{t + 1}": 100 * value * len(self.rates) / self.neurons for t, value in enumerate(self.rates)}
        return {**line, "firing_rate": rate, **steps}


CLASSES = (  # the first that fits
    (nn.Linear, "linear"),
    ((nn.Conv1d, nn.Conv2d), "conv"),
    (LIF, "neuron"),
    ((Residual, InverseAndResidual, Sum), "addition"),
    (Head, "pool"),
    ((nn.modules.batchnorm._NormBase, nn.LayerNorm), "norm"),
    ((nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd), "pool"),
    ((nn.ReLU, nn.GELU, nn.SiLU, nn.Softmax), "activation"),
)


def kind_of(module: nn.Module) -> str | None:
    """What a module's record is; None if it gets none, because its parts have theirs or it does nothing."""
    if hasattr(module, "count_operations"):
        return "product"
    if hasattr(module, "fused_attn"):  # timm's, of any transformer
        return "attention"
    for classes, kind in CLASSES:
        if isinstance(module, classes):
            return kind
    idle = (nn.Identity, nn.Dropout, nn.Flatten, SurrogateFunctionBase)
    return None if any(module.children()) or isinstance(module, idle) else "other"


class Counter:
    """Hooks that fill records while the model runs: `with counter.watching(model, steps):` around inference, `seen` after each batch.

    Holds a few activations and one number per amount, whatever the size of the model; on a GPU it waits for it in `seen` alone.
    """

    def __init__(self, values: bool = True):
        self.records: dict[str, Record] = {}
        self.with_values = values  # False: shapes only (a model on the meta device)
        self.sums = Remembered()
        self.pending: list[tuple] = []  # (record, amount, tensor) not yet added
        self.first: Record | None = None
        self.reach: dict = {}
        self.repeats: dict = {}

    @contextmanager
    def watching(self, model: nn.Module, steps: int):
        """Count every forward pass of `model`, whose inputs are static images or have `steps` time steps."""
        products, handles = [], []
        for name, module in model.named_modules():
            if isinstance(module, First):
                handles.append(module.register_forward_pre_hook(self.repeat))
            kind = kind_of(module)
            if kind:
                record = Record(name, "product" if kind == "attention" else kind, steps, type(module).__name__)
                record = self.records.setdefault(name, record)
                handles.append(module.register_forward_hook(self.hook(getattr(self, kind), record)))
            if hasattr(module, "watched"):
                module.watched = True
                products.append(module)
        try:
            yield self
        finally:
            self.settle()
            for handle in handles:
                handle.remove()
            for module in products:
                module.watched = False

    def hook(self, observe, record):
        def forward_hook(module, inputs, output):
            with torch.no_grad():
                record.calls += 1
                observe(record, module, inputs, output, self.repeats.get(id(module), 1))

        return forward_hook

    def repeat(self, first, inputs):
        """A static image goes through its first layers once, on behalf of every time step."""
        times = first.steps if inputs[0].dim() == 4 else 1
        self.repeats.update((id(module), times) for module in first.modules())

    def add(self, record, **amounts):
        """Add numbers now and tensors later."""
        for amount, value in amounts.items():
            if torch.is_tensor(value):
                self.pending.append((record, amount, value))
            else:
                setattr(record, amount, getattr(record, amount) + value)

    # ---- one method per kind of record

    def conv(self, record, module, inputs, output, times):
        x = inputs[0]
        self.synapse(record, module, x, output, times * output.numel() * module.weight[0].numel(), times)
        if self.with_values:
            self.arrivals(record, self.sums(x, x.dim() - 2), self.outputs_reached(module, x, output), times)

    def linear(self, record, module, inputs, output, times):
        x = inputs[0]
        self.synapse(record, module, x, output, times * output.numel() * module.in_features, times)
        if self.with_values:
            self.arrivals(record, self.sums(x, 0), module.out_features, times)

    def synapse(self, record, module, x, output, dense, times):
        self.first = self.first or record
        record.first = record is self.first
        record.bias = module.bias is not None
        self.add(record, dense=dense, inputs=times * x.numel(), outputs=times * output.numel())

    def arrivals(self, record, sums, reach, times):
        """Inputs, and accumulates: inputs times the outputs that each one's position reaches."""
        self.add(record, nonzero=times * sums.nonzero, total=times * sums.total, input_kind=sums.kind)
        events = times * (sums.positions * reach).sum()
        self.add(record, events=events, values=events if sums.values is None else times * (sums.values * reach).sum())

    def outputs_reached(self, conv, x, output):
        """How many output values each input position contributes to: int64 [positions], the product of one count per dimension."""
        key = (id(conv), x.shape[2:])
        if key not in self.reach:
            sizes = zip(x.shape[2:], output.shape[2:], conv.stride, conv.padding, conv.dilation, conv.kernel_size, strict=True)
            counts = [reached_along(*each) for each in sizes]
            grid = counts[0] if len(counts) == 1 else torch.outer(*counts).flatten()
            self.reach[key] = (grid * (conv.out_channels // conv.groups)).to(x.device)
        return self.reach[key]

    def product(self, record, module, inputs, output, times):
        dense, events = module.count_operations(*inputs, values=self.with_values)
        if hasattr(module, "first"):
            del module.first  # the first product, kept for count_operations
        if getattr(module, "order", None):
            record.head_width = inputs[0].shape[2] // module.heads
            positions = inputs[0].shape[3:].numel()
            self.add(record, scores=inputs[0].numel() // record.head_width * positions)
        record.operands = record.operands or [[0, 0] for _ in inputs]
        self.add(record, dense=dense, events=events, values=events)
        self.upgrade(record, "real" if isinstance(module, SoftmaxProduct) else "binary")
        for index, x in enumerate(inputs):
            record.operands[index][0] += x.numel()
            if self.with_values:
                sums = self.sums(x, x.dim() - 3)
                self.pending.append((record, index, sums.nonzero))
                self.add(record, input_kind=sums.kind)

    def attention(self, record, module, inputs, output, times):
        """timm's softmax attention on [B, N, C], its products of queries, keys and values as dense multiply-accumulates."""
        x = inputs[0]
        batch, tokens = x.shape[0], x.shape[1]
        record.head_width, record.input_kind = module.head_dim, "real"
        dense = 2 * batch * tokens * tokens * module.num_heads * module.head_dim
        self.add(record, dense=dense, events=dense, values=dense, scores=batch * module.num_heads * tokens * tokens)
        qkv = self.records.get(f"{record.name}.qkv")
        if qkv and qkv.calls < record.calls:  # EVA multiplies by the layer's weights without calling the layer
            qkv.calls += 1
            self.linear(qkv, module.qkv, inputs, x.new_empty(batch, tokens, module.qkv.out_features, device="meta"), times)

    def neuron(self, record, module, inputs, output, times):
        self.add(record, neurons=output.numel())
        if self.with_values:
            per_step = self.sums(output, max(0, output.dim() - 3)).rows.reshape(output.shape[0], -1).sum(1)
            self.add(record, spikes=per_step.sum())
            self.pending.append((record, "rates", per_step))

    def pool(self, record, module, inputs, output, times):
        x = inputs[0]
        self.add(record, inputs=times * x.numel(), outputs=times * output.numel())
        if self.with_values:
            spatial = x.dim() - (3 if isinstance(module, Head) else 2)
            sums = self.sums(x, spatial)
            self.add(record, nonzero=times * sums.nonzero, total=times * sums.total, input_kind=sums.kind)

    def norm(self, record, module, inputs, output, times):
        """A normalisation follows a weighted sum, which is real."""
        self.upgrade(record, "real")
        self.other(record, module, inputs, output, times)

    def other(self, record, module, inputs, output, times):
        tensors = [x for x in (*inputs, output) if torch.is_tensor(x)]
        self.add(record, inputs=times * tensors[0].numel() if tensors else 0, outputs=times * tensors[-1].numel() if tensors else 0)

    activation = addition = other

    # ---- adding up

    def upgrade(self, record, kind: str):
        record.input_kind = max(record.input_kind, kind, key=KINDS.index)

    def settle(self) -> None:
        """Add the pending tensors, in one transfer."""
        if self.pending:
            flat = torch.cat([value.reshape(-1).double() for _, _, value in self.pending]).tolist()
            start = 0
            for record, amount, value in self.pending:
                self.settle_one(record, amount, flat[start : start + value.numel()])
                start += value.numel()
        self.pending.clear()
        self.sums.clear()

    def settle_one(self, record, amount, numbers):
        if amount == "rates":
            record.rates = [a + b for a, b in zip(record.rates or [0.0] * len(numbers), numbers, strict=True)]
        elif amount == "input_kind":
            self.upgrade(record, KINDS[int(numbers[0])])
        elif isinstance(amount, int):
            record.operands[amount][1] += int(numbers[0])
        else:
            whole = amount not in ("total", "values") or numbers[0].is_integer()
            setattr(record, amount, getattr(record, amount) + (int(numbers[0]) if whole else numbers[0]))

    def seen(self, images: int) -> None:
        """Say how many images went through since the last call."""
        self.settle()
        for record in self.records.values():
            record.images += images


def reached_along(size, out, stride, padding, dilation, kernel) -> torch.Tensor:
    """Along one dimension, how many outputs each of `size` input positions contributes to."""
    counts = torch.zeros(size, dtype=torch.int64)
    for tap in range(kernel):
        position = torch.arange(out) * stride - padding + tap * dilation
        counts.index_add_(0, position[(position >= 0) & (position < size)], torch.ones_like(position)[(position >= 0) & (position < size)])
    return counts
