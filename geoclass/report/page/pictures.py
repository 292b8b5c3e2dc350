"""Scenes as pictures below the maps."""

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
"""Of all pictures of a page together, so that the page stays below 5 MB."""

MIN_SIDE = 480
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    path: str
    name: str
    day: date | None

    @property
    def label(self) -> str:
        return (
            f"{self.name}, {self.day}" if self.day and str(self.day) not in self.name else self.name
        )


class Pictures:
    """Reads the given scenes, and no others: a map can name any file."""

    def __init__(self, scenes: Sequence[str], steps: int) -> None:
        """`steps` is the number of pictures on the page: many are smaller. SceneError."""
        self._scenes = list(map(_inspect, scenes))
        self._unused = {scene.path: scene for scene in self._scenes}
        self._side = max(MIN_SIDE, round((ALL_PIXELS / max(1, steps)) ** 0.5))
        self._read: dict[tuple[str, str], np.ndarray] = {}

    def find(
        self,
        grid: Grid,
        names: Sequence[str],
        day: date | None,
        landcover: LandCoverMap | None = None,
    ) -> Picture | None:
        """The scene with one of the file names, of the date, or nearest in time.

        None if there is no scene; SceneError if the scene of the name or date is unreadable. With
        `landcover`, the scene is read like the map.
        """
        exact = [scene for scene in self._scenes if scene.name in names]
        exact += [scene for scene in self._scenes if day is not None and scene.day == day]
        wanted = day or date.min
        nearest = sorted(self._scenes, key=lambda s: abs(((s.day or date.max) - wanted).days))
        if not self._scenes:
            return None
        scene = [*exact, *nearest][0]
        key = (scene.path, repr(grid.to_json()))
        try:
            if key not in self._read:
                self._read[key] = (
                    read_quicklook(scene.path, landcover, self._side)
                    if exact and landcover is not None
                    else read_picture(scene.path, grid, self._side)
                )
        except SceneError:
            if exact:
                raise
            return None
        self._unused.pop(scene.path, None)
        return Picture(pixels=self._read[key], label=scene.label)

    def check_all_used(self) -> None:
        """SceneError if a given scene shows none of the maps."""
        if self._unused:
            paths = ", ".join(self._unused)
            raise SceneError(
                f"{paths} shows none of the maps: give the scenes that they were made of"
            )


def _inspect(path: str) -> _Scene:
    source = open_scene(path)
    day = None if source.date is None else date.fromisoformat(source.date)
    return _Scene(path=path, name=source.name, day=day)
