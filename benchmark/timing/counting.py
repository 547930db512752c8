"""CPU seconds of an inference that is counted, by our counter and by others, relative to the same inference uncounted; one thread.

    python -m benchmark.timing.counting [--networks spikformer-4-384:16 resnet-18:16 ...] [--repeats 5]

Others: spikingjelly's SynOpCounter and MACCounter, and syops-counter 0.0.5 and NeuroBench 2.3.0 where they can be imported (they are no
dependencies: `pip install --no-deps --target <folder> syops progress neurobench`, then put the folder on PYTHONPATH). All are interleaved,
so that a machine whose speed drifts slows all of them. A network is written name:images, or name/<dim>:images for other channels.
"""

import argparse
import contextlib
import io
import statistics
import time
import warnings

import numba
import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter
from torch import nn

from benchmark import conventions
from benchmark.measuring.counter import Counter
from benchmark.networks import build as network
from benchmark.runs import structures

STEPS, IMAGE, CLASSES = 4, (3, 32, 32), 100
NETWORKS = ["resnet-18:16", "spikformer-4-384:16", "spike-driven-transformer-2-512:16", "spikformer-2-384/96:32"]


def lively(name: str, images: torch.Tensor) -> nn.Module:
    """The network in evaluation mode, its normalisations with the statistics of `images`, so that it fires as in training."""
    name, _, dim = name.partition("/")
    described, _ = structures.described(name, "CIFAR100")
    size = {**described["size"], "dim": int(dim)} if dim else described["size"]
    torch.manual_seed(0)
    model = network.build({**described, "size": size}, CLASSES, IMAGE, STEPS)
    model = model.to(memory_format=torch.channels_last).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model(images)
    functional.reset_net(model)
    return model.eval()


class Ours:
    name = "SpikeLedger"

    def __init__(self, model):
        self.model, self.counter = model, Counter()

    def __call__(self, images):
        self.counter = Counter()
        with self.counter.watching(self.model, STEPS):
            self.model(images)
            self.counter.seen(len(images))

    def accumulates(self):
        return conventions.count("events", list(self.counter.records.values()))["acs_nonzero"]


class SpikingJelly:
    """One of its counters; they see dispatched operations."""

    def __init__(self, model, kind):
        self.model, self.kind, self.name = model, kind, f"spikingjelly {kind.__name__}"

    def __call__(self, images):
        self.counter, self.images = self.kind(), len(images)
        with DispatchCounterMode([self.counter]):
            self.model(images)

    def accumulates(self):
        return self.counter.get_total() / self.images if self.kind is SynOpCounter else None


class Syops:
    name = "syops-counter"

    def __init__(self, model):
        for missing in ("IF", "LIF", "ParametricLIF"):  # names of spikingjelly 0.0.0.0.12 that it imports
            setattr(neuron, f"MultiStep{missing}Node", type(missing, (nn.Module,), {}))
        from syops.engine import add_syops_counting_methods

        self.model, self.prepare = model, add_syops_counting_methods

    def __call__(self, images):
        self.prepare(self.model)
        self.model.start_syops_count(ost=None, verbose=False, ignore_list=[])
        self.model(images)
        self.counted = self.model.compute_average_syops_cost()[0]
        self.model.stop_syops_count()

    def accumulates(self):
        return float(self.counted[1])


class NeuroBench:
    name = "NeuroBench"

    def __init__(self, model):
        from neurobench.metrics.workload import SynapticOperations
        from neurobench.models import TorchModel

        self.model, self.metric = TorchModel(model), SynapticOperations

    def __call__(self, images):
        metric = self.metric()
        self.model.register_hooks()
        predictions = self.model(images)
        self.counted = metric(self.model, predictions, (images, None))
        self.model.cleanup_hooks()

    def accumulates(self):
        return self.counted["Effective_ACs"]


class Plain:
    name = "uncounted"

    def __init__(self, model):
        self.model = model

    def __call__(self, images):
        self.model(images)

    def accumulates(self):
        return None


COUNTERS = (
    Plain,
    Ours,
    lambda model: SpikingJelly(model, SynOpCounter),
    lambda model: SpikingJelly(model, MACCounter),
    Syops,
    NeuroBench,
)


@contextlib.contextmanager
def quiet():
    """Libraries that report what they cannot count would report it at every repeat."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure(name: str, batch: int, repeats: int) -> list[tuple]:
    """(counter, median CPU seconds, ratio to uncounted, accumulates per image) for each counter that can be imported."""
    images = torch.randn(batch, *IMAGE).to(memory_format=torch.channels_last)
    counters = []
    for make in COUNTERS:
        try:
            with quiet():
                counters.append(make(lively(name, images)))
        except ImportError as error:
            print(f"left out: {error}")
    seconds = [[] for _ in counters]
    for repeat in range(repeats + 1):  # the first one warms up
        for counter, times in zip(counters, seconds, strict=True):
            start = time.process_time()
            with quiet(), torch.no_grad():
                counter(images)
            times += [time.process_time() - start] if repeat else []
            functional.reset_net(counter.model if isinstance(counter.model, nn.Module) else counter.model.net)
    medians = [statistics.median(times) for times in seconds]
    ratios = [statistics.median(a / b for a, b in zip(times, seconds[0], strict=True)) for times in seconds]
    return [(c.name, m, r, c.accumulates()) for c, m, r in zip(counters, medians, ratios, strict=True)]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--networks", nargs="*", default=NETWORKS)
    options.add_argument("--repeats", type=int, default=5)
    options = options.parse_args()
    numba.set_num_threads(1)
    torch.set_num_threads(1)  # after numba, whose first call sets torch's threads to all there are
    print("| network, images | counter | CPU s | to uncounted | accumulates per image, M |\n|---|---|---|---|---|")
    for text in options.networks:
        name, _, batch = text.partition(":")
        for counter, seconds, ratio, accumulates in measure(name, int(batch), options.repeats):
            counted = "-" if accumulates is None else f"{accumulates / 1e6:.3f}"
            print(f"| {name}, {batch} | {counter} | {seconds:.3f} | {ratio:.2f} | {counted} |", flush=True)


if __name__ == "__main__":
    main()
