"""Forest loss on plots of land, from a monitor file, and files of the verdicts."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyproj
import shapely

from geoclass.errors import OutputError, SettingsError
from geoclass.legend import NODATA
from geoclass.monitor.alerts import LEVELS
from geoclass.monitor.files import read_monitor
from geoclass.monitor.history import Monitoring, monitor_stack
from geoclass.monitor.layers import build_layer
from geoclass.monitor.markov import FOREST
from geoclass.monitor.plot_shapes import GEOD, WGS84, Plot, repair_plots, split_at_180
from geoclass.monitor.settings import PlotSettings
from geoclass.monitor.tables import as_days, as_texts, weigh_cells
from geoclass.products.layers import FEATURE_SUFFIXES, Layer, read_features, write_features
from geoclass.products.styles import Category, VectorStyle

Answer = Literal["no loss detected", "loss detected", "cannot tell"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)

MIN_OBSERVED = 0.9
"""Fraction of a plot that must be observed before and after the date for `no loss detected`."""
NEGLIGIBLE = 0.005
"""Smaller fractions of a plot are rounding errors."""
MIN_LOSS_CELLS = 0.5
"""Smaller losses, in cells, may lie beside the plot."""
MAX_LISTED = 5
ANSWER_COLORS = dict(zip(ANSWERS, ("#4daf4a", "#e41a1c", "#999999"), strict=True))

DISCLAIMER = (
    "The verdicts are not a legal determination. They are based on maps of satellite images, which "
    "contain errors, and do not say whether a loss was deforestation or whether it was legal."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one plot."""

    area_ha: float = np.nan
    """On the ground; NaN if the plot was rejected."""
    forest_ha: float = np.nan
    """Observed forest on the reference date; NaN if the plot was rejected."""
    lost_ha: float = np.nan
    """Part of this forest that was lost later; NaN if the plot was rejected."""
    loss_after: date | None = None
    """Last date with forest, of the earliest loss."""
    loss_by: date | None = None
    """First date without forest, of the earliest loss."""
    level: str = ""
    """Highest level of the alerts; empty without an alert."""
    observed_share: float = 0.0
    """Fraction observed clearly both up to the reference date and after it, 0–1."""
    answer: Answer = "cannot tell"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlotVerdicts:
    """Plots in the order of their file, with their verdicts."""

    plots: tuple[Plot, ...]
    verdicts: tuple[Verdict, ...]
    settings: PlotSettings
    attribution: str
    """Credit that the licence of the images requires; may be empty."""

    @property
    def counts(self) -> dict[Answer, int]:
        """Number of plots with each answer."""
        answers = [verdict.answer for verdict in self.verdicts]
        return {answer: answers.count(answer) for answer in ANSWERS}

    @property
    def messages(self) -> list[str]:
        """Repairs and rejections: one line for each kind, with the numbers of the plots."""
        numbers: dict[str, list[int]] = {}
        for number, plot in enumerate(self.plots, start=1):
            rejected = [] if plot.rejected is None else [f"was rejected: {plot.rejected}"]
            for text in (*plot.notes, *rejected):
                numbers.setdefault(text, []).append(number)
        return [
            f"{len(found)} plot{'s' * (len(found) > 1)} (plotId "
            f"{', '.join(map(str, found[:MAX_LISTED]))}{' …' * (len(found) > MAX_LISTED)}): {text}"
            for text, found in numbers.items()
        ]


