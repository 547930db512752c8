"""Which device a run takes, and what it says of it."""

import fcntl
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmark.neurons import _back_ends
from benchmark.shared.errors import UserError


def offered(name: str) -> list[torch.device]:
    """The devices that `auto`, `cpu`, `cuda` or `cuda:<n>` may be. UserError if there is none."""
    there = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not there):
        return [torch.device("cpu")]
    if name in ("auto", "cuda") and there:
        return [torch.device("cuda", index) for index in range(there)]
    if name.startswith("cuda:") and name[5:].isdigit() and int(name[5:]) < there:
        return [torch.device(name)]
    raise UserError(f"device '{name}' is not there: this machine has {there} CUDA devices; use device: auto, cpu or cuda:<n>")


def choose(name: str, count: int = 1) -> list[torch.device]:
    """So many of those that are offered. UserError if there are fewer.

    Workflow jobs on one machine share its GPUs: none is ever used by two of them (a lease that ends with the process), so that nobody sets
    CUDA_VISIBLE_DEVICES by hand. A run waits until as many are free as it needs.
    """
    wanted = offered(name)
    if wanted[0].type == "cpu":
        return wanted * count
    if count > len(wanted):
        raise UserError(f"{count} devices are asked for, and '{name}' is {len(wanted)}: ask for fewer, resource gpu of the run's rule")
    return [torch.device("cuda", index) for index in lease([device.index for device in wanted], count)]


def lease(wanted: list[int], count: int) -> list[int]:
    """So many of these devices, which nobody else holds; waits for them, first come, first served."""
    with (PLACE / f"spikeledger-{os.getuid()}-gpu.gate").open("w") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        said = False
        while len(free := [(index, file) for index in wanted if (file := held(index))]) < count:
            for _, file in free:
                file.close()
            if not said:
                print(f"waiting for {count} of {len(wanted)} GPUs: others are used by other runs", file=sys.stderr, flush=True)
            said = True
            time.sleep(PAUSE)
    for _, file in free[count:]:
        file.close()
    _leases.extend(file for _, file in free[:count])  # held until the process ends
    return [index for index, _ in free[:count]]


def held(index: int):
    """The lease of a device, an open file; None if another process has it. Named by what the device is, however it is numbered here."""
    name = torch.cuda.get_device_properties(index).uuid
    file = (PLACE / f"spikeledger-{os.getuid()}-gpu-{name}.lease").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


PLACE = Path(tempfile.gettempdir())
PAUSE = 2.0  # seconds between two looks for a free device
_leases: list = []


def prepare(device: torch.device, threads: int) -> None:
    """Threads of torch and of the neuron's kernel; on a GPU TF32 off, so that fp32 means fp32. UserError: neurons that do not run there."""
    import numba

    _back_ends.check(device.type)
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(threads)  # after numba, whose first call sets torch's threads to all there are
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = device.type == "cuda"


def hardware(device: torch.device) -> dict:
    """What a result's provenance says of the machine."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {"device": str(device), "gpu": gpu, "cpu": processor(), "threads": torch.get_num_threads(), "platform": platform.platform()}


def processor() -> str:
    """The processor's name as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def peak_memory_mb(device: torch.device) -> float:
    """Most memory this process held: the GPU's allocator on a GPU, the resident set on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
