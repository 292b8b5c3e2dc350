"""The QGIS that tests look through: this system's, or, by GEOCLASS_QGIS_ROOT, one in a root."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

MISSING = "no Python with qgis.core: apt-get install qgis qgis-providers python3-qgis"


@functools.cache
def find_qgis() -> tuple[str, ...] | None:
    """The command that starts the Python that has qgis.core, if there is one."""
    for python in ("/usr/bin/python3", "python3"):
        command = (*enter_root(), python)
        try:
            subprocess.run([*command, "-c", "import qgis.core"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return None


def enter_root() -> tuple[str, ...]:
    """What stands before a command that is to run where QGIS is; see scripts/test_newer_qgis."""
    root = os.environ.get("GEOCLASS_QGIS_ROOT")
    return () if root is None else ("chroot", root)


def find_qgis_process() -> tuple[str, ...]:
    """The command qgis_process; Debian 12's script hands it an option that it does not know."""
    root = Path(os.environ.get("GEOCLASS_QGIS_ROOT", "/"))
    name = "/usr/bin/qgis_process"
    binary = f"{name}.bin" if (root / f"{name}.bin".lstrip("/")).exists() else name
    return (*enter_root(), binary)
