"""The pixels that a map is made on: the scene's own, or those that it is warped to.

The network knows pixels of one size on the ground. A scene whose pixels are others, or lie
otherwise, is warped as it is read; here it is decided how.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyproj
from affine import Affine

from geoclass.errors import SceneError
from geoclass.scene.place import Place
from geoclass.scene.region import Region
from geoclass.scene.settings import FrameSettings, Resampling
from geoclass.scene.source import SceneSource
from geoclass.scene.target import Access, FrameDemands, Target, choose_target, doubt_target

HAIR = 1e-6
"""Of a pixel: less is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Pixels in rows and columns, and how they come from the scene's."""

    height: int
    width: int
    transform: Affine
    """From (column, row) of pixel corners to x, y."""
    crs: str | None
    """WKT; None where the scene has no place on Earth, x and y are pixels then."""
    access: Access = "read"
    row_off: int = 0
    """For `read`: the scene's row that is row 0 here; may lie outside the scene."""
    col_off: int = 0
    resampling: Resampling = "nearest"
    """For a warp."""
    notes: tuple[str, ...] = ()
    """What was decided."""
    warnings: tuple[str, ...] = ()
    """What is doubtful about it."""

    def to_json(self) -> dict[str, Any]:
        """What can change a pixel, beside the grid."""
        return {"access": self.access, "resampling": self.resampling}


def plan_frame(
    source: SceneSource,
    place: Place | None,
    settings: FrameSettings,
    demands: FrameDemands,
    region: Region | None,
) -> Frame:
    """Decide on which pixels a scene is mapped; SceneError where none would do."""
    if place is None:
        return _plan_unplaced(source, settings, region)
    target = choose_target(source, place, settings, demands, region)
    frame = _lay_frame(source, place, target)
    frame = _snap(frame, demands.stride) if settings.snap else frame
    if region is not None:
        frame = _crop(frame, region, demands)
    return replace(
        frame,
        notes=_tell(source, place, frame, target),
        warnings=doubt_target(place, target, demands),
    )


def _plan_unplaced(source: SceneSource, settings: FrameSettings, region: Region | None) -> Frame:
    """Rows and columns for coordinates; y counts upward from the first row, as on maps."""
    if region is not None or settings.snap or isinstance(settings.resolution, float):
        raise SceneError(
            f"{source.shown} does not say where it lies, so that no part, pixel size or grid of "
            "it can be chosen: give --crs and --bounds"
        )
    missing = "coordinate reference system" if source.crs is None else "transform"
    doubt = (
        f"the scene has no usable {missing}: the map is in pixels, areas are unknown, and pixels "
        "are taken to be of the model's size; --crs and --bounds say where it lies"
    )
    return Frame(
        height=source.height,
        width=source.width,
        transform=Affine.scale(1, -1),
        crs=None,
        warnings=(doubt,),
    )


def _lay_frame(source: SceneSource, place: Place, target: Target) -> Frame:
    if target.access == "read":
        return Frame(
            height=source.height, width=source.width, transform=source.transform, crs=place.crs
        )
    x, y = target.x, target.y
    width, height = target.pixel
    # Whole multiples of the pixel, so that scenes of one place share their pixels; a hair of
    # rounding is no reason for a pixel more.
    left, right = np.floor(x.min() / width + HAIR), np.ceil(x.max() / width - HAIR)
    bottom, top = np.floor(y.min() / height + HAIR), np.ceil(y.max() / height - HAIR)
    return Frame(
        height=int(top - bottom),
        width=int(right - left),
        transform=Affine(width, 0, left * width, 0, -height, top * height),
        crs=target.crs,
        access=target.access,
        resampling=target.resampling,
    )


def _snap(frame: Frame, stride: int) -> Frame:
    """Grow to whole multiples of a cell on all sides."""
    t = frame.transform
    cell_x, cell_y = stride * t.a, -stride * t.e
    left = np.floor(t.c / cell_x + 1e-9) * cell_x
    top = np.ceil(t.f / cell_y - 1e-9) * cell_y
    cols = np.ceil((t.c + t.a * frame.width - left) / cell_x - 1e-9)
    rows = np.ceil((top - t.f - t.e * frame.height) / cell_y - 1e-9)
    shift_x, shift_y = (left - t.c) / t.a, (top - t.f) / t.e
    snapped = replace(
        frame,
        height=int(rows) * stride,
        width=int(cols) * stride,
        transform=Affine(t.a, 0, left, 0, t.e, top),
    )
    if frame.access != "read":
        return snapped
    if max(abs(shift_x - round(shift_x)), abs(shift_y - round(shift_y))) < 1e-3:
        return replace(snapped, row_off=round(shift_y), col_off=round(shift_x))
    return replace(snapped, access="warp", resampling="cubic")


