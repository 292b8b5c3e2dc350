"""From what a person types to one name that GDAL opens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from geoclass.errors import SceneError
from geoclass.scene.facts import SceneFacts, read_name

Kind = Literal["file", "subdataset", "url", "bands", "safe", "stac"]

_DRIVER_PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9_]+:")
"""`NETCDF:file.nc:red` and the like; a single letter would be a drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneInput:
    """A scene that has been found, but not looked into."""

    dataset: str
    """The name under which GDAL opens it: a path, a virtual file, a subdataset or a VRT."""
    shown: str
    """What messages call it."""
    name: str
    """Short, for titles."""
    kind: Kind
    files: tuple[Path, ...] = ()
    """The local files it consists of, as far as they are known yet."""
    facts: SceneFacts = field(default_factory=SceneFacts)
    """What product metadata say, which tags of the raster cannot outdo."""


def find_input(scene: Path | str) -> SceneInput:
    """Understand what a person gave as a scene; SceneError where nothing is there."""
    text = os.fspath(scene)
    path = Path(text)
    if not path.exists() and (_DRIVER_PREFIX.match(text) or text.startswith("/vsi")):
        return SceneInput(
            dataset=text,
            shown=text,
            name=re.split(r"[/:]", text.rstrip("/:"))[-1] or text,
            kind="subdataset",
            facts=read_name(text),
        )
    return _find_file(path)


def _find_file(path: Path) -> SceneInput:
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no possible name of a file"
        raise SceneError(f"no scene at {path} ({reason}): check the path") from error
    if path.is_dir():
        raise SceneError(f"{path} is a folder: give a raster file such as a GeoTIFF")
    return SceneInput(
        dataset=str(path),
        shown=str(path),
        name=path.name,
        kind="file",
        files=(path,),
        facts=read_name(str(path.absolute())),
    )
