"""A scene at a size for the eye, on the pixels of its map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.scene.frame import Frame, fit_frame
from geoclass.scene.pixels import read_shrunk
from geoclass.scene.place import assign_place, find_place
from geoclass.scene.radiometry import Radiometry
from geoclass.scene.settings import FrameSettings
from geoclass.scene.source import open_scene

LONGEST_SIDE = 1600
"""Pixels of the quicklook; more would not be seen."""

BRIGHTEN = 98.0
"""The percentile of the quicklook that is drawn white: EuroSAT's stretch is dark to the eye."""

DARKEN = 1.0
"""The percentile that is drawn black where it is not known what a scene's numbers mean."""

LEAST_SEEN = 0.05
"""Share of a grid that a scene must cover to be its picture."""


def read_quicklook(
    scene: Path | str, landcover: LandCoverMap, longest_side: int = LONGEST_SIDE
) -> np.ndarray:
    """Uint8 (h, w, 4): the map's scene, read as the map was, and brightened; clear where missing.

    Raises SceneError where it cannot be read or lies elsewhere.
    """
    provenance = landcover.provenance
    settings = FrameSettings.from_json(provenance.options.get("frame", {}))
    stored, valid, shown = _read_pixels(
        scene, landcover.grid, provenance.bands, settings, longest_side
    )
    if not valid.any() or valid.mean() < 0.5 * (landcover.valid_share / FULL_SCALE).mean():
        raise SceneError(f"{shown} is not where the map is: it was made of {provenance.scene}")
    radiometry = Radiometry.from_json(provenance.radiometry)
    return _brighten(radiometry.apply(stored).transpose(1, 2, 0).astype(np.float32), valid)


def read_picture(scene: Path | str, grid: Grid, longest_side: int = LONGEST_SIDE) -> np.ndarray:
    """Uint8 (h, w, 4): a scene on the ground of a grid, stretched for the eye; clear where missing.

    Raises SceneError where it cannot be read or lies elsewhere.
    """
    stored, valid, shown = _read_pixels(scene, grid, None, FrameSettings(), longest_side)
    if valid.mean() < LEAST_SEEN:
        raise SceneError(f"{shown} is not where the map is: give a scene of the same ground")
    pixels = stored.transpose(1, 2, 0).astype(np.float32)
    return _brighten(pixels - np.percentile(pixels[valid], DARKEN), valid)


def _read_pixels(
    scene: Path | str,
    grid: Grid,
    bands: Sequence[int | str] | None,
    settings: FrameSettings,
    longest_side: int,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Stored numbers (3, h, w), bool (h, w) where there are any, and what to call the scene."""
    source = assign_place(open_scene(scene, bands), settings)
    wanted = Frame(height=grid.height, width=grid.width, transform=grid.transform, crs=grid.crs)
    frame = fit_frame(source, find_place(source), wanted)
    return *read_shrunk(source, frame, longest_side), source.shown


def _brighten(pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Float (h, w, 3) from black to white and bool (h, w), to uint8 (h, w, 4)."""
    white = max(1.0, float(np.percentile(pixels[valid], BRIGHTEN)))
    bright = np.clip(pixels / white * 255, 0, 255)
    return np.dstack([bright, 255 * valid]).astype(np.uint8)
