"""Land-cover maps as polygons for other programs (GeoParquet, FlatGeobuf, GeoJSON) and as xarray.

The files contain the layer `detail` of the GeoPackage, or `landcover` without a detail, and are not
read back. A `.qml` file beside them has the style for QGIS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import GeoclassError, OutputError
from geoclass.landcover import FULL_SCALE, MASK_REASONS, LandCoverMap
from geoclass.legend import NODATA
from geoclass.products.document import describe_map, summarise_map
from geoclass.products.formats import FileSettings
from geoclass.products.shapes import name_columns, to_geodataframe
from geoclass.products.styles import format_qml, map_styles
from geoclass.vectors import unwarned, vector_name

if TYPE_CHECKING:
    import xarray


_ROWS_PER_GROUP = 50_000
"""Small groups of GeoParquet let readers of a part skip most of a large map."""

_MARKS = re.compile(r"(fingerprint|request) ([0-9a-f]{64})")


def write_copy(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write the polygons in the format of the suffix, and their style.

    OSError or DataSourceError if that fails.
    """
    shares = settings.probabilities
    # By default, patches of a detail, or cells.
    dissolve = landcover.detail is not None if settings.dissolve is None else settings.dissolve
    rows = to_geodataframe(landcover.finest, probabilities=shares, dissolve=dissolve)
    items = {**describe_map(landcover, settings), "description": summarise_map(landcover)}
    _WRITERS[path.suffix](rows, path, items)
    aliases = name_columns(landcover.legend, probabilities=shares, dissolve=dissolve)
    style = map_styles(landcover.legend, aliases)["Class"]
    path.with_suffix(".qml").write_text(format_qml(style), encoding="utf-8")


def _write_geoparquet(rows: gpd.GeoDataFrame, path: Path, items: Mapping[str, str]) -> None:
    """GeoParquet 1.1 with a bounding box per row."""
    import pyarrow.parquet as pq

    draft = path.with_name(f"{path.name}.draft")
    rows.to_parquet(
        draft,
        index=False,
        compression="zstd",
        schema_version="1.1.0",
        write_covering_bbox=True,
        row_group_size=_ROWS_PER_GROUP,
    )
    # geopandas cannot add metadata, so the row groups are copied into a second file.
    with pq.ParquetFile(draft) as whole:
        schema = whole.schema_arrow.with_metadata({**whole.schema_arrow.metadata, **items})
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for number in range(whole.num_row_groups):
                writer.write_table(whole.read_row_group(number))
    draft.unlink()


def _write_flatgeobuf(rows: gpd.GeoDataFrame, path: Path, items: Mapping[str, str]) -> None:
    """FlatGeobuf with a spatial index."""
    description = items["description"]
    pyogrio.write_dataframe(
        rows,
        path,
        layer="landcover",
        driver="FlatGeobuf",
        geometry_type="Polygon",
        layer_metadata={key: value for key, value in items.items() if key != "description"},
        layer_options={"SPATIAL_INDEX": "YES", "TITLE": "Land cover", "DESCRIPTION": description},
    )


def _write_geojson(rows: gpd.GeoDataFrame, path: Path, items: Mapping[str, str]) -> None:
    """GeoJSON after RFC 7946, in WGS 84; the description is its only metadata."""
    marks = f"fingerprint {items['GEOCLASS_FINGERPRINT']}, request {items['GEOCLASS_REQUEST']}"
    if "date" in rows:
        day = items["GEOCLASS_DATE"]
        rows = rows.assign(date=None if day == "unknown" else day)
    options = {"RFC7946": "YES", "WRITE_BBOX": "YES"}
    pyogrio.write_dataframe(
        rows,
        path,
        layer="landcover",
        driver="GeoJSON",
        layer_options={**options, "DESCRIPTION": f"{items['description']} {marks}"},
    )


_WRITERS = {".parquet": _write_geoparquet, ".fgb": _write_flatgeobuf, ".geojson": _write_geojson}


