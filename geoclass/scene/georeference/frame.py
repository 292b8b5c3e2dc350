"""The pixels that a map is made on: the scene's own, or those that it is warped to.

The network knows pixels of one size on the ground. A scene whose pixels are others, or lie
otherwise, is warped as it is read; here it is decided how.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine

from geoclass.errors import SceneError
from geoclass.scene.georeference.place import WGS84, Footprint, find_utm, is_metric
from geoclass.scene.georeference.region import Region
from geoclass.scene.open.source import SceneSource
from geoclass.scene.settings import FrameSettings, Resampling

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
    place: Footprint | None,
    settings: FrameSettings,
    spec: GridSpec,
    region: Region | None,
) -> Frame:
    """Decide on which pixels a scene is mapped; SceneError where none would do."""
    if place is None:
        return _plan_unplaced(source, settings, region)
    target = choose_target(source, place, settings, spec, region)
    frame = _lay_frame(source, place, target)
    frame = _snap(frame, spec.stride) if settings.snap else frame
    if region is not None:
        frame = _crop(frame, region, spec)
    return replace(
        frame,
        notes=_tell(source, place, frame, target),
        warnings=doubt_target(place, target, spec),
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


def _lay_frame(source: SceneSource, place: Footprint, target: Target) -> Frame:
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


def _crop(frame: Frame, region: Region, spec: GridSpec) -> Frame:
    """The cells, counted as in all of the scene, whose centres lie within the region's bounds."""
    t = frame.transform
    west, south, east, north = region.find_bounds(str(frame.crs))
    left, right = (west - t.c) / t.a, (east - t.c) / t.a
    top, bottom = (north - t.f) / t.e, (south - t.f) / t.e
    rows = _span_cells(top, bottom, frame.height, spec)
    cols = _span_cells(left, right, frame.width, spec)
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


def _span_cells(low: float, high: float, size: int, spec: GridSpec) -> tuple[int, int] | None:
    """Pixels, first and one after last, of cells whose centre lies between; at least a tile."""
    edges = np.minimum(np.arange(-(-size // spec.stride) + 1) * spec.stride, size)
    centres = (edges[:-1] + edges[1:]) / 2
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    if len(inside) == 0:
        return None
    first, last = int(inside[0]), int(inside[-1]) + 1
    while edges[last] - edges[first] < spec.tile_size and (first > 0 or last < len(edges) - 1):
        first, last = (first - 1, last) if first > 0 else (first, last + 1)
    return int(edges[first]), int(edges[last])


def _tell(source: SceneSource, place: Footprint, frame: Frame, target: Target) -> tuple[str, ...]:
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


def fit_frame(source: SceneSource, place: Footprint | None, pixels: Frame) -> Frame:
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
class GridSpec:
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
    place: Footprint,
    settings: FrameSettings,
    spec: GridSpec,
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
    _check_coarse(source, place, settings, spec)
    if wish == "native" and place.method == "transform":
        side = float(np.sqrt(abs(t.determinant)))
        pixel = own if upright else (side, side)
        pixel_m, keep = max(place.pixel_m), upright
    else:
        pixel_m = _choose_side(place, settings, spec)
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


def _choose_side(place: Footprint, settings: FrameSettings, spec: GridSpec) -> float:
    if isinstance(settings.resolution, float):
        return settings.resolution
    if settings.resolution == "native":  # of a scene without rows and columns of its own
        return round(float(np.sqrt(place.pixel_m[0] * place.pixel_m[1])), 3)
    return spec.gsd_m


def _check_coarse(
    source: SceneSource, place: Footprint, settings: FrameSettings, spec: GridSpec
) -> None:
    coarsest = COARSEST * spec.gsd_m
    finest = max(place.pixel_m)
    wish = settings.resolution if isinstance(settings.resolution, float) else 0.0
    if max(finest, wish) > 1.01 * coarsest and not settings.force:
        raise SceneError(
            f"{source.shown} would be mapped from pixels of {max(finest, wish):.1f} m, the network "
            f"knows {spec.gsd_m:g} m: beyond {coarsest:g} m the textures it looks for are gone, "
            "and labels are wrong but confident; give a finer scene, or --force"
        )


def _choose_crs(
    source: SceneSource, place: Footprint, region: Region | None
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


def doubt_target(place: Footprint, target: Target, spec: GridSpec) -> tuple[str, ...]:
    """What the network may make of such pixels."""
    doubts = []
    coarse, wide = max(place.pixel_m), (1 + GSD_TOLERANCE) * spec.gsd_m
    if abs(target.pixel_m / spec.gsd_m - 1) > GSD_TOLERANCE:
        doubts.append(
            f"the map is made on pixels of {target.pixel_m:.1f} m, the network was trained on "
            f"{spec.gsd_m:g} m: expect wrong labels"
        )
    # Degrees are narrower than they are high away from the equator: that is no lack of detail.
    elif coarse > wide and np.prod(place.pixel_m) > wide**2:
        doubts.append(
            f"the scene's pixels of {coarse:.1f} m hold less than the {spec.gsd_m:g} m pixels "
            "that the network was trained on: expect more wrong labels"
        )
    if place.method == "rpcs":
        doubts.append(
            "the scene is placed by rational polynomials at one mean height: "
            "in mountains cells may lie hundreds of metres off"
        )
    return tuple(doubts)
