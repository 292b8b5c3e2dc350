"""Files of verdicts on plots: GeoPackage, GeoJSON or CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from geoclass.errors import OutputError
from geoclass.monitor.layers import as_days, as_texts
from geoclass.monitor.plot_shapes import WGS84, split_at_180
from geoclass.monitor.plots import ANSWERS, PlotVerdicts
from geoclass.products.features import FEATURE_SUFFIXES, write_features
from geoclass.products.layers import Layer
from geoclass.products.styles import Category, VectorStyle

ANSWER_COLORS = dict(zip(ANSWERS, ("#4daf4a", "#e41a1c", "#999999"), strict=True))

DISCLAIMER = (
    "The verdicts are no legal determination: they say what maps of satellite images show, which "
    "err, and neither whether a loss was deforestation nor whether it was lawful."
)


def write_verdicts(verdicts: PlotVerdicts, path: Path | str) -> None:
    """Write a row a plot as GeoPackage, GeoJSON or CSV, the latter without places; OutputError.

    Columns plotId, external_id, Area, Unit, Geometry_type, Centroid_lon and Centroid_lat are
    those of Open Foris Whisp. Days are the first and the last between which the first loss lies.
    """
    path = Path(path)
    check_verdict_file(path)
    layer = build_plots(verdicts)
    items = {
        "DISCLAIMER": DISCLAIMER,
        "GEOCLASS_FOREST_ON": str(verdicts.settings.forest_on),
        "ATTRIBUTION": verdicts.attribution,
    }
    if path.suffix.lower() == ".geojson":
        items.pop("GEOCLASS_FOREST_ON")
    write_features(layer, path, items)


def check_verdict_file(path: Path) -> None:
    """Refuse a file of another suffix; OutputError."""
    if path.suffix.lower() not in FEATURE_SUFFIXES:
        raise OutputError(f"{path} must end in {', '.join(FEATURE_SUFFIXES)}")


ALIASES = (
    ("plotId", "Number"),
    ("external_id", "Plot"),
    ("verdict", "Verdict"),
    ("reason", "Reason"),
    ("Area", "Area (ha)"),
    ("Unit", "Unit"),
    ("forest_on", "Day that counts"),
    ("forest_ha", "Forest on that day (ha)"),
    ("lost_ha", "Lost since (ha)"),
    ("loss_after", "First loss after"),
    ("loss_by", "First loss by"),
    ("level", "Level of the alert"),
    ("observed_share", "Share seen before and after (0–1)"),
    ("Geometry_type", "Handed in as"),
    ("Centroid_lon", "Longitude"),
    ("Centroid_lat", "Latitude"),
    ("note", "Put right"),
)


def build_plots(verdicts: PlotVerdicts) -> Layer:
    """One row a plot, in WGS 84."""
    plots, rows = verdicts.plots, verdicts.verdicts
    shapes = np.array(
        [None if plot.shape is None else split_at_180(plot.shape) for plot in plots], dtype=object
    )
    centres = shapely.centroid(np.array([plot.shape for plot in plots], dtype=object))
    lon = (shapely.get_x(centres) + 180) % 360 - 180

    return Layer(
        name="plots",
        columns={
            "plotId": np.arange(1, len(plots) + 1),
            "external_id": as_texts(plot.external_id for plot in plots),
            "verdict": as_texts(row.answer for row in rows),
            "reason": as_texts(row.reason for row in rows),
            "Area": np.array([row.area_ha for row in rows]).round(4),
            "Unit": np.full(len(plots), "ha", dtype=object),
            "forest_on": as_days([verdicts.settings.forest_on] * len(plots)),
            "forest_ha": np.array([row.forest_ha for row in rows]).round(4),
            "lost_ha": np.array([row.lost_ha for row in rows]).round(4),
            "loss_after": as_days(row.loss_after for row in rows),
            "loss_by": as_days(row.loss_by for row in rows),
            "level": as_texts(row.level for row in rows),
            "observed_share": np.array([row.observed_share for row in rows]).round(4),
            "Geometry_type": as_texts(plot.kind for plot in plots),
            "Centroid_lon": lon.round(6),
            "Centroid_lat": shapely.get_y(centres).round(6),
            "note": as_texts("; ".join(plot.notes) for plot in plots),
        },
        polygons=shapes,
        crs=WGS84,
        styles={
            "Verdict": VectorStyle(
                title="What became of the forest",
                column="verdict",
                entries=[
                    Category(value=answer, label=answer, color=color)
                    for answer, color in ANSWER_COLORS.items()
                ],
                aliases=ALIASES,
            )
        },
    )
