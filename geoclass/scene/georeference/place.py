"""Where scenes lie: by transform, ground control points or polynomials; which ones touch."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np
import pyproj
import shapely
from affine import Affine
from pyproj.exceptions import ProjError
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, RPCTransformer

from geoclass.errors import GeoclassError, SceneError
from geoclass.scene.georeference.region import parse_crs
from geoclass.scene.open.facts import Georeference, Raster
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import SceneSource
from geoclass.scene.settings import FrameSettings

AnyRaster = TypeVar("AnyRaster", bound=Raster)
Method = Literal["transform", "gcps", "rpcs"]

EDGE_POINTS = 101
"""Points per edge: enough for 1 m accuracy in any CRS, for a scene of 110 km."""

WGS84 = "EPSG:4326"
TRUE_SCALE = 0.05
"""Maximum relative scale error of a CRS that counts as metric."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """A scene's outline on Earth."""

    method: Method
    crs: str
    """WKT, of x and y."""
    x: np.ndarray
    """float64 (n,): points along the scene's outer edges."""
    y: np.ndarray
    lon: float
    """Of the centre, in degrees, -180 to 180."""
    lat: float
    pixel_m: tuple[float, float]
    """Width and height of the central pixel on the ground."""

    def outline(self, crs: str | None = None) -> shapely.Geometry:
        """Convex polygon in the footprint's CRS or another one."""
        x, y = self.x, self.y
        if crs is not None:
            x, y = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True).transform(x, y)
        return shapely.convex_hull(shapely.multipoints(np.column_stack([x, y])))


def assign_place(raster: AnyRaster, settings: FrameSettings) -> AnyRaster:
    """The raster with the user's CRS and bounds."""
    place = raster.georeference
    if settings.bounds is not None:
        west, south, east, north = settings.bounds
        width, height = (east - west) / raster.width, (north - south) / raster.height
        place = Georeference(transform=Affine(width, 0, west, 0, -height, north), crs=place.crs)
    if settings.crs is not None:
        place = replace(place, crs=parse_crs(settings.crs).to_wkt())
    return replace(raster, georeference=_unwrap(place, raster.width, raster.height))


