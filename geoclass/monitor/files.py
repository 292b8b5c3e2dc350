"""Monitor and change files: layers for GIS, and the stack, so that dates can be added.

The stack is a description as JSON, and arrays as blobs beside the layers.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, TypeVar

import numpy as np

from geoclass._version import __version__
from geoclass.contract import Contract
from geoclass.errors import OutputError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, STATUS_NAMES, LandCoverMap, Provenance
from geoclass.legend import NODATA
from geoclass.machine import find_memory_bytes
from geoclass.monitor.align import DatedMap, LeftOut, Stack, as_dated, sift_maps, stack_maps
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.monitor.layers import build_layers
from geoclass.monitor.settings import MonitorSettings
from geoclass.outside import DAMAGE, convert_json, parse_json
from geoclass.products.blobs import pack_colors, read_blobs, unpack_colors
from geoclass.products.layers import Layer, read_layer_items, write_csv, write_layers

TABLES = ("areas", "transitions", "alerts", "history", "dates")
"""Layers that are also written as CSV."""

SCHEMA_VERSION = 1
"""Increased if earlier versions would misread new files."""

FileKind = Literal["monitor", "change"]
FIRST_LAYERS: dict[FileKind, str] = {"monitor": "series", "change": "change"}
"""Kind of file → layer with the description in its metadata."""

UNCHANGED = ("model", "radiometry", "dates", "scenes", "fingerprints", "missions", "mismatches")
"""Fields of a stack that its description holds as they are."""

Settings = TypeVar("Settings")


def write_monitor(
    result: Monitoring,
    path: Path | str,
    *,
    zones: Mapping[str, np.ndarray] | None = None,
    chips: Mapping[int, str] | None = None,
    command: str = "geoclass.write_monitor",
) -> None:
    """Write a GeoPackage atomically; OutputError if that fails.

    `chips` maps the numbers of alerts to paths of images, relative to the file's folder.
    """
    layers = build_layers(result, zones, chips)
    write_stack(Path(path), "monitor", layers, result.stack, result.settings, command)


def write_tables(
    result: Monitoring, folder: Path | str, *, zones: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write areas.csv, transitions.csv, alerts.csv, history.csv and dates.csv; OutputError.

    They are the tables of the monitor file; `zones` are those of `geoclass.read_zones`.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {folder}: {error.strerror}") from error
    for layer in build_layers(result, zones):
        if layer.name in TABLES:
            write_csv(folder / f"{layer.name}.csv", layer.columns)


def update_monitor(
    path: Path | str,
    maps: Sequence[DatedMap | LandCoverMap],
    *,
    left_out: Sequence[LeftOut] = (),
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """Add maps of later dates to the contents of a monitor file, with the settings of the file.

    The file does not change; `write_monitor` writes the result. Maps without classes, or not
    comparable with the file's, are skipped; `stack.left_out` lists them after those of the file
    and `left_out`. Raises OutputError for other files, SettingsError if a map is not later than
    all dates of the file.
    """
    stack, settings = read_monitor(path)
    like = split_stack(stack.until(1))[0].landcover
    kept, others = sift_maps([as_dated(item) for item in maps], settings.align, like)
    skipped = (*left_out, *others)
    joined = stack
    if kept or not skipped:
        joined = stack_maps(add_dates(stack, kept), settings.align)
    joined = replace(
        joined,
        mismatches=tuple(dict.fromkeys((*stack.mismatches, *joined.mismatches))),
        left_out=(*stack.left_out, *skipped),
    )
    return monitor_stack(joined, settings, on_date=on_date)


def read_monitor(path: Path | str) -> tuple[Stack, MonitorSettings]:
    """The stack and the settings of a monitor file; OutputError for other files and versions."""
    return read_stack(path, "monitor", MonitorSettings)[:2]


def add_dates(stack: Stack, maps: Sequence[DatedMap]) -> list[DatedMap]:
    """The maps of a stack and new ones.

    Raises SettingsError if a new map is not later than all known ones: published results for
    these dates would change.
    """
    if not maps:
        raise SettingsError("no new scenes or maps were given: give those of later dates")
    early = [m for m in maps if m.day <= stack.dates[-1]]
    if early:
        named = ", ".join(f"{m.landcover.provenance.scene} of {m.day}" for m in early)
        raise SettingsError(
            f"the file already reaches {stack.dates[-1]}, so {named} cannot be added: give later "
            "dates, or make a new file from all of them"
        )
    return [*split_stack(stack), *maps]


def split_stack(stack: Stack) -> list[DatedMap]:
    """One map for each date."""
    maps = []
    for number, day in enumerate(stack.dates):
        codes = stack.class_id[number]
        provenance = Provenance(
            scene=stack.scenes[number],
            date=day.isoformat(),
            source={},
            bands=(),
            radiometry={"name": stack.radiometry},
            model=stack.model,
            options={},
            version=__version__,
            command="",
            fingerprint=stack.fingerprints[number],
            mission=stack.missions[number],
        )
        landcover = LandCoverMap(
            grid=stack.grid,
            contract=stack.contract,
            provenance=provenance,
            class_id=codes,
            best_class=np.full_like(codes, NODATA),
            probabilities=stack.probabilities[number],
            valid_share=np.zeros_like(codes),
            mask_reason=np.zeros_like(codes),
            colors=None if stack.colors is None else stack.colors[number],
        )
        maps.append(DatedMap(day=day, landcover=landcover))
    return maps


class _Description(TypedDict):
    schema_version: int
    command: NotRequired[str]
    settings: dict[str, Any]
    grid: dict[str, Any]
    contract: dict[str, Any]
    model: str
    radiometry: str
    dates: tuple[date, ...]
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
        **{name: getattr(stack, name) for name in UNCHANGED},
        "left_out": [asdict(item) for item in stack.left_out],
        "colored": stack.colors is not None,
    }
    text = json.dumps(described, default=str)  # dates are texts
    metadata = {_item(kind): text, "ATTRIBUTION": stack.attribution}
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
    fields: dict[str, Any] = {"missions": (None,) * len(dates), **described}
    return Stack(
        grid=grid,
        contract=contract,
        probabilities=probabilities,
        class_id=class_id,
        left_out=described.get("left_out", ()),
        colors=colors,
        **{name: fields[name] for name in UNCHANGED},
    )
