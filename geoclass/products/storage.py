"""Files in storage behind `s3://`: written whole by boto3, looked into by GDAL.

Both are set by AWS's variables, those of GDAL's own among them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from geoclass.errors import OutputError

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
