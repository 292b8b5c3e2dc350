"""Plots of land as people hand them in: put right where that is safe, or rejected one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.products.features import Features

WGS84 = "EPSG:4326"
GEOD = pyproj.Geod(ellps="WGS84")

ID_COLUMNS = ("external_id", "id", "plot_id", "plotid", "productionplace", "name")
"""Columns that name a plot where nobody says which does, the first that there is."""

WIDEST = 10.0
"""Degrees of longitude."""
CIRCLE_POINTS = 64
EDGE_POINTS = 21

NO_CRS = "has no coordinate reference system, taken for WGS 84"
NO_HEIGHTS = "has heights (Z), which were left out"
SWAPPED = "has its axes swapped, latitude before longitude; swapped back"
CROSSED = "crosses or overlaps itself; put right, no ground counts twice"
ANTIMERIDIAN = "crosses 180°; its two sides were put together"
MIXED = "holds lines or points beside its polygons, which were left out"
TWICE = "has the id of another plot; plotId tells them apart"


class _RejectedError(Exception):
    """Says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot that is to be judged, or why it cannot be."""

    external_id: str
    """As its file says."""
    kind: str
    """Type of geometry that was handed in, such as `Polygon`."""
    shape: shapely.Geometry | None
    """Polygons in WGS 84, degrees, longitude first; across 180° longitudes go on counting."""
    notes: tuple[str, ...] = ()
    """What was put right."""
    rejected: str | None = None
    """Why there is no shape."""


@dataclass(frozen=True, slots=True)
class MapsBox:
    """The place of the maps in degrees."""

    box: shapely.Geometry
    middle: float
    """Longitude."""

    @classmethod
    def around(cls, grid: Grid) -> MapsBox:
        """The rectangle that holds a grid's edges; longitudes may pass 180°."""
        row, col = np.array([0, grid.rows]), np.array([0, grid.cols])
        x, y = grid.corners(np.repeat(row, 2), np.tile(col, 2)).T
        to_degrees = pyproj.Transformer.from_crs(grid.crs, WGS84, always_xy=True)
        west, south, east, north = to_degrees.transform_bounds(
            x.min(), y.min(), x.max(), y.max(), densify_pts=EDGE_POINTS
        )
        east += 360 * (east < west)
        return cls(shapely.box(west, south, east, north), (west + east) / 2)


@dataclass(frozen=True, slots=True)
class _Terms:
    """What is the same for all plots of a file."""

    crs: pyproj.CRS
    to_degrees: pyproj.Transformer | None
    """None where the coordinates are WGS 84 already."""
    near: MapsBox
    radius_m: float | None
    """Of points."""


def mend_plots(
    features: Features, grid: Grid, *, radius_m: float | None, id_column: str | None
) -> list[Plot]:
    """The plots of a file in its order; points become circles.

    `grid` is that of the maps, which tells swapped axes. Raises SettingsError for a column that
    is not there, or a CRS that is none.
    """
    names = _name_plots(features.columns, len(features.shapes), id_column)
    crs = _find_crs(features)
    is_wgs84 = crs.equals(pyproj.CRS(WGS84), ignore_axis_order=True)
    to_degrees = None if is_wgs84 else pyproj.Transformer.from_crs(crs, WGS84, always_xy=True)
    terms = _Terms(crs, to_degrees, MapsBox.around(grid), radius_m)
    common = [] if features.crs else [NO_CRS]
    known: set[str] = set()
    plots = []
    for shape, name in zip(features.shapes, names, strict=True):
        twice = [TWICE] if name and name in known else []
        known.add(name)
        plots.append(_mend_one(shape, name, terms, [*common, *twice]))
    return plots


def _name_plots(
    columns: Mapping[str, np.ndarray], count: int, id_column: str | None
) -> Sequence[str]:
    if id_column is not None and id_column not in columns:
        raise SettingsError(
            f"the plots have no column {id_column!r}, but {', '.join(columns) or 'none'}: name one "
            "of these, or none"
        )
    lower = {name.lower(): name for name in [*columns][::-1]}
    column = id_column or next((lower[name] for name in ID_COLUMNS if name in lower), None)
    if column is None:
        return [""] * count
    return list(map(_spell_id, columns[column]))


def _spell_id(value: object) -> str:
    if value is None or str(value) == "nan":
        return ""
    # A column of whole numbers with gaps is read as floats.
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _find_crs(features: Features) -> pyproj.CRS:
    try:
        return pyproj.CRS.from_user_input(features.crs or WGS84)
    except CRSError as error:
        raise SettingsError(
            f"the coordinate reference system of the plots is not known ({error}): write them in "
            "WGS 84"
        ) from error


def _mend_one(shape: shapely.Geometry | None, name: str, terms: _Terms, notes: list[str]) -> Plot:
    kind = "" if shape is None else shape.geom_type
    try:
        mended = _mend_shape(shape, terms, notes)
    except _RejectedError as reason:
        return Plot(
            external_id=name, kind=kind, shape=None, notes=tuple(notes), rejected=str(reason)
        )
    return Plot(external_id=name, kind=kind, shape=mended, notes=tuple(notes))


