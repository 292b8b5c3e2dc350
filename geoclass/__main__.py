"""The program `geoclass`, also as `python -m geoclass`."""

import atexit
import gc
import os
import sys
from typing import NoReturn

from geoclass.machine import share_freed_memory

_GC_THRESHOLD = 50_000
"""New objects before Python looks for garbage. Imports create many and no garbage: its default of
about a thousand makes the start half a second slower."""


def run() -> NoReturn:
    """Run a command. After success, skip freeing all modules, which takes half a second."""
    gc.set_threshold(_GC_THRESHOLD)
    share_freed_memory()
    from geoclass.cli.main import main

    try:
        main(prog_name="geoclass")
    except SystemExit as end:
        if end.code:
            raise
    atexit._run_exitfuncs()  # noqa: SLF001 — removes temporary files, for example
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    run()
