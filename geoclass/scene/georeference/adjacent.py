"""Scenes that touch, and scenes of one day that show the same ground."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import shapely

from geoclass.errors import GeoclassError
from geoclass.scene.georeference.place import WGS84, assign_place, find_place
from geoclass.scene.open.source import SceneSource
from geoclass.scene.settings import FrameSettings

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
