"""Which scene lies behind which map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.report.page.sheet import Picture
from geoclass.report.quicklook import read_picture, read_quicklook
from geoclass.scene.source import open_scene

ALL_PIXELS = 9e6
"""Of all pictures of a page together, so that it stays below 5 MB."""

LEAST_SIDE = 480
"""Pixels of the longer side of a picture, however many there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    path: str
    name: str
    day: date | None


class Pictures:
    """Finds and reads them among the scenes given, and nowhere else: a map may name anything."""

    def __init__(self, scenes: Sequence[str], steps: int) -> None:
        """`steps` is the number of pictures to come: many are smaller. SceneError."""
        self._scenes = [_look_at(path) for path in scenes]
        self._unused = {scene.path: scene for scene in self._scenes}
        self._side = max(LEAST_SIDE, round((ALL_PIXELS / max(1, steps)) ** 0.5))
        self._read: dict[tuple[str, str], np.ndarray] = {}

    def find_for_map(self, landcover: LandCoverMap, day: date | None) -> Picture | None:
        """The scene of a map; None where there is none that can be read."""
        scene, certain = self._choose([landcover.provenance.scene], day)
        if scene is None:
            return None
        return self._take(scene, landcover.grid, certain=certain, landcover=landcover)

    def find_for_grid(self, grid: Grid, names: Sequence[str], day: date) -> Picture | None:
        """The scene of a day of which only the names of files are known."""
        scene, certain = self._choose(names, day)
        return None if scene is None else self._take(scene, grid, certain=certain)

    def check_all_used(self) -> None:
        """Refuse scenes that were given for nothing; SceneError."""
        if self._unused:
            paths = ", ".join(self._unused)
            raise SceneError(
                f"{paths} shows none of the maps: give the scenes that they were made of"
            )

    def _choose(self, names: Sequence[str], day: date | None) -> tuple[_Scene | None, bool]:
        """The scene of that name or day, else one that may be; and whether it certainly is."""
        for scene in self._scenes:
            if scene.name in names:
                return scene, True
        for scene in self._scenes:
            if day is not None and scene.day == day:
                return scene, True
        unsure = [scene for scene in self._scenes if day is None or scene.day is None]
        return (unsure[0] if unsure else None), False

    def _take(
        self, scene: _Scene, grid: Grid, *, certain: bool, landcover: LandCoverMap | None = None
    ) -> Picture | None:
        key = (scene.path, repr(grid.to_json()))
        try:
            if key not in self._read:
                self._read[key] = (
                    read_quicklook(scene.path, landcover, self._side)
                    if certain and landcover is not None
                    else read_picture(scene.path, grid, self._side)
                )
        except SceneError:
            if certain:
                raise
            return None
        self._unused.pop(scene.path, None)
        return Picture(pixels=self._read[key], label=_say(scene.name, scene.day))


def _look_at(path: str) -> _Scene:
    source = open_scene(path)
    day = None if source.date is None else date.fromisoformat(source.date)
    return _Scene(path=path, name=source.name, day=day)


def _say(name: str, day: date | None) -> str:
    return f"{name}, {day}" if day and str(day) not in name else name
