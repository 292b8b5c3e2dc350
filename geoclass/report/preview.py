"""A map beside its scene, as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoclass.errors import SceneError
from geoclass.landcover import FULL_SCALE, LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES
from geoclass.report.charts import new_figure, save_figure
from geoclass.scene.frame import Frame, fit_frame
from geoclass.scene.pixels import read_shrunk
from geoclass.scene.place import assign_place, find_place
from geoclass.scene.radiometry import Radiometry
from geoclass.scene.settings import FrameSettings
from geoclass.scene.source import open_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LONGEST_SIDE = 1600
"""Pixels of the quicklook; more would not be seen."""

BRIGHTEN = 98.0
"""The percentile of the quicklook that is drawn white: EuroSAT's stretch is dark to the eye."""


def draw_preview(landcover: LandCoverMap, path: Path, scene: Path | str | None = None) -> None:
    """Write a PNG, SVG or PDF of the map, beside the scene if it is given.

    Raises OutputError where it cannot be written, SceneError where the scene cannot be read.
    """
    grid = landcover.grid
    panels = 1 if scene is None else 2
    side_by_side = grid.width < 1.2 * grid.height
    layout = (1, panels) if side_by_side else (panels, 1)
    aspect = grid.height / grid.width
    width_in = 11.0
    height_in = width_in * aspect * layout[0] / layout[1] + 1.1
    figure = new_figure(width_in, height_in)
    axes = np.ravel(figure.subplots(*layout))
    title = f"{landcover.provenance.scene}, {landcover.provenance.date or 'date unknown'}"
    if scene is not None:
        _show(axes[0], read_quicklook(scene, landcover), landcover, title)
        title = "Land cover"
    _show(axes[-1], draw_classes(landcover), landcover, title)
    figure.legend(handles=_handles(landcover), loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)


def draw_classes(landcover: LandCoverMap) -> np.ndarray:
    """Uint8 (rows, cols, 4): the legend's colours, transparent where nodata."""
    table = np.zeros((256, 4), dtype=np.uint8)
    for item in landcover.legend.classes:
        table[item.class_id] = (*item.rgb, 255)
    for status in STATUS_STYLES:
        table[status.code] = (*status.rgb, 255)
    colors: np.ndarray = table[landcover.class_id]
    return colors


def read_quicklook(
    scene: Path | str, landcover: LandCoverMap, longest_side: int = LONGEST_SIDE
) -> np.ndarray:
    """Uint8 (h, w, 3): the map's scene at a size for the eye, brightened."""
    settings = FrameSettings.from_json(landcover.provenance.options.get("frame", {}))
    source = assign_place(open_scene(scene, landcover.provenance.bands), settings)
    grid = landcover.grid
    wanted = Frame(height=grid.height, width=grid.width, transform=grid.transform, crs=grid.crs)
    frame = fit_frame(source, find_place(source), wanted)
    stored, valid = read_shrunk(source, frame, longest_side)
    if valid.mean() < 0.5 * (landcover.valid_share / FULL_SCALE).mean():
        raise SceneError(
            f"{source.shown} is not where the map is: it was made of {landcover.provenance.scene}"
        )
    radiometry = Radiometry.from_json(landcover.provenance.radiometry)
    pixels = radiometry.apply(stored).transpose(1, 2, 0).astype(np.float32)
    white = max(1.0, float(np.percentile(pixels, BRIGHTEN)))
    bright: np.ndarray = np.clip(pixels / white * 255, 0, 255).astype(np.uint8)
    return bright


def _show(axes: Axes, image: np.ndarray, landcover: LandCoverMap, title: str) -> None:
    """Draw an image in pixels of the scene; cells at the edge are cut as the map cuts them."""
    grid = landcover.grid
    right, bottom = grid.width, grid.height
    if image.shape[2] == 4:
        right, bottom = grid.cols * grid.stride, grid.rows * grid.stride
    axes.imshow(image, extent=(0, right, bottom, 0), interpolation="nearest")
    axes.set(xlim=(0, grid.width), ylim=(grid.height, 0), xticks=[], yticks=[])
    axes.set_title(title, fontsize=10)


def _handles(landcover: LandCoverMap) -> list[object]:
    """What stands in the legend: only what stands in the map."""
    from matplotlib.patches import Patch

    present = set(np.unique(landcover.class_id)) - {NODATA}
    entries = [(c.class_id, c.title, c.color) for c in landcover.legend.classes]
    entries += [(s.code, s.title, s.color) for s in STATUS_STYLES]
    return [
        Patch(facecolor=color, edgecolor="#555555", linewidth=0.4, label=title)
        for code, title, color in entries
        if code in present
    ]
