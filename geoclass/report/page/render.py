"""Sheets to one self-contained page."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

import geoclass
from geoclass.products.writing import write_whole
from geoclass.report.page.inputs import read_sheets
from geoclass.report.page.payload import describe_sheets
from geoclass.report.page.sheet import Curve, Sheet

WIDTH, HEIGHT = 300.0, 110.0
LEFT, RIGHT, TOP, BOTTOM = 6.0, 294.0, 14.0, 88.0
"""The inside of a drawing, in its own units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Of a histogram."""

    x: float
    y: float
    width: float
    height: float
    low: int
    """Percent of confidence."""
    high: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve, with the band of its interval."""

    points: str
    band: str
    dots: tuple[tuple[float, float], ...]
    highest: float
    """Hectares at the top."""


def draw_histogram(shares: tuple[float, ...]) -> tuple[Bar, ...]:
    """Bars that fill the drawing, the highest to the top."""
    step = (RIGHT - LEFT) / len(shares)
    highest = max(*shares, 1e-9)
    bars = []
    for i, share in enumerate(shares):
        height = (BOTTOM - TOP) * share / highest
        bars.append(
            Bar(
                x=round(LEFT + i * step + 1, 2),
                y=round(BOTTOM - height, 2),
                width=round(step - 2, 2),
                height=round(height, 2),
                low=round(100 * i / len(shares)),
                high=round(100 * (i + 1) / len(shares)),
                share=share,
            )
        )
    return tuple(bars)


def draw_curve(curve: Curve) -> Line:
    """From zero hectares at the bottom to the highest at the top."""
    first, last = curve.days[0].toordinal(), curve.days[-1].toordinal()
    highest = max(*curve.area_ha, *curve.high_ha, 1e-9)

    def locate(i: int, area_ha: float) -> tuple[float, float]:
        across = (curve.days[i].toordinal() - first) / max(1, last - first)
        return (
            round(LEFT + (RIGHT - LEFT) * across, 2),
            round(BOTTOM - (BOTTOM - TOP) * area_ha / highest, 2),
        )

    dots = tuple(locate(i, area) for i, area in enumerate(curve.area_ha))
    upper = [locate(i, area) for i, area in enumerate(curve.high_ha)]
    lower = [locate(i, area) for i, area in enumerate(curve.low_ha)]
    return Line(
        points=_join(dots), band=_join([*upper, *reversed(lower)]), dots=dots, highest=highest
    )


def _join(points: list[tuple[float, float]] | tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)


ASSETS = files("geoclass.report.page") / "assets"

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

    `scenes` lie behind the maps; without them, those that maps say they were made of, where they
    are still there. Raises OutputError for files that geoclass did not write and where the page
    cannot be written, SceneError for scenes that cannot be read or show none of the maps.
    """
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
    environment.filters.update(
        ha=_format_ha, percent=_format_percent, curve=draw_curve, histogram=draw_histogram
    )
    styles, scripts = ([_read_asset(name) for name in names] for names in (STYLES, SCRIPTS))
    return environment.get_template("page.html").render(
        title=title or _name(sheets),
        sheets=sheets,
        payload=describe_sheets(sheets),
        styles=[Markup(text) for text in styles],  # noqa: S704 our own files
        scripts=[Markup(text) for text in scripts],  # noqa: S704 our own files
        policy=_write_policy(styles, scripts),
        version=geoclass.__version__,
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
