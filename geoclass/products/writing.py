"""How files appear: whole, and never under another program's hands."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from geoclass.errors import OutputError
from geoclass.products.storage import StoredPath, Target, refuse_storage

_SQLITE_HEAD = b"SQLite format 3\0"


def check_folder(path: Target) -> None:
    """Refuse a target whose folder is missing or closed to us, or that is itself a folder."""
    if isinstance(path, StoredPath):
        path.check_bucket()
        return
    refuse_storage(path)
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist: create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {path.parent} cannot be written to: choose another")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")


def check_new(path: Path, *, suffix: str, overwrite: bool = False) -> None:
    """Refuse a target of another suffix, or that exists where `overwrite` is not given."""
    check_folder(path)
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} must end in {suffix}")
    check_not_open(path)
    sweep_drafts([path])
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: give --overwrite or a new name")


def check_not_open(path: Target) -> None:
    """Refuse a GeoPackage that another program edits, or reads at this moment.

    One that QGIS merely shows may be replaced: QGIS holds on to the old file until it is reloaded.
    """
    if isinstance(path, StoredPath) or not _is_database(path):
        return
    try:
        # In WAL mode, which QGIS edits in, all connections share a lock as long as they live.
        # `mode=rw` makes no file where there is none.
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
        ) as database:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.rollback()
    except sqlite3.Error as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return  # damaged, or not ours to write: whoever replaces it will see
        raise OutputError(
            f"{path} is open in another program, such as QGIS: "
            "close it or end editing there first, or choose another name"
        ) from error


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_HEAD)) == _SQLITE_HEAD
    except OSError:
        return False


def move_into_place(draft: Path, path: Target) -> None:
    """Put a finished file where it belongs."""
    if isinstance(path, StoredPath):
        path.upload(draft)
        return
    # What SQLite left beside the old file would spoil the new one.
    for kind in ("wal", "shm"):
        path.with_name(f"{path.name}-{kind}").unlink(missing_ok=True)
    draft.replace(path)


def place_drafts(path: Target) -> Path:
    """The folder for drafts of `path`: that of `path`, or where it is far away a temporary one."""
    return path.parent if isinstance(path, Path) else Path(tempfile.gettempdir())


def draft_folder(path: Target) -> tempfile.TemporaryDirectory[str]:
    """A folder for what will be moved to `path`; its name says whose it is."""
    return tempfile.TemporaryDirectory(
        prefix=f".{path.name}.{_find_host()}.{os.getpid()}.", dir=place_drafts(path)
    )


def write_whole(path: Target, content: bytes) -> None:
    """Write a file that appears when it is complete; OutputError where that fails."""
    try:
        with draft_folder(path) as folder:
            draft = Path(folder) / path.name
            draft.write_bytes(content)
            move_into_place(draft, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error}") from error


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold the name of a file that takes hours to make.

    Raises OutputError where another program on this machine makes one of that name.
    """
    sweep_drafts([path])
    for draft in path.parent.glob(f".{glob.escape(path.name)}.{_find_host()}.*.*"):
        pid = draft.name.rsplit(".", 2)[1]
        if pid != str(os.getpid()) and _is_at_work(draft, _find_host(), pid):
            raise OutputError(
                f"another program (number {pid}) is making {path}: wait for it, or give another "
                f"name; if there is none, remove {draft}"
            )
    with draft_folder(path):
        yield


def sweep_drafts(paths: Iterable[Target]) -> None:
    """Remove what killed programs left of files that were to be written at `paths`.

    Drafts of programs that are running on this machine are left alone, and those of other
    machines until they are a day old: nobody can say whether they are still at work.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(place_drafts(path), set()).add(path.name)
    for folder, wanted in names.items():
        for draft in folder.glob(".*.*.*.*"):
            name, host, pid, _ = draft.name[1:].rsplit(".", 3)
            if name in wanted and not _is_at_work(draft, host, pid):
                shutil.rmtree(draft, ignore_errors=True)


def _is_at_work(draft: Path, host: str, pid: str) -> bool:
    if host == _find_host():
        return pid.isdigit() and _is_running(int(pid))
    try:
        return time.time() - draft.stat().st_mtime < DAY_S
    except OSError:  # it has just been moved into place
        return True


DAY_S = 24 * 60 * 60


def _find_host() -> str:
    return socket.gethostname().replace(".", "-")


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
