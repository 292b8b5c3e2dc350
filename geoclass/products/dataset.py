"""Land-cover maps as xarray data sets, after the CF conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyproj

from geoclass.errors import GeoclassError
from geoclass.landcover import FULL_SCALE, MASK_REASONS, LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES

if TYPE_CHECKING:
    import xarray

GRID_MAPPING = "spatial_ref"
"""The name by which rioxarray looks for it."""


def to_xarray(landcover: LandCoverMap) -> xarray.Dataset:
    """The finest cells of the map as arrays with coordinates.

    Needs xarray: `pip install 'geoclass[xarray]'`.

    On `y` and `x`, the middles of whole cells: `class_id` and `best_class`, uint8 with the names
    as `flag_values` and `flag_meanings` and 255 as nodata; `confidence` and `valid_share`,
    float32, 0–1; `mask_reason`, uint8 with its flags. On `class`, `y` and `x`: `probabilities`,
    float32, 0–1. What has no value is NaN. The coordinate `spatial_ref` holds CRS and transform
    after CF (section 5.6) and as GDAL and rioxarray read them. Attributes say scene, date, model
    and fingerprint.

    Raises GeoclassError where xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise GeoclassError(
            "to_xarray needs xarray, which is not installed: pip install 'geoclass[xarray]'"
        ) from error
    landcover = landcover.finest
    legend, provenance = landcover.legend, landcover.provenance
    classified = (landcover.best_class != NODATA)[:, :, None]
    probabilities = np.where(classified, landcover.probabilities / np.float32(FULL_SCALE), np.nan)
    classes = {c.class_id: c.name for c in legend.classes}
    statuses = {style.code: style.name for style in STATUS_STYLES}
    reasons = {code: name or "none" for code, name in enumerate(MASK_REASONS)}
    plane, mapped = ("y", "x"), {"grid_mapping": GRID_MAPPING}
    codes = {**mapped, "_FillValue": np.uint8(NODATA)}
    return xarray.Dataset(
        {
            "class_id": (plane, landcover.class_id, {**codes, **_flags({**classes, **statuses})}),
            "best_class": (plane, landcover.best_class, {**codes, **_flags(classes)}),
            "confidence": (plane, landcover.confidence.astype(np.float32), mapped),
            "valid_share": (plane, landcover.valid_share / np.float32(FULL_SCALE), mapped),
            "mask_reason": (plane, landcover.mask_reason, {**mapped, **_flags(reasons)}),
            "probabilities": (
                ("class", *plane),
                probabilities.transpose(2, 0, 1).astype(np.float32),
                mapped,
            ),
        },
        coords={"class": legend.names, **_coordinates(landcover)},
        attrs={
            "title": f"Land cover of {provenance.scene}",
            "source": provenance.scene,
            "date": provenance.date or "",
            "history": provenance.command,
            "geoclass_model": provenance.model,
            "geoclass_fingerprint": provenance.fingerprint,
        },
    )


def _flags(texts: dict[int, str]) -> dict[str, object]:
    """CF section 3.5: codes, and what they mean as words with blanks between."""
    words = " ".join(text.replace(" ", "_") for text in texts.values())
    return {"flag_values": np.array(list(texts), dtype=np.uint8), "flag_meanings": words}


def _coordinates(landcover: LandCoverMap) -> dict[str, object]:
    grid, t = landcover.grid, landcover.grid.cell_transform
    coordinates: dict[str, object] = {}
    attributes = dict[str, dict[str, str]]()
    mapping = {"GeoTransform": f"{t.c!r} {t.a!r} {t.b!r} {t.f!r} {t.d!r} {t.e!r}"}
    if grid.crs is not None:
        crs = pyproj.CRS.from_wkt(grid.crs)
        # WKT twice: CF and rioxarray read the one, GDAL the other.
        mapping |= {**crs.to_cf(), "crs_wkt": grid.crs, "spatial_ref": grid.crs}
        attributes = {axis["axis"].lower(): axis for axis in crs.cs_to_cf() if "axis" in axis}
    middles = {
        "x": t.c + t.a * (np.arange(grid.cols) + 0.5),
        "y": t.f + t.e * (np.arange(grid.rows) + 0.5),
    }
    for name, values in middles.items():
        coordinates[name] = (name, values, attributes.get(name, {}))
    coordinates[GRID_MAPPING] = ((), 0, mapping)
    return coordinates
