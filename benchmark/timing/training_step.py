"""What a training step costs beside the same network with ReLU, with spikingjelly's neurons, and its convolutions and products alone.

    python -m benchmark.timing.training_step speed   [--networks resnet-18:8 ...] [--repeats 5] [--out docs/training_speed.md]
    python -m benchmark.timing.training_step memory  [--networks ...] [--out docs/training_memory.md]
    python -m benchmark.timing.training_step profile [--networks ...] [--out docs/training_profile.md]

All on one thread, T = 4, channels last, random images, AdamW; a network is written name:images. `speed`: CPU seconds of a step in fp32 and
bf16, all kinds taking turns, so that a machine whose speed drifts slows all of them; the least of the repeats. `memory`: bytes that a
forward pass keeps for the backward one, of batches four times as large. `profile`: where a step's time goes, operation by operation.
Only what is ours keeps spikes as bits; all have the same max pooling.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numba
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.neuron import LIFNode
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmark.measuring.products import operation_of
from benchmark.networks.build import module_of
from benchmark.networks.packing import Packed, pack, spikes_as_bits
from benchmark.neurons import maker, ran
from benchmark.runs import structures
from benchmark.shared.files import replacing

STEPS = 4
NETWORKS = ["resnet-18:8", "sew-resnet-18:1", "spikformer-4-384:8", "spike-driven-transformer-4-384:8"]
DATA = {"sew-resnet-18": ("ImageNet", (3, 224, 224), 1000)}
CIFAR = ("CIFAR100", (3, 32, 32), 100)
GOALS = {"fp32": "at most 0.95 of ReLU's, 1.5 of the products alone", "bf16": "at least 2.5 times the throughput of spikingjelly's fp32"}
SHOWN = 14  # operations of a profile
LARGER = 4  # times as many images: small tensors are not packed (networks/packing.py)


# ---- networks


def network(name: str, kind: str) -> nn.Module:
    """One of `KINDS`, with the same weights."""
    dataset, shape, classes = DATA.get(name, CIFAR)
    described, _ = structures.described(name, dataset)
    torch.manual_seed(0)
    build = module_of(described["file"]).build
    module = build(described["size"], described["layout"], KINDS[kind](maker(described["neuron"])), classes, shape, STEPS)
    return module.to(memory_format=torch.channels_last)


def relu(ours) -> Callable:
    return lambda **changes: nn.ReLU()


def spikingjellys(ours) -> Callable:
    """spikingjelly's own node with the constants of ours."""

    def plain(**changes) -> LIFNode:
        node = ours(**changes)
        constants = {
            key: getattr(node, key) for key in ("tau", "decay_input", "v_threshold", "v_reset", "surrogate_function", "detach_reset")
        }
        return LIFNode(**constants, step_mode="m")

    return plain


KINDS = {"ReLU": relu, "ours": lambda ours: ours, "spikingjelly": spikingjellys}


def batch(name: str, images: int) -> tuple[torch.Tensor, torch.Tensor]:
    _, shape, classes = DATA.get(name, CIFAR)
    torch.manual_seed(1)
    return torch.randn(images, *shape).to(memory_format=torch.channels_last), torch.randint(classes, (images,))


def step_of(name: str, kind: str, images: int, bf16: bool) -> tuple[Callable[[], float], nn.Module]:
    """A function that makes one training step and returns the loss, and the network that it trains."""
    module, (given, labels) = network(name, kind), batch(name, images)
    keeping = spikes_as_bits if kind == "ours" else nullcontext
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), keeping():
            loss = nn.functional.cross_entropy(module(given).float().mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        functional.reset_net(module)
        return loss.item()

    return step, module


def products_of(module: nn.Module, images, bf16: bool) -> Callable[[], None]:
    """A function that does a step's convolutions and products alone, forwards and backwards, on what they receive in the spiking network."""
    calls, handles = [], []

    def keep(layer, inputs, output):
        given = [x.detach().requires_grad_(calls != []) for x in inputs]
        calls.append((layer, given, torch.ones_like(output)))

    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)) or operation_of(part):
            handles.append(part.register_forward_hook(keep))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        module(images)
    for handle in handles:
        handle.remove()

    def products() -> None:
        for layer, given, gradient in calls:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                y = layer(*given)
            y.backward(gradient)
            for each in (*given, *layer.parameters()):
                each.grad = None

    return products


# ---- speed


