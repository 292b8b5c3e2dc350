"""Processes, and what they cost: shared by the scripts that measure speed."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time


def run_measured(command: list[str]) -> tuple[dict[str, float], str]:
    """Seconds, processor seconds and peak memory of a process, and what it printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"this failed: {' '.join(command)}")
        printed.seek(0)
        text = printed.read().decode()
    cpu = usage.ru_utime + usage.ru_stime
    return {"seconds": seconds, "cpu_s": cpu, "peak_mb": usage.ru_maxrss / 1024}, text
