"""Small pictures for judging by eye: cells of a sample, and alerts before and after."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from affine import Affine
from PIL import Image, ImageDraw

from geoclass.errors import OutputError, SceneError
from geoclass.files.writing import drafted
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.monitor.history import Alert, Monitoring
from geoclass.report.quicklook import read_looks

AROUND_PX = 32
"""Pixels of surroundings on each side: what a cell or an alert is shows in where it lies."""
SIDE_PX = 360
"""Of a picture's longer side, at least."""
OUTLINE = (255, 255, 0)
MARGIN_PX = 8


def draw_chips(
    scene: str, landcover: LandCoverMap, rows: np.ndarray, cols: np.ndarray, folder: Path
) -> list[str]:
    """Write a PNG of each cell, outlined in its surroundings; their paths beside the folder.

    Raises SceneError where the scene cannot be read, OutputError where a file cannot be written.
    """
    landcover = landcover.finest
    names = []
    for number, cell in enumerate(zip(rows.tolist(), cols.tolist(), strict=True), start=1):
        edges, window = _cut_window(landcover.grid, np.array([cell]))
        (look,) = read_looks([(scene, landcover.provenance)], window)
        names.append(_save(_draw([("", look)], edges), folder, number))
    return names


def draw_alerts(
    result: Monitoring, maps: Sequence[tuple[date, Provenance]], folder: Path, *, beside: Path
) -> dict[int, str]:
    """Write a PNG of each alert, before and after; their paths as seen from a file, by its number.

    `maps` tell the scenes that they were made of. Before is the last date that shows most of the
    cells before any was gone, after the first when all are. Alerts of which either scene is not
    there any more have no picture. Raises OutputError where a file cannot be written.
    """
    names = {}
    for alert in result.alerts:
        before, after = _choose_maps(result, alert, maps)
        if before is None or after is None:
            continue
        cells = np.stack(np.divmod(np.unique(alert.losses.cell), result.stack.grid.cols), axis=1)
        edges, window = _cut_window(result.stack.grid, cells)
        try:
            looks = read_looks([(told.source["path"], told) for _, told in (before, after)], window)
        except SceneError:
            continue
        picture = _draw([(str(before[0]), looks[0]), (str(after[0]), looks[1])], edges)
        name = folder.parent / _save(picture, folder, alert.alert_id)
        names[alert.alert_id] = Path(os.path.relpath(name, beside.parent)).as_posix()
    return names


def _choose_maps(
    result: Monitoring, alert: Alert, maps: Sequence[tuple[date, Provenance]]
) -> tuple[tuple[date, Provenance] | None, tuple[date, Provenance] | None]:
    dates, losses = result.stack.dates, alert.losses
    observed = result.stack.observed.reshape(len(dates), -1)[:, losses.cell].mean(axis=1)
    clear = [
        (day, told)
        for day, told in sorted(maps, key=lambda item: item[0])
        if day in dates
        and observed[dates.index(day)] > 0.5
        and Path(told.source.get("path", "?")).exists()
    ]
    gone = dates[int(losses.first_gone.max())]
    before = [item for item in clear if item[0] < alert.first_gone]
    after = [item for item in clear if item[0] >= gone]
    return before[-1] if before else None, after[0] if after else None


def _cut_window(grid: Grid, cells: np.ndarray) -> tuple[np.ndarray, Grid]:
    """Cells, int (n, 2), as boxes, int (n, 4), of left, top, right and bottom pixel in a window.

    Beside them the window's grid, which the cells' surroundings are in.
    """
    (row, col), rows, cols = cells.T, grid.row_edges, grid.col_edges
    least = grid.tile_size  # no grid is smaller
    top = max(0, min(rows[row.min()] - AROUND_PX, grid.height - least))
    left = max(0, min(cols[col.min()] - AROUND_PX, grid.width - least))
    bottom = min(grid.height, max(rows[row.max() + 1] + AROUND_PX, top + least))
    right = min(grid.width, max(cols[col.max() + 1] + AROUND_PX, left + least))
    window = replace(
        grid,
        height=int(bottom - top),
        width=int(right - left),
        transform=grid.transform @ Affine.translation(int(left), int(top)),
    )
    boxes = np.stack([cols[col], rows[row], cols[col + 1], rows[row + 1]], axis=1)
    return boxes - np.array([left, top, left, top]), window


def _draw(looks: Sequence[tuple[str, np.ndarray]], boxes: np.ndarray) -> Image.Image:
    """Titled looks, uint8 (h, w, 4), side by side; the outer edges of the boxes are drawn."""
    height, width = looks[0][1].shape[:2]
    scale = max(1, -(-SIDE_PX // max(height, width)))
    whole = Image.new(
        "RGB", ((width * scale + MARGIN_PX) * len(looks) - MARGIN_PX, height * scale), "white"
    )
    edges = _find_edges(boxes)
    for number, (title, look) in enumerate(looks):
        shown = look[..., :3] * (look[..., 3:] > 0)  # black where the scene has no data
        part = Image.fromarray(shown).resize((width * scale, height * scale), 0)
        pen = ImageDraw.Draw(part)
        for edge in edges:
            pen.line([scale * v for v in edge], fill=OUTLINE, width=2)
        pen.text((4, 2), title, fill=OUTLINE)
        whole.paste(part, (number * (width * scale + MARGIN_PX), 0))
    return whole


def _find_edges(boxes: np.ndarray) -> list[tuple[int, ...]]:
    """Sides of boxes that no two of them share, as (x, y, x, y)."""
    sides = [
        side
        for left, top, right, bottom in boxes.tolist()
        for side in ((left, top, right, top), (left, bottom, right, bottom),
                     (left, top, left, bottom), (right, top, right, bottom))
    ]  # fmt: skip
    return [side for side in sides if sides.count(side) == 1]


def _save(picture: Image.Image, folder: Path, number: int) -> str:
    name = f"{number:04d}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    with drafted(folder / name) as draft:
        picture.save(draft)
    return f"{folder.name}/{name}"
