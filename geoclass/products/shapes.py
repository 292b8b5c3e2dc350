"""The polygons of a map with their columns: one per cell, or one per patch of cells."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely

from geoclass.landcover import FULL_SCALE, MASK_REASONS, STATUS_NAMES, LandCoverMap
from geoclass.legend import NODATA, Legend
from geoclass.products.patches import find_patches

ALIASES = (
    ("class_id", "Class number"),
    ("class_name", "Class"),
    ("class_title", "Title of the class"),
    ("group", "Group"),
    ("best_class", "Most probable class"),
    ("confidence", "Confidence (0–1)"),
    ("status", "Status"),
    ("mask_reason", "Reason of the mask"),
    ("valid_share", "Valid fraction (0–1)"),
    ("area_ha", "Area (ha)"),
    ("row", "Row"),
    ("col", "Column"),
    ("scene", "Scene"),
    ("date", "Date of sensing"),
)
"""(column, alias) of cells."""

_PATCH_COLUMNS = (
    "class_id", "class_name", "class_title", "group", "confidence", "mask_reason", "area_ha"
)  # fmt: skip
"""Columns of patches; there may be half a million, so texts are few."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """Polygons and their columns, (n,) each, without nodata cells."""

    columns: Mapping[str, np.ndarray]
    """In the order of `name_columns`; texts are object arrays."""
    wkb: np.ndarray
    """Object."""


def name_columns(
    legend: Legend, *, probabilities: bool = False, dissolve: bool = False, detailed: bool = False
) -> list[tuple[str, str]]:
    """(column, alias) of `to_geodataframe`; `detailed` maps have a detail."""
    named = [(f"p_{c.name}", f"Probability of {c.title} (0–1)") for c in legend.classes]
    more = named if probabilities else []
    if dissolve:
        kept = [(name, alias) for name, alias in ALIASES if name in _PATCH_COLUMNS]
        return [*kept, ("cells", "Cells"), *more]
    shares = [(f"share_{g}", f"Share of {g} (0–1)") for g in legend.groups]
    return [*ALIASES, *(shares if detailed else []), *more]


def to_geodataframe(
    landcover: LandCoverMap, *, probabilities: bool = False, dissolve: bool = False
) -> gpd.GeoDataFrame:
    """One row per cell that is not nodata: its polygon and the columns of the GeoPackage.

    class_id, class_name, class_title, group, best_class, confidence (0–1), status, mask_reason,
    valid_share (0–1), area_ha, row, col, scene, date; with a detail also share_GROUP (0–1), the
    fraction of each group among the classified cells of the detail, NaN if there are none; with
    `probabilities` also p_CLASS (0–1). Confidence and probabilities are NaN if a cell was not
    classified.

    With `dissolve` one row per patch: cells with common sides of one class, masked for one reason,
    or unknown. Columns are class_id, class_name, class_title, group, confidence, mask_reason,
    area_ha and `cells`, their number; confidence and probabilities are means by pixels.

    For a detail use `to_geodataframe(landcover.finest, dissolve=True)`.
    """
    if dissolve:
        shapes = shape_patches(landcover, probabilities=probabilities)
    else:
        shapes = next(shape_rows(landcover, landcover.grid.rows, probabilities=probabilities))
    return gpd.GeoDataFrame(
        dict(shapes.columns), geometry=shapely.from_wkb(shapes.wkb), crs=landcover.grid.crs
    )


def shape_rows(landcover: LandCoverMap, at_a_time: int, *, probabilities: bool) -> Iterator[Shapes]:
    """The cells, `at_a_time` rows at a time: polygons take more memory than the map."""
    grid, legend, provenance = landcover.grid, landcover.legend, landcover.provenance
    confidence, area_ha, shares = landcover.confidence, grid.areas_ha(), share_groups(landcover)
    statuses = _look_up({c.class_id: "classified" for c in legend.classes} | STATUS_NAMES)
    names = _look_up({c.class_id: c.name for c in legend.classes})
    day = np.datetime64(provenance.date or "NaT", "D")
    for first in range(0, grid.rows, at_a_time):
        row, col = np.nonzero(landcover.class_id[first : first + at_a_time] != NODATA)
        row += first
        codes, best = landcover.class_id[row, col], landcover.best_class[row, col]
        columns = {
            **_name_codes(codes, landcover.mask_reason[row, col], legend),
            "best_class": names[best],
            "confidence": confidence[row, col],
            "status": statuses[codes],
            "valid_share": landcover.valid_share[row, col] / FULL_SCALE,
            "area_ha": area_ha[row, col].round(4),
            "row": row.astype(np.int32),
            "col": col.astype(np.int32),
            "scene": np.full(len(row), provenance.scene, dtype=object),
            "date": np.full(len(row), day),
            **{name: share[row, col] for name, share in shares.items()},
        }
        if probabilities:
            stored = landcover.probabilities[row, col] / FULL_SCALE
            stored[best == NODATA] = np.nan
            columns |= {f"p_{name}": stored[:, k] for k, name in enumerate(legend.names)}
        order = name_columns(legend, probabilities=probabilities, detailed=bool(shares))
        yield Shapes(
            columns={name: columns[name] for name, _ in order},
            wkb=shapely.to_wkb(grid.polygons(row, col)),
        )


def shape_patches(landcover: LandCoverMap, *, probabilities: bool) -> Shapes:
    """The patches of cells."""
    grid, legend = landcover.grid, landcover.legend
    kind = landcover.class_id.astype(np.uint16) << 8 | landcover.mask_reason
    patches = find_patches(kind, landcover.class_id != NODATA, grid)
    n = len(patches.wkb)
    # 0 is no patch.
    number = patches.number.ravel() + 1
    kinds = np.empty(n + 1, dtype=np.uint16)
    kinds[number] = kind.ravel()
    weight = np.where(landcover.best_class != NODATA, grid.pixel_counts(), 0)
    weights = _sum_up(number, weight, n)

    def average(values: np.ndarray) -> np.ndarray:
        """float64 (n,): means over classified cells, NaN if there are none."""
        with np.errstate(invalid="ignore"):
            means: np.ndarray = _sum_up(number, weight * values, n) / weights / FULL_SCALE
        return means

    columns = {
        **_name_codes((kinds[1:] >> 8).astype(np.uint8), kinds[1:] & 255, legend),
        "confidence": average(landcover.best_probability).round(4),
        "area_ha": _sum_up(number, grid.areas_ha(), n).round(4),
        "cells": np.bincount(number, minlength=n + 1)[1:].astype(np.int32),
    }
    if probabilities:
        for k, name in enumerate(legend.names):
            columns[f"p_{name}"] = average(landcover.probabilities[:, :, k])
    order = name_columns(legend, probabilities=probabilities, dissolve=True)
    return Shapes(columns={name: columns[name] for name, _ in order}, wkb=patches.wkb)


def share_groups(landcover: LandCoverMap) -> dict[str, np.ndarray]:
    """`share_GROUP` → float64 (rows, cols), 0–1: fraction of the detail's classified cells.

    NaN if no cell is classified; empty without a detail.
    """
    detail, grid = landcover.detail, landcover.grid
    if detail is None:
        return {}
    first_row = np.searchsorted(detail.grid.row_edges[:-1], grid.row_edges[:-1])
    first_col = np.searchsorted(detail.grid.col_edges[:-1], grid.col_edges[:-1])
    counts = {}
    for group in landcover.legend.groups:
        codes = [c.class_id for c in landcover.legend.classes if c.group == group]
        inside = np.isin(np.arange(256), codes)[detail.class_id]
        by_row = np.add.reduceat(inside, first_row, axis=0, dtype=np.int32)
        counts[f"share_{group}"] = np.add.reduceat(by_row, first_col, axis=1)
    total = sum(counts.values())
    with np.errstate(invalid="ignore"):
        return {name: (count / total).round(4) for name, count in counts.items()}


def _sum_up(number: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """float64 (n,): sums of the values of each number 1 … n."""
    return np.bincount(number, values.ravel(), minlength=n + 1)[1:]


def _name_codes(codes: np.ndarray, reasons: np.ndarray, legend: Legend) -> dict[str, np.ndarray]:
    """Columns of codes of classes and of MASK_REASONS."""
    entries = legend.entries
    return {
        "class_id": codes.astype(np.int32),
        "class_name": _look_up({e.class_id: e.name for e in entries})[codes],
        "class_title": _look_up({e.class_id: e.title for e in entries})[codes],
        "group": _look_up({e.class_id: e.group for e in entries})[codes],
        "mask_reason": _look_up({i: name or None for i, name in enumerate(MASK_REASONS)})[reasons],
    }


def _look_up(texts: Mapping[int, str | None]) -> np.ndarray:
    """Object (256,): text or None by code."""
    table = np.full(256, None, dtype=object)
    for code, text in texts.items():
        table[code] = text
    return table
