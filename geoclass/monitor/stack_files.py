"""Stacks in GeoPackages: the description as JSON, the arrays as blobs beside the layers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

import numpy as np

from geoclass._version import __version__
from geoclass.contract import Contract
from geoclass.errors import OutputError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, STATUS_NAMES
from geoclass.machine import find_memory_bytes
from geoclass.monitor.align import LeftOut, Stack
from geoclass.outside import DAMAGE, convert_json, parse_json
from geoclass.products.blobs import pack_colors, read_blobs, unpack_colors
from geoclass.products.layers import Layer, read_layer_items, write_layers

SCHEMA_VERSION = 1
"""Increased if earlier versions would misread new files."""

FileKind = Literal["monitor", "change"]
FIRST_LAYERS: dict[FileKind, str] = {"monitor": "series", "change": "change"}
"""Kind of file → layer with the description in its metadata."""


Settings = TypeVar("Settings")


class _Description(TypedDict):
    schema_version: int
    command: NotRequired[str]
    settings: dict[str, Any]
    grid: dict[str, Any]
    contract: dict[str, Any]
    model: str
    radiometry: str
    dates: list[date]
    scenes: tuple[str, ...]
    fingerprints: tuple[str, ...]
    missions: NotRequired[tuple[str | None, ...]]
    mismatches: tuple[str, ...]
    left_out: NotRequired[tuple[LeftOut, ...]]
    colored: NotRequired[bool]


def write_stack(
    path: Path,
    kind: FileKind,
    layers: Sequence[Layer],
    stack: Stack,
    settings: Any,
    command: str,
    items: Mapping[str, str] | None = None,
) -> None:
    """Write a GeoPackage atomically; `items` are additional metadata. OutputError."""
    described = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "settings": asdict(settings),
        "version": __version__,
        "grid": stack.grid.to_json(),
        "contract": stack.contract.to_json(),
        **{
            name: getattr(stack, name)
            for name in ("model", "radiometry", "scenes", "fingerprints", "missions", "mismatches")
        },
        "dates": list(map(str, stack.dates)),
        "left_out": [
            {**asdict(item), "day": item.day and str(item.day)} for item in stack.left_out
        ],
        "colored": stack.colors is not None,
    }
    metadata = {_item(kind): json.dumps(described), "ATTRIBUTION": stack.attribution}
    write_layers(path, layers, {**metadata, **(items or {})}, _list_arrays(stack))


def _list_arrays(stack: Stack) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays to be stored, one at a time to save memory."""
    for number, day in enumerate(stack.dates):
        yield f"class_id {day}", stack.class_id[number]
        yield f"probabilities {day}", stack.probabilities[number]
        if stack.colors is not None:
            yield f"colors {day}", pack_colors(stack.colors[number]).transpose(2, 0, 1)


def _item(kind: FileKind) -> str:
    return f"GEOCLASS_{kind.upper()}"


def find_kind(path: Path) -> FileKind | None:
    """The kind of a GeoPackage; None if it is neither a monitor nor a change file. OutputError."""
    for kind, layer in FIRST_LAYERS.items():
        if _item(kind) in (read_layer_items(path, layer) or {}):
            return kind
    return None


def read_stack(
    path: Path | str, kind: FileKind, settings: type[Settings]
) -> tuple[Stack, Settings, str]:
    """The stack, settings and command of a file; OutputError if it is another one or damaged."""
    path = Path(path)
    items = read_layer_items(path, FIRST_LAYERS[kind]) or {}
    if _item(kind) not in items:
        raise OutputError(f"{path} is no {kind} file: give an output of `geoclass {kind}`")
    try:
        text = items[_item(kind)]
        data = parse_json(text, what="the description", nan=True)
        described = convert_json(data, _Description, "the description")
        version = described["schema_version"]
        if version != SCHEMA_VERSION:
            raise OutputError(
                f"{path} is a {kind} file of schema version {version}, this geoclass writes "
                f"{SCHEMA_VERSION}: make it again from its maps"
            )
        parsed = parse_settings(described["settings"], settings)
        return _build_stack(path, described), parsed, described.get("command", "")
    except DAMAGE as error:
        raise OutputError(f"{path} is damaged ({error}): make it again from its maps") from error


def parse_settings(data: dict[str, Any], settings: type[Settings]) -> Settings:
    """Settings from the JSON of a file; ValueError if they are damaged."""
    # Earlier versions treated the errors of different dates as independent.
    data.get("series", data).setdefault("error_days", 0.0)
    return convert_json(data, settings, "settings")


def _build_stack(path: Path, described: _Description) -> Stack:
    grid = Grid.from_json(described["grid"])
    contract = Contract.from_json(described["contract"])
    dates, cells, classes = described["dates"], (grid.rows, grid.cols), len(contract.legend)
    counts = {len(dates), len(described["scenes"]), len(described["fingerprints"])}
    if counts != {len(set(dates))} or 0 in counts:
        raise ValueError("dates, scenes and fingerprints must be equally many, without duplicates")
    number = math.prod(cells) * len(dates)
    if number * (1 + 2 * classes) > find_memory_bytes():
        raise ValueError(f"{number} cells of all dates do not fit into memory")

    def stored(name: str, *shape: int) -> np.ndarray:
        sizes = {f"{name} {day}": math.prod(shape) for day in dates}
        return np.stack(list(read_blobs(path, sizes).values())).reshape(-1, *shape)

    probabilities, class_id = stored("probabilities", *cells, classes), stored("class_id", *cells)
    known = np.isin(np.arange(256), (*contract.legend.ids, *STATUS_NAMES))
    if not known[class_id].all() or probabilities.max() > FULL_SCALE:
        raise ValueError("its classes or probabilities contain invalid values")
    colors = None
    if described.get("colored"):
        colors = unpack_colors(stored("colors", len(COLORS), *cells).transpose(0, 2, 3, 1))
    return Stack(
        grid=grid,
        contract=contract,
        model=described["model"],
        radiometry=described["radiometry"],
        dates=tuple(dates),
        scenes=described["scenes"],
        fingerprints=described["fingerprints"],
        missions=described.get("missions", (None,) * len(dates)),
        probabilities=probabilities,
        class_id=class_id,
        mismatches=described["mismatches"],
        left_out=described.get("left_out", ()),
        colors=colors,
    )
