"""One self-contained HTML page from sheets."""

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
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
from geoclass.monitor.change import compare_dates
from geoclass.monitor.files import find_kind, read_stack
from geoclass.monitor.history import monitor_stack
from geoclass.monitor.settings import MonitorSettings, SeriesSettings
from geoclass.outside import offline
from geoclass.products.files import holds_map, read_map
from geoclass.products.layers import read_columns
from geoclass.products.mosaic import READABLE, find_maps
from geoclass.report.page.maps import build_map_sheets
from geoclass.report.page.pictures import Pictures
from geoclass.report.page.sheet import Sheet, describe_sheets, name_group
from geoclass.report.page.watched import Watched, build_watched_sheet

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
    """Write a page of maps, change and monitor files atomically.

    `scenes` are shown below the maps. Scenes that only a map names are not opened, and the network
    is not used. Raises OutputError for files of other programs and if the page cannot be written,
    SceneError for scenes that are unreadable, remote, or show none of the maps.
    """
    with offline():
        sheets = read_sheets([Path(path) for path in paths], scenes)
    write_whole(Path(output), render_page(sheets, title).encode())


def render_page(sheets: Sequence[Sheet], title: str | None = None) -> str:
    """The page as HTML; it loads no other files."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(ha=_format_ha, percent=_format_percent, title_of=name_group)
    usual = sheets[0].title if len(sheets) == 1 else f"Land cover of {len(sheets)} places"
    styles, scripts = ([_read_asset(name) for name in names] for names in (STYLES, SCRIPTS))
    return environment.get_template("page.html").render(
        title=title or usual,
        sheets=sheets,
        payload=describe_sheets(sheets),
        styles=[Markup(text) for text in styles],  # noqa: S704 our own files
        scripts=[Markup(text) for text in scripts],  # noqa: S704 our own files
        policy=_write_policy(styles, scripts),
        version=__version__,
        leaflet_version=LEAFLET_VERSION,
        leaflet_license=_read_asset("leaflet/LICENSE"),
    )


def _read_asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    # Leaflet's last line names a source map, which is not shipped.
    return text.partition("//# sourceMappingURL=")[0]


def _write_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """A Content-Security-Policy that allows exactly these texts, and no network."""
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


def read_sheets(paths: Sequence[Path], scenes: Sequence[str] = ()) -> list[Sheet]:
    """Maps by place, then change and monitor files, each with its scenes if they are found.

    A folder, or a merged map, stands for all its maps. Raises OutputError for files of other
    programs, SceneError for a scene that is unreadable or shows none of the maps.
    """
    found = [_read(file) for path in paths for file in _expand(path)]
    maps = [item for item in found if isinstance(item, LandCoverMap)]
    watched = [item for item in found if isinstance(item, Watched)]
    steps = len(maps) + sum(len(item.result.stack.dates) for item in watched)
    pictures = Pictures(scenes, steps)
    sheets = build_map_sheets(maps, pictures)
    sheets += [build_watched_sheet(item, pictures) for item in watched]
    pictures.check_all_used()
    return list(_number_titles(sheets))


def _number_titles(sheets: Sequence[Sheet]) -> Iterator[Sheet]:
    """The sheets; a title that occurs again gets a number."""
    counts: Counter[str] = Counter()
    for sheet in sheets:
        counts[sheet.title] += 1
        count = counts[sheet.title]
        yield sheet if count == 1 else replace(sheet, title=f"{sheet.title} ({count})")


def _expand(path: Path) -> list[Path]:
    """The maps in a folder or merged map, or the file itself."""
    maps = find_maps(path)
    if path.is_dir() and not maps:
        raise OutputError(
            f"no map of geoclass in the folder {path}: give a folder with maps as "
            f"{' or '.join(READABLE)}"
        )
    return maps or [path]


def _read(path: Path) -> LandCoverMap | Watched:
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    kind = find_kind(path) if path.suffix.lower() == ".gpkg" else None
    if kind == "monitor":
        stack, settings, command = read_stack(path, kind, MonitorSettings)
        result, alerts = monitor_stack(stack, settings), _read_alerts(path)
        return Watched(result=result, name=path.stem, command=command, alerts=alerts)
    if kind == "change":
        stack, series, command = read_stack(path, kind, SeriesSettings)
        change = compare_dates(stack, series)
        return Watched(result=change, name=path.stem, command=command, alerts={})
    if not holds_map(path):
        raise OutputError(f"{path} is no map, change or monitor file: give an output of geoclass")
    return read_map(path)


def _read_alerts(path: Path) -> dict[int, tuple[str, np.ndarray | None]]:
    """Zones and picture of each alert of a monitor file, by number."""
    alerts = read_columns(path, "alerts")
    names = alerts.get("chip", [""] * len(alerts["alert_id"]))  # missing in old files
    return {
        int(number): (zone or "", _read_chip(path.parent, name or ""))
        for number, zone, name in zip(alerts["alert_id"], alerts["zone"], names, strict=True)
    }


def _read_chip(folder: Path, name: str) -> np.ndarray | None:
    """The picture of an alert; None if there is none below the file's folder."""
    path = (folder / name).resolve()
    if not name or not path.is_relative_to(folder.resolve()) or path.suffix != ".png":
        return None
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return np.asarray(picture.convert("RGBA"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
