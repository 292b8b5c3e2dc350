"""Pictures of single cells, cut from their scene for who labels them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from geoclass.landcover import LandCoverMap
from geoclass.report.charts import new_figure, save_figure
from geoclass.report.quicklook import read_quicklook

AROUND = 1.0
"""Tiles of surroundings on each side: what a cell is shows in where it lies."""


def draw_chips(
    scene: str, landcover: LandCoverMap, rows: np.ndarray, cols: np.ndarray, folder: Path
) -> list[str]:
    """Write a PNG of each cell, outlined in its surroundings; their paths beside the folder.

    Raises SceneError where the scene cannot be read, OutputError where a file cannot be written.
    """
    grid = landcover.finest.grid
    image = read_quicklook(scene, landcover, max(grid.height, grid.width))
    folder.mkdir(exist_ok=True)
    margin = round(AROUND * grid.tile_size)
    names = []
    for number, (row, col) in enumerate(zip(rows.tolist(), cols.tolist(), strict=True), start=1):
        top, bottom = grid.row_edges[row], grid.row_edges[row + 1]
        left, right = grid.col_edges[col], grid.col_edges[col + 1]
        window = (
            slice(max(0, top - margin), bottom + margin),
            slice(max(0, left - margin), right + margin),
        )
        figure = new_figure(3.2, 3.2)
        axes = figure.subplots()
        part = image[window]
        height, width = part.shape[:2]
        start_row, start_col = window[0].start, window[1].start
        axes.imshow(part, extent=(start_col, start_col + width, start_row + height, start_row))
        axes.plot(
            [left, right, right, left, left], [top, top, bottom, bottom, top], color="#ffff00"
        )
        axes.set(xticks=[], yticks=[])
        name = f"{number:04d}.png"
        save_figure(figure, folder / name)
        names.append(f"{folder.name}/{name}")
    return names
