"""The monitor file: layers to look at, and all that was seen, so that dates can be added."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import geoclass
from geoclass.errors import OutputError, SettingsError
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.legend import NODATA
from geoclass.monitor.align import DatedMap, Stack, stack_maps
from geoclass.monitor.dates import as_dated
from geoclass.monitor.layers import build_layers
from geoclass.monitor.settings import AlignSettings, MonitorSettings
from geoclass.monitor.stored import (
    collect_arrays,
    describe_stack,
    parse_series_settings,
    read_description,
    read_stack,
)
from geoclass.monitor.watch import Monitoring, monitor_stack
from geoclass.products.layers import write_csv, write_layers

SCHEMA_VERSION = 1
"""Raised when a reader of the old files would misunderstand a new one."""

ITEM = "GEOCLASS_MONITOR"

TABLES = ("areas", "transitions", "alerts", "history")
"""The layers that are of use without a place."""


def write_monitor(
    result: Monitoring,
    path: Path | str,
    *,
    zones: Mapping[str, np.ndarray] | None = None,
    command: str = "geoclass.write_monitor",
) -> None:
    """Write a GeoPackage, whole or not at all; OutputError where that fails."""
    described = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "settings": asdict(result.settings),
        **describe_stack(result.stack),
    }
    items = {ITEM: json.dumps(described), "ATTRIBUTION": result.stack.attribution}
    write_layers(Path(path), build_layers(result, zones), items, collect_arrays(result.stack))


def write_tables(
    result: Monitoring, folder: Path | str, *, zones: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write areas.csv, transitions.csv, alerts.csv and history.csv; OutputError.

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
    on_date: Callable[[date], object] = lambda _: None,
) -> Monitoring:
    """What a monitor file and maps of later dates tell together, by the file's own settings.

    The file is not changed: `write_monitor` does that. Raises OutputError for a file that is no
    monitor file, SettingsError where a map is not later than all that the file has seen.
    """
    stack, settings = read_monitor(path)
    dated = add_dates(stack, [as_dated(item) for item in maps])
    joined = carry_mismatches(stack_maps(dated, settings.align), stack.mismatches)
    return monitor_stack(joined, settings, on_date=on_date)


def read_monitor(path: Path | str) -> tuple[Stack, MonitorSettings]:
    """What a monitor file has seen, and by which settings.

    Raises OutputError for any other file, and for one of another version.
    """
    path = Path(path)
    try:
        described = read_description(path, layer="series", item=ITEM, version=SCHEMA_VERSION)
        return read_stack(path, described), read_settings(described["settings"])
    except (ValueError, KeyError, TypeError) as error:
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
            version=geoclass.__version__,
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
        )
        maps.append(DatedMap(day=day, landcover=landcover))
    return maps


def carry_mismatches(stack: Stack, known: Sequence[str]) -> Stack:
    """The stack with the differences that were borne before."""
    return replace(stack, mismatches=tuple(dict.fromkeys((*known, *stack.mismatches))))
