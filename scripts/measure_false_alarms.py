#!/usr/bin/env python3
"""Count false alarms over dated scenes of one place, and find clearings pasted into them.

    python scripts/measure_false_alarms.py FOLDER --runs 5

FOLDER holds Level-2A scenes of one place where no forest is lost, their dates in their names.
Each run pastes bare ground of the same scenes, 10, 20, 40 and 80 ha of it, into the forest from
the sixth date on. Scenes that cannot be mapped are said and left out.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
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
from geoclass.monitor.watch import Monitoring
from geoclass.scene.settings import FrameSettings, RadiometrySettings

SIZES_HA = (10, 20, 40, 80)
FIRST_CLEARED = 5
"""Number of the first date with the clearings, from 0."""
SETTINGS = MapSettings(
    stride=32,
    frame=FrameSettings(snap=True),
    radiometry=RadiometrySettings(profile="l2a", dn_offset=0),
)
LEAST_FOREST = 0.6
"""Share of a clearing that the first summer's maps must call forest."""
BARE_PX = 24
"""Side of the patch of bare ground that is repeated to fill a clearing."""


def map_scene(path: Path) -> DatedMap:
    landcover = geoclass.map_scene(path, settings=SETTINGS)
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


def choose_places(rng: np.random.Generator, forest: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Row, column, height and width of each clearing, in pixels of the scene."""
    places: list[tuple[int, int, int, int]] = []
    free = forest.copy()
    for area_ha in sorted(SIZES_HA, reverse=True):
        side = round(np.sqrt(area_ha * 100))
        share = uniform_filter(free.astype(float), side)
        half = side // 2
        share[:half], share[-half:], share[:, :half], share[:, -half:] = 0, 0, 0, 0
        best = np.argwhere(
            share >= max(0.6, share.max() - 0.1) if share.max() >= 0.6 else share < 0
        )
        if not len(best):
            continue
        row, col = best[rng.integers(len(best))]
        places.append((int(row) - half, int(col) - half, side, side))
        margin = 32
        free[max(0, row - half - margin) : row + half + margin,
             max(0, col - half - margin) : col + half + margin] = False  # fmt: skip
    return places


def paste(
    path: Path, target: Path, places: Sequence[tuple[int, int, int, int]], bare: tuple[int, int]
) -> None:
    with rasterio.open(path) as file:
        pixels, profile, tags, names = (
            file.read(), file.profile, file.tags(), file.descriptions,
        )  # fmt: skip
    patch = pixels[:, bare[0] : bare[0] + BARE_PX, bare[1] : bare[1] + BARE_PX]
    mirrored = np.concatenate([patch, patch[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[:, :, ::-1]], axis=2)
    for row, col, height, width in places:
        repeats = (1, -(-height // mirrored.shape[1]), -(-width // mirrored.shape[2]))
        filled = np.tile(mirrored, repeats)[:, :height, :width]
        pixels[:, row : row + height, col : col + width] = filled
    with rasterio.open(target, "w", **profile) as file:
        file.write(pixels)
        file.descriptions = names
        file.update_tags(**tags)


def count_alerted(result: Monitoring) -> int:
    return len({c for a in result.alerts for c in a.losses.cell.tolist()})


def hits(result: Monitoring, places: np.ndarray) -> bool:
    """Whether an alert has a cell whose middle lies in the mask of places."""
    cells = {c for a in result.alerts for c in a.losses.cell.tolist()}
    return any(places.ravel()[c] for c in cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    scenes, maps = [], []
    for path in sorted(args.folder.glob("*.tif")):
        try:
            maps.append(map_scene(path))
            scenes.append(path)
        except GeoclassError as error:
            print(f"left out: {error}")
    result = geoclass.monitor_maps(maps)
    seen = len(result.cells)
    alerted = count_alerted(result)
    print(
        f"{len(scenes)} dates, {seen} cells; {alerted} alerted ({alerted / seen:.2%})", flush=True
    )
    bare = find_bare(scenes)
    grid = maps[0].landcover.grid
    before = [forest_cells(m.landcover) for m in maps[FIRST_CLEARED - 1 : FIRST_CLEARED + 1]]
    known = np.any(before, axis=0)
    x, y = grid.centres()
    with rasterio.open(scenes[0]) as file:
        shape, transform, crs = file.shape, file.transform, file.crs
    to_scene = rasterio.warp.transform(grid.crs, crs, x.ravel(), y.ravel())
    col, row = ~transform @ (np.array(to_scene[0]), np.array(to_scene[1]))
    forest = np.zeros(shape, dtype=bool)
    step = grid.stride // 2
    for r, c, inside in zip(row.astype(int), col.astype(int), known.ravel(), strict=True):
        if inside:
            forest[max(0, r - step) : r + step, max(0, c - step) : c + step] = True
    found = dict.fromkeys(SIZES_HA, 0)
    tried = dict.fromkeys(SIZES_HA, 0)
    for seed in range(args.runs):
        places = choose_places(np.random.default_rng(seed), forest)
        with tempfile.TemporaryDirectory() as folder:
            cleared = list(maps)
            for number, path in enumerate(scenes):
                if number >= FIRST_CLEARED:
                    target = Path(folder) / path.name
                    paste(path, target, places, bare)
                    cleared[number] = replace(map_scene(target), day=maps[number].day)
        monitored = geoclass.monitor_maps(cleared)
        for top, left, height, width in places:
            size = min(SIZES_HA, key=lambda ha: abs(ha - height * width / 100))
            mask = (row >= top - step) & (row < top + height + step)
            mask &= (col >= left - step) & (col < left + width + step)
            tried[size] += 1
            found[size] += hits(monitored, mask)
        print(f"run {seed}: {found} of {tried}, {count_alerted(monitored)} cells", flush=True)


if __name__ == "__main__":
    main()