def _crop(frame: Frame, region: Region, demands: FrameDemands) -> Frame:
    """The cells, counted as in all of the scene, whose centres lie within the region's bounds."""
    t = frame.transform
    west, south, east, north = region.find_bounds(str(frame.crs))
    left, right = (west - t.c) / t.a, (east - t.c) / t.a
    top, bottom = (north - t.f) / t.e, (south - t.f) / t.e
    rows = _span_cells(top, bottom, frame.height, demands)
    cols = _span_cells(left, right, frame.width, demands)
    if rows is None or cols is None:
        raise SceneError(
            f"no cell of the scene has its centre in {region.text}: "
            "check place and coordinate reference system, or choose a larger part"
        )
    return replace(
        frame,
        height=rows[1] - rows[0],
        width=cols[1] - cols[0],
        transform=t @ Affine.translation(cols[0], rows[0]),
        row_off=frame.row_off + rows[0] if frame.access == "read" else 0,
        col_off=frame.col_off + cols[0] if frame.access == "read" else 0,
    )


def _span_cells(
    low: float, high: float, size: int, demands: FrameDemands
) -> tuple[int, int] | None:
    """Pixels, first and one after last, of cells whose centre lies between; at least a tile."""
    edges = np.minimum(np.arange(-(-size // demands.stride) + 1) * demands.stride, size)
    centres = (edges[:-1] + edges[1:]) / 2
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    if len(inside) == 0:
        return None
    first, last = int(inside[0]), int(inside[-1]) + 1
    while edges[last] - edges[first] < demands.tile_size and (first > 0 or last < len(edges) - 1):
        first, last = (first - 1, last) if first > 0 else (first, last + 1)
    return int(edges[first]), int(edges[last])


def _tell(source: SceneSource, place: Place, frame: Frame, target: Target) -> tuple[str, ...]:
    if frame.access == "read":
        return ()
    kind = {
        "warp": "degrees" if pyproj.CRS.from_wkt(place.crs).is_geographic else "pixels",
        "gcps": f"{source.gcps} ground control points",
        "rpcs": "rational polynomial coefficients",
    }[frame.access]
    width, height = place.pixel_m
    name = pyproj.CRS.from_wkt(str(frame.crs)).name
    note = (
        f"scene in {kind}, pixels of {width:.1f} × {height:.1f} m: warped to "
        f"{target.pixel_m:g} m in {name} ({frame.resampling})"
    )
    return (note,)


def fit_frame(source: SceneSource, place: Place | None, pixels: Frame) -> Frame:
    """How the pixels of an existing map come from the scene; for another scene, of its ground.

    Raises SceneError where the scene has no place to be compared with.
    """
    if place is None or pixels.crs is None:
        if place is not None or (source.height, source.width) != (pixels.height, pixels.width):
            raise SceneError(
                f"{source.shown} is not where the map is: {source.width}×{source.height} pixels, "
                f"the map was made of {pixels.width}×{pixels.height}"
            )
        return replace(pixels, access="read")
    if place.method != "transform":
        return replace(pixels, access=place.method, resampling="average")
    col, row = ~source.transform @ pixels.transform @ (0, 0)
    ours, theirs = np.array(source.transform), np.array(pixels.transform)
    same = pyproj.CRS.from_wkt(place.crs) == pyproj.CRS.from_wkt(pixels.crs)
    aligned = max(abs(col - round(col)), abs(row - round(row))) < 1e-3
    if same and aligned and np.allclose(ours[[0, 1, 3, 4]], theirs[[0, 1, 3, 4]], rtol=1e-9):
        return replace(pixels, access="read", row_off=round(row), col_off=round(col))
    return replace(pixels, access="warp", resampling="cubic")
