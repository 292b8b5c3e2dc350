"""The land-cover map, its provenance and its areas."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from geoclass.contract import Contract, Precision
from geoclass.dates import parse_day
from geoclass.grid import Grid
from geoclass.legend import MASKED, NODATA, UNKNOWN, Legend
from geoclass.outside import convert_json, redact

FULL_SCALE = 250
"""Stored value of a fraction or probability of 1; 255 is nodata."""

COLORS = ("red", "green", "blue", "dark_red", "dark_green", "dark_blue")
"""Columns of `LandCoverMap.colors`: mean of each band, and mean of its darkest quarter."""

MASK_REASONS = ("", "cloud", "cirrus", "shadow", "snow", "saturated", "user")
"""Reason of a mask by code; 0 is not masked."""

STATUS_NAMES = {UNKNOWN: "unknown", MASKED: "masked", NODATA: "nodata"}

NOTEBOOK_PX = 512
"""Pixels of a map's longer side in a notebook, at most."""


SENTINEL_2 = "Sentinel-2"


def credit(images: Iterable[tuple[str | None, str | None]]) -> str:
    """The attribution that the Copernicus Sentinel licence requires; empty for other data.

    `images` are missions and dates, YYYY-MM-DD.
    """
    dates = [day for mission, day in images if mission == SENTINEL_2]
    if not dates:
        return ""
    years = sorted({day[:4] for day in dates if day})
    return f"contains modified Copernicus Sentinel data {', '.join(years)}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """How a map was made."""

    scene: str
    """File name of the scene."""
    date: str | None
    """Day of sensing, YYYY-MM-DD, if known."""
    source: Mapping[str, Any]
    """Identity of the scene's file: path, size, modification time."""
    bands: tuple[int, ...]
    """Numbers of the bands used as red, green, blue, from 1."""
    radiometry: Mapping[str, Any]
    """Conversion of stored numbers to 8 bits, and the reason."""
    model: str
    """SHA-256 of the model file."""
    options: Mapping[str, Any]
    """Settings of the map."""
    version: str
    """Version of geoclass."""
    command: str
    """Command line or function call."""
    fingerprint: str
    """Hash of scene, model and options; equal hashes mean equal maps, except for precision."""
    precision: Precision = "fp32"
    """Precision used by the network; it changes about one cell in some thousands."""
    request: str = ""
    """Hash of the request, computed without reading pixels; empty in maps of older versions."""
    masked_by: tuple[str, ...] | None = None
    """Sources of masks, for people; None if not recorded."""
    warnings: tuple[str, ...] = ()
    """Warnings about the map, for people."""
    mission: str | None = None
    """`Sentinel-2`, if known."""

    def __post_init__(self) -> None:
        """Remove secrets: files, reports and terminals show these values."""
        for name in self.__slots__:
            object.__setattr__(self, name, redact(getattr(self, name)))

    @property
    def attribution(self) -> str:
        """Attribution to show with the map; may be empty."""
        return credit([(self.mission, self.date)])

    def to_json(self) -> dict[str, Any]:
        """JSON data for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Inverse of `to_json`; ValueError, which names the field, for other data."""
        provenance = convert_json(data, cls, "provenance")
        if provenance.date is not None and parse_day(provenance.date) != provenance.date:
            raise ValueError(f"provenance.date must be YYYY-MM-DD, got {provenance.date!r}")
        if not isinstance(provenance.radiometry.get("name"), str):
            raise ValueError("provenance.radiometry has no name")  # noqa: TRY004
        return provenance


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaRow:
    """Cells and area of one class or status."""

    class_id: int
    name: str
    title: str
    group: str | None
    cells: int
    area_ha: float
    """NaN if the map has no CRS."""
    share: float
    """Fraction of the area of all cells except nodata, 0–1."""


