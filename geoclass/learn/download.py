"""Download, verify and unpack data sets."""

import hashlib
import http.client
import re
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from geoclass.errors import DatasetError, OutputError
from geoclass.outside import within_time

CHUNK = 1 << 20
MOST_BYTES = 200_000_000
"""Maximum size of a data set; EuroSAT has 95 MB."""
TIMEOUT_S = 30
TRIES = 5

_TRANSIENT = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A published data set."""

    url: str
    file: str
    md5: str
    """As published; it protects against damage, not against attacks."""


SOURCES = {
    # EuroSAT RGB, Zenodo record 7711810 (Helber et al. 2019).
    "eurosat": Source(
        url="https://zenodo.org/records/7711810/files/EuroSAT_RGB.zip?download=1",
        file="EuroSAT_RGB.zip",
        md5="c8fa014336c82ac7804f0398fcb19387",
    )
}


def fetch_dataset(
    name: str = "eurosat",
    folder: Path | str = ".",
    *,
    url: str | None = None,
    unpacked: bool = False,
    on_bytes: Callable[[int, int | None], object] = lambda _done, _total: None,
) -> Path:
    """Download and verify a data set by name; a stopped download resumes.

    `eurosat` is EuroSAT RGB, 27,000 JPEG tiles in 95 MB. `url` is another URL of the same file.
    Returns the path of the zip, which geoclass can use, or with `unpacked` of the folder.
    `on_bytes` gets the bytes done and the total, if the server states one. Raises DatasetError if
    the file cannot be downloaded or is not the published one, OutputError if it cannot be written.
    """
    if name not in SOURCES:
        raise DatasetError(f"unknown data set {name!r}: choose {', '.join(SOURCES)}")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, expected a folder: give another")
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist: create it first")
    source = SOURCES[name]
    if url is not None:
        source = replace(source, url=url)
    path = download(source, folder, on_bytes=on_bytes)
    return unpack(path, folder) if unpacked else path


def download(
    source: Source,
    folder: Path,
    *,
    on_bytes: Callable[[int, int | None], object] = lambda _done, _total: None,
    pause_s: float = 1.0,
) -> Path:
    """Download a file, or resume an earlier download; see `fetch_dataset`."""
    target = folder / source.file
    partial = folder / f"{source.file}.part"
    for path in (target, partial):
        if path.is_symlink():
            raise OutputError(f"{path} is a link, expected a file: remove it")
        if path.is_dir():
            raise OutputError(f"{path} is a folder, expected a file: rename or remove it")
    if target.exists():
        advice = (
            "remove it and download it again; or, if it is another copy of the data set, use it "
            "as it is with `geoclass dataset` and `geoclass train`"
        )
        _check_md5(target, source, advice)
        return target
    if not source.url.startswith(("https://", "http://")):
        raise DatasetError(f"{source.url!r} is not a URL: give one with https://")
    _fetch(source, partial, on_bytes, pause_s)
    with partial.open("rb") as file:
        is_page = file.read(100).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")
    advice = "it has been removed, download it again"
    if is_page:  # such as a login or error page
        advice = "it is a web page and has been removed: give the --url of the file itself"
    try:
        _check_md5(partial, source, advice)
    except DatasetError:
        partial.unlink()  # a damaged file cannot resume
        raise
    partial.replace(target)
    return target


def _fetch(
    source: Source, partial: Path, on_bytes: Callable[[int, int | None], object], pause_s: float
) -> None:
    """Append the missing bytes, in several attempts."""
    for attempt in range(1, TRIES + 1):
        try:
            _append(source.url, partial, on_bytes)
            return
        except urllib.error.HTTPError as error:
            error.close()  # it is also the response
            if error.code < 500:  # another attempt would not help
                raise DatasetError(f"{source.url} answers {error.code} {error.reason}") from error
            failure: Exception = error
        except _TRANSIENT as error:
            failure = error
        except OSError as error:
            raise OutputError(f"cannot write {partial}: {error.strerror}") from error
        if attempt < TRIES:
            time.sleep(pause_s * attempt)
    reason = getattr(failure, "reason", None) or failure
    raise DatasetError(
        f"cannot fetch {source.url} ({reason}): check the network and start again, the "
        f"download resumes; or give another --url, or copy {source.file} there"
    ) from failure


def _append(url: str, partial: Path, on_bytes: Callable[[int, int | None], object]) -> None:
    """Append the missing bytes, or restart if the server does not support ranges."""
    have = partial.stat().st_size if partial.exists() else 0
    try:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return  # complete
        raise
    except (http.client.InvalidURL, ValueError) as error:
        raise DatasetError(f"{url!r} is not a URL ({error}): fix it") from error
    with response:
        resumes = response.status == http.client.PARTIAL_CONTENT
        have = have if resumes else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and re.fullmatch("[0-9]{1,18}", length) else None
        with partial.open("ab" if resumes else "wb") as file:
            while chunk := within_time(lambda: response.read(CHUNK)):
                file.write(chunk)
                have += len(chunk)
                if have > min(total or MOST_BYTES, MOST_BYTES):
                    raise DatasetError(f"{url} sends more than expected ({have} bytes): check it")
                on_bytes(have, total)
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _check_md5(path: Path, source: Source, advice: str) -> None:
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != source.md5:
        raise DatasetError(f"{path} has the MD5 {md5}, expected {source.md5}: {advice}")


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a verified zip into a new folder with its name; returns the folder.

    Raises OutputError if it cannot be written.
    """
    target = folder / archive.stem
    if target.exists():
        raise OutputError(f"{target} exists: remove it, or unpack elsewhere")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=folder) as scratch:
            # The temporary folder has restricted permissions, the target must not.
            outer = Path(scratch) / "all"
            outer.mkdir()
            with zipfile.ZipFile(archive) as zipped:
                zipped.extractall(outer)
            inside = [path for path in outer.iterdir() if path.name != "__MACOSX"]
            # The only folder of an archive becomes the target.
            whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else outer
            whole.rename(target)  # atomic
    except OSError as error:
        raise OutputError(f"cannot unpack into {target}: {error}") from error
    return target
