"""What commands print: results, warnings, a JSON document, and progress."""

from __future__ import annotations

import atexit
import json
import math
import os
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
    """What is remembered until the command ends."""
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta


def be_quiet(_ctx: click.Context, _param: click.Parameter, value: bool) -> bool:
    """The callback of --quiet."""
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
    """Print a warning; it becomes part of the JSON document, too."""
    echo(f"Warning: {text}", err=True)
    _memory().setdefault(WARNINGS, []).append(text)


def in_json() -> bool:
    """Whether a JSON document is printed in the end."""
    return bool(_memory().get(JSON))


def record(**facts: Any) -> None:
    """Add facts to the JSON document, if one is printed."""
    _memory().setdefault(FACTS, {}).update(facts)


@contextmanager
def json_document(*, wanted: bool) -> Iterator[None]:
    """Print all that is recorded as one document, even if the command then exits with code 1."""
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


def list_areas(rows: Sequence[AreaRow]) -> list[dict[str, Any]]:
    """Areas as plain data; unknown ones are None, since JSON has no NaN."""
    return [asdict(row) | ({"area_ha": None} if math.isnan(row.area_ha) else {}) for row in rows]


class _Lines(tqdm):  # type: ignore[misc]  # tqdm has no types
    """A bar that writes itself as lines: `{"progress": {"name", "done", "total", "unit"}}`."""

    disable = True  # until tqdm has made it: an interrupt may come before

    def display(self, *_: object, **__: object) -> None:
        """Write a line, as often as a bar would be drawn."""
        told = {"name": self.desc.rstrip(": "), "done": self.n}
        told |= {"total": self.total, "unit": self.unit}
        self.fp.write(json.dumps({"progress": told}) + "\n")
        self.fp.flush()

    def clear(self, *_: object, **__: object) -> None:
        """There is nothing to wipe."""

    def close(self) -> None:
        """Say how far it came."""
        if not self.disable:
            self.display()
        self.disable = True


def open_bar(*, quiet: bool = False, **how: Any) -> Any:
    """A bar on a terminal, lines after `--progress json`, else nothing; `how` is tqdm's."""
    quiet = quiet or bool(_memory().get(QUIET))
    context = click.get_current_context(silent=True)
    if context is not None and context.find_root().params.get("progress") == "json":
        return _Lines(disable=quiet, **how)
    return tqdm(disable=quiet or None, **how)  # None is tqdm's word for: only on a terminal


def stop_at_end_of_input() -> None:
    """Stop, as Ctrl-C does, when the program at the other end of our input closes it, or is gone.

    An input that is no pipe, such as a terminal or a file, means nothing.
    """
    try:
        if not stat.S_ISFIFO(os.fstat(0).st_mode):
            return
    except OSError:  # there is no input
        return
    # A shell that starts programs in the background lets them ignore the signal of Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stopped = threading.Event()
    # Threads of libraries may still run, and crash while Python is taken down around them.
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
    else:  # a wait of the main thread ends only by a signal of its own
        ident = threading.main_thread().ident
        assert ident is not None
        signal.pthread_kill(ident, signal.SIGINT)
