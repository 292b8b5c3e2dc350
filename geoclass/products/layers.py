"""Layers and tables of GeoPackages, CSV and GeoJSON, and features of any vector file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from geoclass.errors import OutputError
from geoclass.files.writing import Target, check_not_open, drafted, write_whole
from geoclass.products.blobs import write_blobs
from geoclass.products.styles import VectorStyle, write_style_table
from geoclass.vectors import unwarned, vector_name

# QGIS 3.22 warns about newer versions.
DATASET_OPTIONS = {"VERSION": "1.2"}

FEATURE_SUFFIXES = (".geojson", ".gpkg", ".csv")
"""Of files that `write_features` writes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layer:
    """One layer or table of a GeoPackage."""

    name: str
    columns: Mapping[str, np.ndarray]
    """(n,) each; dates are datetime64[D], texts are objects."""
    polygons: np.ndarray | None = None
    """Shapely geometries (n,); None for a table."""
    crs: str = ""
    """WKT; for polygons."""
    styles: Mapping[str, VectorStyle] = field(default_factory=dict)
    """By name; the first is the default."""


def write_layers(
    path: Path,
    layers: Sequence[Layer],
    items: Mapping[str, str],
    arrays: Iterable[tuple[str, np.ndarray]] = (),
) -> None:
    """Write a GeoPackage atomically; OutputError if that fails.

    `items` are metadata of the first layer; `read_blobs` reads the named uint8 `arrays`.
    """
    check_not_open(path)
    with drafted(path, DataSourceError, DataLayerError) as draft:
        for i, layer in enumerate(layers):
            write_layer(layer, draft, items if i == 0 else None)
        write_style_table(draft, {layer.name: layer.styles for layer in layers})
        write_blobs(draft, arrays)


@unwarned()
def read_layer_items(path: Path, layer: str = "landcover") -> dict[str, str] | None:
    """Metadata items of a layer, None if it is missing; OutputError if not a GeoPackage."""
    if not path.is_file():
        raise OutputError(f"no file at {path}: check the path")
    try:
        items: dict[str, str] | None = pyogrio.read_info(vector_name(path), layer=layer)[
            "layer_metadata"
        ]
    except DataLayerError:
        return None
    except DataSourceError as error:
        raise OutputError(f"cannot open {path} as a GeoPackage: {error}") from error
    return items


@unwarned()
def has_layer(path: Path, layer: str) -> bool:
    """Whether a GeoPackage has a layer or table; OutputError if not a GeoPackage."""
    return read_layer_items(path, layer) is not None or layer in dict(
        pyogrio.list_layers(vector_name(path))
    )


@unwarned()
def read_columns(path: Path, layer: str) -> dict[str, np.ndarray]:
    """The columns of a layer or table without geometry; OutputError if it is missing."""
    try:
        table = pyogrio.read_dataframe(vector_name(path), layer=layer, read_geometry=False)
    except (DataLayerError, DataSourceError, ValueError) as error:
        raise OutputError(f"cannot read {layer} in {path}: {error}") from error
    return {name: table[name].to_numpy() for name in table.columns}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """The features of a layer."""

    shapes: np.ndarray
    """Shapely geometries of any type (n,); None if missing or invalid."""
    columns: Mapping[str, np.ndarray]
    """(n,) each."""
    crs: str | None
    """In any form that pyproj parses; None if not in the file."""


@unwarned()
def read_features(path: Path, *, polygons: bool = False) -> Features:
    """All features of the only layer with geometries, or with polygons; OutputError for others."""
    if not path.exists():
        raise OutputError(f"no file at {path}: check the path")
    try:
        name = vector_name(path)
        kinds = {str(title): kind for title, kind in pyogrio.list_layers(name) if kind is not None}
        layers = [
            title
            for title, kind in kinds.items()
            if not polygons or "Polygon" in kind or kind == "Unknown"
        ] or list(kinds)[:1]  # its error is reported
        if len(layers) != 1:
            which = "of polygons" if polygons else "with places"
            raise OutputError(
                f"{path} holds {len(layers)} layers {which}, {', '.join(layers) or 'none'}: "
                "give a file with only one of them"
            )
        meta, _, shapes, values = pyogrio.raw.read(name, layer=layers[0])
    except (DataLayerError, DataSourceError, FeatureError, ValueError) as error:
        raise OutputError(
            f"cannot read {path} as a vector file ({error}): give a GeoPackage, GeoJSON or "
            "shapefile"
        ) from error
    if not len(shapes):
        raise OutputError(f"{path} holds no features: give a file that has some")
    return Features(
        shapes=shapely.from_wkb(shapes, on_invalid="ignore"),
        columns=dict(zip(meta["fields"], values, strict=True)),
        crs=meta["crs"],
    )


