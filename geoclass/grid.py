"""The grid of a map's cells on a scene's pixels.

Rows and columns count from 0, from the upper left. A cell of the map has `stride` pixels a side; a
tile, the input of the network, has `tile_size`. A tile is centred on its cell and moved inward at
the edge of the scene, so that the network always gets real pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
"""GDAL's limit per side."""

AREA_TOLERANCE = 1e-3
"""Maximum relative area error of a projection whose planar areas are used."""


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
    """WKT; None for a scene without a location."""
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
        """Rows of cells; the last may be cut off by the edge."""
        return -(-self.height // self.stride)

    @property
    def cols(self) -> int:
        """Columns of cells; the last may be cut off by the edge."""
        return -(-self.width // self.stride)

    @property
    def row_edges(self) -> np.ndarray:
        """int64 (rows + 1,): pixel rows at the edges of the cells."""
        return _edges(self.rows, self.stride, self.height)

    @property
    def col_edges(self) -> np.ndarray:
        """int64 (cols + 1,): pixel columns at the edges of the cells."""
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
        """Ground sample distance in metres, from the mean pixel area; NaN without a CRS."""
        return float(np.sqrt(self.areas_ha().sum() * 1e4 / (self.height * self.width)))

    def polygons(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Shapely polygons (n,) of cells, int (n,), clipped to the scene; clockwise."""
        top, bottom = self.row_edges[rows], self.row_edges[rows + 1]
        left, right = self.col_edges[cols], self.col_edges[cols + 1]
        return self._box(top, bottom, left, right)

    def tile_polygons(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Shapely polygons (n,) of the tiles of cells, int (n,)."""
        top, left = self.tile_rows[rows], self.tile_cols[cols]
        return self._box(top, top + self.tile_size, left, left + self.tile_size)

    def corners(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """float64 (n, 2): x, y of upper left corners of cells, int (n,).

        `rows` may equal the number of rows, for the scene's lower edge; likewise `cols`.
        """
        return np.stack(self._to_crs(self.col_edges[cols], self.row_edges[rows]), axis=1)

    def _box(
        self, top: np.ndarray, bottom: np.ndarray, left: np.ndarray, right: np.ndarray
    ) -> np.ndarray:
        """Shapely polygons (n,) of rectangles in pixels."""
        px = np.stack([left, right, right, left, left], axis=1)
        py = np.stack([top, top, bottom, bottom, top], axis=1)
        x, y = self._to_crs(px, py)
        return shapely.polygons(np.stack([x, y], axis=2))

    def areas_ha(self) -> np.ndarray:
        """float64 (rows, cols): hectares on the ground; NaN without a CRS.

        Planar if the projection preserves areas within 0.1 %, else on the ellipsoid. Raises
        SceneError for cells outside the domain of the CRS.
        """
        pixels = self.pixel_counts()
        if self.crs is None:
            return np.full(pixels.shape, np.nan)
        planar = pixels * abs(self.transform.determinant)
        crs = pyproj.CRS.from_wkt(self.crs)
        unit_m2 = crs.axis_info[0].unit_conversion_factor ** 2 if crs.is_projected else np.inf
        # Nine cells are checked first: transforming millions of centres takes seconds.
        few = self.centres([0, self.rows // 2, -1], [0, self.cols // 2, -1])
        if np.all(np.abs(self._ground_area(crs, *few) / unit_m2 - 1) <= AREA_TOLERANCE):
            areas: np.ndarray = planar * unit_m2 / 1e4
        else:
            areas = planar * self._ground_area(crs, *self.centres()) / 1e4
        if not np.isfinite(areas).all():
            raise SceneError(
                f"the scene extends beyond the domain of {crs.name}: "
                "check its coordinate reference system and transform"
            )
        return areas

    def _ground_area(self, crs: pyproj.CRS, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Square metres on the ellipsoid per square unit of the CRS, at each point.

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
        with np.errstate(invalid="ignore"):  # infinite outside the domain of the CRS
            east, west, north, south = (
                np.array(to_degrees.transform(x + dx, y + dy))
                for dx, dy in ((h, 0), (-h, 0), (0, h), (0, -h))
            )
            (lon_x, lat_x), (lon_y, lat_y) = east - west, north - south
            # The shorter way across 180°.
            lon_x, lon_y = (lon - 360 * np.round(lon / 360) for lon in (lon_x, lon_y))
            jacobian = np.radians(1) ** 2 * np.abs(lon_x * lat_y - lon_y * lat_x) / (2 * h) ** 2
            sin2 = np.sin(np.radians(to_degrees.transform(x, y)[1])) ** 2
        w2 = 1 - ellipsoid.es * sin2
        radii = ellipsoid.a**2 * (1 - ellipsoid.es) / w2**2  # meridional × prime vertical
        return jacobian * radii * np.sqrt(1 - sin2)

    def pixel_counts(self) -> np.ndarray:
        """int64 (rows, cols): number of the scene's pixels in each cell."""
        return np.outer(np.diff(self.row_edges), np.diff(self.col_edges))

    def spread(self, finer: Grid) -> tuple[np.ndarray, ...]:
        """An index that expands arrays (rows, cols) to a finer grid of the same pixels.

        Its cells divide those of this grid.
        """
        row = np.searchsorted(self.row_edges, finer.row_edges[:-1], side="right") - 1
        col = np.searchsorted(self.col_edges, finer.col_edges[:-1], side="right") - 1
        return np.ix_(row, col)

    def centres(
        self, rows: slice | list[int] = slice(None), cols: slice | list[int] = slice(None)
    ) -> tuple[np.ndarray, np.ndarray]:
        """X and y of cell centres, float64 (rows, cols)."""
        py = ((self.row_edges[:-1] + self.row_edges[1:]) / 2)[rows]
        px = ((self.col_edges[:-1] + self.col_edges[1:]) / 2)[cols]
        return self._to_crs(*np.meshgrid(px, py))

    def tile_places(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude (WGS 84, degrees) of the centres of the tiles of cells, int (n,).

        Raises SceneError without a CRS.
        """
        if self.crs is None:
            raise SceneError("the scene has no location: assign a CRS")
        half = self.tile_size / 2
        x, y = self._to_crs(self.tile_cols[cols] + half, self.tile_rows[rows] + half)
        crs = pyproj.CRS.from_wkt(self.crs)
        longitude, latitude = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
        return longitude, latitude

    def _to_crs(self, px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = self.transform
        return t.a * px + t.b * py + t.c, t.d * px + t.e * py + t.f

    def has_same_crs(self, other: Grid) -> bool:
        """Whether both CRS are equivalent; only the horizontal part of a compound CRS counts."""
        if self.crs is None or other.crs is None or self.crs == other.crs:
            return self.crs == other.crs
        mine, theirs = (
            next(iter(crs.sub_crs_list), crs) if crs.is_compound else crs
            for crs in (pyproj.CRS.from_wkt(self.crs), pyproj.CRS.from_wkt(other.crs))
        )
        return mine.equals(theirs, ignore_axis_order=True)

    def to_json(self) -> dict[str, Any]:
        """JSON data for `from_json`."""
        return {**asdict(self), "transform": list(self.transform[:6])}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Grid:
        """Inverse of `to_json`; ValueError, which names the field, for other data."""
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