def speed(name: str, images: int, repeats: int) -> list[str]:
    """Rows of the table, for both precisions."""
    lines, single = [], None
    for bf16 in (False, True):
        made = {kind: step_of(name, kind, images, bf16) for kind in KINDS}
        calls, modules = ({kind: each[place] for kind, each in made.items()} for place in (0, 1))
        calls["products alone"] = products_of(network(name, "spikingjelly"), batch(name, images)[0], bf16)
        seconds = least(calls, repeats)
        single = single or seconds["spikingjelly"]
        for kind, spent in seconds.items():
            by = ", ".join(ran(modules[kind])) or "-" if kind in modules else "-"
            ratios = spent / seconds["ReLU"], spent / seconds["products alone"], single / spent
            numbers = " | ".join(f"{ratio:.2f}" for ratio in ratios)
            lines.append(f"| {name}, {images} | {'bf16' if bf16 else 'fp32'} | {kind} | {by} | {spent:.3f} | {numbers} |")
    return lines


def least(calls: dict[str, Callable], repeats: int) -> dict[str, float]:
    """CPU seconds of each, taking turns; two turns warm up."""
    seconds = {name: [] for name in calls}
    for repeat in range(repeats + 2):
        for name, call in calls.items():
            began = time.process_time()
            call()
            seconds[name] += [time.process_time() - began] if repeat > 1 else []
    return {name: min(spent) for name, spent in seconds.items()}


SPEED = """| network, images | precision | kind | neurons by | CPU s | to ReLU | to products alone | to spikingjelly in fp32, throughput |
|---|---|---|---|---|---|---|---|"""


# ---- memory


def kept(name: str, kind: str, images: int, bf16: bool) -> int:
    """Bytes that a forward pass keeps for the backward one: each storage once, parameters not."""
    module, given = network(name, kind), batch(name, images)[0]
    own, found, alive = {weight.untyped_storage().data_ptr() for weight in module.parameters()}, {}, []

    def keep(tensor):
        alive.append(tensor.detach())  # so that no address is used twice
        packed = pack(tensor) if kind == "ours" else None
        if isinstance(packed, Packed):
            found[len(alive)] = packed.values.nbytes
        else:
            storage = tensor.untyped_storage()
            found[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
        return alive[-1]

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        module(given)
    return sum(found.values())


def memory(name: str, images: int, repeats: int) -> list[str]:
    """Rows of the table, in MiB an image."""
    lines = []
    for bf16 in (False, True):
        found = {kind: kept(name, kind, LARGER * images, bf16) / (LARGER * images) / 2**20 for kind in KINDS}
        cells = " | ".join(f"{value:.1f}" for value in found.values())
        lines.append(f"| {name} | {'bf16' if bf16 else 'fp32'} | {cells} | {found['ours'] / found['ReLU']:.2f} |")
    return lines


MEMORY = """| network | precision | ReLU, MiB an image | ours | spikingjelly | ours to ReLU |
|---|---|---|---|---|---|"""


# ---- profile


def profiled(name: str, images: int, repeats: int) -> list[str]:
    """A table for each precision and kind: what the operations took by themselves."""
    lines = []
    for bf16 in (False, True):
        for kind in ("ReLU", "ours"):
            step, _ = step_of(name, kind, images, bf16)
            step()
            with profile(activities=[ProfilerActivity.CPU]) as found:
                for _ in range(repeats):
                    step()
            operations = sorted(found.key_averages(), key=lambda one: -one.self_cpu_time_total)
            whole = sum(one.self_cpu_time_total for one in operations)
            title = f"**{name}, {images} images, {'bf16' if bf16 else 'fp32'}, {kind}**: {whole / 1e6 / repeats:.3f} s a step"
            lines += [title, "", "| operation | % | ms a step | calls a step |", "|---|---|---|---|"]
            for one in operations[:SHOWN]:
                share, spent = 100 * one.self_cpu_time_total / whole, one.self_cpu_time_total / 1e3 / repeats
                lines.append(f"| {one.key} | {share:.1f} | {spent:.1f} | {one.count / repeats:g} |")
            lines.append("")
    return lines


# ---- the command

COMMANDS = {"speed": (speed, SPEED), "memory": (memory, MEMORY), "profile": (profiled, "")}


def where() -> str:
    """The processor, how busy it was with other things, and the versions."""
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    busy = f"{os.getloadavg()[0]:.1f} processes wanted {os.cpu_count()} cores when it began"
    return f"{names[0] if names else platform.processor()}, one thread, torch {torch.__version__}, numba {numba.__version__}; {busy}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COMMANDS)
    parser.add_argument("--networks", nargs="*", default=NETWORKS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="also write it there")
    chosen = parser.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)  # after numba, whose first call sets torch's threads to all there are
    measure, head = COMMANDS[chosen.what]
    text = f"`python -m benchmark.timing.training_step {chosen.what}`: {where()}\n\n{head}\n"
    print(text, end="", flush=True)
    for each in chosen.networks:
        name, _, images = each.partition(":")
        lines = "\n".join(measure(name, int(images or 1), chosen.repeats)) + "\n"
        print(lines, end="", flush=True)
        text += lines
    if chosen.out:
        with replacing(chosen.out) as file:
            file.write(text)


if __name__ == "__main__":
    main()
