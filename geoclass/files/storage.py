"""Cloud storage: S3, Google Cloud, Azure and S3-compatible servers."""

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
"""Metadata key of an object's note."""

RETRIES = 4
PARTS_AT_ONCE = 4
"""Parallel parts of an upload, 5 MB each, within the time limit of a request."""


@dataclass(frozen=True, slots=True)
class StoredPath:
    """A file or folder in storage, with the methods of `Path` that maps need."""

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
        """The suffix of the name, with its dot."""
        return self.key.suffix

    @property
    def _key(self) -> str:
        return "" if self.key == PurePosixPath() else str(self.key)

    def with_name(self, name: str) -> StoredPath:
        """A file in the same folder."""
        return replace(self, key=self.key.with_name(name))

    def exists(self) -> bool:
        """Whether the file exists; OutputError if storage cannot be read."""
        return self.read_note() is not None

    def read_note(self) -> str | None:
        """The note of `upload`, which may be empty; None if the file does not exist."""
        with _translated(f"look for {self}"):
            try:
                found = self._store.get(self._key, options={"head": True})
            except FileNotFoundError:
                return None
            return str(found.attributes.get(NOTE, ""))

    def check_bucket(self) -> None:
        """OutputError for a missing or inaccessible bucket."""
        _connect(self.scheme, self.bucket)

    def upload(self, file: Path, note: str = "") -> None:
        """Upload a file atomically; OutputError if that fails."""
        attributes = {NOTE: note} if note else None
        with _translated(f"write {self}"):
            self._store.put(self._key, file, attributes=attributes, max_concurrency=PARTS_AT_ONCE)

    def download(self, file: Path) -> None:
        """Download the file; OutputError if that fails."""
        with _translated(f"read {self}"), file.open("wb") as target:
            for part in self._store.get(self._key):
                target.write(part)

    @property
    def _store(self) -> Any:
        return _connect(self.scheme, self.bucket)


@functools.cache
def _connect(scheme: str, bucket: str) -> Any:
    """A client configured by the environment variables of GDAL and of the providers.

    Raises OutputError for a missing or inaccessible bucket.
    """
    try:
        from obstore import store
    except ImportError as error:
        raise OutputError(
            f"writing to {scheme}:// needs obstore, which is not installed: "
            "pip install 'geoclass[storage]'"
        ) from error
    kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
    config = _read_aws_variables(bucket) if scheme == "s3" else {}
    if scheme == "az":
        names = {"AZURE_STORAGE_ACCOUNT": "account_name", "AZURE_STORAGE_ACCESS_KEY": "account_key"}
        config = {key: os.environ[name] for name, key in names.items() if name in os.environ}
    with _translated(f"use the bucket {bucket}"):
        client = kind(
            bucket,
            config=config,
            client_options={"allow_http": True, "timeout": f"{find_timeout():g}s"},
            retry_config={"max_retries": RETRIES},
            **_find_credentials(scheme),
        )
        next(iter(client.list()), None)
        return client


def _read_aws_variables(bucket: str) -> dict[str, Any]:
    """Settings of GDAL's variables for which obstore has other names."""
    config: dict[str, Any] = {"skip_signature": _is_set("AWS_NO_SIGN_REQUEST")}
    endpoint = os.environ.get("AWS_S3_ENDPOINT")
    if not endpoint:
        return config
    scheme, _, host = endpoint.rpartition("://")
    scheme = scheme or ("https" if _is_set("AWS_HTTPS", default="YES") else "http")
    virtual = _is_set("AWS_VIRTUAL_HOSTING")
    config["endpoint"] = f"{scheme}://{bucket}.{host}" if virtual else f"{scheme}://{host}"
    return {**config, "virtual_hosted_style_request": virtual}


def _is_set(name: str, default: str = "NO") -> bool:
    """A boolean variable, with GDAL's rules."""
    return os.environ.get(name, default).upper() in ("YES", "TRUE", "ON", "1")


def _find_credentials(scheme: str) -> dict[str, Any]:
    """Credentials in AWS's files, which only boto3 reads, if variables have none."""
    has_files = "AWS_PROFILE" in os.environ or Path("~/.aws/credentials").expanduser().exists()
    others = "AWS_ACCESS_KEY_ID" in os.environ or _is_set("AWS_NO_SIGN_REQUEST")
    if scheme != "s3" or others or not has_files:
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
def _translated(action: str) -> Iterator[None]:
    """Translate errors to OutputError: cannot `action`, with the reason."""
    try:
        yield
    except OutputError:
        raise
    except Exception as error:  # of obstore, boto3 and Python
        # obstore's messages are very long.
        reason = " ".join(str(error).partition("\n")[0].split())
        if isinstance(error, FileNotFoundError) or " 404 " in reason:
            reason = "there is none of that name: create it first"
        elif " 403 " in reason or " 401 " in reason:
            reason = "access is denied: it takes the rights to list the bucket, to read and write"
        raise OutputError(f"cannot {action}: {reason}") from error
