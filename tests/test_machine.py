"""What this process may use of the machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from geoclass.machine import (
    count_cores,
    find_allotments,
    find_memory_bytes,
    map_ahead,
    name_processor,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system to put control groups into."""
    (tmp_path / "proc/self").mkdir(parents=True)
    return tmp_path


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_this_machine_has_cores_and_memory() -> None:
    assert 1 <= count_cores() <= (os.cpu_count() or 1)
    assert 10**8 < find_memory_bytes() < 10**14


COUNT_POOLS = """
import ctypes, re, threading
from geoclass.machine import share_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.open_memstream.restype = ctypes.c_void_p
{first}
threads = [threading.Thread(target=libc.malloc, args=(ctypes.c_size_t(1000),)) for _ in range(4)]
for thread in threads:
    thread.start()
    thread.join()
text, size = ctypes.c_char_p(), ctypes.c_size_t()
stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(size)))
libc.malloc_info(0, stream)
libc.fclose(stream)
print(len(re.findall(rb"<heap nr=", text.value)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_threads_take_memory_from_one_pool() -> None:
    def count_pools(first: str) -> int:
        code = COUNT_POOLS.format(first=first)
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        return int(done.stdout)

    assert count_pools("") > 1
    assert count_pools("share_freed_memory()") == 1


def test_processor_has_the_name_that_the_system_gives_it(root: Path) -> None:
    one = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some(R)  CPU   @ 3 GHz\nflags\t: a b\n"
    write(root, "proc/cpuinfo", f"{one}\n{one.replace('Some', 'Other')}")
    assert name_processor(root) == "Some(R) CPU @ 3 GHz"
    write(root, "proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 100.00\n")  # as on ARM
    assert name_processor(root) is None


def test_a_group_and_all_above_it_bind(root: Path) -> None:
    """Version 2: one tree; `max` is no limit."""
    write(root, "proc/self/cgroup", "0::/slurm/job_7/step_0\n")
    write(root, "sys/fs/cgroup/slurm/memory.max", "max\n")
    write(root, "sys/fs/cgroup/slurm/job_7/memory.max", "4000000000\n")
    write(root, "sys/fs/cgroup/slurm/job_7/step_0/memory.max", "9000000000\n")
    assert sorted(find_allotments(root)) == [4_000_000_000, 9_000_000_000]


def test_older_groups_have_a_tree_for_memory(root: Path) -> None:
    write(root, "proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n0::/\n")
    write(root, "sys/fs/cgroup/cpu/a/memory.limit_in_bytes", "1\n")
    write(root, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2000000000\n")
    write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert min(find_allotments(root)) == 2_000_000_000


def test_inside_a_container_its_own_group_is_the_root(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/\n")
    write(root, "sys/fs/cgroup/memory.max", "3000000000\n")
    assert list(find_allotments(root)) == [3_000_000_000]


def test_systems_without_groups_allot_nothing(tmp_path: Path) -> None:
    assert list(find_allotments(tmp_path)) == []


def test_tasks_wait_until_results_are_taken() -> None:
    begun: list[int] = []

    def draw() -> Iterator[int]:
        for n in range(9):
            begun.append(n)
            yield n

    with ThreadPoolExecutor(2) as threads:
        results = map_ahead(threads, lambda n: n * n, draw(), 3)
        assert next(results) == 0
        assert begun == [0, 1, 2]
        assert list(results) == [n * n for n in range(1, 9)]
