"""Image chips for visual interpretation: cells of a sample, and alerts before and after."""

import os
from collections import Counter
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
from geoclass.report.quicklook import read_views

AROUND_PX = 32
SIDE_PX = 360
"""Minimum of a chip's longer side."""
OUTLINE = (255, 255, 0)
MARGIN_PX = 8
TITLE_PX = 16


def draw_chips(
    scene: str, landcover: LandCoverMap, rows: np.ndarray, cols: np.ndarray, folder: Path
) -> list[str]:
    """Write a PNG of each cell with its outline; their paths relative to the folder's parent.

    Raises SceneError if the scene is unreadable, OutputError if a file cannot be written.
    """
    landcover = landcover.finest
    names = []
    for number, cell in enumerate(zip(rows.tolist(), cols.tolist(), strict=True), start=1):
        boxes, window = _cut_window(landcover.grid, np.array([cell]))
        (view,) = read_views([(scene, landcover.provenance)], window)
        names.append(_save(_draw([("", view)], boxes), folder, number))
    return names


def draw_alerts(
    result: Monitoring, maps: Sequence[tuple[date, Provenance]], folder: Path, *, beside: Path
) -> dict[int, str]:
    """Write a PNG of each alert, before and after; paths relative to a file, by number.

    `maps` contain the paths of the scenes. Before is the last date before the loss on which most of
    the cells are observed, after the first date on which all of them are lost. Alerts without
    these scenes have no picture. Raises OutputError if a file cannot be written.
    """
    names = {}
    for alert in result.alerts:
        chosen = _choose_maps(result, alert, maps)
        if not chosen:
            continue
        cells = np.stack(np.divmod(np.unique(alert.losses.cell), result.stack.grid.cols), axis=1)
        boxes, window = _cut_window(result.stack.grid, cells)
        try:
            views = read_views([(source.source["path"], source) for _, source in chosen], window)
        except SceneError:
            continue
        titled = [(str(day), view) for (day, _), view in zip(chosen, views, strict=True)]
        name = folder.parent / _save(_draw(titled, boxes), folder, alert.alert_id)
        names[alert.alert_id] = Path(os.path.relpath(name, beside.parent)).as_posix()
    return names


def _choose_maps(
    result: Monitoring, alert: Alert, maps: Sequence[tuple[date, Provenance]]
) -> list[tuple[date, Provenance]]:
    """The maps before and after a loss; empty unless both scenes exist."""
    dates, losses = result.stack.dates, alert.losses
    observed = result.stack.observed.reshape(len(dates), -1)[:, losses.cell].mean(axis=1)
    clear = [
        (day, source)
        for day, source in sorted(maps, key=lambda item: item[0])
        if day in dates
        and observed[dates.index(day)] > 0.5
        and Path(source.source.get("path", "?")).exists()
    ]
    before = [item for item in clear if item[0] < alert.first_gone]
    after = [item for item in clear if item[0] >= dates[int(losses.first_gone.max())]]
    return [before[-1], after[0]] if before and after else []


def _cut_window(grid: Grid, cells: np.ndarray) -> tuple[np.ndarray, Grid]:
    """Cells, int (n, 2), as boxes, int (n, 4): left, top, right and bottom pixel in a window.

    The second value is the grid of the window, which contains the surroundings of the cells.
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


def _draw(views: Sequence[tuple[str, np.ndarray]], boxes: np.ndarray) -> Image.Image:
    """Titled views, uint8 (h, w, 4), side by side, with the outer edges of the boxes."""
    height, width = views[0][1].shape[:2]
    scale = max(1, -(-SIDE_PX // max(height, width)))
    whole = Image.new(
        "RGB", ((width * scale + MARGIN_PX) * len(views) - MARGIN_PX, height * scale), "white"
    )
    edges = _find_edges(boxes)
    for number, (title, view) in enumerate(views):
        shown = view[..., :3] * (view[..., 3:] > 0)  # black without data
        part = Image.fromarray(shown).resize((width * scale, height * scale), 0)
        pen = ImageDraw.Draw(part)
        for edge in edges:
            pen.line([scale * v for v in edge], fill=OUTLINE, width=2)
        pen.text((4, 2), title, fill=OUTLINE, font_size=TITLE_PX, stroke_width=1, stroke_fill=0)
        whole.paste(part, (number * (width * scale + MARGIN_PX), 0))
    return whole


def _find_edges(boxes: np.ndarray) -> list[tuple[int, ...]]:
    """Sides of single boxes, not shared by two, as (x, y, x, y)."""
    sides = [
        side
        for left, top, right, bottom in boxes.tolist()
        for side in ((left, top, right, top), (left, bottom, right, bottom),
                     (left, top, left, bottom), (right, top, right, bottom))
    ]  # fmt: skip
    return [side for side, count in Counter(sides).items() if count == 1]


def _save(picture: Image.Image, folder: Path, number: int) -> str:
    name = f"{number:04d}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}") from error
    with drafted(folder / name) as draft:
        picture.save(draft)
    return f"{folder.name}/{name}"