def assess_plots(
    plots: Path | str, monitor: Path | str | Monitoring, *, settings: PlotSettings | None = None
) -> PlotVerdicts:
    """Check for each plot of a vector file whether its forest was lost after a date.

    `monitor` is a file of `geoclass.write_monitor`, or its content. Plots are polygons or points.
    Faulty plots are repaired or rejected one by one; `messages` lists both. Raises OutputError for
    an unreadable file, SettingsError if the monitor does not watch forest, or has no dates up to
    the reference date or after it.
    """
    settings = settings or PlotSettings()
    features = read_features(Path(plots))
    if not isinstance(monitor, Monitoring):
        monitor = monitor_stack(*read_monitor(monitor))
    cells = _summarise_cells(monitor, settings.forest_on)
    repaired = repair_plots(features, monitor.stack.grid, settings)
    return PlotVerdicts(
        plots=tuple(repaired),
        verdicts=tuple(_assess(plot, cells) for plot in repaired),
        settings=settings,
        attribution=monitor.stack.attribution,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cells:
    """State of all cells before and after a date; arrays are (cells,)."""

    result: Monitoring
    day: date
    to_maps: pyproj.Transformer
    """From degrees."""
    cell_ha: float
    reached: np.ndarray
    """bool: inside a map."""
    observed: np.ndarray
    """bool: both up to the date and after it."""
    forest: np.ndarray
    """bool: on the last observed date up to the date."""
    loss: np.ndarray
    """int64 (3, cells): first date without forest, last date with it, and level of the earliest
    loss after the date; the number of all dates if there is none."""


def _summarise_cells(result: Monitoring, day: date) -> _Cells:
    stack = result.stack
    if FOREST not in result.settings.watch:
        raise SettingsError(
            f"the monitor file watches {', '.join(result.settings.watch)}, not {FOREST}: make "
            f"one with --watch {FOREST}"
        )
    if not stack.dates[0] <= day < stack.dates[-1]:
        raise SettingsError(
            f"the monitor file has dates from {stack.dates[0]} to {stack.dates[-1]}, which do not "
            f"show losses after {day}: give --forest-on between these, or monitor more dates"
        )
    known = sum(each <= day for each in stack.dates)
    observed = stack.observed.reshape(len(stack.dates), -1)
    forest = np.zeros(len(result.area_ha), dtype=bool)
    forest[result.cells] = result.belief.inside(FOREST)[result.smoothed.path[known - 1]]
    loss = np.full((3, len(forest)), len(stack.dates))
    for alert in (alert for alert in result.alerts if alert.group == FOREST):
        losses = alert.losses
        earlier = (losses.first_gone >= known) & (losses.first_gone < loss[0, losses.cell])
        # The first loss of a cell that was lost twice is written last.
        chosen = losses[earlier][::-1]
        level = np.full(len(chosen), LEVELS.index(alert.level))
        loss[:, chosen.cell] = chosen.first_gone, chosen.last_seen, level
    return _Cells(
        result=result,
        day=day,
        to_maps=pyproj.Transformer.from_crs(WGS84, stack.grid.crs, always_xy=True),
        cell_ha=float(np.nanmedian(result.area_ha)),
        reached=np.any(stack.class_id != NODATA, axis=0).ravel(),
        observed=np.any(observed[:known], axis=0) & np.any(observed[known:], axis=0),
        forest=forest,
        loss=loss,
    )


def _assess(plot: Plot, cells: _Cells) -> Verdict:
    if plot.shape is None:
        return Verdict(reason=f"the plot was rejected: {plot.rejected}")
    result, stack = cells.result, cells.result.stack
    projected = shapely.transform(plot.shape, cells.to_maps.transform, interleaved=False)
    rows, cols, share = weigh_cells(projected, stack.grid)
    row, col = np.nonzero(share)
    index = (row + rows.start) * stack.grid.cols + col + cols.start
    inside_ha = share[row, col] * result.area_ha[index]
    # Negative, because normalised outlines are clockwise.
    area_ha = -GEOD.geometry_area_perimeter(shapely.normalize(plot.shape))[0] / 1e4
    total = max(area_ha, float(inside_ha.sum()))
    lost = cells.loss[0, index] < len(stack.dates)

    def measure(mask: np.ndarray) -> float:
        return float(inside_ha[mask].sum())

    verdict = Verdict(
        area_ha=area_ha,
        forest_ha=measure(cells.forest[index] | lost),
        lost_ha=measure(lost),
        observed_share=min(1.0, measure(cells.observed[index]) / total),
    )
    if verdict.lost_ha:
        losses = cells.loss[:, index[lost]]
        gone, seen, _ = losses[:, losses[0].argmin()]
        verdict = replace(
            verdict,
            loss_after=stack.dates[seen],
            loss_by=stack.dates[gone],
            level=LEVELS[int(losses[2].max())],
        )
    answer, reason = _answer(plot.shape, verdict, measure(cells.reached[index]) / total, cells)
    return replace(verdict, answer=answer, reason=reason)


def _answer(
    shape: shapely.Geometry, found: Verdict, reached: float, cells: _Cells
) -> tuple[Answer, str]:
    """The verdict and its reason; `reached` is the fraction of the plot on the maps, 0–1."""
    day, stack = cells.day, cells.result.stack
    if reached < NEGLIGIBLE:
        return "cannot tell", "the plot lies outside the maps"
    centre = shapely.centroid(shape)
    region = stack.contract.training.find_away(centre.x, centre.y)
    if region is not None:
        return "cannot tell", f"the plot lies outside {region}, where the model was trained"
    is_lost = found.lost_ha >= MIN_LOSS_CELLS * min(cells.cell_ha, found.area_ha)
    min_ha = max(cells.cell_ha, cells.result.settings.min_area_ha)
    if found.area_ha < min_ha:
        over = f"; a loss by {found.loss_by} overlaps it" if is_lost else ""
        return "cannot tell", (
            f"the plot is too small: {found.area_ha:.2f} ha, expected at least {min_ha:.2f} "
            f"ha{over}"
        )
    if is_lost:
        older = found.loss_after is not None and found.loss_after <= day
        doubt = f"; part of it may be older than {day}" if older else ""
        return "loss detected", (
            f"{found.lost_ha:.2f} ha of forest were lost, first between {found.loss_after} and "
            f"{found.loss_by}{doubt}"
        )
    if found.observed_share < MIN_OBSERVED:
        outside = f", and {1 - reached:.0%} lies outside the maps" if reached < 0.995 else ""
        part = f"only {found.observed_share:.0%} of the plot was observed"
        if found.observed_share < NEGLIGIBLE:
            part = "the plot was not observed"
        return "cannot tell", f"{part} clearly both up to {day} and after it{outside}"
    if found.forest_ha < MIN_LOSS_CELLS * cells.cell_ha:
        return "no loss detected", f"there was no forest on {day}"
    return "no loss detected", f"no loss of forest was detected from {day} to {stack.dates[-1]}"


def write_verdicts(verdicts: PlotVerdicts, path: Path | str) -> None:
    """Write a row for each plot as GeoPackage, GeoJSON or CSV without geometry; OutputError.

    Columns plotId, external_id, Area, Unit, Geometry_type, Centroid_lon and Centroid_lat are
    those of Open Foris Whisp.
    """
    path = Path(path)
    check_verdict_file(path)
    items = {"DISCLAIMER": DISCLAIMER, "ATTRIBUTION": verdicts.attribution}
    if path.suffix.lower() != ".geojson":
        items["GEOCLASS_FOREST_ON"] = str(verdicts.settings.forest_on)
    write_features(build_plots(verdicts), path, items)


def check_verdict_file(path: Path) -> None:
    """OutputError for other suffixes."""
    if path.suffix.lower() not in FEATURE_SUFFIXES:
        raise OutputError(f"{path} must end in {', '.join(FEATURE_SUFFIXES)}")


def build_plots(verdicts: PlotVerdicts) -> Layer:
    """One row for each plot, in WGS 84."""
    plots, rows = verdicts.plots, verdicts.verdicts
    shapes = [plot.shape for plot in plots]
    centres = shapely.centroid(np.array(shapes, dtype=object))
    lon = (shapely.get_x(centres) + 180) % 360 - 180

    def number(name: str) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows]).round(4)

    columns = {
        "plotId": ("Number", np.arange(1, len(plots) + 1)),
        "external_id": ("Plot", as_texts(plot.external_id for plot in plots)),
        "verdict": ("Verdict", as_texts(row.answer for row in rows)),
        "reason": ("Reason", as_texts(row.reason for row in rows)),
        "Area": ("Area (ha)", number("area_ha")),
        "Unit": ("Unit", as_texts("ha" for _ in plots)),
        "forest_on": ("Reference date", as_days(verdicts.settings.forest_on for _ in plots)),
        "forest_ha": ("Forest on that date (ha)", number("forest_ha")),
        "lost_ha": ("Lost since (ha)", number("lost_ha")),
        "loss_after": ("First loss after", as_days(row.loss_after for row in rows)),
        "loss_by": ("First loss by", as_days(row.loss_by for row in rows)),
        "level": ("Level of the alert", as_texts(row.level for row in rows)),
        "observed_share": ("Fraction observed before and after (0–1)", number("observed_share")),
        "Geometry_type": ("Geometry type", as_texts(plot.kind for plot in plots)),
        "Centroid_lon": ("Longitude", lon.round(6)),
        "Centroid_lat": ("Latitude", shapely.get_y(centres).round(6)),
        "note": ("Repairs", as_texts("; ".join(plot.notes) for plot in plots)),
    }
    style = VectorStyle(
        title="Forest loss on plots",
        column="verdict",
        entries=[Category(value=a, label=a, color=color) for a, color in ANSWER_COLORS.items()],
    )
    polygons = np.array([s if s is None else split_at_180(s) for s in shapes], dtype=object)
    return build_layer("plots", columns, polygons, WGS84, {"Verdict": style})
