"""What pixels a scene is best mapped on: which CRS, how large, and how they are come by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyproj

from geoclass.errors import SceneError
from geoclass.scene.place import WGS84, Place, find_utm, is_metric
from geoclass.scene.region import Region
from geoclass.scene.settings import FrameSettings, Resampling
from geoclass.scene.source import SceneSource

Access = Literal["read", "warp", "gcps", "rpcs"]

GSD_TOLERANCE = 0.1
"""Pixels may be so much larger or smaller than the training data's without a warp."""
COARSEST = 2.0
"""Times the model's pixel size: coarser scenes hold nothing of what the network looks at."""
COARSENING = 1.5
"""From here on, several pixels fall into one, and are averaged."""
ZONE_SCALE = 0.01
"""A zone's metre may differ so much from one on the ground, some eight degrees off its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameDemands:
    """What a model and a map ask of pixels."""

    gsd_m: float
    tile_size: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Pixels to map a scene on."""

    crs: str
    """WKT."""
    pixel: tuple[float, float]
    """Width and height in units of the CRS."""
    pixel_m: float
    """On the ground, about."""
    access: Access
    """`read` where they are the scene's own; else how they are warped to."""
    resampling: Resampling
    x: np.ndarray
    """float64 (n,): points around all that can be mapped."""
    y: np.ndarray


def choose_target(
    source: SceneSource,
    place: Place,
    settings: FrameSettings,
    demands: FrameDemands,
    region: Region | None,
) -> Target:
    """The pixels that were asked for, or the scene's own, or the model's where those differ.

    Raises SceneError for a scene that is too coarse, or too wide for one projection.
    """
    t = source.transform
    upright = place.method == "transform" and t.b == t.d == 0 and t.a > 0 > t.e
    metric = is_metric(place.crs, place.x, place.y)
    wish, own = settings.resolution, (abs(t.a), abs(t.e))
    crs, x, y = place.crs, place.x, place.y
    _check_coarse(source, place, settings, demands)
    if wish == "native" and place.method == "transform":
        side = float(np.sqrt(abs(t.determinant)))
        pixel = own if upright else (side, side)
        pixel_m, keep = max(place.pixel_m), upright
    else:
        pixel_m = _choose_side(place, settings, demands)
        near = np.abs(np.array(place.pixel_m) / pixel_m - 1)
        # Snapped maps fit one another only if their pixels are exactly of one size.
        exact = settings.snap or isinstance(wish, float)
        same = own == (pixel_m, pixel_m) if exact else near.max() <= GSD_TOLERANCE
        keep = bool(upright and metric and same)
        if not metric:
            crs, x, y = _choose_crs(source, place, region)
        pixel = own if keep else (pixel_m, pixel_m)
    ratio = pixel_m / min(place.pixel_m)
    found: Access = "warp" if place.method == "transform" else place.method
    return Target(
        crs=crs,
        pixel=pixel,
        pixel_m=pixel_m,
        access="read" if keep else found,
        resampling=settings.resampling or ("average" if ratio >= COARSENING else "cubic"),
        x=x,
        y=y,
    )


def _choose_side(place: Place, settings: FrameSettings, demands: FrameDemands) -> float:
    if isinstance(settings.resolution, float):
        return settings.resolution
    if settings.resolution == "native":  # of a scene without rows and columns of its own
        return round(float(np.sqrt(place.pixel_m[0] * place.pixel_m[1])), 3)
    return demands.gsd_m


def _check_coarse(
    source: SceneSource, place: Place, settings: FrameSettings, demands: FrameDemands
) -> None:
    coarsest = COARSEST * demands.gsd_m
    finest = max(place.pixel_m)
    wish = settings.resolution if isinstance(settings.resolution, float) else 0.0
    if max(finest, wish) > 1.01 * coarsest and not settings.force:
        raise SceneError(
            f"{source.shown} would be mapped from pixels of {max(finest, wish):.1f} m, the network "
            f"knows {demands.gsd_m:g} m: beyond {coarsest:g} m the textures it looks for are gone, "
            "and labels are wrong but confident; give a finer scene, or --force"
        )


def _choose_crs(
    source: SceneSource, place: Place, region: Region | None
) -> tuple[str, np.ndarray, np.ndarray]:
    """The UTM zone of the scene's middle, and the scene's outline there.

    Of the region's middle, and the region's outline, where the scene is too wide for a zone.
    """
    crs = find_utm(place.lon, place.lat)
    transformer = pyproj.Transformer.from_crs(place.crs, crs, always_xy=True)
    x, y = np.array(transformer.transform(place.x, place.y))
    if is_metric(crs, x, y, ZONE_SCALE):
        return crs, x, y
    if region is not None:
        west, south, east, north = region.find_bounds(WGS84)
        middle = (west + (east - west) % 360 / 2 + 180) % 360 - 180
        crs = find_utm(middle, (south + north) / 2)
        box = np.array(region.find_bounds(crs))
        x, y = box[[0, 2, 0, 2]], box[[1, 1, 3, 3]]
        if is_metric(crs, x, y, ZONE_SCALE):
            return crs, x, y
    raise SceneError(
        f"{source.shown} reaches over too much of the Earth for one UTM zone: "
        "map it in parts with --bbox, or give it in a metric projection"
    )


def doubt_target(place: Place, target: Target, demands: FrameDemands) -> tuple[str, ...]:
    """What the network may make of such pixels."""
    doubts = []
    coarse, wide = max(place.pixel_m), (1 + GSD_TOLERANCE) * demands.gsd_m
    if abs(target.pixel_m / demands.gsd_m - 1) > GSD_TOLERANCE:
        doubts.append(
            f"the map is made on pixels of {target.pixel_m:.1f} m, the network was trained on "
            f"{demands.gsd_m:g} m: expect wrong labels"
        )
    # Degrees are narrower than they are high away from the equator: that is no lack of detail.
    elif coarse > wide and np.prod(place.pixel_m) > wide**2:
        doubts.append(
            f"the scene's pixels of {coarse:.1f} m hold less than the {demands.gsd_m:g} m pixels "
            "that the network was trained on: expect more wrong labels"
        )
    if place.method == "rpcs":
        doubts.append(
            "the scene is placed by rational polynomials at one mean height: "
            "in mountains cells may lie hundreds of metres off"
        )
    return tuple(doubts)
