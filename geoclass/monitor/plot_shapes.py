"""Plots of land from vector files: repaired where that is safe, or rejected one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.monitor.settings import PlotSettings
from geoclass.monitor.tables import flatten, keep_polygons
from geoclass.products.layers import Features

WGS84 = "EPSG:4326"
GEOD = pyproj.Geod(ellps="WGS84")

ID_COLUMNS = ("external_id", "id", "plot_id", "plotid", "productionplace", "name")
"""Columns that may contain the name of a plot, in order of preference."""

MAX_WIDTH = 10.0
"""Degrees of longitude."""
CIRCLE_POINTS = 64
EDGE_POINTS = 21


class _RejectedError(Exception):
    """The message is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of land, or the reason why it was rejected."""

    external_id: str
    """Name in the file."""
    kind: str
    """Geometry type in the file, for example `Polygon`."""
    shape: shapely.Geometry | None
    """Polygons in WGS 84, degrees, longitude first; longitudes can exceed 180°."""
    notes: tuple[str, ...] = ()
    """Repairs."""
    rejected: str | None = None
    """Why there is no shape."""


def repair_plots(features: Features, grid: Grid, settings: PlotSettings) -> list[Plot]:
    """The plots of a file in its order; points become circles.

    The location of the maps, `grid`, shows whether axes are swapped. Raises SettingsError for an
    unknown column or CRS.
    """
    ids = _list_ids(features.columns, len(features.shapes), settings.id_column)
    crs = _find_crs(features)
    to_degrees = pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)
    maps = _locate_maps(grid)
    known: set[str] = set()
    plots = []
    for shape, name in zip(features.shapes, ids, strict=True):
        notes = []
        if not features.crs:
            notes.append("has no coordinate reference system; WGS 84 is assumed")
        if name and name in known:
            notes.append("has the id of another plot; plotId distinguishes them")
        known.add(name)
        repaired = reason = None
        try:
            repaired = _repair(shape, crs, to_degrees, maps, settings.radius_m, notes)
        except _RejectedError as error:
            reason = str(error)
        kind = "" if shape is None else shape.geom_type
        plots.append(
            Plot(external_id=name, kind=kind, shape=repaired, notes=tuple(notes), rejected=reason)
        )
    return plots


def _list_ids(
    columns: Mapping[str, np.ndarray], count: int, id_column: str | None
) -> Sequence[str]:
    if id_column is not None and id_column not in columns:
        raise SettingsError(
            f"the plots have no column {id_column!r}; columns are {', '.join(columns) or 'none'}: "
            "give one of these, or none"
        )
    lower = {name.lower(): name for name in [*columns][::-1]}
    column = id_column or next((lower[name] for name in ID_COLUMNS if name in lower), None)
    return [""] * count if column is None else list(map(_format_id, columns[column]))


def _format_id(value: object) -> str:
    if value is None or str(value) == "nan":
        return ""
    # A column of integers with gaps is read as floats.
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _find_crs(features: Features) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(features.crs or WGS84)
    except CRSError as error:
        raise SettingsError(
            f"the coordinate reference system of the plots is unknown ({error}): write them in "
            "WGS 84"
        ) from error


def _locate_maps(grid: Grid) -> shapely.Geometry:
    """Rectangle around a grid in degrees; longitudes can exceed 180°."""
    row, col = np.array([0, 0, grid.rows, grid.rows]), np.array([0, grid.cols, 0, grid.cols])
    left, bottom, right, top = shapely.total_bounds(shapely.points(grid.corners(row, col)))
    to_degrees = pyproj.Transformer.from_crs(grid.crs, WGS84, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(left, bottom, right, top, EDGE_POINTS)
    return shapely.box(west, south, east + 360 * (east < west), north)


def _repair(
    shape: shapely.Geometry | None,
    crs: pyproj.CRS,
    to_degrees: pyproj.Transformer,
    maps: shapely.Geometry,
    radius_m: float | None,
    notes: list[str],
) -> shapely.Geometry:
    """A plot in degrees; repairs are added to `notes`. `maps` is their rectangle in degrees."""
    if shape is None or shape.is_empty:
        raise _RejectedError("it has no geometry")
    if shapely.has_z(shape):
        notes.append("has heights (Z); they are ignored")
        shape = shapely.force_2d(shape)
    shape = _keep_usable(shape, notes)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise _RejectedError("some of its coordinates are not finite")
    if crs.is_geographic:
        shape = _repair_axes(shape, maps, notes)
    if not crs.equals(pyproj.CRS(WGS84), ignore_axis_order=True):
        shape = shapely.transform(shape, to_degrees.transform, interleaved=False)
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            raise _RejectedError(f"it lies outside the area of {crs.name}")
    shape = _join_sides(shape, maps, notes)
    if shapely.get_dimensions(shape) == 0:
        shape = _draw_circles(shape, radius_m)
    if not shape.is_valid:
        notes.append("intersects or overlaps itself; repaired, no area counts twice")
        shape = keep_polygons(shapely.make_valid(shape))
    if not shapely.area(shape) > 0:
        raise _RejectedError("it has no area")
    return shape


def _keep_usable(shape: shapely.Geometry, notes: list[str]) -> shapely.Geometry:
    """The polygons, or the points if there are no polygons."""
    parts = flatten(shape)
    dimensions = shapely.get_dimensions(parts)
    for dimension, collect in ((2, shapely.multipolygons), (0, shapely.multipoints)):
        usable = parts[dimensions == dimension]
        if len(usable):
            if len(usable) < len(parts):
                notes.append("contains lines or points beside its polygons; they are ignored")
            return collect(usable)
    raise _RejectedError(f"it is a {shape.geom_type}: give a polygon or a point")


def _repair_axes(
    shape: shapely.Geometry, maps: shapely.Geometry, notes: list[str]
) -> shapely.Geometry:
    """The shape with longitude first, judged by the range of degrees and by the maps."""
    swapped = shapely.transform(shape, lambda points: points[:, ::-1])
    is_possible, swapped_is_possible = map(_are_degrees, (shape, swapped))
    if not is_possible and not swapped_is_possible:
        x, y = shapely.get_coordinates(shape)[0]
        raise _RejectedError(
            f"its coordinates, for example {x:.10g}, {y:.10g}, are not degrees: write it in WGS "
            "84, or set its coordinate reference system"
        )
    keep = not swapped_is_possible or _lies_near(shape, maps) or not _lies_near(swapped, maps)
    if is_possible and keep:
        return shape
    notes.append("has swapped axes (latitude before longitude); repaired")
    return swapped


def _are_degrees(shape: shapely.Geometry) -> bool:
    west, south, east, north = shapely.bounds(shape)
    return bool(west >= -360 and east <= 360 and south >= -90 and north <= 90)


def _lies_near(shape: shapely.Geometry, maps: shapely.Geometry) -> bool:
    shape = _shift_near(shape, maps)
    return bool(shapely.intersects(shapely.box(*shapely.bounds(shape)), maps))


def _join_sides(
    shape: shapely.Geometry, maps: shapely.Geometry, notes: list[str]
) -> shapely.Geometry:
    """A shape that crosses 180° in one piece; longitudes are shifted to those of the maps."""
    west, _, east, _ = shapely.bounds(shape)
    if east - west > 180:
        shape = shapely.transform(shape, lambda p: np.column_stack([p[:, 0] % 360, p[:, 1]]))
        shape = shapely.make_valid(shape)  # the two halves touch
        west, _, east, _ = shapely.bounds(shape)
        notes.append("crosses 180°; the two sides are joined")
    if east - west > MAX_WIDTH:
        raise _RejectedError(f"it is {east - west:.0f}° wide, expected at most {MAX_WIDTH:.0f}°")
    return _shift_near(shape, maps)


def _shift_near(shape: shapely.Geometry, maps: shapely.Geometry) -> shapely.Geometry:
    west, east = shapely.bounds(shape)[[0, 2]]
    turns = np.round(((west + east) / 2 - shapely.bounds(maps)[[0, 2]].mean()) / 360)
    return shapely.transform(shape, lambda points: points - [360 * turns, 0]) if turns else shape


def _draw_circles(shape: shapely.Geometry, radius_m: float | None) -> shapely.Geometry:
    if radius_m is None:
        raise _RejectedError("it is a point: give --radius METRES")
    centres = shapely.get_coordinates(shape)
    lon, lat = centres.repeat(CIRCLE_POINTS, axis=0).T
    azimuth = np.tile(np.linspace(0, 360, CIRCLE_POINTS, endpoint=False), len(centres))
    x, y, _ = GEOD.fwd(lon, lat, azimuth, np.full(len(lon), radius_m))
    x -= 360 * np.round((x - lon) / 360)
    circles = shapely.polygons(np.stack([x, y], axis=1).reshape(-1, CIRCLE_POINTS, 2))
    return keep_polygons(shapely.union_all(circles))


def split_at_180(shape: shapely.Geometry) -> shapely.Geometry:
    """The shape with longitudes from -180 to 180, cut at 180° (RFC 7946, 3.1.9)."""
    west, _, east, _ = shapely.bounds(shape)
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in (-360, 0, 360):
        part = shapely.intersection(shape, shapely.box(-180 + turn, -90, 180 + turn, 90))
        parts.append(shapely.transform(part, lambda points, turn=turn: points - [turn, 0]))
    return keep_polygons(shapely.union_all(parts))