def read_polygons(path: Path, crs: str) -> list[tuple[str, shapely.Geometry]]:
    """(name, geometry in the CRS) of each polygon of any vector file; OutputError for others.

    Names are the first text column, or numbers. Only one layer may have polygons.
    """
    features = read_features(path, polygons=True)
    if features.crs is None:
        raise OutputError(f"{path} holds no polygons with a coordinate reference system")
    kinds = {"nothing" if shape is None else shape.geom_type for shape in features.shapes}
    if not kinds <= {"Polygon", "MultiPolygon"}:
        raise OutputError(f"{path} holds {', '.join(sorted(kinds))}, expected polygons")
    texts = (column for column in features.columns.values() if column.dtype == object)
    names = map(str, next(texts, range(1, len(features.shapes) + 1)))
    placed = gpd.GeoSeries(features.shapes, crs=features.crs).to_crs(crs)
    return list(zip(names, placed, strict=True))


def write_features(layer: Layer, path: Path, items: Mapping[str, str]) -> None:
    """Write polygons atomically as GeoPackage with styles, as GeoJSON, or as CSV without geometry.

    `items` are metadata; GeoJSON stores their values as its description. Raises OutputError.
    """
    if path.suffix.lower() == ".gpkg":
        write_layers(path, [layer], items)
        return
    if path.suffix.lower() == ".csv":
        write_csv(path, layer.columns)
        return
    with drafted(path, DataSourceError, DataLayerError) as draft:
        _write_geojson(layer, draft, " ".join(filter(None, items.values())))


def _write_geojson(layer: Layer, path: Path, description: str) -> None:
    columns = dict(layer.columns)
    for name, values in layer.columns.items():
        if np.issubdtype(values.dtype, np.datetime64):
            columns[name] = np.datetime_as_string(values, unit="D").astype(object)
            columns[name][np.isnat(values)] = None
    pyogrio.raw.write(
        path,
        shapely.to_wkb(layer.polygons),
        list(columns.values()),
        list(columns),
        layer=layer.name,
        driver="GeoJSON",
        geometry_type="Unknown",
        crs=layer.crs,
        layer_options={"RFC7946": "YES", "DESCRIPTION": description},
    )


def write_csv(path: Target, columns: Mapping[str, np.ndarray]) -> None:
    """Write a table as CSV; OutputError if that fails."""
    table = pd.DataFrame(
        {
            neutralise(name): [neutralise(v) for v in values]
            if values.dtype.kind in "OU"
            else values
            for name, values in columns.items()
        }
    )
    write_whole(path, table.to_csv(index=False).encode())


def neutralise(value: Any) -> Any:
    """Quote text that spreadsheets would evaluate as a formula (CWE-1236)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULAS) else value


FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of formulas (CWE-1236)."""


def write_layer(
    layer: Layer,
    path: Path,
    items: Mapping[str, str] | None = None,
    *,
    append: bool = False,
    identifier: str | None = None,
) -> None:
    """Add a layer, or rows to one, to a new GeoPackage; DataSourceError if that fails.

    Not with pandas, which has no type for dates.
    """
    options = {} if identifier is None else {"IDENTIFIER": identifier}
    placed = layer.polygons is not None
    pyogrio.raw.write(
        path,
        shapely.to_wkb(layer.polygons) if placed else None,
        list(layer.columns.values()),
        list(layer.columns),
        layer=layer.name,
        driver="GPKG",
        geometry_type="MultiPolygon" if placed else None,
        crs=layer.crs if placed else None,
        promote_to_multi=placed,
        append=append,
        layer_metadata=dict(items or {}),
        dataset_options=DATASET_OPTIONS,
        layer_options={"GEOMETRY_NAME": "geom", **options} if placed else options,
    )
