"""Where a scene lies on Earth: by a transform, by ground control points, or by coefficients."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer

from geoclass.errors import SceneError
from geoclass.scene.georeference.region import parse_crs
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import SceneSource
from geoclass.scene.settings import FrameSettings

Method = Literal["transform", "gcps", "rpcs"]

EDGE_POINTS = 101
"""Points along an edge of a scene: a scene of 110 km is then known to a metre in any CRS."""

WGS84 = "EPSG:4326"
TRUE_SCALE = 0.05
"""A scene's own CRS is metric where its metre is one on the ground, within this share."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """A scene's outline on Earth."""

    method: Method
    crs: str
    """WKT, of x and y."""
    x: np.ndarray
    """float64 (n,): points along the scene's outer edges."""
    y: np.ndarray
    centre: tuple[float, float]
    """x and y of the middle."""
    lon: float
    """Of the middle, in degrees, -180 to 180."""
    lat: float
    pixel_m: tuple[float, float]
    """Width and height of a pixel in the middle, in metres on the ground."""

    def outline(self, crs: str | None = None) -> shapely.Geometry:
        """A polygon around it, in its own CRS or another one."""
        x, y = self.x, self.y
        if crs is not None:
            x, y = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform(x, y)
        return shapely.convex_hull(shapely.multipoints(np.column_stack([x, y])))


def assign_place(source: SceneSource, settings: FrameSettings) -> SceneSource:
    """The scene with the CRS and the bounds that a person gave it."""
    if settings.bounds is not None:
        west, south, east, north = settings.bounds
        width, height = (east - west) / source.width, (north - south) / source.height
        transform = Affine(width, 0, west, 0, -height, north)
        source = replace(source, transform=transform, gcps=0, rpcs=False)
    if settings.crs is not None:
        source = replace(source, crs=parse_crs(settings.crs).to_wkt())
    return _unwrap(source)


def _unwrap(source: SceneSource) -> SceneSource:
    """Count degrees from the scene's middle where they run over the antimeridian.

    There a warp would find nothing on its far side.
    """
    if source.crs is None or not pyproj.CRS.from_wkt(source.crs).is_geographic:
        return source
    t, size = source.transform, (source.width, source.height)
    lon = [(t @ corner)[0] for corner in ((0, 0), (size[0], 0), (0, size[1]), size)]
    middle = (min(lon) + max(lon)) / 2
    if (min(lon) >= -180 and max(lon) <= 180) or max(lon) - min(lon) >= 360:
        return source
    with warnings.catch_warnings():
        # PROJ's strings drop some of a datum's facts, but say a meridian in one word.
        warnings.simplefilter("ignore", UserWarning)
        text = pyproj.CRS.from_wkt(source.crs).to_proj4()
    crs = pyproj.CRS.from_user_input(f"{text} +pm={(middle + 180) % 360 - 180}")
    shifted = Affine.translation(-middle, 0) @ t
    return replace(source, crs=crs.to_wkt(), transform=shifted)


def find_place(source: SceneSource) -> Footprint | None:
    """None where nothing tells; SceneError where what tells it makes no sense."""
    method = _find_method(source)
    if method is None:
        return None
    crs = {"transform": source.crs, "gcps": source.gcp_crs, "rpcs": pyproj.CRS(WGS84).to_wkt()}
    wkt = str(crs[method])
    cols, rows = _walk_edges(source.width, source.height)
    # One pixel to the right and one down from the middle, taken wide so that digits suffice.
    middle, step = (source.width / 2, source.height / 2), max(1.0, source.width / 16)
    cols = np.append(cols, [middle[0], middle[0] + step, middle[0]])
    rows = np.append(rows, [middle[1], middle[1], middle[1] + step])
    x, y = _locate(source, method, cols, rows)
    lon, lat = to_lonlat(wkt, x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and (np.abs(lat) <= 90).all()):
        name = pyproj.CRS.from_wkt(wkt).name
        raise SceneError(
            f"{source.shown} reaches beyond where {name} has a place on Earth: "
            "check its coordinate reference system and transform"
        )
    geod = pyproj.Geod(ellps="WGS84")
    _, _, sides = geod.inv(lon[[-3, -3]], lat[[-3, -3]], lon[-2:], lat[-2:])
    return Footprint(
        method=method,
        crs=wkt,
        x=x[:-3],
        y=y[:-3],
        centre=(float(x[-3]), float(y[-3])),
        lon=(float(lon[-3]) + 180) % 360 - 180,
        lat=float(lat[-3]),
        pixel_m=(float(sides[0] / step), float(sides[1] / step)),
    )


