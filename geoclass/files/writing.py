"""Atomic writes: checks of targets, temporary drafts and locks."""

import contextlib
import functools
import hashlib
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

from geoclass.errors import OutputError
from geoclass.files.storage import SCHEMES, StoredPath
from geoclass.outside import check_utf8
from geoclass.vectors import SQLITE_HEAD, plain_name

Target = Path | StoredPath


def parse_target(target: str | Target) -> Target:
    """`s3://`, `gs://` and `az://` become a StoredPath, other texts a Path.

    Raises OutputError for other addresses.
    """
    if not isinstance(target, str):
        return target
    scheme, mark, rest = target.partition("://")
    if scheme.lower() in SCHEMES and mark:
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise OutputError(f"{target} names no bucket: give {scheme}://BUCKET/NAME")
        return StoredPath(scheme.lower(), bucket, PurePosixPath(key.strip("/")))
    if target.lower().startswith(("http://", "https://", "/vsi")):
        raise OutputError(
            f"cannot write to {target}: give a local name, or s3://, gs:// or az://BUCKET/NAME "
            "(AWS_S3_ENDPOINT sets another server with the S3 protocol)"
        )
    return Path(target)


def check_folder(path: Target) -> None:
    """OutputError for a target that is a folder, or whose folder is missing or read-only."""
    if isinstance(path, StoredPath):
        path.check_bucket()
        return
    if path.parts and path.parts[0].lower() in ("s3:", "gs:", "az:", "http:", "https:"):
        raise OutputError(
            f"{path} is an address, but this output must be a local file: "
            "only maps of single scenes are written to storage"
        )
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist: create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"the folder {path.parent} cannot be written to: choose another")
    if path.is_dir():
        raise OutputError(f"{path} is a folder: give the name of a file")
    _check_safe(path)


def _check_safe(path: Path) -> None:
    """OutputError for links, devices, and folders whose path pyogrio would parse as a URI."""
    try:
        check_utf8(path)
    except ValueError:
        raise OutputError(f"the name {path} is not UTF-8: give another name") from None
    if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
        kind = "a link" if path.is_symlink() else "no regular file"
        raise OutputError(f"{path} is {kind}, which is never replaced: give the name of a file")
    draft = path.parent.absolute() / "draft.gpkg"
    if plain_name(draft) != str(draft):
        raise OutputError(
            f"the path {draft.parent} has a character that libraries read as part of an address: "
            "choose a folder without exclamation and control characters"
        )


def check_new(path: Path, *, suffix: str, overwrite: bool = False) -> None:
    """OutputError for a target with another suffix, or that exists without `overwrite`."""
    check_folder(path)
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path} must end in {suffix}")
    check_not_open(path)
    sweep_drafts([path])
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists: give --overwrite or a new name")


def check_not_open(path: Target) -> None:
    """OutputError for a GeoPackage that another program is editing or reading.

    A file that QGIS only shows can be replaced: QGIS keeps the old one open until it is reloaded.
    """
    if isinstance(path, StoredPath) or not _is_database(path):
        return
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists() and journal.stat().st_size:
        # Opening the database would apply the journal, and may remove files that it names.
        raise OutputError(
            f"{path} is open in another program, such as QGIS, or one was stopped at it: "
            f"end editing there first, or move it with {journal.name}"
        )
    try:
        # In WAL mode, which QGIS uses for editing, open connections share a lock.
        # `mode=rw` does not create a missing file.
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0)
        ) as database:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("BEGIN EXCLUSIVE")
            database.rollback()
    except sqlite3.Error as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return  # damaged or read-only: reported when it is replaced
        raise OutputError(
            f"{path} is open in another program, such as QGIS: "
            "close it or end editing there first, or choose another name"
        ) from error


def _is_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_HEAD)) == SQLITE_HEAD
    except OSError:
        return False


def move_into_place(draft: Path, path: Target, note: str = "") -> None:
    """Move a finished draft to its target; in storage with a note."""
    if isinstance(path, StoredPath):
        path.upload(draft, note)
        return
    # Old SQLite journals would corrupt the new file.
    for kind in ("wal", "shm", "journal"):
        path.with_name(f"{path.name}-{kind}").unlink(missing_ok=True)
    draft.replace(path)


def place_drafts(path: Target) -> Path:
    """The folder for drafts of `path`: its own, or a temporary one for storage."""
    return path.parent if isinstance(path, Path) else Path(tempfile.gettempdir())


def draft_folder(path: Target) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder for drafts of `path`; its name has host and process.

    Drafts have simple names that no library parses as an address. Raises OutputError if `path` is a
    link or device.
    """
    if isinstance(path, Path):
        _check_safe(path)
    return tempfile.TemporaryDirectory(
        prefix=f".{_hash_name(path.name)}.{_find_host()}.{os.getpid()}.", dir=place_drafts(path)
    )


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]


@contextmanager
def drafted(path: Target, *errors: type[Exception]) -> Iterator[Path]:
    """Yield the path of a draft, which replaces `path` at the end.

    OSError and `errors` of the writing library become OutputError.
    """
    expected: tuple[type[Exception], ...] = (OSError, *errors)
    try:
        with draft_folder(path) as folder:
            draft = Path(folder) / f"draft{path.suffix}"
            yield draft
            move_into_place(draft, path)
    except expected as error:
        raise OutputError(f"cannot write {path}: {error}") from error


def write_whole(path: Target, content: bytes) -> None:
    """Write a file atomically; OutputError if that fails."""
    with drafted(path) as draft:
        draft.write_bytes(content)


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Lock the name of an output that takes hours.

    Raises OutputError if another process on this machine is writing it.
    """
    sweep_drafts([path])
    for draft in path.parent.glob(f".{_hash_name(path.name)}.{_find_host()}.*.*"):
        pid = draft.name.rsplit(".", 2)[1]
        if pid != str(os.getpid()) and _is_at_work(draft, _find_host(), pid):
            raise OutputError(
                f"another program (number {pid}) is making {path}: wait for it, or give another "
                f"name; if there is none, remove {draft}"
            )
    with draft_folder(path):
        yield


def sweep_drafts(paths: Iterable[Target]) -> None:
    """Remove drafts of `paths` that killed processes left behind.

    Drafts of running processes stay. Those of other machines stay for a day, because their
    processes are not known.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(place_drafts(path), set()).add(_hash_name(path.name))
    for folder, hashes in names.items():
        for draft in folder.glob(".*.*.*.*"):
            name, host, pid, _ = draft.name[1:].rsplit(".", 3)
            if name in hashes and not _is_at_work(draft, host, pid):
                shutil.rmtree(draft, ignore_errors=True)


def _is_at_work(draft: Path, host: str, pid: str) -> bool:
    if host == _find_host():
        return pid.isdigit() and _is_running(int(pid))
    try:
        return time.time() - draft.stat().st_mtime < DAY_S
    except OSError:  # just moved
        return True


DAY_S = 24 * 60 * 60


@functools.cache
def _find_host() -> str:
    """Hash of the machine and container, within which process numbers are unique."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # without /proc
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return _hash_name(" ".join(parts))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