def _mend_shape(
    shape: shapely.Geometry | None, terms: _Terms, notes: list[str]
) -> shapely.Geometry:
    if shape is None or shape.is_empty:
        raise _RejectedError("it has no geometry")
    if shapely.has_z(shape):
        notes.append(NO_HEIGHTS)
        shape = shapely.force_2d(shape)
    shape = _take_solid(shape, notes)
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise _RejectedError("some of its coordinates are no numbers")
    if terms.crs.is_geographic:
        shape = _turn_axes(shape, terms.near, notes)
    if terms.to_degrees is not None:
        shape = shapely.transform(shape, terms.to_degrees.transform, interleaved=False)
        if not np.isfinite(shapely.get_coordinates(shape)).all():
            raise _RejectedError(f"it has no place on Earth in {terms.crs.name}")
    shape = _join_sides(shape, terms.near, notes)
    if shapely.get_dimensions(shape) == 0:
        shape = _draw_circles(shape, terms.radius_m)
    if not shape.is_valid:
        notes.append(CROSSED)
        shape = _keep_polygons(shapely.make_valid(shape))
    if not shapely.area(shape) > 0:
        raise _RejectedError("it covers nothing")
    return shape


def _take_solid(shape: shapely.Geometry, notes: list[str]) -> shapely.Geometry:
    """Polygons, or points where there are no polygons."""
    parts = _take_apart(shape)
    dimensions = shapely.get_dimensions(parts)
    for dimension in (2, 0):
        mine = parts[dimensions == dimension]
        if len(mine):
            if len(mine) < len(parts):
                notes.append(MIXED)
            return shapely.multipolygons(mine) if dimension else shapely.multipoints(mine)
    raise _RejectedError(f"it is a {shape.geom_type}: give a polygon or a point")


def _turn_axes(shape: shapely.Geometry, near: MapsBox, notes: list[str]) -> shapely.Geometry:
    """The shape with longitude first, told by what degrees can be and by the place of the maps."""
    turned = shapely.transform(shape, lambda points: points[:, ::-1])
    fits, turned_fits = _is_on_earth(shape), _is_on_earth(turned)
    if not fits and not turned_fits:
        x, y = shapely.get_coordinates(shape)[0]
        raise _RejectedError(
            f"its coordinates, such as {x:.10g}, {y:.10g}, are no degrees: write it in WGS 84, or "
            "say its coordinate reference system"
        )
    lies_here = fits and _lies_near(shape, near)
    if not fits or (not lies_here and turned_fits and _lies_near(turned, near)):
        notes.append(SWAPPED)
        return turned
    return shape


def _is_on_earth(shape: shapely.Geometry) -> bool:
    west, south, east, north = shapely.bounds(shape)
    return bool(west >= -360 and east <= 360 and south >= -90 and north <= 90)


def _lies_near(shape: shapely.Geometry, near: MapsBox) -> bool:
    shape = _move_near(shape, near)
    return bool(shapely.intersects(shapely.box(*shapely.bounds(shape)), near.box))


def _join_sides(shape: shapely.Geometry, near: MapsBox, notes: list[str]) -> shapely.Geometry:
    """Longitudes that go on counting where a plot crosses 180°; moved to those of the maps."""
    west, _, east, _ = shapely.bounds(shape)
    if east - west > 180:
        shape = shapely.transform(
            shape, lambda points: np.stack([points[:, 0] % 360, points[:, 1]], axis=1)
        )
        shape = shapely.make_valid(shape)  # two halves touch
        west, _, east, _ = shapely.bounds(shape)
        notes.append(ANTIMERIDIAN)
    if east - west > WIDEST:
        raise _RejectedError(f"it is {east - west:.0f}° wide, more than any plot")
    return _move_near(shape, near)


def _move_near(shape: shapely.Geometry, near: MapsBox) -> shapely.Geometry:
    west, _, east, _ = shapely.bounds(shape)
    middle = (west + east) / 2
    turn = float(_bring_near(np.array(middle), near.middle)) - middle
    return shapely.transform(shape, lambda points: points + np.array([turn, 0])) if turn else shape


def _bring_near(lon: np.ndarray, middle: float) -> np.ndarray:
    """Longitudes within 180° of another."""
    moved: np.ndarray = lon - 360 * np.round((lon - middle) / 360)
    return moved


def _draw_circles(shape: shapely.Geometry, radius_m: float | None) -> shapely.Geometry:
    if radius_m is None:
        raise _RejectedError("it is a point: give --radius METRES")
    azimuth = np.linspace(0, 360, CIRCLE_POINTS, endpoint=False)
    circles = []
    for lon, lat in shapely.get_coordinates(shape):
        ones = np.ones(CIRCLE_POINTS)
        x, y, _ = GEOD.fwd(ones * lon, ones * lat, azimuth, ones * radius_m)
        circles.append(shapely.polygons(np.stack([_bring_near(x, lon), y], axis=1)))
    return _keep_polygons(shapely.union_all(circles))


def _take_apart(shape: shapely.Geometry) -> np.ndarray:
    """Polygons, lines and points (n,), of collections within collections, too."""
    parts: np.ndarray = shapely.get_parts(shape)
    while any(part.geom_type.startswith(("Multi", "Geometry")) for part in parts):
        parts = shapely.get_parts(parts)
    return parts


def _keep_polygons(shape: shapely.Geometry) -> shapely.Geometry:
    parts = _take_apart(shape)
    return shapely.multipolygons(parts[shapely.get_dimensions(parts) == 2])


def split_at_180(shape: shapely.Geometry) -> shapely.Geometry:
    """The shape with longitudes from -180 to 180, cut there (RFC 7946, 3.1.9)."""
    west, _, east, _ = shapely.bounds(shape)
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in (-360, 0, 360):
        part = shapely.intersection(shape, shapely.box(-180 + turn, -90, 180 + turn, 90))
        parts.append(
            shapely.transform(part, lambda points, turn=turn: points - np.array([turn, 0]))
        )
    return _keep_polygons(shapely.union_all(parts))
