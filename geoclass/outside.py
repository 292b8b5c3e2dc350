"""Untrusted input: names, URLs and texts from outside the program.

All such input passes through a function of this module, so that the rules are in one place.
docs/security.md describes what they guarantee.
"""

import hashlib
import json
import os
import re
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from queue import Empty, SimpleQueue
from reprlib import repr as shorten
from typing import Any, TypeVar

# ---- Names of files ----

MOST_NAME_BYTES = 200
"""Of a name derived from a scene's: file systems allow 255, and suffixes are added."""

# `%` only where it begins an escape sequence, so that different texts get different names.
_UNSAFE = re.compile(
    r'[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff/\\:;?!#*"<>|]|%(?=[0-9A-Fa-f]{2})|^[.~ -]|[. ]$'
)


def encode_name(text: str) -> str:
    """A text as part of a file name: characters with a special meaning are percent-encoded.

    Different texts get different names: a name that is too long ends in a hash of the text.
    """
    name = _UNSAFE.sub(lambda found: _escape(found[0]), text) or "_"
    if len(name.encode()) <= MOST_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name.encode()[: MOST_NAME_BYTES - 17].decode(errors='ignore')}-{digest}"


def _escape(character: str) -> str:
    is_byte = "\udc80" <= character <= "\udcff"  # of a name that is not UTF-8
    encoded = character.encode(errors="surrogateescape" if is_byte else "surrogatepass")
    return "".join(f"%{byte:02X}" for byte in encoded)


def find_twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names that differ only in case, which Windows and macOS ignore."""
    first: dict[str, str] = {}
    for name in sorted(names):
        other = first.setdefault(name.casefold(), name)
        if other != name:
            yield other, name


# ---- Files ----

# Raised by zipfile for damaged, truncated, encrypted and unusual archives.
BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
)

MAX_TABLE_BYTES = 200_000_000


def check_utf8(path: Path) -> None:
    """ValueError for a path that libraries cannot open."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ValueError("its name is not UTF-8: rename it") from None


# ---- Secrets ----

# In red=…,green=…,blue=… an address ends where the next begins.
_CHARACTER = r"""(?!,(?:red|green|blue)=)[^\s'"<>]"""
_ADDRESS = re.compile(
    rf"(\w://|\b(?:https?|ftp):/(?!/))(?:(?:(?!/){_CHARACTER})*@)?((?:(?![?#]){_CHARACTER})*)(?:[?#](?:{_CHARACTER})*)?"
)
_KEY = re.compile(
    r"(?i)((?:(?<![\w-])|(?<=%3f)|(?<=%26))(?:x-(?:amz|goog|ms)-[\w-]+|sig|signature|[\w-]*token"
    r"|(?:x-)?api[-_]?key|[\w-]*secret|password|passwd|pwd|[\w-]*userpwd|header\.[\w-]+"
    r"|aws[\w-]+key\w*)(?:\s*=\s*|%3d|[\"']\s*:\s*(?=[\"'])))('[^']*'|\"[^\"]*\"|['\"]?[^&\s,;'\"<>]+)"
)
_HEADER = re.compile(
    r"(?i)(authorization:\s*\w+\s+|\bbearer\s+|\b(?:x-api-key|cookie):\s*)[\w.~+/=-]{8,}"
)


def hide_secrets(text: str) -> str:
    """The text without users, passwords and queries of URLs, and without values of keys."""
    return _HEADER.sub(r"\1…", _KEY.sub(r"\1…", _ADDRESS.sub(r"\1\2", text)))


_ITEM = re.compile(r"(\S+://[^\s#]*)(#[^\s#?=&]+)")
"""`URL#ID`; the ID is not secret."""


