"""Device, precision and batch size of a network."""

from functools import cache

import torch
from torch import Tensor

from geoclass.contract import Precision
from geoclass.errors import SettingsError
from geoclass.machine import find_memory_bytes, name_processor

CPU_BATCH_SIZE = 128
"""Larger batches exceed the processor's caches and are slower."""
CUDA_BATCH_SIZE = 1024
CUDA_TILE_BYTES = 16 * 2**20
"""Upper bound of the memory per tile, for CustomNet in float32."""
CUDA_THREADS = 2
"""One thread prepares a batch while the other waits for the GPU."""

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]

_NO_MEMORY = ("DefaultCPUAllocator", "ALLOC_FAILED")
"""Texts of torch's errors if the memory of the CPU, or of a GPU library, is exhausted."""


def find_device(name: str | None) -> torch.device:
    """The device of that name, or the best available; SettingsError if it is not available."""
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
        raise SettingsError(f"device {name!r} is not supported: try --device cpu")
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device is a GPU with bfloat16 tensor cores."""
    if device.type != "cuda":
        return False
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)


def choose_precision(device: torch.device) -> Precision:
    """Bfloat16 if the device has instructions for it, else float32."""
    if device.type == "cpu":
        # Not all versions of torch have public names for these.
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        has_bf16_instructions = any(getattr(torch.cpu, name, bool)() for name in checks)
        # ONEDNN_MAX_CPU_ISA can forbid them: their emulation is ten times slower than float32.
        if has_bf16_instructions and torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
            return "bf16"
        return "fp32"
    return "bf16" if has_bf16(device) else "fp32"


def demand_float32(device: torch.device) -> None:
    """Disable TF32, which has only ten bits of mantissa, on a GPU."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device, to a GPU asynchronously.

    A synchronous copy would wait for all pending work of the GPU.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and tensor.numel():
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def constant(values: Numbers, device: torch.device) -> Tensor:
    """Float32 constants, cached per device."""
    if torch.compiler.is_compiling():  # traced tensors must not be cached
        return torch.tensor(values, dtype=torch.float32, device=device)
    return _cache(values, device)


@cache
def _cache(values: Numbers, device: torch.device) -> Tensor:
    with torch.inference_mode(mode=False):  # also usable outside inference mode
        return torch.tensor(values, dtype=torch.float32, device=device)


def choose_batch_size(device: torch.device) -> int:
    """Tiles per batch; on a GPU limited by its free memory."""
    if device.type != "cuda":
        return CPU_BATCH_SIZE
    torch.cuda.empty_cache()  # torch's cache counts as used
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_BATCH_SIZE, free // (CUDA_THREADS * CUDA_TILE_BYTES)))


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch reports that the memory of the device or machine is exhausted."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in str(error) for words in _NO_MEMORY
    )


def describe_device(device: torch.device) -> str:
    """Name and memory of the device, for people."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    threads = torch.get_num_threads()
    parts = [
        name_processor(),
        f"{threads} thread{'s' * (threads != 1)}",
        f"{find_memory_bytes() / 2**30:.0f} GiB",
    ]
    return f"{device} ({', '.join(filter(None, parts))})"


def describe_torch() -> str:
    """Version and build of torch and the default device, for people."""
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
    return f"{torch.__version__}, built for {built}; device {describe_device(find_device(None))}"