def read_parquet_items(path: Path) -> dict[str, str]:
    """Metadata items of a GeoParquet file; OutputError if it cannot be opened."""
    check_parquet()
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        stored = pq.read_schema(path).metadata or {}
    except (ArrowException, OSError) as error:
        raise OutputError(f"cannot open {path} as GeoParquet: {error}") from error
    return {key.decode(): value.decode() for key, value in stored.items()}


@unwarned()
def read_vector_items(path: Path) -> dict[str, str]:
    """Metadata items of FlatGeobuf or GeoJSON; OutputError if it cannot be opened."""
    try:
        items: dict[str, str] = pyogrio.read_info(vector_name(path))["layer_metadata"] or {}
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"cannot open {path} as polygons: {error}") from error
    marks = _MARKS.findall(items.get("DESCRIPTION", ""))
    return {**{f"GEOCLASS_{kind.upper()}": mark for kind, mark in marks}, **items}


def refuse_to_read(path: Path) -> LandCoverMap:
    """OutputError: these formats do not store the whole map."""
    raise OutputError(
        f"{path} is a copy for other programs, which geoclass does not read back: "
        "give the map as GeoPackage (.gpkg) or GeoTIFF (.tif)"
    )


def check_parquet() -> None:
    """OutputError if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise OutputError(
            "GeoParquet needs pyarrow, which is not installed: pip install 'geoclass[parquet]'"
        ) from error


GRID_MAPPING = "spatial_ref"
"""Name that rioxarray expects."""


def to_xarray(landcover: LandCoverMap) -> xarray.Dataset:
    """The smallest cells of the map as arrays with coordinates.

    Dimensions `y`, `x` (cell centres): `class_id` and `best_class`, uint8 with `flag_values`,
    `flag_meanings` and nodata 255; `confidence` and `valid_share`, float32, 0–1; `mask_reason`,
    uint8 with flags. Dimensions `class`, `y`, `x`: `probabilities`, float32, 0–1. NaN is missing.
    `spatial_ref` has CRS and transform after CF (section 5.6) and for GDAL and rioxarray.
    Attributes are scene, date, model and fingerprint.

    Raises GeoclassError if xarray is not installed: `pip install 'geoclass[xarray]'`.
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
    entries = {entry.class_id: entry.name for entry in legend.entries}
    reasons = {code: name or "none" for code, name in enumerate(MASK_REASONS)}
    plane, mapped = ("y", "x"), {"grid_mapping": GRID_MAPPING}
    codes = {**mapped, "_FillValue": np.uint8(NODATA)}
    return xarray.Dataset(
        {
            "class_id": (plane, landcover.class_id, {**codes, **_flags(entries)}),
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
    """Codes and their meanings as words (CF section 3.5)."""
    words = " ".join(text.replace(" ", "_") for text in texts.values())
    return {"flag_values": np.array(list(texts), dtype=np.uint8), "flag_meanings": words}


def _coordinates(landcover: LandCoverMap) -> dict[str, object]:
    grid, t = landcover.grid, landcover.grid.cell_transform
    attributes = dict[str, dict[str, str]]()
    mapping = {"GeoTransform": f"{t.c!r} {t.a!r} {t.b!r} {t.f!r} {t.d!r} {t.e!r}"}
    if grid.crs is not None:
        crs = pyproj.CRS.from_wkt(grid.crs)
        # CF and rioxarray read `crs_wkt`, GDAL reads `spatial_ref`.
        mapping |= {**crs.to_cf(), "crs_wkt": grid.crs, "spatial_ref": grid.crs}
        attributes = {axis["axis"].lower(): axis for axis in crs.cs_to_cf() if "axis" in axis}
    centres = {
        "x": t.c + t.a * (np.arange(grid.cols) + 0.5),
        "y": t.f + t.e * (np.arange(grid.rows) + 0.5),
    }
    axes = {name: (name, values, attributes.get(name, {})) for name, values in centres.items()}
    return {**axes, GRID_MAPPING: ((), 0, mapping)}
