"""A sheet as data for the page's own program."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from geoclass.grid import Grid
from geoclass.landcover import MASK_REASONS
from geoclass.monitor.change import PROBABILITY_COLORS, PROBABILITY_EDGES
from geoclass.products.styles import CONFIDENCE_COLORS, CONFIDENCE_EDGES
from geoclass.report.page.sheet import Entry, Sheet, Step
from geoclass.report.quicklook import Ground, measure_ground

PICTURE_QUALITY = 70
"""Of WebP: higher ones double the page and cannot be told apart under a map."""


class Pool:
    """Texts that stand in the page once, however often they are used."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def add(self, text: str) -> int:
        """The place of a text."""
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]


def describe_sheets(sheets: Sequence[Sheet]) -> dict[str, Any]:
    """What the page's program reads."""
    pool = Pool()
    described = [_describe_sheet(sheet, pool) for sheet in sheets]
    return {
        "sheets": described,
        "texts": pool.texts,
        "reasons": MASK_REASONS,
        "ramps": {
            "confidence": describe_ramp(CONFIDENCE_EDGES, CONFIDENCE_COLORS),
            "change": describe_ramp(PROBABILITY_EDGES, PROBABILITY_COLORS),
        },
    }


def describe_ramp(edges: Sequence[float], colors: Sequence[str]) -> list[dict[str, Any]]:
    """Shades of percents: each from its edge to the next."""
    return [
        {"from": round(100 * low), "to": round(100 * high), "color": color}
        for low, high, color in zip(edges[:-1], edges[1:], colors, strict=True)
    ]


def _describe_sheet(sheet: Sheet, pool: Pool) -> dict[str, Any]:
    base = sheet.steps[0].grid
    ground = measure_ground(base)
    to_page = _Page(base, ground)
    return {
        "legend": _describe_entries(sheet.legend),
        "observed": _describe_entries(sheet.observed),
        "metric": ground is not None,
        "north": ground.north_deg if ground else None,
        "steps": [_describe_step(step, to_page, pool) for step in sheet.steps],
        "change": None if sheet.change is None else pool.add(encode_plane(sheet.change)),
        "outlines": [
            {
                "number": item.number,
                "color": item.color,
                "day": item.first_gone.isoformat(),
                "rings": [[to_page.locate(col, row) for col, row in ring] for ring in item.rings],
            }
            for item in sheet.outlines
        ],
    }


class _Page:
    """From pixels of a sheet's first grid to the page's coordinates: metres right and down.

    Pixels of a grid without a place stand for themselves.
    """

    def __init__(self, base: Grid, ground: Ground | None) -> None:
        self._base = base
        self._width = ground.pixel_width_m if ground else 1.0
        self._height = ground.pixel_height_m if ground else 1.0

    def locate(self, col: float, row: float) -> list[float]:
        return [round(col * self._width, 2), round(row * self._height, 2)]

    def place(self, grid: Grid) -> dict[str, Any]:
        """Where a grid of the same place lies."""
        between = ~self._base.transform @ grid.transform
        left, top = self.locate(between.c, between.f)
        right, bottom = self.locate(*(between @ (grid.width, grid.height)))
        full_right, full_bottom = self.locate(
            *(between @ (grid.cols * grid.stride, grid.rows * grid.stride))
        )
        return {
            "rows": grid.rows,
            "cols": grid.cols,
            "extent": [left, top, right, bottom],
            "full": [left, top, full_right, full_bottom],
        }


def _describe_step(step: Step, page: _Page, pool: Pool) -> dict[str, Any]:
    grid = step.grid
    weights = grid.pixel_counts() if grid.crs is None else grid.areas_ha()
    picture = step.picture
    return {
        "label": step.label,
        "day": step.day and step.day.isoformat(),
        **page.place(grid),
        "planes": {name: pool.add(encode_plane(plane)) for name, plane in step.planes.items()},
        "weights": pool.add(encode_plane(weights.astype("<f4"))),
        "picture": None if picture is None else pool.add(encode_picture(picture.pixels)),
        "pictureLabel": "" if picture is None else picture.label,
    }


def _describe_entries(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [{"code": e.code, "title": e.title, "color": e.color} for e in entries]


def encode_plane(plane: np.ndarray) -> str:
    """The bytes of an array, deflated, as base64."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(plane).tobytes(), 6)).decode()


def encode_picture(pixels: np.ndarray) -> str:
    """Uint8 (h, w, 4) as the address of a WebP picture that holds it."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", quality=PICTURE_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
