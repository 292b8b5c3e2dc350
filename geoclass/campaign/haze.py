"""Haze that adjacent scenes of one day share, so that no border between them shows in the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from geoclass.campaign.jobs import Job, Outcome
from geoclass.mapping.settings import MapSettings
from geoclass.scene.adjacent import find_shared_haze, group_adjacent, read_dark
from geoclass.scene.guard import is_remote
from geoclass.scene.source import SceneSource

Opened = Mapping[Job, SceneSource | Outcome]


def join_adjacent(opened: Opened, settings: MapSettings) -> dict[Job, SceneSource | Outcome]:
    """The same scenes, each with the others of its day that it touches, or that those touch.

    Only where haze is to be found out; remote scenes are left alone, for their pixels are far away.
    """
    joined = dict(opened)
    if settings.radiometry.haze != "auto" or settings.radiometry.scale is not None:
        return joined
    by_day: dict[tuple[str, str], list[tuple[Job, SceneSource]]] = {}
    for job, source in opened.items():
        if isinstance(source, SceneSource) and source.date and not is_remote(source.dataset):
            by_day.setdefault((source.date, source.dtype), []).append((job, source))
    for scenes in by_day.values():
        for group in group_adjacent([source for _, source in scenes], settings.frame):
            for i in group if len(group) > 1 else ():
                job, source = scenes[i]
                others = tuple(scenes[other][1] for other in group if other != i)
                joined[job] = replace(source, adjacent=others)
    return joined


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
        scenes = (source, *source.adjacent)
        for scene in scenes:
            if scene.dataset not in known:
                known[scene.dataset] = read_dark(
                    scene, settings.radiometry, settings.masks, force=settings.frame.force
                )
        haze = find_shared_haze([known[scene.dataset] for scene in scenes])
        shared.append((job, replace(source, haze=haze)))
    return shared
