"""The pixels of a map: the scene's own, or the grid that it is warped to.

The network needs pixels of one size. Scenes with other pixels are warped when they are read.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyproj
from affine import Affine

from geoclass.errors import SceneError
from geoclass.scene.georeference.place import WGS84, Footprint, find_utm, is_metric
from geoclass.scene.georeference.region import Region
from geoclass.scene.open.facts import Raster
from geoclass.scene.settings import FrameSettings, Resampling

Access = Literal["read", "warp", "gcps", "rpcs"]
"""How pixels are taken from the scene: unchanged, or warped by one of three methods."""

HAIR = 1e-6
"""Rounding error, in pixels."""
GSD_TOLERANCE = 0.1
"""Maximum relative difference from the model's pixel size without a warp."""
COARSEST = 2.0
"""Maximum pixel size, relative to the model's: coarser scenes lack the textures it needs."""
COARSENING = 1.5
"""Minimum ratio of pixel sizes for averaging instead of cubic interpolation."""
ZONE_SCALE = 0.01
"""Maximum relative scale error of a UTM zone; reached about eight degrees from its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSpec:
    """The model's and the map's requirements."""

    gsd_m: float
    tile_size: int
    stride: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Pixels of a map in rows and columns, and how they are read from the scene."""

    height: int
    width: int
    transform: Affine
    """From (column, row) of pixel corners to x, y."""
    crs: str | None
    """WKT; None for a scene without a location, whose x and y are pixels."""
    access: Access = "read"
    row_off: int = 0
    """For `read`: the scene's row of row 0; may be outside the scene."""
    col_off: int = 0
    resampling: Resampling = "nearest"
    """Of a warp."""
    notes: tuple[str, ...] = ()
    """Decisions, for people."""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything besides the grid that affects pixel values."""
        return {"access": self.access, "resampling": self.resampling}


def plan_frame(
    source: Raster,
    place: Footprint | None,
    settings: FrameSettings,
    spec: GridSpec,
    region: Region | None,
) -> Frame:
    """Choose the pixels of a map; SceneError if the scene cannot be mapped."""
    if place is None:
        return _plan_unplaced(source, settings, region)
    _check_coarse(source, place, settings, spec)
    frame, pixel_m = _lay_frame(source, place, settings, spec, region)
    frame = _snap(frame, spec.stride) if settings.snap else frame
    if region is not None:
        frame = _crop(frame, region, spec)
    return replace(
        frame,
        notes=_tell(source, place, frame, pixel_m),
        warnings=_doubt_pixels(place, pixel_m, spec),
    )


def _plan_unplaced(source: Raster, settings: FrameSettings, region: Region | None) -> Frame:
    """Rows and columns as coordinates; y increases upward, as on maps."""
    if region is not None or settings.snap or isinstance(settings.resolution, float):
        raise SceneError(
            f"{source.shown} has no georeference, which a part, a pixel size or a common grid "
            "needs: give --crs and --bounds"
        )
    missing = "transform" if source.georeference.crs else "coordinate reference system"
    doubt = (
        f"the scene has no usable {missing}: the map is in pixels, areas are unknown, and the "
        "model's pixel size is assumed; --crs and --bounds set the location"
    )
    return Frame(
        height=source.height,
        width=source.width,
        transform=Affine.scale(1, -1),
        crs=None,
        warnings=(doubt,),
    )


def _lay_frame(
    source: Raster, place: Footprint, settings: FrameSettings, spec: GridSpec, region: Region | None
) -> tuple[Frame, float]:
    """The requested pixels, else the scene's own, else, if these differ too much, the model's.

    Also returns their approximate size on the ground in metres. Raises SceneError for a scene that
    is too wide for one projection.
    """
    t = source.georeference.transform
    upright = place.method == "transform" and t.b == t.d == 0 and t.a > 0 > t.e
    crs, x, y = place.crs, place.x, place.y
    if settings.resolution == "native" and place.method == "transform":
        pixel_m, keep = max(place.pixel_m), upright
        side = float(np.sqrt(abs(t.determinant)))
    else:
        side = spec.gsd_m
        if isinstance(settings.resolution, float):
            side = settings.resolution
        elif settings.resolution == "native":  # a scene with ground control points
            side = round(float(np.sqrt(place.pixel_m[0] * place.pixel_m[1])), 3)
        pixel_m = side
        near = np.abs(np.array(place.pixel_m) / pixel_m - 1)
        # Snapped maps match only if their pixels have exactly one size.
        exact = settings.snap or isinstance(settings.resolution, float)
        same = (t.a, -t.e) == (side, side) if exact else near.max() <= GSD_TOLERANCE
        metric = is_metric(crs, x, y)
        keep = bool(upright and metric and same)
        if not metric:
            crs, x, y = _choose_crs(source, place, region)
    if keep:
        return Frame(height=source.height, width=source.width, transform=t, crs=crs), pixel_m
    # Multiples of the pixel size, so that scenes of one place have common pixels.
    left, right = np.floor(x.min() / side + HAIR), np.ceil(x.max() / side - HAIR)
    bottom, top = np.floor(y.min() / side + HAIR), np.ceil(y.max() / side - HAIR)
    coarsens = pixel_m / min(place.pixel_m) >= COARSENING
    frame = Frame(
        height=int(top - bottom),
        width=int(right - left),
        transform=Affine(side, 0, left * side, 0, -side, top * side),
        crs=crs,
        access="warp" if place.method == "transform" else place.method,
        resampling=settings.resampling or ("average" if coarsens else "cubic"),
    )
    return frame, pixel_m


def _snap(frame: Frame, stride: int) -> Frame:
    """Extend to multiples of the cell size on all sides."""
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
    """Limit to the cells of the whole scene with their centre in the region's bounds."""
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
    """First pixel and end of the cells with their centre in an interval; at least a tile."""
    edges = np.minimum(np.arange(-(-size // spec.stride) + 1) * spec.stride, size)
    centres = (edges[:-1] + edges[1:]) / 2
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    if len(inside) == 0:
        return None
    first, last = int(inside[0]), int(inside[-1]) + 1
    while edges[last] - edges[first] < spec.tile_size and (first > 0 or last < len(edges) - 1):
        first, last = (first - 1, last) if first > 0 else (first, last + 1)
    return int(edges[first]), int(edges[last])


def _tell(source: Raster, place: Footprint, frame: Frame, pixel_m: float) -> tuple[str, ...]:
    if frame.access == "read":
        return ()
    kind = {
        "warp": "degrees" if pyproj.CRS.from_wkt(place.crs).is_geographic else "pixels",
        "gcps": f"{source.georeference.gcps} ground control points",
        "rpcs": "rational polynomial coefficients",
    }[frame.access]
    width, height = place.pixel_m
    name = pyproj.CRS.from_wkt(str(frame.crs)).name
    note = (
        f"scene in {kind}, pixels of {width:.1f} × {height:.1f} m: warped to "
        f"{pixel_m:g} m in {name} ({frame.resampling})"
    )
    return (note,)


def fit_frame(source: Raster, place: Footprint | None, pixels: Frame) -> Frame:
    """How to read the pixels of an existing map from a raster.

    Raises SceneError if one has no location and their sizes differ.
    """
    if place is None or pixels.crs is None:
        if place is not None or (source.height, source.width) != (pixels.height, pixels.width):
            raise SceneError(
                f"{source.shown} does not match the map: it has {source.width}×{source.height} "
                f"pixels, the map was made of {pixels.width}×{pixels.height}"
            )
        return replace(pixels, access="read")
    if place.method != "transform":
        return replace(pixels, access=place.method, resampling="average")
    transform = source.georeference.transform
    col, row = ~transform @ pixels.transform @ (0, 0)
    ours, theirs = np.array(transform), np.array(pixels.transform)
    same = pyproj.CRS.from_wkt(place.crs) == pyproj.CRS.from_wkt(pixels.crs)
    aligned = max(abs(col - round(col)), abs(row - round(row))) < 1e-3
    if same and aligned and np.allclose(ours[[0, 1, 3, 4]], theirs[[0, 1, 3, 4]], rtol=1e-9):
        return replace(pixels, access="read", row_off=round(row), col_off=round(col))
    return replace(pixels, access="warp", resampling="cubic")


def _check_coarse(
    source: Raster, place: Footprint, settings: FrameSettings, spec: GridSpec
) -> None:
    coarsest = COARSEST * spec.gsd_m
    finest = max(place.pixel_m)
    wish = settings.resolution if isinstance(settings.resolution, float) else 0.0
    if max(finest, wish) > 1.01 * coarsest and not settings.force:
        raise SceneError(
            f"{source.shown} would be mapped from pixels of {max(finest, wish):.1f} m, but the "
            f"network was trained on {spec.gsd_m:g} m: above {coarsest:g} m textures are lost, "
            "and labels are wrong but confident; give a finer scene, or --force"
        )


def _choose_crs(
    source: Raster, place: Footprint, region: Region | None
) -> tuple[str, np.ndarray, np.ndarray]:
    """UTM zone and outline of the scene; of the region, if the scene is too wide for a zone."""
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
        f"{source.shown} is too wide for one UTM zone: "
        "map it in parts with --bbox, or give it in a metric projection"
    )


def _doubt_pixels(place: Footprint, pixel_m: float, spec: GridSpec) -> tuple[str, ...]:
    """Warnings about pixels that differ from the training data."""
    doubts = []
    coarse, wide = max(place.pixel_m), (1 + GSD_TOLERANCE) * spec.gsd_m
    if abs(pixel_m / spec.gsd_m - 1) > GSD_TOLERANCE:
        doubts.append(
            f"the map is made on pixels of {pixel_m:.1f} m, the network was trained on "
            f"{spec.gsd_m:g} m: expect wrong labels"
        )
    # Pixels in degrees are high and narrow, which is no lack of detail.
    elif coarse > wide and np.prod(place.pixel_m) > wide**2:
        doubts.append(
            f"the scene's pixels of {coarse:.1f} m have less detail than the {spec.gsd_m:g} m "
            "pixels that the network was trained on: expect more wrong labels"
        )
    if place.method == "rpcs":
        doubts.append(
            "the scene is located by rational polynomials at one mean height: "
            "in mountains, cells may be hundreds of metres off"
        )
    return tuple(doubts)
