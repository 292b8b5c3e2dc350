"""Output of commands: results, warnings, JSON documents and progress."""

from __future__ import annotations

import atexit
import json
import math
import os
import shlex
import signal
import stat
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from geoclass.outside import printable

if TYPE_CHECKING:
    from geoclass.landcover import AreaRow

QUIET, JSON = "geoclass.quiet", "geoclass.json"
WARNINGS, FACTS = "geoclass.warnings", "geoclass.facts"


def _memory() -> MutableMapping[str, Any]:
    """State of the running command."""
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta


def be_quiet(_ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    """Callback of --quiet."""
    _memory()[QUIET] = value
    return value


def echo(text: str = "", *, err: bool = False) -> None:
    """Print lines, whatever stands in them: controls of a terminal are spelt out."""
    click.echo(printable(text), err=err)


def say(text: str) -> None:
    """Print a result, unless --quiet or --json was given."""
    if not (_memory().get(QUIET) or in_json()):
        echo(text)


def warn(text: str) -> None:
    """Print a warning and add it to the JSON document."""
    echo(f"Warning: {text}", err=True)
    _memory().setdefault(WARNINGS, []).append(text)


def in_json() -> bool:
    """Whether the command prints a JSON document."""
    return bool(_memory().get(JSON))


def record(**facts: Any) -> None:
    """Add facts to the JSON document."""
    _memory().setdefault(FACTS, {}).update(facts)


@contextmanager
def json_document(*, wanted: bool) -> Iterator[None]:
    """Print all recorded facts as one document, also before an exit with code 1."""
    memory = _memory()
    memory[JSON] = wanted
    failed: SystemExit | None = None
    try:
        yield
    except SystemExit as exit_:
        failed = exit_
    if wanted:
        document = {**memory.get(FACTS, {}), "warnings": memory.get(WARNINGS, [])}
        echo(json.dumps(document, default=str))
    if failed is not None:
        raise failed


def command_line() -> str:
    """The command as it was typed, without secrets."""
    from geoclass.outside import hide_secrets

    return hide_secrets(shlex.join(["geoclass", *sys.argv[1:]]))


def list_areas(rows: Sequence[AreaRow]) -> list[dict[str, Any]]:
    """Areas as JSON data; NaN becomes None."""
    return [asdict(row) | ({"area_ha": None} if math.isnan(row.area_ha) else {}) for row in rows]


class _Lines(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A progress bar as JSON lines: `{"progress": {"name", "done", "total", "unit"}}`."""

    disable = True  # in case of an interrupt during tqdm's __init__

    def display(self, *_: object, **__: object) -> None:
        """Write a line."""
        state = {"name": self.desc.rstrip(": "), "done": self.n}
        state |= {"total": self.total, "unit": self.unit}
        self.fp.write(json.dumps({"progress": state}) + "\n")
        self.fp.flush()

    def clear(self, *_: object, **__: object) -> None:
        """Nothing to clear."""

    def close(self) -> None:
        """Write the last line."""
        if not self.disable:
            self.display()
        self.disable = True


def open_bar(**how: Any) -> Any:
    """A bar on a terminal, JSON lines with `--progress json`, else nothing; `how` is for tqdm."""
    quiet = bool(_memory().get(QUIET))
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("progress") == "json":
        return _Lines(disable=quiet, **how)
    return tqdm(disable=quiet or None, **how)  # None: only on a terminal


def stop_at_end_of_input() -> None:
    """Stop like Ctrl-C when the program at the other end of standard input closes it or ends.

    Inputs other than pipes are ignored.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            return
    except OSError:  # no standard input
        return
    # Shells start background programs with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stopped = threading.Event()
    # Threads of libraries may crash while the interpreter shuts down.
    atexit.register(_leave, stopped)
    threading.Thread(target=_wait_for_end, args=(stopped,), daemon=True).start()


def _leave(stopped: threading.Event) -> None:
    if stopped.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _wait_for_end(stopped: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    stopped.set()
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:  # only a signal to the main thread interrupts its wait
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)
