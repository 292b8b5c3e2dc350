"""Devices, described and chosen."""

import os
import subprocess
import sys

import pytest
import torch

from geoclass.errors import SettingsError
from geoclass.model import device
from geoclass.model.device import (
    choose_batch_size,
    constant,
    describe_device,
    find_device,
    has_bf16,
    is_out_of_memory,
    send,
)

NO_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
)
"""What torch raises where memory lacks."""


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta"])
def test_device_that_is_not_there(name: str) -> None:
    with pytest.raises(SettingsError, match=f"device '{name}' .*try --device cpu"):
        find_device(name)


@pytest.mark.parametrize(("threads", "said"), [(1, "1 thread"), (8, "8 threads")])
@pytest.mark.parametrize(("name", "named"), [("Some CPU", "Some CPU, "), (None, "")])
def test_cpu_is_described(
    monkeypatch: pytest.MonkeyPatch, threads: int, said: str, name: str | None, named: str
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(device, "name_processor", lambda: name)
    monkeypatch.setattr(device, "find_memory_bytes", lambda: 24 * 2**30)
    assert describe_device(find_device("cpu")) == f"cpu ({named}{said}, 24 GiB)"


@pytest.mark.parametrize(("free_gib", "batch"), [(80, 1024), (4, 128), (0.001, 1)])
def test_batch_fits_into_the_gpus_free_memory(
    free_gib: float, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(free_gib * 2**30), 0))
    assert choose_batch_size(torch.device("cuda")) == batch


def test_bf16_is_the_asked_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {0: (9, 0), 1: (7, 5)}
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: cards[device.index])
    assert [has_bf16(torch.device("cuda", card)) for card in cards] == [True, False]
    assert not has_bf16(torch.device("cpu"))


def test_lack_of_memory_is_told_from_other_errors() -> None:
    assert all(map(is_out_of_memory, NO_MEMORY))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("CUDA error: unspecified launch failure"))


def test_what_is_on_the_device_is_sent_nowhere() -> None:
    tensor = torch.arange(3)
    assert send(tensor, torch.device("cpu")) is tensor


def test_constants_are_sent_once_and_serve_training_after_inference() -> None:
    with torch.inference_mode():
        first = constant((1.5, 2.0, -3.0), torch.device("cpu"))
    assert constant((1.5, 2.0, -3.0), torch.device("cpu")) is first
    assert first.tolist() == [1.5, 2.0, -3.0]
    weight = torch.ones(3, requires_grad=True)
    (weight * first).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == first.tolist()


def test_bf16_is_not_chosen_where_onednn_may_not_use_it() -> None:
    code = "import torch\nfrom geoclass.model.device import choose_precision\n"
    code += "print(choose_precision(torch.device('cpu')))"
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout == "fp32\n"
