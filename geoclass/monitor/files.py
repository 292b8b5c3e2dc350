"""The monitor file: layers to look at, and all that was seen, so that dates can be added."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from geoclass._version import __version__
from geoclass.contract import Contract
from geoclass.errors import OutputError, SettingsError
from geoclass.grid import Grid
from geoclass.landcover import COLORS, FULL_SCALE, STATUS_NAMES, LandCoverMap, Provenance
from geoclass.legend import NODATA
from geoclass.machine import find_memory_bytes
from geoclass.monitor.align import DatedMap, LeftOut, Stack, as_dated, stack_maps
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.monitor.layers import build_layers
from geoclass.monitor.settings import AlignSettings, MonitorSettings, PairRate, SeriesSettings
from geoclass.monitor.usable import sift_maps
from geoclass.outside import DAMAGE, parse_json
from geoclass.products.blobs import pack_colors, read_blobs, unpack_colors
from geoclass.products.layers import read_layer_items, write_csv, write_layers

SCHEMA_VERSION = 1
"""Raised when a reader of the old files would misunderstand a new one."""

ITEM = "GEOCLASS_MONITOR"

TABLES = ("areas", "transitions", "alerts", "history", "dates")
"""The layers that are of use without a place."""


def write_monitor(
    result: Monitoring,
    path: Path | str,
    *,
    zones: Mapping[str, np.ndarray] | None = None,
    chips: Mapping[int, str] | None = None,
    command: str = "geoclass.write_monitor",
) -> None:
    """Write a GeoPackage, whole or not at all; OutputError where that fails.

    `chips` gives the path of a picture, from the file's folder, by number of an alert.
    """
    described = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "settings": asdict(result.settings),
        **describe_stack(result.stack),
    }
    items = {ITEM: json.dumps(described), "ATTRIBUTION": result.stack.attribution}
    write_layers(
        Path(path), build_layers(result, zones, chips), items, collect_arrays(result.stack)
    )


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
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
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
    """What a monitor file and maps of later dates tell together, by the file's own settings.

    Maps that show nothing, or cannot be compared with the file's, are left out: `stack.left_out`
    says why, after what the file left out and `left_out`, what the caller has. The file is not
    changed: `write_monitor` does that. Raises OutputError for a file that is no monitor file,
    SettingsError where a map is not later than all that the file has seen.
    """
    stack, settings = read_monitor(path)
    like = _unstack(stack.until(1))[0].landcover
    kept, others = sift_maps([as_dated(item) for item in maps], settings.align, like)
    news = (*left_out, *others)
    joined = stack
    if kept or not news:
        joined = stack_maps(add_dates(stack, kept), settings.align)
    borne = tuple(dict.fromkeys((*stack.mismatches, *joined.mismatches)))
    joined = replace(joined, mismatches=borne, left_out=(*stack.left_out, *news))
    return monitor_stack(joined, settings, on_date=on_date)


def read_monitor(path: Path | str) -> tuple[Stack, MonitorSettings]:
    """What a monitor file has seen, and by which settings.

    Raises OutputError for any other file, and for one of another version.
    """
    path = Path(path)
    try:
        described = read_description(path, layer="series", item=ITEM, version=SCHEMA_VERSION)
        return read_stack(path, described), read_settings(described["settings"])
    except DAMAGE as error:
        raise OutputError(f"{path} is damaged ({error}): make it anew from its maps") from error


def read_settings(data: Mapping[str, Any]) -> MonitorSettings:
    """The settings that `dataclasses.asdict` described."""
    return MonitorSettings(
        **{
            **data,
            "watch": tuple(data["watch"]),
            "series": parse_series_settings(data["series"]),
            "align": AlignSettings(**data["align"]),
        }
    )


def add_dates(stack: Stack, maps: Sequence[DatedMap]) -> list[DatedMap]:
    """What was seen before and is seen now, to be stacked together.

    Raises SettingsError where a new map is not later than all that is known: what was said of
    those dates would change under its readers.
    """
    if not maps:
        raise SettingsError("no new scenes or maps were given: name those of later dates")
    early = [m for m in maps if m.day <= stack.dates[-1]]
    if early:
        named = ", ".join(f"{m.landcover.provenance.scene} of {m.day}" for m in early)
        raise SettingsError(
            f"the file reaches {stack.dates[-1]} already, so {named} cannot be added: give later "
            "dates, or make the file anew from all of them"
        )
    return [*_unstack(stack), *maps]


def _unstack(stack: Stack) -> list[DatedMap]:
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


def describe_stack(stack: Stack) -> dict[str, Any]:
    """All of a stack but its arrays, as plain data."""
    return {
        "version": __version__,
        "grid": stack.grid.to_json(),
        "contract": stack.contract.to_json(),
        "model": stack.model,
        "radiometry": stack.radiometry,
        "dates": [day.isoformat() for day in stack.dates],
        "scenes": stack.scenes,
        "fingerprints": stack.fingerprints,
        "missions": stack.missions,
        "mismatches": stack.mismatches,
        "left_out": [
            {**asdict(item), "day": item.day and str(item.day)} for item in stack.left_out
        ],
        "colored": stack.colors is not None,
    }


def collect_arrays(stack: Stack) -> dict[str, np.ndarray]:
    """The arrays of a stack."""
    arrays = {}
    for number, day in enumerate(stack.dates):
        arrays[f"class_id {day}"] = stack.class_id[number]
        arrays[f"probabilities {day}"] = stack.probabilities[number]
        if stack.colors is not None:
            packed = pack_colors(stack.colors[number])
            arrays[f"colors {day}"] = np.ascontiguousarray(packed.transpose(2, 0, 1))
    return arrays


def read_description(path: Path, *, layer: str, item: str, version: int) -> dict[str, Any]:
    """What stands in an item of a layer's metadata.

    Raises OutputError for any other file, and for one of another version; ValueError, KeyError
    or TypeError where it is damaged.
    """
    kind = item.removeprefix("GEOCLASS_").lower()
    items = read_layer_items(path, layer)
    if not items or item not in items:
        raise OutputError(f"{path} is no {kind} file: give one that `geoclass {kind}` wrote")
    described: dict[str, Any] = parse_json(
        items[item], _StackJson, what="the description", nan=True
    )
    if described["schema_version"] != version:
        raise OutputError(
            f"{path} is a {kind} file of schema version {described['schema_version']}, this "
            f"geoclass writes {version}: make it anew from its maps"
        )
    return described


class _StackJson(TypedDict):
    schema_version: int
    grid: dict[str, Any]
    contract: dict[str, Any]
    model: str
    radiometry: str
    dates: list[str]
    scenes: list[str]
    fingerprints: list[str]
    missions: NotRequired[list[str | None]]
    mismatches: list[str]
    settings: dict[str, Any]
    command: NotRequired[str]


def read_stack(path: Path, described: Mapping[str, Any]) -> Stack:
    """The stack that a file keeps."""
    grid = Grid.from_json(described["grid"])
    contract = Contract.from_json(described["contract"])

    cells = (grid.rows, grid.cols)

    def stored(kind: str, *shape: int) -> np.ndarray:
        sizes = {f"{kind} {day}": math.prod(shape) for day in described["dates"]}
        return np.stack(list(read_blobs(path, sizes).values())).reshape(-1, *shape)

    counts = {len(described[name]) for name in ("dates", "scenes", "fingerprints")}
    if counts != {len(set(described["dates"]))} or 0 in counts:
        raise ValueError("dates, scenes and fingerprints must be equally many, each date once")
    number = grid.rows * grid.cols * len(described["dates"])
    if number * (1 + 2 * len(contract.legend)) > find_memory_bytes():
        raise ValueError(f"it is of {number} cells of all dates, more than the memory here holds")
    probabilities = stored("probabilities", *cells, len(contract.legend))
    class_id = stored("class_id", *cells)
    known = np.isin(np.arange(256), (*contract.legend.ids, *STATUS_NAMES))
    if not known[class_id].all() or probabilities.max() > FULL_SCALE:
        raise ValueError("its classes or probabilities hold numbers that mean nothing")
    colors = None
    if described.get("colored"):  # files of old have none
        colors = unpack_colors(stored("colors", len(COLORS), *cells).transpose(0, 2, 3, 1))
    return Stack(
        grid=grid,
        contract=contract,
        model=described["model"],
        radiometry=described["radiometry"],
        dates=tuple(date.fromisoformat(day) for day in described["dates"]),
        scenes=tuple(described["scenes"]),
        fingerprints=tuple(described["fingerprints"]),
        missions=tuple(described.get("missions", [None] * len(described["dates"]))),
        probabilities=probabilities,
        class_id=class_id,
        mismatches=tuple(described["mismatches"]),
        left_out=tuple(map(_parse_left_out, described.get("left_out", ()))),
        colors=colors,
    )


def _parse_left_out(data: Mapping[str, Any]) -> LeftOut:
    day = data["day"] and date.fromisoformat(data["day"])
    return LeftOut(day=day, scene=data["scene"], reason=data["reason"])


def parse_series_settings(data: Mapping[str, Any]) -> SeriesSettings:
    """The settings that `dataclasses.asdict` described."""
    pairs = tuple(PairRate(**pair) for pair in data["pairs"])
    # Files of old took each date's errors for its own.
    return SeriesSettings(**{"error_days": 0.0, **data, "pairs": pairs})