def _unwrap(place: Georeference, width: int, height: int) -> Georeference:
    """Move the prime meridian to the centre of a scene that crosses the antimeridian.

    Otherwise a warp finds no data beyond it.
    """
    if place.crs is None or not pyproj.CRS.from_wkt(place.crs).is_geographic:
        return place
    t = place.transform
    lon = [(t @ corner)[0] for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    middle = (min(lon) + max(lon)) / 2
    if (min(lon) >= -180 and max(lon) <= 180) or max(lon) - min(lon) >= 360:
        return place
    # A PROJ string loses details of the datum, but a prime meridian is easily added.
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        text = pyproj.CRS.from_wkt(place.crs).to_proj4()
    crs = pyproj.CRS.from_user_input(f"{text} +pm={(middle + 180) % 360 - 180}")
    return replace(place, crs=crs.to_wkt(), transform=Affine.translation(-middle, 0) @ t)


def find_place(raster: Raster) -> Footprint | None:
    """The footprint; None without a location, SceneError for an impossible one."""
    place = raster.georeference
    method = _find_method(place)
    if method is None:
        return None
    crs = {"transform": place.crs, "gcps": place.gcp_crs, "rpcs": pyproj.CRS(WGS84).to_wkt()}
    wkt = str(crs[method])
    t = np.linspace(0, 1, EDGE_POINTS)
    zero, one = np.zeros_like(t), np.ones_like(t)
    cols = np.concatenate([t, one, t, zero]) * raster.width
    rows = np.concatenate([zero, t, one, t]) * raster.height
    # The pixel size is measured over several pixels, for numerical accuracy.
    middle, step = (raster.width / 2, raster.height / 2), max(1.0, raster.width / 16)
    cols = np.append(cols, [middle[0], middle[0] + step, middle[0]])
    rows = np.append(rows, [middle[1], middle[1], middle[1] + step])
    x, y = _locate(raster, method, cols, rows)
    lon, lat = to_lonlat(wkt, x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all() and (np.abs(lat) <= 90).all()):
        name = pyproj.CRS.from_wkt(wkt).name
        raise SceneError(
            f"{raster.shown} has coordinates that do not exist in {name}: "
            "check its coordinate reference system and transform"
        )
    geod = pyproj.Geod(ellps="WGS84")
    _, _, sides = geod.inv(lon[[-3, -3]], lat[[-3, -3]], lon[-2:], lat[-2:])
    return Footprint(
        method=method,
        crs=wkt,
        x=x[:-3],
        y=y[:-3],
        lon=(float(lon[-3]) + 180) % 360 - 180,
        lat=float(lat[-3]),
        pixel_m=(float(sides[0] / step), float(sides[1] / step)),
    )


def _find_method(place: Georeference) -> Method | None:
    affine = not place.transform.is_identity and place.transform.determinant != 0
    if place.crs is not None and affine and _is_on_earth(place.crs):
        return "transform"
    if place.gcps and place.gcp_crs is not None and _is_on_earth(place.gcp_crs):
        return "gcps"
    return "rpcs" if place.rpcs else None


def _is_on_earth(wkt: str) -> bool:
    crs = pyproj.CRS.from_wkt(wkt)
    return crs.geodetic_crs is not None and (crs.is_geographic or crs.is_projected)


def _locate(
    raster: Raster, method: Method, cols: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x, y (n,) of pixel corners."""
    if method == "transform":
        t = raster.georeference.transform
        x, y = t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f
    else:
        with open_dataset(raster.dataset, raster.shown) as dataset:
            transformer = (
                GCPTransformer(dataset.gcps[0])
                if method == "gcps"
                else RPCTransformer(dataset.rpcs, **rpc_options(dataset.rpcs))
            )
            with transformer:
                x, y = transformer.xy(rows, cols, offset="ul")
    return np.asarray(x, dtype=float), np.asarray(y, dtype=float)


def rpc_options(rpcs: RPC) -> dict[str, float]:
    """Options of a warp without a terrain model: all ground at the mean height."""
    return {"RPC_HEIGHT": rpcs.height_off}


def to_lonlat(wkt: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees on WGS 84; infinite for points that have none."""
    try:
        transformer = pyproj.Transformer.from_crs(wkt, WGS84, always_xy=True)
        lon, lat = transformer.transform(x, y)
    except ProjError:
        return np.full(len(x), np.inf), np.full(len(y), np.inf)
    return np.asarray(lon), np.asarray(lat)


def is_metric(wkt: str, x: np.ndarray, y: np.ndarray, tolerance: float = TRUE_SCALE) -> bool:
    """Whether a unit of the CRS is a metre on the ground at all points x, y (n,)."""
    crs = pyproj.CRS.from_wkt(wkt)
    if not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
        return False
    lon, lat = to_lonlat(wkt, x, y)
    factors = pyproj.Proj(crs).get_factors(lon, lat)
    scales = np.array([factors.meridional_scale, factors.parallel_scale])
    return bool(np.isfinite(scales).all() and np.abs(scales - 1).max() <= tolerance)


def find_utm(lon: float, lat: float) -> str:
    """WKT of the UTM zone of a point on WGS 84, or of UPS near the poles.

    Includes the exceptions of Norway and Svalbard (DMA TM 8358.2, 1989).
    """
    if lat > 84 or lat < -80:
        return str(pyproj.CRS.from_epsg(5041 if lat > 0 else 5042).to_wkt())
    zone = int((lon + 180) // 6) % 60 + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    if lat >= 72 and 0 <= lon < 42:
        zone = (31, 33, 35, 37)[int(np.searchsorted([9, 21, 33], lon, side="right"))]
    return str(pyproj.CRS.from_epsg((32600 if lat >= 0 else 32700) + zone).to_wkt())


NEAR_DEGREES = 1e-3
"""Maximum distance of scenes that touch, about 100 m."""
SAME_GROUND = 0.5
"""Minimum overlap, relative to the smaller scene; neighbouring Sentinel-2 tiles have .02 to .2."""


def group_adjacent(scenes: Sequence[SceneSource], settings: FrameSettings) -> list[list[int]]:
    """Indices of connected scenes; scenes without a location are omitted."""
    groups: list[tuple[list[int], shapely.Geometry]] = []
    for i, scene in enumerate(scenes):
        outline = _outline(scene, settings)
        if outline is None:
            continue
        near = [g for g in groups if shapely.dwithin(g[1], outline, NEAR_DEGREES)]
        groups = [g for g in groups if g not in near]
        members = [other for g in near for other in g[0]]
        groups.append(([*members, i], shapely.union_all([outline, *(g[1] for g in near)])))
    return [members for members, _ in groups]


def find_repeated(scenes: Sequence[SceneSource], settings: FrameSettings) -> dict[int, int]:
    """Index of each scene that shows the ground of an earlier one of the same day → the earlier's.

    Examples are the parts of a split product, and two processings of one product.
    """
    by_day: dict[str, list[tuple[int, shapely.Geometry]]] = defaultdict(list)
    for i, scene in enumerate(scenes):
        if scene.date and (outline := _outline(scene, settings)) is not None:
            by_day[scene.date].append((i, shapely.make_valid(outline)))
    repeated: dict[int, int] = {}
    for placed in by_day.values():
        outlines = [outline for _, outline in placed]
        pairs = shapely.STRtree(outlines).query(outlines, predicate="intersects").T
        for later, earlier in pairs.tolist():
            (i, one), (first, other) = placed[later], placed[earlier]
            least = min(one.area, other.area)
            if i > first and one.intersection(other).area > SAME_GROUND * least:
                repeated[i] = min(first, repeated.get(i, first))
    return repeated


def _outline(source: SceneSource, settings: FrameSettings) -> shapely.Geometry | None:
    """In degrees; None without a location."""
    try:
        place = find_place(assign_place(source, settings))
    except GeoclassError:
        return None
    return None if place is None else place.outline(WGS84)
