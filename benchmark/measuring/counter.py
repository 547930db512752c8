"""One pass over a model writes one record per layer; every convention of operations and energy reads records alone.

Counting is exact: the accumulates of a convolution are, summed over input positions, the spikes that arrive there times the
outputs that this position reaches (borders, stride and groups included), which equals going through every product one by one.
"""

from collections import defaultdict
from contextlib import contextmanager
from functools import cache, partial

import torch
from spikingjelly.activation_based.surrogate import SurrogateFunctionBase
from torch import nn

from benchmark.conventions import Record
from benchmark.measuring.accumulates import product_accumulates, sums_with
from benchmark.measuring.products import operation_of, product_around
from benchmark.measuring.spike_counts import REAL, Range, Remembered
from benchmark.networks.attention import AttentionProduct, Product
from benchmark.networks.converting import expectation
from benchmark.networks.layers import First, Head, InverseAndResidual, Residual, Sum
from benchmark.neurons._base import Neuron

CLASSES = (  # the first that fits
    (nn.Linear, "linear"),
    ((nn.Conv1d, nn.Conv2d), "conv"),
    (Neuron, "neuron"),
    (Product, "product"),
    (expectation.Product, "compensated"),
    ((Residual, InverseAndResidual, Sum), "addition"),
    (Head, "pool"),
    ((nn.modules.batchnorm._NormBase, nn.LayerNorm), "norm"),
    ((nn.modules.pooling._MaxPoolNd, nn.modules.pooling._AvgPoolNd, nn.modules.pooling._AdaptiveAvgPoolNd), "pool"),
    ((nn.ReLU, nn.GELU, nn.SiLU, nn.Softmax), "activation"),
)
AS_REAL = (("total", "nonzero"), ("values", "events"))  # amounts of real values are these others


