"""The monitor file: layers for GIS, and the stack, so that dates can be added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from geoclass._version import __version__
from geoclass.errors import OutputError, SettingsError
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.legend import NODATA
from geoclass.monitor.align import DatedMap, LeftOut, Stack, as_dated, sift_maps, stack_maps
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.monitor.layers import build_layers
from geoclass.monitor.settings import MonitorSettings
from geoclass.monitor.stack_files import read_stack, write_stack
from geoclass.products.layers import write_csv

TABLES = ("areas", "transitions", "alerts", "history", "dates")
"""Layers that are also written as CSV."""


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