def redact(value: Any) -> Any:
    """JSON data without secrets and control characters, for files, terminals and logs."""
    if isinstance(value, str):
        address, item = found.groups() if (found := _ITEM.fullmatch(value)) else (value, "")
        return printable(hide_secrets(address) + item)
    if isinstance(value, Mapping):
        return {key: redact(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(redact, value))
    return value


_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Characters that move the cursor, change the reading direction, end a line, or are invalid XML."""


def printable(text: str) -> str:
    """The text with escaped control characters and invalid UTF-8; line breaks remain."""
    return _CONTROLS.sub(
        lambda found: "\n" if found[0] == "\n" else found[0].encode("unicode_escape").decode(), text
    )


def has_controls(text: str) -> bool:
    """Whether a text has characters that names and titles must not contain."""
    return _CONTROLS.search(text) is not None


# ---- The network ----

NO_HOSTS = {
    # No name at all may be fetched, whatever a file refers to,
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "",
    # nor any service be asked.
    "GDAL_HTTP_PROXY": "http://0.0.0.0:0",
    "GDAL_HTTPS_PROXY": "http://0.0.0.0:0",
}
"""GDAL's options while local files are read."""

_online: ContextVar[bool] = ContextVar("online", default=True)


@contextmanager
def offline() -> Iterator[None]:
    """Open no URL inside this context; applies to the caller's thread only."""
    before = _online.set(False)
    try:
        yield
    finally:
        _online.reset(before)


def is_online() -> bool:
    """Whether URLs may be opened."""
    return _online.get()


# ---- Structures ----

MOST_JSON_BYTES = 20_000_000
MOST_LEVELS = 40

DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError,
    MemoryError,
)  # fmt: skip
"""Exceptions of code that reads a damaged structure."""

Kind = TypeVar("Kind")


def parse_json(text: str | bytes, kind: Any = Any, *, what: str = "it", nan: bool = False) -> Any:
    """Parse JSON of a type, for example a TypedDict; ValueError with the field if it differs.

    ValueError also for JSON that is too deep or too large. With `nan`, NaN and Infinity are valid.
    """
    if len(text) > MOST_JSON_BYTES:
        raise ValueError(f"{what} has more than {MOST_JSON_BYTES / 1e6:.0f} MB")
    try:
        data = json.loads(text, parse_constant=None if nan else _refuse_constant)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    check_depth(data, what)
    convert_json(data, kind, what)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def check_depth(value: Any, what: str, level: int = 0) -> None:
    """ValueError for data that are nested too deeply, or contain half a surrogate pair."""
    if level > MOST_LEVELS:
        raise ValueError(f"{what} is nested more than {MOST_LEVELS} levels deep")
    if isinstance(value, str) and _SURROGATE.search(value):
        raise ValueError(f"{what} must not contain half a surrogate pair, got {shorten(value)}")
    parts = value.values() if isinstance(value, Mapping) else value
    for part in parts if isinstance(value, Mapping | list | tuple) else ():
        check_depth(part, what, level + 1)


_SURROGATE = re.compile("[\\ud800-\\udfff]")


def convert_json(data: Any, kind: type[Kind], what: str) -> Kind:
    """Convert plain data to a dataclass or another annotated type; ValueError with the field."""
    import msgspec

    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$")
        raise ValueError(f"{what}{place.rstrip('`')}: {said}") from None


# ---- Time ----

DRIVERS_VARIABLE = "GEOCLASS_DRIVERS"
"""Environment: additional GDAL drivers for scenes; `--driver` sets it."""

TIMEOUT_VARIABLE = "GEOCLASS_TIMEOUT"
"""Environment: time limit of one external read, in seconds; `--timeout` sets it."""

USUAL_TIMEOUT_S = 120.0

Answer = TypeVar("Answer")


def find_timeout() -> float:
    """Time limit of one external read, in seconds."""
    try:
        seconds = float(os.environ.get(TIMEOUT_VARIABLE, USUAL_TIMEOUT_S))
    except ValueError:
        return USUAL_TIMEOUT_S
    return seconds if 0 < seconds < float("inf") else USUAL_TIMEOUT_S


def within_time(read: Callable[[], Answer]) -> Answer:
    """The result of a read; TimeoutError if it exceeds the time limit.

    A read that timed out continues in a daemon thread, so nothing that it uses may be closed.
    """
    seconds, ended = find_timeout(), SimpleQueue[Answer | BaseException]()
    context = copy_context()

    def run() -> None:
        try:
            ended.put(context.run(read))
        except BaseException as error:  # raised again below
            ended.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        answer = ended.get(timeout=seconds)
    except Empty:
        raise TimeoutError(
            f"no answer within {seconds:g} s: try later, or give --timeout"
        ) from None
    if isinstance(answer, BaseException):
        raise answer
    return answer


def read_file(path: Path, most: int = MOST_JSON_BYTES) -> bytes:
    """The content of a regular file; ValueError for other and for larger files, or OSError."""
    if path.exists() and not path.is_file():  # reading a pipe or a device may not end
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most / 1e6:.0f} MB")
    return content