def kind_of(module: nn.Module) -> str | None:
    """What a module's record is; None if it gets none, because its parts have theirs or it does nothing."""
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

    def __init__(self, values: bool = True, each_step: bool = True):
        self.records: dict[str, Record] = {}
        self.with_values = values  # False: shapes only (a model on the meta device)
        self.each_step = each_step  # False: of a converted network's layers sums over all steps alone
        self.sums = Remembered()
        self.pending: list[tuple] = []  # (record, amount, tensor) not yet added
        self.ranges: dict = defaultdict(Range)  # (record, `input_kind` or `sent`) -> which values occurred
        self.first: Record | None = None
        self.called: set[Record] = set()  # linear layers, until the attention around them has run
        self.reach: dict = {}
        self.repeats: dict = {}
        self.clock: expectation.Clock | None = None  # of a converted network: its layers see time inside the batch
        self.past: dict = {}  # compensated product -> sums of what its inputs were in earlier windows of the run

    @contextmanager
    def watching(self, model: nn.Module, steps: int):
        """Count every forward pass of `model`, whose inputs are static images or have `steps` time steps."""
        handles, self.clock = [], getattr(model, "clock", None)
        try:
            for name, module in model.named_modules():
                handles += self.hooks(model, name, module, steps)
            yield self
        finally:
            self.settle()
            for handle in handles:
                handle.remove()

    def hooks(self, model, name, module, steps):
        """Of one module; a multiplication that is part of a product counts for the product's record."""
        if isinstance(module, (First, expectation.Held)):
            yield module.register_forward_pre_hook(self.repeat)
        if operation_of(module):
            around = product_around(model, name)
            record = self.record(name if around is None else around, "product", steps, type(module).__name__)
            spiking = around is None or model.get_submodule(around).spiking
            yield self.hook(partial(self.operation, spiking=spiking, alone=around is None), record, module)
        elif kind := kind_of(module):
            record = self.record(name, "product" if kind in ("attention", "compensated") else kind, steps, type(module).__name__)
            yield self.hook(getattr(self, kind), record, module)

    def record(self, name, kind, steps, layer):
        return self.records.setdefault(name, Record(name, kind, steps, layer))

    def hook(self, observe, record, module):
        def forward_hook(module, inputs, output):
            with torch.no_grad():
                observe(record, module, inputs, output, self.repeats.get(id(module), 1))

        return module.register_forward_hook(forward_hook)

    def repeat(self, first, inputs):
        """A static image goes through its first layers once, on behalf of every time step."""
        held = isinstance(first, expectation.Held)
        changes = len(inputs[0]) == first.clock.rows if held else inputs[0].dim() > 4
        times = 1 if changes else first.clock.steps if held else first.steps
        self.repeats.update((id(module), times) for module in first.modules())

    def add(self, record, **amounts):
        """Add numbers now and tensors later."""
        for amount, value in amounts.items():
            if torch.is_tensor(value):
                self.pending.append((record, amount, value))
            else:
                setattr(record, amount, getattr(record, amount) + value)

    def by_step(self, x, times):
        """(None, x), or (number of a step, what came in then) for all steps of a converted network but its image, which stays."""
        if self.clock is None or times > 1 or not self.each_step:
            return [(None, x)]
        return list(enumerate(self.clock.by_step(x), self.clock.before))

    def add_at(self, step, record, **amounts):
        """Add tensors, to the amounts of one step too."""
        self.add(record, **amounts)
        if step is not None:
            self.pending += [(record, (amount, step), value) for amount, value in amounts.items()]

    # ---- one method per kind of record

    def conv(self, record, module, inputs, output, times):
        x = inputs[0]
        self.synapse(record, module, x, output, times * output.numel() * module.weight[0].numel(), times)
        if self.with_values:
            reach = self.outputs_reached(module, x, output)
            for step, now in self.by_step(x, times):
                self.arrivals(record, self.sums(now, x.dim() - 2), reach, times, step)

    def linear(self, record, module, inputs, output, times):
        x = inputs[0]
        self.called.add(record)
        self.synapse(record, module, x, output, times * output.numel() * module.in_features, times)
        if self.with_values:
            for step, now in self.by_step(x, times):
                self.arrivals(record, self.sums(now, 0), module.out_features, times, step)

    def synapse(self, record, module, x, output, dense, times):
        self.first = self.first or record
        record.first = record is self.first
        record.bias, record.weights = module.bias is not None, list(module.weight.shape)
        record.stride, record.groups = list(getattr(module, "stride", ())), getattr(module, "groups", 1)
        self.add(record, dense=dense, inputs=times * x.numel(), outputs=times * output.numel())

    def arrivals(self, record, sums, reach, times, step=None):
        """Inputs, and accumulates: inputs times the outputs that each one's position reaches."""
        self.add(record, input_kind=sums.range)
        events = times * (sums.positions * reach).sum()
        values = events if sums.values is None else times * (sums.values * reach).sum()
        self.add_at(step, record, nonzero=times * sums.nonzero, total=times * sums.total, events=events, values=values)

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
        """What goes in; the multiplications that are part of it count themselves."""
        if isinstance(module, AttentionProduct):
            record.head_width = inputs[0].shape[2] // module.heads
            self.add(record, scores=times * inputs[0].numel() // record.head_width * inputs[0].shape[3:].numel())
        if not module.spiking:
            self.ranges[record, "input_kind"] = REAL
        self.operands(record, inputs, times)

    def operands(self, record, inputs, times):
        record.operands = record.operands or [[0, 0] for _ in inputs]
        for index, x in enumerate(inputs):
            record.operands[index][0] += times * x.numel()
            if self.with_values:
                sums = self.sums(x, max(0, x.dim() - 3))
                self.add(record, input_kind=sums.range)
                self.pending.append((record, index, times * sums.nonzero))

    def operation(self, record, module, inputs, output, times, spiking, alone):
        """One multiplication; of real operands every multiply-accumulate happens."""
        dense, met = operation_of(module)
        dense = times * dense(inputs, output)
        self.add(record, dense=dense)
        if not spiking:
            self.add(record, events=dense, values=dense)
        elif self.with_values:
            for moment in zip(*(self.by_step(x, times) for x in inputs), strict=True):
                events = times * met([now for _, now in moment])
                self.add_at(moment[0][0], record, events=events, values=events)
        if alone:
            self.operands(record, inputs, times)

    def compensated(self, record, module, inputs, output, times):
        """A product of a converted network, by equation 18; the other readings of its operations beside it."""
        self.add(record, dense=output.numel() * inputs[0].shape[-1])
        self.operands(record, inputs, times)
        if self.with_values:
            a, b = (self.clock.by_step(x) for x in inputs)
            before = self.past.pop(module, None) if self.clock.before else None  # an interrupted run may have left some
            for reading, counts in product_accumulates(a, b, before).items():
                self.pending.append((record, (reading, self.clock.before), counts))
                if reading == "before":
                    for step, count in enumerate(counts, self.clock.before):
                        self.add_at(step, record, events=count, values=count)
            if not self.clock.last:
                self.past[module] = tuple(sums_with(x, y)[-1].clone() for x, y in zip((a, b), before or (None, None), strict=True))

    def attention(self, record, module, inputs, output, times):
        """timm's softmax attention on [B, N, C], its products of queries, keys and values as dense multiply-accumulates."""
        x = inputs[0]
        batch, tokens = x.shape[0], x.shape[1]
        width = getattr(module, "head_dim", x.shape[2] // module.num_heads)  # timm's Swin does not say it
        record.head_width, self.ranges[record, "input_kind"] = width, REAL
        scores = batch * module.num_heads * tokens * tokens
        dense = 2 * scores * width
        self.add(record, dense=dense, events=dense, values=dense, scores=scores)
        self.add(self.record(f"{record.name}.softmax", "activation", record.steps, "Softmax"), inputs=scores, outputs=scores)
        qkv = self.records.get(f"{record.name}.qkv")
        if qkv and qkv not in self.called:  # EVA multiplies by the layer's weights without calling the layer
            self.linear(qkv, module.qkv, inputs, x.new_empty(batch, tokens, module.qkv.out_features, device="meta"), times)
        self.called.discard(qkv)

    def neuron(self, record, module, inputs, output, times):
        record.sends, record.leaks = module.sends, module.leaks
        self.add(record, neurons=output.numel())
        if self.with_values:
            sums = self.sums(output, max(0, output.dim() - 3))
            per_step = sums.rows.reshape(output.shape[0], -1).sum(1)
            self.add(record, spikes=per_step.sum(), sent=sums.range)
            self.pending.append((record, ("rates", self.clock.before if self.clock else 0), per_step))

    def pool(self, record, module, inputs, output, times):
        x = inputs[0]
        self.add(record, inputs=times * x.numel(), outputs=times * output.numel())
        if self.with_values:
            spatial = x.dim() - (3 if isinstance(module, Head) else 2)
            sums = self.sums(x, spatial)
            self.add(record, nonzero=times * sums.nonzero, total=times * sums.total, input_kind=sums.range)

    def norm(self, record, module, inputs, output, times):
        """A normalisation follows a weighted sum, which is real."""
        self.ranges[record, "input_kind"] = REAL
        self.other(record, module, inputs, output, times)

    def other(self, record, module, inputs, output, times):
        tensors = [x for x in (*inputs, output) if torch.is_tensor(x)]
        self.add(record, inputs=times * tensors[0].numel() if tensors else 0, outputs=times * tensors[-1].numel() if tensors else 0)

    activation = addition = other

    # ---- adding up

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
        for (record, field), found in self.ranges.items():
            setattr(record, field, found.kind)
            if field == "input_kind":
                record.unit = found.least if found.kind == "unit" else 1.0
                if found.kind == "real":  # of a mixture of batches too
                    record.total, record.values = record.nonzero, record.events
                    record.by_step.update({to: list(record.by_step[of]) for to, of in AS_REAL if of in record.by_step})

    def settle_one(self, record, amount, numbers):
        if isinstance(amount, tuple):
            name, start = amount
            series = record.rates if name == "rates" else record.by_step.setdefault(name, [])
            add_from(series, start, numbers)
        elif amount in ("input_kind", "sent"):
            self.ranges[record, amount] |= Range(*numbers)
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

    def state(self) -> dict:
        """What has been counted, in plain values."""
        ranges = [[record.name, field, list(found)] for (record, field), found in self.ranges.items()]
        return {"records": [record.to_dict() for record in self.records.values()], "ranges": ranges}

    def put(self, state: dict) -> None:
        """Go on from a state; hooks keep the records that they have."""
        for values in state["records"]:
            saved = Record.from_dict(values)
            vars(self.records.setdefault(saved.name, saved)).update(vars(saved))
        self.first = next((record for record in self.records.values() if record.first), None)
        self.ranges.update({(self.records[name], field): Range(*found) for name, field, found in state["ranges"]})


def add_from(series: list, start: int, numbers: list) -> None:
    """Add numbers to a list from one place on; it grows with zeros."""
    series += [0.0] * (start + len(numbers) - len(series))
    for place, value in enumerate(numbers, start):
        series[place] += value


@cache
def reached_along(size, out, stride, padding, dilation, kernel) -> torch.Tensor:
    """Along one dimension, how many outputs each of `size` input positions contributes to."""
    counts = torch.zeros(size, dtype=torch.int64, device="cpu")
    for tap in range(kernel):
        position = torch.arange(out, device="cpu") * stride - padding + tap * dilation
        counts.index_add_(0, position[(position >= 0) & (position < size)], torch.ones_like(position)[(position >= 0) & (position < size)])
    return counts
