"""Where the cells of a map lie: pure arithmetic on a scene's pixels.

Rows count downward from the top, columns rightward from the left, both from 0. A cell is
`stride` pixels a side and belongs to the map; a tile is `tile_size` pixels a side and is
what the network sees. A tile lies around the middle of its cell, moved inward where it would
leave the scene, so that the network always sees real pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from reprlib import repr as shorten
from typing import Any, TypedDict

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.exceptions import CRSError

from geoclass.errors import SceneError
from geoclass.outside import convert_json

MOST_PIXELS = 2**31 - 1
"""Of a side, as GDAL has it."""

AREA_TOLERANCE = 1e-3
"""A projection whose areas are this close to those on the ground is taken at its word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The cells of one scene."""

    height: int
    """Rows of pixels of the scene."""
    width: int
    """Columns of pixels of the scene."""
    transform: Affine
    """From (column, row) of pixel corners to x, y in the CRS."""
    crs: str | None
    """WKT of the coordinate reference system; None where x and y are pixels without a place."""
    tile_size: int = 64
    stride: int = 64

    def __post_init__(self) -> None:
        for name in ("height", "width", "tile_size", "stride"):
            if not isinstance(value := getattr(self, name), Integral) or int(value) > MOST_PIXELS:
                raise ValueError(f"{name} must be a whole number up to {MOST_PIXELS}, got {value}")
        numbers = tuple(self.transform)[:6]
        if (
            not all(map(math.isfinite, numbers))
            or not 1e-20 < abs(self.transform.determinant) < 1e20
        ):
            raise ValueError(
                f"the transform to coordinates must give pixels of some size, got {numbers}"
            )
        if min(self.height, self.width) < self.tile_size:
            raise ValueError(
                f"a scene of {self.width}×{self.height} pixels is smaller than "
                f"one tile of {self.tile_size}×{self.tile_size}"
            )
        if not 0 < self.stride <= self.tile_size:
            raise ValueError(f"stride must be 1 … {self.tile_size}, got {self.stride}")

    @property
    def rows(self) -> int:
        """Rows of cells; the last may be lower than the others."""
        return -(-self.height // self.stride)

    @property
    def cols(self) -> int:
        """Columns of cells; the last may be narrower than the others."""
        return -(-self.width // self.stride)

    @property
    def row_edges(self) -> np.ndarray:
        """int64 (rows + 1,): pixel rows between which the cells lie."""
        return _edges(self.rows, self.stride, self.height)

    @property
    def col_edges(self) -> np.ndarray:
        """int64 (cols + 1,): pixel columns between which the cells lie."""
        return _edges(self.cols, self.stride, self.width)

    @property
    def tile_rows(self) -> np.ndarray:
        """int64 (rows,): the top pixel row of each cell's tile."""
        return _tile_origins(self.rows, self.stride, self.tile_size, self.height)

    @property
    def tile_cols(self) -> np.ndarray:
        """int64 (cols,): the left pixel column of each cell's tile."""
        return _tile_origins(self.cols, self.stride, self.tile_size, self.width)

    @property
    def cell_transform(self) -> Affine:
        """From (column, row) of cell corners to x, y, for whole cells."""
        return self.transform @ Affine.scale(self.stride)

    @property
    def gsd_m(self) -> float:
        """Ground sample distance: the side of a square as large as the mean pixel, in metres.

        NaN where the grid has no place on Earth.
        """
        return float(np.sqrt(self.areas_ha().sum() * 1e4 / (self.height * self.width)))

    def polygons(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Shapely polygons (n,) of cells, clipped to the scene.

        `rows` and `cols` are int (n,). Clockwise from the upper left corner.
        """
        top, bottom = self.row_edges[rows], self.row_edges[rows + 1]
        left, right = self.col_edges[cols], self.col_edges[cols + 1]
        return self._box(top, bottom, left, right)

    def tile_polygons(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Shapely polygons (n,) of what the network sees of cells; arguments as above."""
        top, left = self.tile_rows[rows], self.tile_cols[cols]
        return self._box(top, top + self.tile_size, left, left + self.tile_size)

    def corners(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """float64 (n, 2): x, y of upper left corners of cells, int (n,).

        `rows` and `cols` may be one after the last, for the scene's lower and right edge.
        """
        return np.stack(self._to_crs(self.col_edges[cols], self.row_edges[rows]), axis=1)

    def _box(
        self, top: np.ndarray, bottom: np.ndarray, left: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Shapely polygons (n,) of rectangles in pixels."""
        px = np.stack([left, right, right, left, left], axis=1)
        py = np.stack([top, top, bottom, bottom, top], axis=1)
        x, y = self._to_crs(px, py)
        polygons: np.ndarray = shapely.polygons(np.stack([x, y], axis=2))
        return polygons

    def areas_ha(self) -> np.ndarray:
        """float64 (rows, cols): hectares on the ground.

        Planar where the projection keeps areas within 0.1 %, on the ellipsoid elsewhere;
        NaN without a CRS. Raises SceneError where cells lie beyond the CRS's reach.
        """
        pixels = self.pixel_counts()
        if self.crs is None:
            return np.full(pixels.shape, np.nan)
        planar = pixels * abs(self.transform.determinant)
        crs = pyproj.CRS.from_wkt(self.crs)
        unit_m2 = crs.axis_info[0].unit_conversion_factor ** 2 if crs.is_projected else np.inf
        # Asked at nine cells first: transforming millions of centres takes seconds.
        few = self.centres([0, self.rows // 2, -1], [0, self.cols // 2, -1])
        if np.all(np.abs(self._ground_area(crs, *few) / unit_m2 - 1) <= AREA_TOLERANCE):
            areas: np.ndarray = planar * unit_m2 / 1e4
        else:
            areas = planar * self._ground_area(crs, *self.centres()) / 1e4
        if not np.isfinite(areas).all():
            raise SceneError(
                f"the scene reaches beyond where {crs.name} has a place on Earth: "
                "check its coordinate reference system and transform"
            )
        return areas

    def _ground_area(self, crs: pyproj.CRS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Square metres on the ellipsoid a square unit of the CRS, around each point.

        The Jacobian of longitude and latitude by central differences, times the product of the
        ellipsoid's radii of curvature (Snyder 1987, eqs 4-18 to 4-20).
        """
        geographic = crs.geodetic_crs
        ellipsoid = geographic.get_geod() if geographic else None
        if geographic is None or ellipsoid is None:
            raise SceneError(
                f"{crs.name} is not tied to the Earth: assign a geographic or projected CRS"
            )
        to_degrees = pyproj.Transformer.from_crs(crs, geographic, always_xy=True)
        h = np.sqrt(abs(self.transform.determinant)) * self.stride / 2
        with np.errstate(invalid="ignore"):  # infinite where the CRS has no place on Earth
            east, west, north, south = (
                np.array(to_degrees.transform(x + dx, y + dy))
                for dx, dy in ((h, 0), (-h, 0), (0, h), (0, -h))
            )
            (lon_x, lat_x), (lon_y, lat_y) = east - west, north - south
            # Of two longitudes on either side of 180°, the short way round.
            lon_x, lon_y = (lon - 360 * np.round(lon / 360) for lon in (lon_x, lon_y))
            jacobian = np.radians(1) ** 2 * np.abs(lon_x * lat_y - lon_y * lat_x) / (2 * h) ** 2
            sin2 = np.sin(np.radians(to_degrees.transform(x, y)[1])) ** 2
        w2 = 1 - ellipsoid.es * sin2
        radii = ellipsoid.a**2 * (1 - ellipsoid.es) / w2**2  # meridional × prime vertical
        square_m: np.ndarray = jacobian * radii * np.sqrt(1 - sin2)
        return square_m

    def pixel_counts(self) -> np.ndarray:
        """int64 (rows, cols): the scene's pixels in each cell."""
        return np.outer(np.diff(self.row_edges), np.diff(self.col_edges))

    def spread(self, finer: Grid) -> tuple[np.ndarray, ...]:
        """An index by which arrays (rows, cols) of this grid are repeated for a finer one's cells.

        Both are of the same pixels, and the finer cells divide the others.
        """
        row = np.searchsorted(self.row_edges, finer.row_edges[:-1], side="right") - 1
        col = np.searchsorted(self.col_edges, finer.col_edges[:-1], side="right") - 1
        return np.ix_(row, col)

    def centres(
        self, rows: slice | list[int] = slice(None), cols: slice | list[int] = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """X and y of the middle of each cell, float64 (rows, cols); of all, or of some."""
        py = ((self.row_edges[:-1] + self.row_edges[1:]) / 2)[rows]
        px = ((self.col_edges[:-1] + self.col_edges[1:]) / 2)[cols]
        return self._to_crs(*np.meshgrid(px, py))

    def tile_places(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (WGS 84, degrees) of the middle of the tiles of cells, int (n,).

        Raises SceneError without a CRS.
        """
        if self.crs is None:
            raise SceneError("the scene has no place on Earth: assign a CRS")
        half = self.tile_size / 2
        x, y = self._to_crs(self.tile_cols[cols] + half, self.tile_rows[rows] + half)
        crs = pyproj.CRS.from_wkt(self.crs)
        longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
        return longitude, latitude

    def _to_crs(self, px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = self.transform
        return t.a * px + t.b * py + t.c, t.d * px + t.e * py + t.f

    def has_same_crs(self, other: Grid) -> bool:
        """Whether coordinates of both mean the same places, however the WKT is spelt.

        Heights do not count: a compound system is its horizontal part.
        """
        if self.crs is None or other.crs is None or self.crs == other.crs:
            return self.crs == other.crs
        mine, theirs = (
            next(iter(crs.sub_crs_list), crs) if crs.is_compound else crs
            for crs in (pyproj.CRS.from_wkt(self.crs), pyproj.CRS.from_wkt(other.crs))
        )
        return mine.equals(theirs, ignore_axis_order=True)

    def to_json(self) -> dict[str, Any]:
        """Plain data, understood by `from_json`."""
        return {
            "height": self.height,
            "width": self.width,
            "transform": list(self.transform[:6]),
            "crs": self.crs,
            "tile_size": self.tile_size,
            "stride": self.stride,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Grid:
        """The grid that `to_json` described; ValueError, which names the field, for any other."""
        convert_json(data, _GridJson, "grid")
        if data["crs"] is not None:
            try:
                pyproj.CRS.from_wkt(data["crs"])
            except CRSError:
                raise ValueError(f"grid.crs must be WKT, got {shorten(data['crs'])}") from None
        return cls(**{**data, "transform": Affine(*data["transform"])})


class _GridJson(TypedDict):
    height: int
    width: int
    transform: tuple[float, float, float, float, float, float]
    crs: str | None
    tile_size: int
    stride: int


def _edges(cells: int, stride: int, size: int) -> np.ndarray:
    return np.minimum(np.arange(cells + 1) * stride, size)


def _tile_origins(cells: int, stride: int, tile_size: int, size: int) -> np.ndarray:
    origins = np.arange(cells) * stride + (stride - tile_size) // 2
    return np.clip(origins, 0, size - tile_size)
