"""What a network runs on: which device, in which precision, how many tiles at a time."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from geoclass.contract import Precision
from geoclass.errors import SettingsError
from geoclass.machine import find_memory_bytes, name_processor

CPU_BATCH_SIZE = 128
"""Larger batches fall out of the processor's caches and are slower."""
CUDA_BATCH_SIZE = 1024
CUDA_TILE_BYTES = 16 * 2**20
"""More than a tile needs while CustomNet works on it in float32."""
CUDA_THREADS = 2
"""While one waits for the GPU, the other brings it the next batch."""

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]

_NO_MEMORY = ("DefaultCPUAllocator", "ALLOC_FAILED")
"""What torch says where a processor's memory, or that of a library on a GPU, lacks."""


def find_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is; SettingsError if it is not there."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"device {name!r} cannot be used here ({reason}): try --device cpu"
        ) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"device {name!r} is none that computes: try --device cpu")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether it is a GPU whose tensor cores multiply bfloat16."""
    if device.type != "cuda":
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def choose_precision(device: torch.device) -> Precision:
    """Bfloat16 where the device has instructions for it, else float32."""
    if device.type == "cpu":
        # torch has no public name for these in all of its versions.
        asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return "bf16" if any(getattr(torch.cpu, name, bool)() for name in asked) else "fp32"
    return "bf16" if has_bf16(device) else "fp32"


def demand_float32(device: torch.device) -> None:
    """Let convolutions of float32 be that on a GPU, too, not ten bits of mantissa (TF32)."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on that device. To a GPU it is under way when this returns.

    A plain copy would wait until the GPU has done all that it was asked for before.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and tensor.numel():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def constant(values: Numbers, device: torch.device) -> Tensor:
    """Float32 numbers that a device is sent once, however often they are asked for."""
    if torch.compiler.is_compiling():  # what is traced then is no tensor to keep
        return torch.tensor(values, dtype=torch.float32, device=device)
    return _keep(values, device)


@cache
def _keep(values: Numbers, device: torch.device) -> Tensor:
    with torch.inference_mode(mode=False):  # who asks first need not be who asks next
        return torch.tensor(values, dtype=torch.float32, device=device)


def choose_batch_size(device: torch.device) -> int:
    """Tiles at a time; on a GPU no more than its free memory can hold."""
    if device.type != "cuda":
        return CPU_BATCH_SIZE
    torch.cuda.empty_cache()  # what torch keeps for later counts as taken
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_BATCH_SIZE, free // (CUDA_THREADS * CUDA_TILE_BYTES)))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether what torch raised says that memory lacks, the device's or this machine's."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _NO_MEMORY
    )


def describe_device(device: torch.device) -> str:
    """For people: the device's name and memory."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    threads = torch.get_num_threads()
    told = [
        name_processor(),
        f"{threads} thread{'s' * (threads != 1)}",
        f"{find_memory_bytes() / 2**30:.0f} GiB",
    ]
    return f"{device} ({', '.join(filter(None, told))})"


def describe_torch() -> str:
    """For people: torch's version, what it was built for, and the device taken by default."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    return f"{torch.__version__}, built for {built}; device {describe_device(find_device(None))}"
