"""What this process may use of the machine."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Processors that this process may run on; a batch system may allot fewer than there are."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not told on every system
        return os.cpu_count() or 1
