"""One run on several devices, a process for each, so that the number of devices changes nothing but the time.

Every process prepares the same batch, puts its share of each part through the network, and gets the gradient of the whole (torch's
DistributedDataParallel); batch normalisation has the statistics of the whole part, also where the paper's had those of one device, which
a recipe's `micro_batch` gives on any number of devices. What a network or a loss draws for itself is drawn for each share. A test batch is
shared and its answers gathered in order: no image is asked twice or left out. The first process alone holds the run's lock, writes, and
measures in the end. With one device nothing of this happens.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional

PATIENCE = timedelta(hours=2)  # that one process waits for another: the first may read a large data set, or wait for a GPU
PLAIN = functional.batch_norm


class World:
    """The processes of a run. rank: which of `size` this is; the first is 0."""

    def __init__(self, rank: int = 0, size: int = 1, meeting: Path | None = None):
        self.rank, self.size, self.meeting = rank, size, meeting

    @property
    def first(self) -> bool:
        return self.rank == 0

    def begin(self, choose) -> torch.device:
        """Meet the others; this process's device. choose(n) -> devices, asked by the first for all.

        meeting: a file that does not exist yet, which the processes find each other by.
        """
        if self.size == 1:
            return choose(1)[0]
        store = distributed.FileStore(str(self.meeting), self.size)
        store.set_timeout(PATIENCE)
        if self.first:
            store.set("devices", " ".join(map(str, choose(self.size))))
        device = torch.device(store.get("devices").decode().split()[self.rank])
        backend = {"cuda": "cpu:gloo,cuda:nccl"}.get(device.type, "gloo")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all on one machine, whatever its name resolves to
        distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.size, timeout=PATIENCE)
        functional.batch_norm = synchronised
        return device

    def end(self) -> None:
        """Leave the others; from here on this process is alone."""
        if self.size > 1 and distributed.is_initialized():
            distributed.destroy_process_group()
        functional.batch_norm = PLAIN

    @contextmanager
    def first_goes_first(self) -> Iterator[None]:
        """The first process does what is inside before the others do."""
        if self.size > 1 and not self.first:
            distributed.barrier()
        yield
        if self.size > 1 and self.first:
            distributed.barrier()

    def share(self, count: int) -> slice:
        """Which of `count` images are this process's; every process has at least one of as many as there are processes."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def model(self, module: nn.Module) -> nn.Module:
        """A module whose backward pass gives every process the mean of all gradients; weights and buffers begin as the first one's."""
        if self.size == 1:
            return module
        return nn.parallel.DistributedDataParallel(module, forward_sync_buffers=False, find_unused_parameters=True)

    def more_to_come(self, module: nn.Module, more: bool):
        """The context of a pass after which another adds to the same gradients."""
        return module.no_sync() if self.size > 1 and more else nullcontext()

    def gathered(self, mine: torch.Tensor, count: int, axis: int = 0) -> torch.Tensor:
        """The shares of all processes along `axis`, `count` long, in order."""
        if self.size == 1:
            return mine
        mine = mine.movedim(axis, 0).contiguous()
        shares = [World(rank, self.size).share(count) for rank in range(self.size)]
        lengths = [share.stop - share.start for share in shares]
        padded = mine.new_zeros(max(lengths), *mine.shape[1:])
        padded[: len(mine)] = mine
        found = [torch.empty_like(padded) for _ in lengths]
        distributed.all_gather(found, padded)
        return torch.cat([each[:length] for each, length in zip(found, lengths, strict=True)]).movedim(0, axis)

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over processes, to be read, not learned from."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def draw_apart(self) -> None:
        """Random numbers of this process's own from here on, which follow from those that all have; the first goes on with these."""
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def any(self, mine: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.summed(torch.tensor(float(mine)))) if self.size > 1 else mine


ALONE = World()


def synchronised(images, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5) -> torch.Tensor:
    """torch's functional.batch_norm over the batches of all processes, which every kind of batch normalisation calls; images [B, C, ...].

    On a GPU by the kernels of torch's SyncBatchNorm, which are for GPUs only.
    """
    if not training:
        return PLAIN(images, running_mean, running_var, weight, bias, training, momentum, eps)
    if images.is_cuda:
        others = (momentum, distributed.group.WORLD, distributed.get_world_size())
        return nn.modules._functions.SyncBatchNorm.apply(images.contiguous(), weight, bias, running_mean, running_var, eps, *others)
    return by_sums(images, running_mean, running_var, weight, bias, momentum, eps)


def by_sums(images, running_mean, running_var, weight, bias, momentum: float, eps: float) -> torch.Tensor:
    """The same by sums over all processes: of the values, then of their squared distances from the mean, in float32."""
    values = images.float()
    axes = [axis for axis in range(values.dim()) if axis != 1]
    shape = [1, -1] + [1] * (values.dim() - 2)
    count = all_reduce(values.new_tensor(values.numel() / values.shape[1]))
    mean = all_reduce(values.sum(axes)) / count
    centred = values - mean.view(shape)
    variance = all_reduce(centred.square().sum(axes)) / count
    if running_mean is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    scaled = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        scaled = scaled * weight.view(shape)
    return (scaled if bias is None else scaled + bias.view(shape)).to(images.dtype)
