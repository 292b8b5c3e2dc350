"""Views of a scene on the grid of a map, and the scale and orientation of a grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, LandCoverMap, Provenance
from geoclass.outside import convert_json
from geoclass.scene.georeference.frame import Frame, fit_frame
from geoclass.scene.georeference.place import assign_place, find_place
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.candidates import find_candidates
from geoclass.scene.radiometry.conversion import (
    AIR_PATH_DN,
    AIR_TRANSMITTANCE,
    EUROSAT_MAX_DN,
    Radiometry,
    Sample,
)
from geoclass.scene.read.pixels import read_shrunk
from geoclass.scene.settings import FrameSettings, RadiometrySettings

LONGEST_SIDE = 1600  # pixels

BRIGHTEN = 98.0
"""Percentile that is drawn white: EuroSAT's stretch is dark."""

DARKEN = 1.0
"""Percentile of the darkest pixels, drawn black if the radiometry of the scene is unknown."""

AIR_PATH = 1 + np.array(AIR_PATH_DN, dtype=np.float32) * 254 / EUROSAT_MAX_DN
"""Light that a typical atmosphere adds to red, green and blue, in EuroSAT's 8-bit stretch."""
AIR_PASS = np.array(AIR_TRANSMITTANCE, dtype=np.float32)
"""Fraction of the light from the ground that passes a typical atmosphere."""

MIN_COVERED = 0.05
"""Fraction of a grid that a scene must cover."""


def read_quicklook(
    scene: Path | str, landcover: LandCoverMap, longest_side: int = LONGEST_SIDE
) -> np.ndarray:
    """Uint8 (h, w, 4): the map's scene with the map's radiometry; transparent without data.

    Raises SceneError if it is unreadable or shows another place.
    """
    covered = float((landcover.valid_share / FULL_SCALE).mean())
    sources = [(scene, landcover.provenance)]
    (view,) = read_views(sources, landcover.grid, longest_side, min_covered=0.5 * covered)
    return view


def read_picture(scene: Path | str, grid: Grid, longest_side: int = LONGEST_SIDE) -> np.ndarray:
    """Uint8 (h, w, 4): a scene on a grid with stretched contrast; transparent without data.

    The most plausible radiometry is used. Raises SceneError if it is unreadable or shows another
    place.
    """
    source, stored, valid = _read_pixels(scene, grid, None, FrameSettings(), longest_side)
    if valid.mean() < MIN_COVERED:
        raise SceneError(f"{source.shown} does not cover the map: give a scene of the same place")
    sample = Sample(stored=stored[:, None], valid=valid[None])
    try:
        radiometry = find_candidates(source, RadiometrySettings(), sample)[0]
    except SceneError:
        pixels = stored.transpose(1, 2, 0).astype(np.float32)
        pixels -= np.percentile(pixels[valid], DARKEN)
    else:
        (pixels,) = _remove_air([(radiometry.apply(stored).transpose(1, 2, 0), valid)])
    return _brighten(pixels, valid, float(np.percentile(pixels[valid], BRIGHTEN)))


def read_views(
    scenes: Sequence[tuple[Path | str, Provenance]],
    grid: Grid,
    longest_side: int = LONGEST_SIDE,
    *,
    min_covered: float = 0.0,
) -> list[np.ndarray]:
    """Uint8 (h, w, 4) each: scenes on a grid with the radiometry of their maps, equally brightened.

    Raises SceneError if one is unreadable, or covers less than a fraction of the grid.
    """
    views = []
    for path, provenance in scenes:
        settings = convert_json(provenance.options.get("frame", {}), FrameSettings, "frame")
        source, stored, valid = _read_pixels(path, grid, provenance.bands, settings, longest_side)
        if not valid.any() or valid.mean() < min_covered:
            raise SceneError(
                f"{source.shown} does not cover the map, which was made of {provenance.scene}"
            )
        radiometry = Radiometry.from_json(provenance.radiometry)
        views.append((radiometry.apply(stored).transpose(1, 2, 0), valid))
    masks = [valid for _, valid in views]
    grounds = list(zip(_remove_air(views), masks, strict=True))
    white = max(float(np.percentile(pixels[valid], BRIGHTEN)) for pixels, valid in grounds)
    return [_brighten(pixels, valid, white) for pixels, valid in grounds]


def _read_pixels(
    scene: Path | str,
    grid: Grid,
    bands: Sequence[int | str] | None,
    settings: FrameSettings,
    longest_side: int,
) -> tuple[SceneSource, np.ndarray, np.ndarray]:
    """The scene, its stored values (3, h, w) and their mask, bool (h, w)."""
    source = assign_place(open_scene(scene, bands), settings)
    wanted = Frame(height=grid.height, width=grid.width, transform=grid.transform, crs=grid.crs)
    frame = fit_frame(source, find_place(source), wanted)
    return source, *read_shrunk(source, frame, longest_side)


def _remove_air(views: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """Float32 (h, w, 3) each: views in EuroSAT's stretch as seen without an atmosphere.

    `views` are pixels (h, w, 3) and their mask, bool (h, w). Air scatters blue and green light:
    with it, forest looks turquoise and bare ground purple. No more light is removed than the
    darkest pixels have.
    """
    darkest = [np.percentile(pixels[valid], DARKEN, axis=0) for pixels, valid in views]
    path = np.minimum(AIR_PATH, np.min(darkest, axis=0))
    return [((pixels - path) / AIR_PASS).astype(np.float32) for pixels, _ in views]


def _brighten(pixels: np.ndarray, valid: np.ndarray, white: float) -> np.ndarray:
    """Float (h, w, 3) from black to white and bool (h, w), to uint8 (h, w, 4)."""
    bright = np.clip(pixels / max(1.0, white) * 255, 0, 255)
    return np.dstack([bright, 255 * valid]).astype(np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Measured at the centre of a map, on the ellipsoid of its CRS."""

    pixel_width_m: float
    pixel_height_m: float
    north_deg: float
    """Direction of north: degrees clockwise from the top of the map, -180 to 180."""


def measure_ground(grid: Grid) -> Ground | None:
    """Pixel size and north; None without a CRS."""
    if grid.crs is None:
        return None
    crs = pyproj.CRS.from_wkt(grid.crs)
    ellipsoid = crs.get_geod()
    if ellipsoid is None:
        return None
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    step = grid.tile_size / 2
    row, col = grid.height / 2, grid.width / 2
    corners = ((col - step, row), (col + step, row), (col, row + step), (col, row - step))
    left, right, bottom, top = (to_degrees.transform(*(grid.transform @ c)) for c in corners)
    _, _, width_m = ellipsoid.inv(*left, *right)
    upward, _, height_m = ellipsoid.inv(*bottom, *top)
    return Ground(
        pixel_width_m=width_m / grid.tile_size,
        pixel_height_m=height_m / grid.tile_size,
        north_deg=-upward,
    )


def choose_bar(width_m: float) -> float:
    """The longest of 1, 2 or 5 times a power of ten metres that is at most `width_m`, above 0."""
    power = 10.0 ** math.floor(math.log10(width_m))
    return max(digit * power for digit in (1.0, 2.0, 5.0) if digit * power <= width_m)


def format_length(length_m: float) -> str:
    """`500 m`, `2 km`."""
    return f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
