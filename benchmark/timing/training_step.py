"""CPU seconds of a Spikformer training step with our neuron, spikingjelly's and a ReLU in its place, on one thread.

    python -m benchmark.timing.training_step [--dim 96] [--depth 2] [--batch 32] [--repeats 9]

The three are interleaved, so that a machine whose speed drifts slows all of them; the median of each is printed with what ran its neurons,
and its ratio to ReLU.
"""

import argparse
import statistics
import time

import numba
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.neuron import LIFNode
from torch import nn

from benchmark.backbones import spikformer
from benchmark.neurons import maker, ran

STEPS, CLASSES = 4, 10


def network(fire, size: dict) -> nn.Module:
    """The same Spikformer with any activation."""
    torch.manual_seed(0)
    model = spikformer.build(size, spikformer.LAYOUTS["cifar"], fire, CLASSES, (3, 32, 32), STEPS)
    return model.to(memory_format=torch.channels_last)


def relu(**_) -> nn.ReLU:
    return nn.ReLU()


ours = maker(spikformer.NEURON)


def plain(**changes) -> LIFNode:
    """spikingjelly's own node with the constants of ours."""
    fused = ours(**changes)
    constants = {key: getattr(fused, key) for key in ("tau", "decay_input", "v_threshold", "v_reset", "surrogate_function", "detach_reset")}
    return LIFNode(**constants, step_mode="m")


KINDS = {"relu": relu, "ours": ours, "spikingjelly": plain}


def trainer(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, bf16: bool):
    """A function that makes one training step and returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(model(images).float().mean(0), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        functional.reset_net(model)
        return loss.item()

    return step


def measure(size: dict, batch: int, repeats: int, bf16: bool) -> dict[str, tuple[str, float]]:
    """For each kind of neuron what ran it, and the median CPU seconds of one step."""
    images = torch.randn(batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (batch,))
    models = {kind: network(fire, size) for kind, fire in KINDS.items()}
    trainers = {kind: trainer(model, images, labels, bf16) for kind, model in models.items()}
    losses = {kind: [step(), step()] for kind, step in trainers.items()}  # warm-up
    if not bf16 and abs(losses["ours"][0] - losses["spikingjelly"][0]) > 1e-6:
        raise SystemExit(f"the networks do not compute the same: {losses}")
    seconds = {kind: [] for kind in trainers}
    for _ in range(repeats):
        for kind, step in trainers.items():
            began = time.process_time()
            step()
            seconds[kind].append(time.process_time() - began)
    return {kind: (", ".join(ran(models[kind])), statistics.median(values)) for kind, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("dim", 96), ("depth", 2), ("batch", 32), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)  # after numba, whose first call sets torch's threads to all there are
    size = {"depth": chosen.depth, "dim": chosen.dim, "heads": 12}
    for bf16 in (False, True):
        found = measure(size, chosen.batch, chosen.repeats, bf16)
        for kind, (by, seconds) in found.items():
            print(f"{'bf16' if bf16 else 'fp32'}  {kind:12}  {by:6}  {seconds:.3f} s  {seconds / found['relu'][1]:.2f} x ReLU")


if __name__ == "__main__":
    main()