def _find_method(source: SceneSource) -> Method | None:
    affine = not source.transform.is_identity and source.transform.determinant != 0
    if source.crs is not None and affine and _is_on_earth(source.crs):
        return "transform"
    if source.gcps and source.gcp_crs is not None and _is_on_earth(source.gcp_crs):
        return "gcps"
    return "rpcs" if source.rpcs else None


def _is_on_earth(wkt: str) -> bool:
    crs = pyproj.CRS.from_wkt(wkt)
    return crs.geodetic_crs is not None and (crs.is_geographic or crs.is_projected)


def _walk_edges(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows (n,) of points along the four edges."""
    t = np.linspace(0, 1, EDGE_POINTS)
    zero, one = np.zeros_like(t), np.ones_like(t)
    cols = np.concatenate([t, one, t, zero]) * width
    rows = np.concatenate([zero, t, one, t]) * height
    return cols, rows


def _locate(
    source: SceneSource, method: Method, cols: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if method == "transform":
        t: Affine = source.transform
        return t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
    with open_dataset(source.dataset, source.shown) as dataset:
        if method == "gcps":
            with GCPTransformer(dataset.gcps[0]) as transformer:
                x, y = transformer.xy(rows, cols, offset="ul")
        else:
            with RPCTransformer(dataset.rpcs, **rpc_options(dataset.rpcs)) as transformer:
                x, y = transformer.xy(rows, cols, offset="ul")
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)


def rpc_options(rpcs: RPC) -> dict[str, float]:
    """Without a terrain model, all ground is taken to lie at the coefficients' mean height."""
    return {"RPC_HEIGHT": rpcs.height_off}


def to_lonlat(wkt: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees on WGS 84; infinite where the CRS has no place on Earth."""
    try:
        transformer = pyproj.Transformer.from_crs(wkt, WGS84, always_xy=True)
        lon, lat = transformer.transform(x, y)
    except ProjError:
        return np.full(len(x), np.inf), np.full(len(y), np.inf)
    return np.asarray(lon), np.asarray(lat)


def is_metric(wkt: str, x: np.ndarray, y: np.ndarray, tolerance: float = TRUE_SCALE) -> bool:
    """Whether a metre of the CRS is one on the ground, at all points x, y (n,) of the CRS."""
    crs = pyproj.CRS.from_wkt(wkt)
    if not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
        return False
    geod, step = pyproj.Geod(ellps="WGS84"), 100.0
    lon, lat = to_lonlat(wkt, x, y)
    for dx, dy in ((step, 0), (0, step)):
        lon2, lat2 = to_lonlat(wkt, x + dx, y + dy)
        if not np.isfinite([lon, lat, lon2, lat2]).all():
            return False
        _, _, length = geod.inv(lon, lat, lon2, lat2)
        if np.abs(length / step - 1).max() > tolerance:
            return False
    return True


def find_utm(lon: float, lat: float) -> str:
    """WKT of the UTM zone of a point on WGS 84; near the poles that of polar stereographic.

    With the wider zones of Norway and Svalbard (DMA TM 8358.2, 1989).
    """
    if lat > 84 or lat < -80:
        return str(pyproj.CRS.from_epsg(5041 if lat > 0 else 5042).to_wkt())
    zone = int((lon + 180) // 6) % 60 + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    if lat >= 72 and 0 <= lon < 42:
        zone = (31, 33, 35, 37)[int(np.searchsorted([9, 21, 33], lon, side="right"))]
    return str(pyproj.CRS.from_epsg((32600 if lat >= 0 else 32700) + zone).to_wkt())
