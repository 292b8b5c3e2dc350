"""Haze that adjacent scenes of one day share, so that no border between them shows in the map."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyproj
import shapely
from affine import Affine

from geoclass.campaign.jobs import Job, Outcome
from geoclass.errors import GeoclassError
from geoclass.grid import Grid
from geoclass.mapping.settings import MapSettings
from geoclass.scene.facts import Triple
from geoclass.scene.frame import Frame
from geoclass.scene.guard import is_remote
from geoclass.scene.pixels import SAMPLE_SIDE, read_sample
from geoclass.scene.place import WGS84, assign_place, find_place
from geoclass.scene.recognition import HAZY_DN, find_dark, find_haze_of
from geoclass.scene.source import SceneSource
from geoclass.scene.units import find_missing

NEAR_DEGREES = 1e-3
"""Scenes that lie so far apart, some 100 m, still touch."""

Opened = Mapping[Job, SceneSource | Outcome]


def join_adjacent(opened: Opened, settings: MapSettings) -> dict[Job, SceneSource | Outcome]:
    """The same scenes, each with the others of its day that it touches, or that those touch.

    Only where haze is to be found out; remote scenes are left alone, for their pixels are far away.
    """
    joined = dict(opened)
    if settings.radiometry.haze != "auto" or settings.radiometry.scale is not None:
        return joined
    by_day: dict[tuple[str, str], list[Job]] = {}
    for job, source in opened.items():
        if isinstance(source, SceneSource) and source.date and not is_remote(source.dataset):
            by_day.setdefault((source.date, source.dtype), []).append(job)
    for jobs in by_day.values():
        for group in _group(jobs, [_outline(opened[job], settings) for job in jobs]):
            for job in group:
                others = tuple(found for other in group if other != job
                               if isinstance(found := opened[other], SceneSource))  # fmt: skip
                own = opened[job]
                if others and isinstance(own, SceneSource):
                    joined[job] = replace(own, adjacent=others)
    return joined


def _outline(source: SceneSource | Outcome, settings: MapSettings) -> shapely.Geometry | None:
    """In degrees; None where the scene has no place on Earth."""
    if isinstance(source, Outcome):
        return None
    try:
        place = find_place(assign_place(source, settings.frame))
    except GeoclassError:
        return None
    if place is None:
        return None
    ways = pyproj.Transformer.from_crs(place.crs, WGS84, always_xy=True)
    x, y = ways.transform(place.x, place.y)
    return shapely.convex_hull(shapely.multipoints(np.column_stack([x, y])))


def _group(jobs: Sequence[Job], outlines: Sequence[shapely.Geometry | None]) -> Iterable[list[Job]]:
    """Jobs whose scenes touch, directly or by others."""
    placed = [(job, outline) for job, outline in zip(jobs, outlines, strict=True) if outline]
    groups: list[tuple[list[Job], shapely.Geometry]] = []
    for job, outline in placed:
        near = [g for g in groups if shapely.dwithin(g[1], outline, NEAR_DEGREES)]
        groups = [g for g in groups if g not in near]
        members = [other for g in near for other in g[0]]
        groups.append(([*members, job], shapely.union_all([outline, *(g[1] for g in near)])))
    return [members for members, _ in groups]


def share_haze(
    pending: Sequence[tuple[Job, SceneSource]], settings: MapSettings
) -> list[tuple[Job, SceneSource]]:
    """The scenes that are to be mapped, each with the haze of all that it was joined with."""
    known: dict[str, np.ndarray | None] = {}
    shared = []
    for job, source in pending:
        if not source.adjacent:
            shared.append((job, source))
            continue
        darks = []
        for scene in (source, *source.adjacent):
            if scene.dataset not in known:
                known[scene.dataset] = _read_dark(scene, settings)
            darks.append(known[scene.dataset])
        told = [dark for dark in darks if dark is not None]
        haze = find_haze_of(np.min(told, axis=0)) if len(told) == len(darks) else None
        if haze is not None:
            haze = haze if haze[2] >= HAZY_DN else NO_HAZE
        shared.append((job, replace(source, haze=haze)))
    return shared


NO_HAZE: Triple = (0.0, 0.0, 0.0)


def _read_dark(source: SceneSource, settings: MapSettings) -> np.ndarray | None:
    """Digital numbers of dark pixels, float (3,); None where they can be read in several ways."""
    pixels = Frame(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)
    nodata = settings.masks.nodata
    source = source if nodata is None else replace(source, nodata=nodata)
    try:
        grid = Grid(height=source.height, width=source.width, transform=Affine.scale(1), crs=None)
        inside = np.ones((grid.rows, grid.cols), dtype=bool)
        sample = read_sample(source, pixels, grid, inside, SAMPLE_SIDE)
        found = find_missing(source, settings.radiometry, sample, force=settings.frame.force)
        return find_dark(*found, settings.radiometry)
    except (GeoclassError, ValueError):  # its own map will say why
        return None
