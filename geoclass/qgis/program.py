"""The program geoclass: where it is, and how it runs beside QGIS. Needs no QGIS itself."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORD = HERE / "program.txt"
"""Path of the program, as `geoclass qgis install` or the page of settings wrote it."""
SCHEMA = HERE / "schema.json"
"""What `geoclass schema --json` printed."""

OF_QGIS = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "GDAL_DATA", "GDAL_DRIVER_PATH",
           "PROJ_DATA", "PROJ_LIB", "VIRTUAL_ENV")  # fmt: skip
"""Variables that QGIS sets for its own libraries; the program has others."""

GRACE_SECONDS = 30.0
"""For a program that is told to stop; it tidies up, and then has to go."""


class ProgramError(Exception):
    """The program is not there, or it failed; the text is one line."""


class Stopped(Exception):  # noqa: N818  # no error
    """The program was told to stop, and has."""


def find_program() -> str | None:
    """Path of the program: the one that was recorded, else one that is found."""
    if RECORD.exists():
        recorded = RECORD.read_text(encoding="utf-8").strip()
        if recorded and Path(recorded).exists():
            return recorded
    # Where pip install --user, pipx and uv put programs, which desktops often leave out of PATH.
    places = [os.environ.get("PATH", ""), str(Path.home() / ".local" / "bin")]
    return shutil.which("geoclass", path=os.pathsep.join(places))


def use_program(path: str) -> dict[str, Any]:
    """Record a program that works, and what it can do; ProgramError if it does not."""
    lines = list(run_program([path, "schema", "--json"]))
    try:
        schema: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise ProgramError(f"{path} is no geoclass that QGIS can use: {' '.join(lines)}") from None
    SCHEMA.write_text(lines[-1], encoding="utf-8")
    RECORD.write_text(path, encoding="utf-8")
    return schema


def read_schema() -> dict[str, Any]:
    """The commands of the program, by name."""
    return json.loads(SCHEMA.read_text(encoding="utf-8"))["commands"]


def run_program(
    command: Sequence[str], is_stopped: Callable[[], bool] = lambda: False
) -> Iterator[str]:
    """Run a command to its end and yield its lines, those of both streams, as they come.

    Where `is_stopped`, which is asked ten times a second, says so, the end of its input asks the
    program to tidy up and go (`geoclass --progress json`), and Stopped is raised. ProgramError
    holds its last line where it fails.
    """
    try:
        process = _start(command)
    except OSError as error:
        raise ProgramError(f"{command[0]} does not start: {error.strerror or error}") from error
    assert process.stdin is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    stopped_at: float | None = None
    last = ""
    while True:
        if stopped_at is None and is_stopped():
            stopped_at = time.monotonic()
            process.stdin.close()
        if stopped_at is not None and time.monotonic() - stopped_at > GRACE_SECONDS:
            process.kill()
        try:
            line = lines.get(timeout=0.1)
        except queue.Empty:
            continue
        if line is None:
            break
        last = line or last
        yield line
    code = process.wait()
    process.stdin.close()
    if stopped_at is not None:
        raise Stopped
    if code:
        raise ProgramError(last.removeprefix("Error: ") or f"geoclass ended with code {code}")


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    variables = {name: value for name, value in os.environ.items() if name not in OF_QGIS}
    return subprocess.Popen(  # noqa: S603  # the user chose the program
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**variables, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"},
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # no console on Windows
    )


def _read(process: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
    lines.put(None)
