#!/usr/bin/env python3
"""Count false alarms over dated scenes of one place, and find clearings pasted into them.

    python scripts/measure_false_alarms.py FOLDER --runs 5 [--stride 16] [--error-days 0 60 120]

FOLDER holds Level-2A scenes of one place where no forest is lost, their dates in their names.
Each run pastes bare ground of the same scenes, 10, 20, 40 and 80 ha of it, into the forest from
the sixth date on. Scenes that cannot be mapped are said and left out.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
import rasterio.warp
from scipy.ndimage import uniform_filter

import geoclass
from geoclass.errors import GeoclassError
from geoclass.landcover import LandCoverMap
from geoclass.mapping.settings import MapSettings
from geoclass.monitor.align import DatedMap
from geoclass.monitor.history import Monitoring
from geoclass.monitor.settings import MonitorSettings, SeriesSettings
from geoclass.scene.settings import FrameSettings, RadiometrySettings

SIZES_HA = (10, 20, 40, 80)
FIRST_CLEARED = 5
"""Number of the first date with the clearings, from 0."""
SETTINGS = MapSettings(
    frame=FrameSettings(snap=True),
    radiometry=RadiometrySettings(profile="l2a", dn_offset=0),
)
LEAST_FOREST = 0.6
"""Share of a clearing that the first summer's maps must call forest."""
BARE_PX = 24
"""Side of the patch of bare ground that is repeated to fill a clearing."""

Clearing = tuple[int, int, int, int]
"""Row, column, height and width in pixels of the scene."""


def map_scene(path: Path, stride: int) -> DatedMap:
    landcover = geoclass.map_scene(path, settings=replace(SETTINGS, stride=stride))
    return geoclass.date_map(landcover, file_name=path.name)


def forest_cells(landcover: LandCoverMap) -> np.ndarray:
    ids = [c.class_id for c in landcover.legend.classes if c.group == "forest"]
    return np.isin(landcover.class_id, ids)


def find_bare(scenes: Sequence[Path]) -> tuple[int, int]:
    """Upper left corner of the patch that is reddest over all dates."""
    total: np.ndarray | float = 0.0
    for path in scenes:
        with rasterio.open(path) as file:
            red, _, blue = uniform_filter(file.read().astype(float), (1, BARE_PX, BARE_PX))
        total = total + (red - blue) / np.median(red)
    assert isinstance(total, np.ndarray)
    half = BARE_PX // 2
    inner = total[half:-half, half:-half]
    row, col = np.unravel_index(inner.argmax(), inner.shape)
    return int(row), int(col)


def choose_clearings(rng: np.random.Generator, forest: np.ndarray) -> list[Clearing]:
    """Squares that do not touch, the largest first."""
    clearings: list[Clearing] = []
    free = forest.copy()
    for area_ha in sorted(SIZES_HA, reverse=True):
        side = round(np.sqrt(area_ha * 100))
        share = uniform_filter(free.astype(float), side)
        half = side // 2
        share[:half], share[-half:], share[:, :half], share[:, -half:] = 0, 0, 0, 0
        if share.max() < LEAST_FOREST:
            continue
        best = np.argwhere(share >= max(LEAST_FOREST, share.max() - 0.1))
        row, col = best[rng.integers(len(best))]
        clearings.append((int(row) - half, int(col) - half, side, side))
        margin = 32
        free[max(0, row - half - margin) : row + half + margin,
             max(0, col - half - margin) : col + half + margin] = False  # fmt: skip
    return clearings


