"""A map as one picture, with its scene if wanted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.report.charts import new_figure, save_figure
from geoclass.report.quicklook import choose_bar, format_length, measure_ground, read_quicklook

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANEL_WIDTH_IN = 5.5
BAR_SHARE = 0.25
"""Maximum length of the scale bar, as a fraction of the map's width."""
ARROW_SHARE = 0.09
"""Length of the north arrow, as a fraction of the map's height."""
EDGE = "#444444"


def draw_preview(
    landcover: LandCoverMap,
    path: Path | str,
    scene: Path | str | None = None,
    *,
    title: str | None = None,
) -> None:
    """Write a PNG, SVG or PDF: map in its finest cells, legend, scale bar, north, title and date.

    A given scene is drawn beside the map; the default title is its name. Raises OutputError if the
    picture cannot be written, SceneError if the scene is unreadable.
    """
    landcover = landcover.finest
    grid, provenance = landcover.grid, landcover.provenance
    panels = 1 if scene is None else 2
    side_by_side = grid.width < 1.2 * grid.height
    rows, cols = (1, panels) if side_by_side else (panels, 1)
    width_in = PANEL_WIDTH_IN * 2
    height_in = width_in * grid.height / grid.width * rows / cols + 1.1 + 0.3 * rows
    figure = new_figure(width_in, height_in)
    axes = np.ravel(figure.subplots(rows, cols))
    if scene is not None:
        _show(axes[0], read_quicklook(scene, landcover), grid, (grid.width, grid.height))
        axes[0].set_title("Scene", fontsize=10)
        axes[1].set_title("Land cover", fontsize=10)
    cells_size = (grid.cols * grid.stride, grid.rows * grid.stride)
    _show(axes[-1], landcover.palette[landcover.class_id], grid, cells_size)
    _add_scale(axes[-1], grid)
    figure.suptitle(title or provenance.scene, fontsize=13)
    figure.legend(handles=_handles(landcover), loc="outside lower center", ncols=5, frameon=False)
    axes[-1].set_xlabel(_describe(landcover), fontsize=8, color=EDGE)
    save_figure(figure, path)


def _describe(landcover: LandCoverMap) -> str:
    """The line below the map."""
    provenance = landcover.provenance
    cell_m = landcover.grid.stride * landcover.grid.gsd_m
    cells = "" if np.isnan(cell_m) else f" · cells of {cell_m:.0f} m"
    source = f" · {provenance.attribution}" if provenance.attribution else ""
    return (
        f"{provenance.date or 'date unknown'}{cells} · geoclass {provenance.version}, "
        f"model {provenance.model[:12]}{source}"
    )


def _show(axes: Axes, image: np.ndarray, grid: Grid, size: tuple[int, int]) -> None:
    """Draw an image of `size`, width and height in pixels of the scene, clipped to the map."""
    right, bottom = size
    axes.imshow(image, extent=(0, right, bottom, 0), interpolation="nearest")
    axes.set(xlim=(0, grid.width), ylim=(grid.height, 0), xticks=[], yticks=[])


def _add_scale(axes: Axes, grid: Grid) -> None:
    """A scale bar and a north arrow in the map's lower corners, on a white background."""
    ground = measure_ground(grid)
    if ground is None:
        return
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=4, foreground="white")]
    plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
    length_m = choose_bar(BAR_SHARE * grid.width * ground.pixel_width_m)
    margin = 0.03 * max(grid.width, grid.height)
    left, base = margin, grid.height - margin
    right = left + length_m / ground.pixel_width_m
    axes.plot(
        [left, right], [base, base], color="black", linewidth=3, solid_capstyle="butt",
        path_effects=[withStroke(linewidth=6, foreground="white")],
    )  # fmt: skip
    axes.annotate(
        format_length(length_m), ((left + right) / 2, base), (0, 6), textcoords="offset points",
        ha="center", va="bottom", fontsize=9, bbox=plate,
    )  # fmt: skip
    arrow = ARROW_SHARE * grid.height
    angle = math.radians(ground.north_deg)
    foot = (grid.width - margin - arrow / 4, base)
    tip = (foot[0] + arrow * math.sin(angle), foot[1] - arrow * math.cos(angle))
    axes.annotate(
        "", tip, foot,
        arrowprops={
            "arrowstyle": "-|>", "color": "black", "linewidth": 1.5, "path_effects": halo,
            "shrinkA": 0, "shrinkB": 0,
        },
    )  # fmt: skip
    axes.annotate(
        "N", tip, (0, 4), textcoords="offset points", ha="center", va="bottom", fontsize=10,
        fontweight="bold", bbox=plate,
    )  # fmt: skip


def _handles(landcover: LandCoverMap) -> list[object]:
    """Legend entries of the classes and statuses in the map."""
    from matplotlib.patches import Patch

    present = np.unique(landcover.class_id)
    return [
        Patch(facecolor=entry.color, edgecolor="#555555", linewidth=0.4, label=entry.title)
        for entry in landcover.legend.entries
        if entry.class_id in present
    ]
