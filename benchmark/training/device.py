"""Which device a run takes, and what it says of it."""

import fcntl
import os
import platform
import tempfile
from pathlib import Path

import torch

from benchmark.neurons import _back_ends
from benchmark.shared.errors import UserError


def choose(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:<n>`. UserError if it is not there.

    Workflow jobs on one machine share its GPUs: `auto` and `cuda` take the first that no other run holds (a lease that ends with
    the process), so that nobody sets CUDA_VISIBLE_DEVICES by hand.
    """
    count = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not count):
        return torch.device("cpu")
    if name in ("auto", "cuda") and count:
        return torch.device("cuda", lease(count))
    if name.startswith("cuda:") and name[5:].isdigit() and int(name[5:]) < count:
        return torch.device(name)
    raise UserError(f"device '{name}' is not there: this machine has {count} CUDA devices; use device: auto, cpu or cuda:<n>")


def lease(count: int) -> int:
    """The first device whose lease file nobody holds, or the first device if all are held."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "all").replace(",", "-")
    for index in range(count):
        file = (Path(tempfile.gettempdir()) / f"spikeledger-{os.getuid()}-gpu-{visible}-{index}.lease").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        _leases.append(file)  # held until the process ends
        return index
    return 0


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
