"""Scenes of one day that touch, and the haze that they share, so that no border shows in maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from affine import Affine

from geoclass.errors import GeoclassError
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.georeference.place import WGS84, assign_place, find_place
from geoclass.scene.open.facts import Triple
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.candidates import HAZY_DN, find_dark, find_haze_of
from geoclass.scene.radiometry.units import find_missing
from geoclass.scene.read.pixels import SAMPLE_SIDE, read_sample
from geoclass.scene.settings import FrameSettings, MaskSettings, RadiometrySettings

NEAR_DEGREES = 1e-3
"""Scenes that lie so far apart, some 100 m, still touch."""

NO_HAZE: Triple = (0.0, 0.0, 0.0)


def group_adjacent(scenes: Sequence[SceneSource], settings: FrameSettings) -> list[list[int]]:
    """Indices of scenes that touch, directly or by others; those without a place are left out."""
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
    """Indices of scenes that show the ground of an earlier one on the same day → that one's.

    So do both parts of a product that was delivered in two, and two processings of one product.
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


SAME_GROUND = 0.5
"""Of the smaller scene: neighbouring tiles share 2 to 20 % of theirs, two parts of a tile all."""


def _outline(source: SceneSource, settings: FrameSettings) -> shapely.Geometry | None:
    """In degrees; None where the scene has no place on Earth."""
    try:
        place = find_place(assign_place(source, settings))
    except GeoclassError:
        return None
    return None if place is None else place.outline(WGS84)


def find_shared_haze(darks: Sequence[np.ndarray | None]) -> Triple | None:
    """The haze of scenes by the dark pixels of each, as `read_dark` gives them.

    That of the scene with least; None where one of them cannot be told.
    """
    told = [dark for dark in darks if dark is not None]
    haze = find_haze_of(np.min(told, axis=0)) if len(told) == len(darks) else None
    if haze is None:
        return None
    return haze if haze[2] >= HAZY_DN else NO_HAZE


def read_dark(
    source: SceneSource, radiometry: RadiometrySettings, masks: MaskSettings, *, force: bool
) -> np.ndarray | None:
    """Digital numbers of dark pixels, float (3,); None where they can be read in several ways."""
    pixels = Frame(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)
    source = source if masks.nodata is None else replace(source, nodata=masks.nodata)
    try:
        grid = Grid(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)
        inside = np.ones((grid.rows, grid.cols), dtype=bool)
        sample = read_sample(source, pixels, grid, inside, SAMPLE_SIDE)
        return find_dark(*find_missing(source, radiometry, sample, force=force), radiometry)
    except (GeoclassError, ValueError):  # its own map will say why
        return None
