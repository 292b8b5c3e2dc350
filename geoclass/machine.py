"""What this process may use of the machine, and how it uses it."""

from __future__ import annotations

import os
import platform
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

UNTOLD_BYTES = 8 * 10**9
"""Memory of a machine that does not say how much it has."""


def map_ahead(
    threads: Executor, work: Callable[[Task], Result], tasks: Iterable[Task], ahead: int
) -> Iterator[Result]:
    """Results in the order of their tasks, of which `ahead` are at work or wait at a time.

    So tasks and results that are large do not pile up, as they do with the executor's own `map`.
    """
    pending: deque[Future[Result]] = deque()
    for task in tasks:
        pending.append(threads.submit(work, task))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def count_cores() -> int:
    """Processors that this process may run on; a batch system may allot fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not told on every system
        return os.cpu_count() or 1


def name_processor(root: Path = Path("/")) -> str | None:
    """What the processor is called; None where the system does not say.

    `root` is that of the file system.
    """
    try:
        told = (root / "proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or None
    name = re.search(r"^model name\s*: *(\S.*)$", told, flags=re.MULTILINE)
    return None if name is None else " ".join(name[1].split())


def find_memory_bytes() -> int:
    """Memory that this process may use: the machine's, or less where a container is allotted less.

    8 GB where neither is told.
    """
    try:
        installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows does not tell
        installed = UNTOLD_BYTES
    return min([installed, *find_allotments()])


def find_allotments(root: Path = Path("/")) -> Iterator[int]:
    """Bytes of memory that Linux's control groups allot to this process, of each that has a limit.

    A batch system or a container sets them; see cgroups(7). `root` is that of the file system.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2: one tree for all
            top, name = mounted, "memory.max"
        elif controllers == "memory":
            top, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = top / path.lstrip("/")  # a group's parents bind it, too
        for folder in (group, *group.parents):
            if folder.is_relative_to(top) and (limit := _read_number(folder / name)):
                yield limit


def _read_number(path: Path) -> int | None:
    """None where there is no such file, or no limit."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):  # `max`
        return None
