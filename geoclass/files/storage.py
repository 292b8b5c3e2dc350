"""Files in storage: S3, Google Cloud and Azure, and servers that speak as S3 does."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from geoclass.errors import OutputError
from geoclass.outside import find_timeout

SCHEMES = ("s3", "gs", "az")

NOTE = "geoclass"
"""Name of the metadata of an object that holds its note: all kinds of storage allow letters."""

RETRIES = 4
PARTS_AT_ONCE = 4
"""Of an upload, 5 MB each: all must be sent within the time that a request may take."""


@dataclass(frozen=True, slots=True)
class StoredPath:
    """A file or folder in storage, with as much of `Path` as maps need."""

    scheme: str
    bucket: str
    key: PurePosixPath

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self._key}"

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
    def _key(self) -> str:
        return "" if self.key == PurePosixPath() else str(self.key)

    def with_name(self, name: str) -> StoredPath:
        """A file beside this one."""
        return replace(self, key=self.key.with_name(name))

    def exists(self) -> bool:
        """Whether there is such a file; OutputError where the storage does not tell."""
        return self.read_note() is not None

    def read_note(self) -> str | None:
        """What `upload` noted beside the file, empty where nothing is; None without such a file."""
        with _explained(f"look for {self}"):
            try:
                found = self._store.get(self._key, options={"head": True})
            except FileNotFoundError:
                return None
            return str(found.attributes.get(NOTE, ""))

    def check_bucket(self) -> None:
        """Refuse a bucket that is not there, or closed to us; OutputError."""
        _connect(self.scheme, self.bucket)

    def upload(self, file: Path, note: str = "") -> None:
        """Put a file here, whole or not at all; OutputError."""
        attributes = {NOTE: note} if note else None
        with _explained(f"write {self}"):
            self._store.put(self._key, file, attributes=attributes, max_concurrency=PARTS_AT_ONCE)

    def download(self, file: Path) -> None:
        """Fetch what is here; OutputError."""
        with _explained(f"read {self}"), file.open("wb") as target:
            for part in self._store.get(self._key):
                target.write(part)

    @property
    def _store(self) -> Any:
        return _connect(self.scheme, self.bucket)


@functools.cache
def _connect(scheme: str, bucket: str) -> Any:
    """A client as the variables of GDAL and of each storage's own programs ask for it.

    Raises OutputError for a bucket that is not there, or closed to us.
    """
    try:
        from obstore import store
    except ImportError as error:
        raise OutputError(
            f"writing to {scheme}:// needs obstore, which is not installed: "
            "pip install 'geoclass[storage]'"
        ) from error
    kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
    wishes = _read_aws_variables(bucket) if scheme == "s3" else {}
    if scheme == "az":
        names = {"AZURE_STORAGE_ACCOUNT": "account_name", "AZURE_STORAGE_ACCESS_KEY": "account_key"}
        wishes = {key: os.environ[name] for name, key in names.items() if name in os.environ}
    with _explained(f"use the bucket {bucket}"):
        client = kind(
            bucket,
            config=wishes,
            client_options={"allow_http": True, "timeout": f"{find_timeout():g}s"},
            retry_config={"max_retries": RETRIES},
            **_find_credentials(scheme),
        )
        next(iter(client.list()), None)
        return client


def _read_aws_variables(bucket: str) -> dict[str, Any]:
    """What GDAL's variables ask for that obstore has other names for."""
    wishes: dict[str, Any] = {"skip_signature": _is_set("AWS_NO_SIGN_REQUEST")}
    endpoint = os.environ.get("AWS_S3_ENDPOINT")
    if not endpoint:
        return wishes
    scheme, _, host = endpoint.rpartition("://")
    scheme = scheme or ("https" if _is_set("AWS_HTTPS", usual="YES") else "http")
    virtual = _is_set("AWS_VIRTUAL_HOSTING")
    wishes["endpoint"] = f"{scheme}://{bucket}.{host}" if virtual else f"{scheme}://{host}"
    return {**wishes, "virtual_hosted_style_request": virtual}


def _is_set(name: str, usual: str = "NO") -> bool:
    """As GDAL reads a variable."""
    return os.environ.get(name, usual).upper() in ("YES", "TRUE", "ON", "1")


def _find_credentials(scheme: str) -> dict[str, Any]:
    """Of AWS's files, which boto3 reads and obstore does not, where variables have none."""
    there = "AWS_PROFILE" in os.environ or Path("~/.aws/credentials").expanduser().exists()
    others = "AWS_ACCESS_KEY_ID" in os.environ or _is_set("AWS_NO_SIGN_REQUEST")
    if scheme != "s3" or others or not there:
        return {}
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise OutputError(
            "the credentials in ~/.aws need boto3, which is not installed: "
            "pip install 'geoclass[s3]', or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    return {"credential_provider": Boto3CredentialProvider()}


@contextmanager
def _explained(deed: str) -> Iterator[None]:
    """What goes wrong with storage becomes OutputError: cannot `deed`, and why."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:  # obstore's own, ValueError, OSError and what boto3 raises
        # obstore's messages continue for pages after the first line.
        reason = " ".join(str(error).partition("\n")[0].split())
        if isinstance(error, FileNotFoundError) or " 404 " in reason:
            reason = "there is none of that name: create it first"
        elif " 403 " in reason or " 401 " in reason:
            reason = "access is denied: it takes the rights to list the bucket, to read and write"
        raise OutputError(f"cannot {deed}: {reason}") from error