class Areas(tuple[AreaRow, ...]):
    """Areas of classes and statuses; `print` and notebooks show them as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(
            f"{title:<24}{cells:>9}{area_ha:>14}{share:>9}".rstrip()
            for title, cells, area_ha, share in self._tabulate()
        )

    def _repr_html_(self) -> str:
        rows = (
            "".join(f"<td>{html.escape(text)}</td>" for text in texts) for texts in self._tabulate()
        )
        return f"<table><tr>{'</tr><tr>'.join(rows)}</tr></table>"

    def _tabulate(self) -> list[tuple[str, str, str, str]]:
        """Texts of the table: head, classes and statuses that occur, and the sum."""
        shown = [
            (row.title, str(row.cells), _format_ha(row.area_ha), f"{row.share:.1%}")
            for row in self
            if row.cells or row.group is None
        ]
        total_ha = _format_ha(sum(row.area_ha for row in self))
        total = ("all", str(sum(row.cells for row in self)), total_ha, "")
        return [("class", "cells", "hectares", "share"), *shown, total]


def _format_ha(area_ha: float) -> str:
    return "unknown" if math.isnan(area_ha) else f"{area_ha:,.1f}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LandCoverMap:
    """Labels of all cells of a scene."""

    grid: Grid
    contract: Contract
    provenance: Provenance
    class_id: np.ndarray
    """uint8 (rows, cols): the class, or 253 unknown, 254 masked, 255 nodata."""
    best_class: np.ndarray
    """uint8 (rows, cols): the top-1 class, also of unknown cells; 255 where not classified."""
    probabilities: np.ndarray
    """uint8 (rows, cols, classes): 250 is 1; 0 where not classified."""
    valid_share: np.ndarray
    """uint8 (rows, cols): valid fraction of the cell; 250 is 1."""
    mask_reason: np.ndarray
    """uint8 (rows, cols): most common reason in a masked cell, see MASK_REASONS; 0 elsewhere."""
    colors: np.ndarray | None = None
    """uint8 (rows, cols, 6): COLORS of the valid pixels, 1–255 in EuroSAT's 8-bit stretch; 0 where
    not classified. None for cells of tile size and in maps of older versions."""
    detail: LandCoverMap | None = None
    """The same scene in smaller cells, which divide those of this map; None if there are none."""

    def __post_init__(self) -> None:
        shape = (self.grid.rows, self.grid.cols)
        expected_shapes = {
            "class_id": shape,
            "best_class": shape,
            "probabilities": (*shape, len(self.legend)),
            "valid_share": shape,
            "mask_reason": shape,
            **({} if self.colors is None else {"colors": (*shape, len(COLORS))}),
        }
        for name, expected in expected_shapes.items():
            array = getattr(self, name)
            if array.dtype != np.uint8 or array.shape != expected:
                raise ValueError(
                    f"{name} must be uint8 {expected}, got {array.dtype} {array.shape}"
                )
        if self.detail is not None:
            self._check_detail(self.detail)

    def _check_detail(self, detail: LandCoverMap) -> None:
        if detail.detail is not None or self.grid.stride % detail.grid.stride:
            raise ValueError(
                f"cells of a detail must divide those of {self.grid.stride} pixels, and have no "
                f"detail of their own, got {detail.grid.stride} pixels"
            )
        if replace(detail.grid, stride=self.grid.stride) != self.grid:
            raise ValueError("a detail must be of the same pixels as its map")

    def check_codes(self) -> None:
        """ValueError, which names the array, for codes that have no meaning."""
        classes = range(len(self.legend))
        meanings = {
            "class_id": (*classes, *STATUS_NAMES),
            "best_class": (*classes, NODATA),
            "valid_share": range(FULL_SCALE + 1),
            "mask_reason": range(len(MASK_REASONS)),
            "probabilities": range(FULL_SCALE + 1),
        }
        for name, codes in meanings.items():
            values, known = getattr(self, name), np.isin(np.arange(256), tuple(codes))
            if values.max(initial=0) >= known.argmin() and not known[values].all():
                raise ValueError(f"{name} holds numbers that mean nothing")

    @property
    def finest(self) -> LandCoverMap:
        """The detail, or the map itself if it has none."""
        return self if self.detail is None else self.detail

    @property
    def levels(self) -> tuple[LandCoverMap, ...]:
        """The map and, if it has one, its detail."""
        return (self,) if self.detail is None else (self, self.detail)

    @property
    def legend(self) -> Legend:
        """The model's classes."""
        return self.contract.legend

    @property
    def palette(self) -> np.ndarray:
        """Uint8 (256, 4): red, green, blue and opacity of each code; clear where nodata."""
        table = np.zeros((256, 4), dtype=np.uint8)
        for entry in self.legend.entries:
            table[entry.class_id] = (*entry.rgb, 255)
        return table

    @property
    def best_probability(self) -> np.ndarray:
        """uint8 (rows, cols): probability of `best_class`; 250 is 1, 0 where not classified."""
        best = np.where(self.best_class != NODATA, self.best_class, 0)[:, :, None]
        chosen = np.take_along_axis(self.probabilities, best, axis=2)[:, :, 0]
        return np.where(self.best_class != NODATA, chosen, np.uint8(0))

    @property
    def confidence(self) -> np.ndarray:
        """float64 (rows, cols): probability of `best_class`, 0–1; NaN where not classified."""
        return np.where(self.best_class != NODATA, self.best_probability / FULL_SCALE, np.nan)

    def areas(self) -> Areas:
        """Cells and hectares of each class, then of unknown and masked cells.

        They are computed from the smallest cells. Without a CRS, hectares are NaN and shares are
        fractions of the pixels.
        """
        finest = self.finest
        codes, area_ha = finest.class_id.ravel(), finest.grid.areas_ha()
        weights = area_ha if finest.grid.crs is not None else finest.grid.pixel_counts()
        cells = np.bincount(codes, minlength=256)
        hectares, weight = (
            np.bincount(codes, w.ravel(), minlength=256) for w in (area_ha, weights)
        )
        total = float(weight[:NODATA].sum())
        return Areas(
            AreaRow(
                class_id=entry.class_id,
                name=entry.name,
                title=entry.title,
                group=entry.group,
                cells=int(cells[entry.class_id]),
                area_ha=float(hectares[entry.class_id]),
                share=float(weight[entry.class_id]) / total if total else 0.0,
            )
            for entry in self.legend.entries
        )

    def _repr_html_(self) -> str:
        """Picture and areas, as notebooks show them; large maps are thinned out."""
        from PIL import Image  # only notebooks need it

        codes = self.finest.class_id
        step = -(-max(codes.shape) // NOTEBOOK_PX)
        image, file = Image.fromarray(codes[::step, ::step]), io.BytesIO()
        image.putpalette(self.palette.tobytes(), "RGBA")
        image.save(file, "PNG")
        told = html.escape(f"{self.provenance.scene}, {self.provenance.date or 'date unknown'}")
        return (
            f'<p>{told}</p><img alt="Land-cover map" width="{NOTEBOOK_PX}" '
            'style="image-rendering: pixelated" '
            f'src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
            f"{self.areas()._repr_html_()}"
        )


def quantise_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Float (…, classes), 0–1, to uint8 in steps of 1/250."""
    return np.rint(probabilities * FULL_SCALE).astype(np.uint8)
