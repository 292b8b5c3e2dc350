"""Files of verdicts on plots: GeoPackage, GeoJSON or CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import OutputError
from geoclass.monitor.layers import build_layer
from geoclass.monitor.plot_shapes import WGS84, split_at_180
from geoclass.monitor.plots import ANSWERS, PlotVerdicts
from geoclass.monitor.tables import as_days, as_texts
from geoclass.products.layers import FEATURE_SUFFIXES, Layer, write_features
from geoclass.products.styles import Category, VectorStyle

ANSWER_COLORS = dict(zip(ANSWERS, ("#4daf4a", "#e41a1c", "#999999"), strict=True))

DISCLAIMER = (
    "The verdicts are not a legal determination. They are based on maps of satellite images, which "
    "contain errors, and do not say whether a loss was deforestation or whether it was legal."
)


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
