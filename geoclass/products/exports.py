"""Land-cover maps as polygons for other programs: GeoParquet, FlatGeobuf, GeoJSON.

They hold what the layer `detail` of a GeoPackage holds, or `landcover` where the map has no
detail, cells without data left out, and are not read back. The style stands beside them in
`.qml`, which QGIS reads.
"""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.landcover import LandCoverMap
from geoclass.products.document import describe_map, summarise_map
from geoclass.products.formats import FileSettings
from geoclass.products.qml import format_qml
from geoclass.products.shapes import name_columns, to_geodataframe
from geoclass.products.styles import map_styles

_ROWS_A_GROUP = 50_000
"""Of GeoParquet: few enough that a reader of a part skips most of a large map."""

_MARKS = re.compile(r"(fingerprint|request) ([0-9a-f]{64})")


def write_geoparquet(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write GeoParquet 1.1 with a box a row, and its style; OSError if that fails."""
    import pyarrow.parquet as pq

    draft = path.with_name(f"{path.name}.draft")
    _make_rows(landcover, settings).to_parquet(
        draft,
        index=False,
        compression="zstd",
        schema_version="1.1.0",
        write_covering_bbox=True,
        row_group_size=_ROWS_A_GROUP,
    )
    items = {**describe_map(landcover, settings), "description": summarise_map(landcover)}
    # geopandas takes no metadata of ours, so the groups of rows are copied into a second file.
    with pq.ParquetFile(draft) as whole:
        schema = whole.schema_arrow.with_metadata({**whole.schema_arrow.metadata, **items})
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for number in range(whole.num_row_groups):
                writer.write_table(whole.read_row_group(number))
    draft.unlink()
    _write_style(landcover, path, settings)


def write_flatgeobuf(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write FlatGeobuf with a spatial index, and its style; DataSourceError if that fails."""
    pyogrio.write_dataframe(
        _make_rows(landcover, settings),
        path,
        layer="landcover",
        driver="FlatGeobuf",
        geometry_type="Polygon",
        layer_metadata=describe_map(landcover, settings),
        layer_options={
            "SPATIAL_INDEX": "YES",
            "TITLE": "Land cover",
            "DESCRIPTION": summarise_map(landcover),
        },
    )
    _write_style(landcover, path, settings)


def write_geojson(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    """Write GeoJSON as RFC 7946 wants it, in WGS 84; DataSourceError if that fails."""
    cells = _make_rows(landcover, settings)
    items = describe_map(landcover, settings)
    # GeoJSON has one text for everything.
    marks = f"fingerprint {items['GEOCLASS_FINGERPRINT']}, request {items['GEOCLASS_REQUEST']}"
    pyogrio.write_dataframe(
        cells.assign(date=landcover.provenance.date) if "date" in cells else cells,
        path,
        layer="landcover",
        driver="GeoJSON",
        layer_options={
            "RFC7946": "YES",
            "WRITE_BBOX": "YES",
            "DESCRIPTION": f"{summarise_map(landcover)} {marks}",
        },
    )
    _write_style(landcover, path, settings)


def _make_rows(landcover: LandCoverMap, settings: FileSettings) -> gpd.GeoDataFrame:
    """What is written, of the finest cells that there are."""
    return to_geodataframe(
        landcover.finest,
        probabilities=settings.probabilities,
        dissolve=_dissolves(landcover, settings),
    )


def _dissolves(landcover: LandCoverMap, settings: FileSettings) -> bool:
    """Of a map without detail cells stay cells, which are nowhere else in these files."""
    finest = landcover.finest
    return settings.wants_patches(
        finest.class_id.size, usual_from=0 if landcover.detail is not None else None
    )


def read_parquet_items(path: Path | str) -> dict[str, str]:
    """Metadata items of a GeoParquet file; OutputError if it cannot be opened."""
    check_parquet()
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        stored = pq.read_schema(path).metadata or {}
    except (ArrowException, OSError) as error:
        raise OutputError(f"cannot open {path} as GeoParquet: {error}") from error
    return {key.decode(): value.decode() for key, value in stored.items()}


def read_vector_items(path: Path | str) -> dict[str, str]:
    """Metadata items of FlatGeobuf or GeoJSON; OutputError if it cannot be opened."""
    try:
        items: dict[str, str] = pyogrio.read_info(path)["layer_metadata"] or {}
    except (DataSourceError, DataLayerError) as error:
        raise OutputError(f"cannot open {path} as polygons: {error}") from error
    marks = _MARKS.findall(items.get("DESCRIPTION", ""))
    return {**{f"GEOCLASS_{kind.upper()}": mark for kind, mark in marks}, **items}


def refuse_to_read(path: Path) -> LandCoverMap:
    """OutputError: these files have no place for all that a map is."""
    raise OutputError(
        f"{path} is a copy for other programs, which geoclass does not read back: "
        "give the map as GeoPackage (.gpkg) or GeoTIFF (.tif)"
    )


def check_parquet() -> None:
    """Refuse to go on without what writes GeoParquet; OutputError."""
    try:
        import pyarrow.parquet  # noqa: F401 only looked for
    except ImportError as error:
        raise OutputError(
            "GeoParquet needs pyarrow, which is not installed: pip install 'geoclass[parquet]'"
        ) from error


def _write_style(landcover: LandCoverMap, path: Path, settings: FileSettings) -> None:
    aliases = name_columns(
        landcover.legend,
        probabilities=settings.probabilities,
        dissolve=_dissolves(landcover, settings),
    )
    style = map_styles(landcover.legend, aliases)["Class"]
    path.with_suffix(".qml").write_text(format_qml(style), encoding="utf-8")
