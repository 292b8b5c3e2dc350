"""Sheets to one self-contained page."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from geoclass._version import __version__
from geoclass.errors import OutputError
from geoclass.files.writing import write_whole
from geoclass.landcover import LandCoverMap
from geoclass.monitor import change, files
from geoclass.monitor.change import Change, read_change
from geoclass.monitor.files import read_description, read_monitor
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.outside import offline
from geoclass.products.files import holds_map, read_map
from geoclass.products.layers import read_columns, read_layer_items
from geoclass.products.mosaic import READABLE, find_maps
from geoclass.report.page.maps import build_map_sheets
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Sheet, describe_sheets
from geoclass.report.page.watched import build_change_sheet, build_monitor_sheet

ASSETS = resources.files("geoclass.report.page") / "assets"

STYLES = ("leaflet/leaflet.css", "page.css")
SCRIPTS = ("leaflet/leaflet.js", "cells.js", "viewer.js", "page.js")

LEAFLET_VERSION = "1.9.4"


def write_report(
    paths: Sequence[Path | str],
    output: Path | str,
    *,
    scenes: Sequence[str] = (),
    title: str | None = None,
) -> None:
    """Write a page of maps, change and monitor files, whole or not at all.

    `scenes` lie behind the maps; what maps say they were made of is not opened, and no network is
    asked. Raises OutputError for files that geoclass did not write and where the page cannot be
    written, SceneError for scenes that cannot be read, lie on a network or show none of the maps.
    """
    with offline():
        sheets = read_sheets([Path(path) for path in paths], scenes)
    write_whole(Path(output), render_page(sheets, title).encode())


def render_page(sheets: Sequence[Sheet], title: str | None = None) -> str:
    """The page as HTML, which asks for nothing from outside."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(ha=_format_ha, percent=_format_percent)
    styles, scripts = ([_read_asset(name) for name in names] for names in (STYLES, SCRIPTS))
    return environment.get_template("page.html").render(
        title=title or _name(sheets),
        sheets=sheets,
        payload=describe_sheets(sheets),
        styles=[Markup(text) for text in styles],  # noqa: S704 our own files
        scripts=[Markup(text) for text in scripts],  # noqa: S704 our own files
        policy=_write_policy(styles, scripts),
        version=__version__,
        leaflet_version=LEAFLET_VERSION,
        leaflet_license=_read_asset("leaflet/LICENSE"),
    )


def _name(sheets: Sequence[Sheet]) -> str:
    return sheets[0].title if len(sheets) == 1 else f"Land cover of {len(sheets)} places"


def _read_asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    # Leaflet's last line names a file that lies beside it elsewhere.
    return text.partition("//# sourceMappingURL=")[0]


def _write_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that lets in these very texts, and nothing from any network."""
    return "; ".join(
        (
            "default-src 'none'",
            "img-src data:",
            f"style-src {' '.join(map(_hash_source, styles))}",
            f"script-src {' '.join(map(_hash_source, scripts))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash_source(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _format_ha(area_ha: float) -> str:
    if math.isnan(area_ha):
        return "unknown"
    return f"{area_ha:,.1f}" if area_ha < 1000 else f"{area_ha:,.0f}"


def _format_percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Watched:
    result: Monitoring | Change
    name: str
    command: str
    told: dict[int, tuple[str, np.ndarray | None]]
    """Zones and picture of each alert."""


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
                build_monitor_sheet(item.result, pictures, item.name, item.command, item.told)
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
                told={},
            )
    if not holds_map(path):
        raise OutputError(
            f"{path} is no map, change or monitor file of geoclass: give one that it wrote"
        )
    return read_map(path)


def _read_monitor(path: Path) -> _Watched:
    result = monitor_stack(*read_monitor(path))
    alerts = read_columns(path, "alerts")
    names = alerts.get("chip", [""] * len(alerts["alert_id"]))  # files of old have none
    told = {
        int(number): (zone or "", _read_chip(path.parent, name or ""))
        for number, zone, name in zip(alerts["alert_id"], alerts["zone"], names, strict=True)
    }
    return _Watched(
        result=result,
        name=path.stem,
        command=_read_command(path, "series", files.ITEM, files.SCHEMA_VERSION),
        told=told,
    )


def _read_chip(folder: Path, name: str) -> np.ndarray | None:
    """The picture of an alert; None where there is none beside the file, whatever it names."""
    path = (folder / name).resolve()
    if not name or not path.is_relative_to(folder.resolve()) or path.suffix != ".png":
        return None
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _read_command(path: Path, layer: str, item: str, version: int) -> str:
    return str(read_description(path, layer=layer, item=item, version=version)["command"])