def paste(path: Path, target: Path, clearings: Sequence[Clearing], bare: tuple[int, int]) -> None:
    with rasterio.open(path) as file:
        pixels, profile, tags, names = (
            file.read(), file.profile, file.tags(), file.descriptions,
        )  # fmt: skip
    patch = pixels[:, bare[0] : bare[0] + BARE_PX, bare[1] : bare[1] + BARE_PX]
    mirrored = np.concatenate([patch, patch[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[:, :, ::-1]], axis=2)
    for row, col, height, width in clearings:
        repeats = (1, -(-height // mirrored.shape[1]), -(-width // mirrored.shape[2]))
        filled = np.tile(mirrored, repeats)[:, :height, :width]
        pixels[:, row : row + height, col : col + width] = filled
    with rasterio.open(target, "w", **profile) as file:
        file.write(pixels)
        file.descriptions = names
        file.update_tags(**tags)


def alerted_cells(result: Monitoring) -> set[int]:
    return {cell for alert in result.alerts for cell in alert.losses.cell.tolist()}


@dataclass(frozen=True, slots=True)
class Place:
    """Dated maps of one place, and where its scenes' pixels and its maps' cells lie."""

    scenes: Sequence[Path]
    maps: Sequence[DatedMap]
    rows: np.ndarray
    """Of the middle of each cell, in pixels of the first scene."""
    cols: np.ndarray
    shape: tuple[int, int]
    """Of the first scene, in pixels."""

    @property
    def reach(self) -> int:
        """Pixels from a cell's middle to its edge."""
        half: int = self.maps[0].landcover.grid.stride // 2
        return half


def read_place(folder: Path, stride: int) -> Place:
    scenes, maps = [], []
    for path in sorted(folder.glob("*.tif")):
        try:
            maps.append(map_scene(path, stride))
            scenes.append(path)
        except GeoclassError as error:
            print(f"left out: {error}")
    grid = maps[0].landcover.grid
    x, y = grid.centres()
    with rasterio.open(scenes[0]) as file:
        shape, transform, crs = file.shape, file.transform, file.crs
    to_scene = rasterio.warp.transform(grid.crs, crs, x.ravel(), y.ravel())
    col, row = ~transform @ (np.array(to_scene[0]), np.array(to_scene[1]))
    return Place(scenes, maps, row, col, shape)


def find_forest(place: Place) -> np.ndarray:
    """Bool, the first scene's shape: what the maps before and after the felling call forest."""
    around = place.maps[FIRST_CLEARED - 1 : FIRST_CLEARED + 1]
    known = np.any([forest_cells(dated.landcover) for dated in around], axis=0).ravel()
    forest = np.zeros(place.shape, dtype=bool)
    step = place.reach
    for r, c in zip(place.rows[known].astype(int), place.cols[known].astype(int), strict=True):
        forest[max(0, r - step) : r + step, max(0, c - step) : c + step] = True
    return forest


def clear(place: Place, clearings: Sequence[Clearing], bare: tuple[int, int]) -> list[DatedMap]:
    """The maps, those from the sixth date on with the clearings."""
    maps = list(place.maps)
    stride = maps[0].landcover.grid.stride
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(place.scenes):
            if number >= FIRST_CLEARED:
                target = Path(folder) / path.name
                paste(path, target, clearings, bare)
                maps[number] = replace(map_scene(target, stride), day=maps[number].day)
    return maps


def monitor(maps: Sequence[DatedMap], error_days: float) -> Monitoring:
    series = SeriesSettings(error_days=error_days)
    return geoclass.monitor_maps(maps, settings=MonitorSettings(series=series))


def is_found(result: Monitoring, place: Place, clearing: Clearing) -> bool:
    """Whether an alert has a cell that lies in the clearing, or reaches into it by half."""
    top, left, height, width = clearing
    step = place.reach
    inside = (place.rows >= top - step) & (place.rows < top + height + step)
    inside &= (place.cols >= left - step) & (place.cols < left + width + step)
    return bool(inside[sorted(alerted_cells(result))].any())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--stride", type=int, default=32)
    parser.add_argument(
        "--error-days", type=float, nargs="+", default=[SeriesSettings().error_days]
    )
    args = parser.parse_args()
    place = read_place(args.folder, args.stride)
    bare, forest = find_bare(place.scenes), find_forest(place)
    tried = dict.fromkeys(SIZES_HA, 0)
    found = {days: dict.fromkeys(SIZES_HA, 0) for days in args.error_days}
    for seed in range(args.runs):
        clearings = choose_clearings(np.random.default_rng(seed), forest)
        maps = clear(place, clearings, bare)
        sizes = [min(SIZES_HA, key=lambda ha: abs(ha - c[2] * c[3] / 100)) for c in clearings]
        for size in sizes:
            tried[size] += 1
        for days in args.error_days:
            result = monitor(maps, days)
            for clearing, size in zip(clearings, sizes, strict=True):
                found[days][size] += is_found(result, place, clearing)
    print(f"{len(place.scenes)} dates, clearings pasted (ha: number): {tried}")
    print("| error days | cells alerted | clearings found |")
    print("|---|---|---|")
    for days in args.error_days:
        result = monitor(place.maps, days)
        alerted, seen = len(alerted_cells(result)), len(result.cells)
        print(f"| {days:g} | {alerted} of {seen} ({alerted / seen:.2%}) | {found[days]} |")


if __name__ == "__main__":
    main()
