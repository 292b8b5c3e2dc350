"""Scenes as pictures below the maps."""

from collections.abc import Sequence
from datetime import date

import numpy as np

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.report.page.sheet import Picture
from geoclass.report.quicklook import read_picture, read_quicklook
from geoclass.scene.open.source import open_scene

ALL_PIXELS = 9e6
"""Of all pictures of a page together, so that the page stays below 5 MB."""

MIN_SIDE = 480
"""Pixels of the longer side of a picture."""


class Pictures:
    """Reads the given scenes, and no others: a map can name any file."""

    def __init__(self, scenes: Sequence[str], steps: int) -> None:
        """`steps` is the number of pictures on the page: many are smaller. SceneError."""
        self._scenes = {path: open_scene(path) for path in scenes}
        self._unused = list(self._scenes)
        self._side = max(MIN_SIDE, round((ALL_PIXELS / max(1, steps)) ** 0.5))
        self._read: dict[tuple[str, str], np.ndarray] = {}

    def find(
        self,
        grid: Grid,
        names: Sequence[str],
        day: date | None,
        landcover: LandCoverMap | None = None,
    ) -> Picture | None:
        """The scene with one of the file names, of the date, or the first without a date.

        Without `day`, the first scene. None if there is no such scene; SceneError if the scene of
        the name or date is unreadable. With `landcover`, the scene is read like the map.
        """
        days = {
            path: None if scene.date is None else date.fromisoformat(scene.date)
            for path, scene in self._scenes.items()
        }
        exact = [path for path, scene in self._scenes.items() if scene.name in names]
        exact += [path for path in days if day is not None and days[path] == day]
        possible = [path for path in days if day is None or days[path] is None]
        if not exact + possible:
            return None
        path = [*exact, *possible][0]
        key = (path, repr(grid.to_json()))
        try:
            if key not in self._read:
                self._read[key] = (
                    read_quicklook(path, landcover, self._side)
                    if exact and landcover is not None
                    else read_picture(path, grid, self._side)
                )
        except SceneError:
            if exact:
                raise
            return None
        self._unused = [other for other in self._unused if other != path]
        name, shown_day = self._scenes[path].name, days[path]
        dated = shown_day is not None and str(shown_day) not in name
        return Picture(pixels=self._read[key], label=f"{name}, {shown_day}" if dated else name)

    def check_all_used(self) -> None:
        """SceneError if a given scene shows none of the maps."""
        if self._unused:
            paths = ", ".join(self._unused)
            raise SceneError(
                f"{paths} shows none of the maps: give the scenes that they were made of"
            )
