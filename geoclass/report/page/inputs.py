"""Files of any kind that geoclass writes to the sheets of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geoclass.errors import OutputError
from geoclass.landcover import LandCoverMap
from geoclass.monitor import change, files
from geoclass.monitor.change import Change, read_change
from geoclass.monitor.files import read_description, read_monitor
from geoclass.monitor.watch import Monitoring, monitor_stack
from geoclass.products.files import holds_map, read_map
from geoclass.products.layers import read_columns, read_layer_items
from geoclass.products.mosaic import READABLE, find_maps
from geoclass.report.page.maps import build_map_sheets
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Sheet
from geoclass.report.page.watched import build_change_sheet, build_monitor_sheet


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Watched:
    result: Monitoring | Change
    name: str
    command: str
    zones: dict[int, str]


def read_sheets(paths: Sequence[Path], scenes: Sequence[str] = ()) -> list[Sheet]:
    """Maps by place, then change and monitor files, each with its scenes where they are found.

    A folder, or a file that maps were merged in, stands for all of them. Raises OutputError for a
    file that geoclass did not write, SceneError for a scene that cannot be read or shows none of
    the maps.
    """
    found = [_read(file) for path in paths for file in _expand(path)]
    maps = [item for item in found if isinstance(item, LandCoverMap)]
    watched = [item for item in found if isinstance(item, _Watched)]
    steps = len(maps) + sum(len(item.result.stack.dates) for item in watched)
    pictures = Pictures(scenes, steps)
    sheets = build_map_sheets(maps, pictures)
    for item in watched:
        if isinstance(item.result, Change):
            sheets.append(build_change_sheet(item.result, pictures, item.name, item.command))
        else:
            sheets.append(
                build_monitor_sheet(item.result, pictures, item.name, item.command, item.zones)
            )
    pictures.check_all_used()
    return list(_name_apart(sheets))


def _name_apart(sheets: Sequence[Sheet]) -> Iterator[Sheet]:
    """The sheets, those of one title numbered."""
    counts: Counter[str] = Counter()
    for sheet in sheets:
        counts[sheet.title] += 1
        count = counts[sheet.title]
        yield sheet if count == 1 else replace(sheet, title=f"{sheet.title} ({count})")


def _expand(path: Path) -> list[Path]:
    """The maps that a path stands for, or the file itself."""
    maps = find_maps(path)
    if path.is_dir() and not maps:
        raise OutputError(
            f"no map of geoclass in the folder {path}: give one that holds some, as "
            f"{' or '.join(READABLE)}"
        )
    return maps or [path]


def _read(path: Path) -> LandCoverMap | _Watched:
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    if path.suffix.lower() == ".gpkg":
        if files.ITEM in (read_layer_items(path, "series") or {}):
            return _read_monitor(path)
        if change.ITEM in (read_layer_items(path, "change") or {}):
            return _Watched(
                result=read_change(path),
                name=path.stem,
                command=_read_command(path, "change", change.ITEM, change.SCHEMA_VERSION),
                zones={},
            )
    if not holds_map(path):
        raise OutputError(
            f"{path} is no map, change or monitor file of geoclass: give one that it wrote"
        )
    return read_map(path)


def _read_monitor(path: Path) -> _Watched:
    result = monitor_stack(*read_monitor(path))
    alerts = read_columns(path, "alerts")
    zones = zip(alerts["alert_id"].tolist(), alerts["zone"].tolist(), strict=True)
    return _Watched(
        result=result,
        name=path.stem,
        command=_read_command(path, "series", files.ITEM, files.SCHEMA_VERSION),
        zones={number: zone or "" for number, zone in zones},
    )


def _read_command(path: Path, layer: str, item: str, version: int) -> str:
    return str(read_description(path, layer=layer, item=item, version=version)["command"])
