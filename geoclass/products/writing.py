"""How files appear: whole, and never under another program's hands."""

from __future__ import annotations

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
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from geoclass.errors import OutputError
from geoclass.outside import check_utf8, plain_name

SCHEME = "s3://"
ELSEWHERE = ("gs://", "az://", "http://", "https://", "/vsi")
"""Where scenes may lie, but no map is written to."""

_NOT_THERE = ("404", "NoSuchKey", "NotFound")


@dataclass(frozen=True, slots=True)
class StoredPath:
    """A file or folder in storage, with as much of `Path` as maps need."""

    bucket: str
    key: PurePosixPath

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self._key}"

    def __truediv__(self, name: str) -> StoredPath:
        return replace(self, key=self.key / name)

    @property
    def name(self) -> str:
        """The last part."""
        return self.key.name

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return self.key.stem

    @property
    def suffix(self) -> str:
        """What the name ends in, with its dot."""
        return self.key.suffix

    @property
    def gdal_name(self) -> str:
        """`s3://…` → `/vsis3/…`."""
        return f"/vsis3/{self.bucket}/{self._key}"

    @property
    def _key(self) -> str:
        return "" if self.key == PurePosixPath() else str(self.key)

    def with_name(self, name: str) -> StoredPath:
        """A file beside this one."""
        return replace(self, key=self.key.with_name(name))

    def with_suffix(self, suffix: str) -> StoredPath:
        """The file of another suffix beside this one."""
        return replace(self, key=self.key.with_suffix(suffix))

    def exists(self) -> bool:
        """Whether there is such a file; OutputError where nobody says."""
        from botocore.exceptions import ClientError

        with _explained(f"look for {self}"):
            try:
                _connect().head_object(Bucket=self.bucket, Key=self._key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return False
                raise
        return True

    def check_bucket(self) -> None:
        """Refuse a bucket that is not there, or closed to us; OutputError."""
        with _explained(f"use the bucket {self.bucket}"):
            _connect().head_bucket(Bucket=self.bucket)

    def upload(self, file: Path) -> None:
        """Put a file here, whole or not at all; OutputError."""
        with _explained(f"write {self}"):
            _connect().upload_file(str(file), self.bucket, self._key)

    def download(self, file: Path) -> None:
        """Fetch what is here; OutputError."""
        with _explained(f"read {self}"):
            _connect().download_file(self.bucket, self._key, str(file))


Target = Path | StoredPath
"""Where a map is written to."""


def parse_target(target: str | Target) -> Target:
    """`s3://…` becomes a StoredPath, all else a Path; OutputError for addresses of other kinds."""
    if not isinstance(target, str):
        return target
    if target.lower().startswith(ELSEWHERE):
        raise OutputError(
            f"cannot write to {target}: give a local name, or s3://BUCKET/NAME "
            "(other storage that speaks S3 is named by AWS_S3_ENDPOINT)"
        )
    if not target.lower().startswith(SCHEME):
        return Path(target)
    bucket, _, key = target[len(SCHEME) :].partition("/")
    if not bucket:
        raise OutputError(f"{target} names no bucket: give s3://BUCKET/NAME")
    return StoredPath(bucket, PurePosixPath(key.strip("/")))


def refuse_storage(path: Path) -> None:
    """Refuse a local path that was meant as an address; OutputError."""
    if path.parts and path.parts[0].lower() in ("s3:", "gs:", "az:", "http:", "https:"):
        raise OutputError(
            f"{path} is an address, but this output must be a local file: "
            "only maps of single scenes are written to s3://"
        )


@functools.cache
def _connect() -> Any:
    """A client as AWS's own and GDAL's variables ask for it; of one process."""
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError as error:
        raise OutputError(
            "writing to s3:// needs boto3, which is not installed: pip install 'geoclass[s3]'"
        ) from error
    endpoint = os.environ.get("AWS_S3_ENDPOINT")
    if endpoint and "://" not in endpoint:
        endpoint = ("https://" if _is_set("AWS_HTTPS", usual=True) else "http://") + endpoint
    virtual = _is_set("AWS_VIRTUAL_HOSTING", usual=True)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    config = Config(
        s3={"addressing_style": "auto" if virtual else "path"},
        signature_version=UNSIGNED if _is_set("AWS_NO_SIGN_REQUEST", usual=False) else None,
        retries={"mode": "standard"},
        # Not all that speaks S3 knows the checksums that are newer than its signatures.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.Session(region_name=region)
    if endpoint and not session.region_name:
        session = boto3.Session(region_name="us-east-1")  # a signature needs some region
    return session.client("s3", endpoint_url=endpoint, config=config)


def _is_set(name: str, *, usual: bool) -> bool:
    """As GDAL reads a variable."""
    value = os.environ.get(name)
    return usual if value is None else value.upper() in ("YES", "TRUE", "ON", "1")


_REASONS = {
    "404": "there is none of that name: create it first",
    "NoSuchBucket": "there is no such bucket: create it first",
    "403": "access is denied: it takes the rights to list the bucket, to read and to write",
}


@contextmanager
def _explained(deed: str) -> Iterator[None]:
    """What goes wrong with storage becomes OutputError: cannot `deed`, and why."""
    _connect()  # so that boto3 is there
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, HTTPClientError, OSError) as error:
        cause = error.__context__ if isinstance(error, Boto3Error) else error
        code = cause.response["Error"]["Code"] if isinstance(cause, ClientError) else ""
        reason = _REASONS.get(code) or " ".join(str(cause or error).split())
        raise OutputError(f"cannot {deed}: {reason}") from error


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
    _check_safe(path)


def _check_safe(path: Path) -> None:
    """Refuse links and devices, and folders whose path pyogrio reads as another; OutputError."""
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
    """A folder for what will be moved to `path`; its name says whose it is.

    Files in it have plain names, so that no library reads more than a name into that of `path`.
    Raises OutputError where `path` is a link or a device.
    """
    if isinstance(path, Path):
        _check_safe(path)
    return tempfile.TemporaryDirectory(
        prefix=f".{_hash_name(path.name)}.{_find_host()}.{os.getpid()}.", dir=place_drafts(path)
    )


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]


def write_whole(path: Target, content: bytes) -> None:
    """Write a file that appears when it is complete; OutputError where that fails."""
    try:
        with draft_folder(path) as folder:
            draft = Path(folder) / "draft"
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
    """Remove what killed programs left of files that were to be written at `paths`.

    Drafts of programs that are running on this machine are left alone, and those of other
    machines until they are a day old: nobody can say whether they are still at work.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(place_drafts(path), set()).add(_hash_name(path.name))
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


@functools.cache
def _find_host() -> str:
    """This machine and, as numbers of processes mean nothing outside it, this container."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):  # where there is no /proc
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
