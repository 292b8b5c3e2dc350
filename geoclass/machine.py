"""Cores and memory available to this process, and bounded parallel work."""

import contextlib
import ctypes
import os
import platform
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

DEFAULT_MEMORY_BYTES = 8 * 10**9
"""Assumed if the system does not report its memory."""


def map_ahead(
    threads: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
) -> Iterator[Result]:
    """Yield results in the order of the tasks, with at most `ahead` of them pending.

    Large tasks and results do not accumulate, as with the executor's own `map`.
    """
    pending: deque[Future[Result]] = deque()
    for task in tasks:
        pending.append(threads.submit(work, task))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def map_chunks(work: Callable[[Task], Result], chunks: Iterable[Task]) -> list[Result]:
    """Results of numpy work on chunks of arrays, in threads: numpy releases the GIL."""
    with ThreadPoolExecutor(max_workers=min(4, count_cores())) as threads:
        return list(threads.map(work, chunks))


_M_ARENA_MAX = -8
"""Option of glibc's mallopt, see malloc.h."""


def share_freed_memory() -> None:
    """Let the threads of this process take memory from one pool, where the C library is glibc.

    By default each thread keeps what it frees for itself, which adds 0.1 GB to a map. Call it
    before threads start.
    """
    with contextlib.suppress(AttributeError, TypeError, OSError):  # other C libraries
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def count_cores() -> int:
    """Cores that this process may use; a batch system may limit them."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not available on every system
        return os.cpu_count() or 1


def name_processor(root: Path = Path("/")) -> str | None:
    """Name of the processor, if the system reports it; `root` is that of the file system."""
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None
    name = re.search(r"^model name\s*: *(\S.*)$", text, flags=re.MULTILINE)
    return None if name is None else " ".join(name[1].split())


def find_memory_bytes() -> int:
    """Memory that this process may use: the machine's, or the limit of a container."""
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        installed = DEFAULT_MEMORY_BYTES
    return min([installed, *find_allotments()])


def find_allotments(root: Path = Path("/")) -> Iterator[int]:
    """Memory limits in bytes of this process's Linux control groups, see cgroups(7).

    `root` is that of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2: one hierarchy
            top, name = mounted, "memory.max"
        elif controllers == "memory":
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")  # limits of parent groups apply as well
        for folder in (group, *group.parents):
            if folder.is_relative_to(top) and (limit := _read_number(folder / name)):
                yield limit


def _read_number(path: Path) -> int | None:
    """None without such a file or without a limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # `max`
        return None
