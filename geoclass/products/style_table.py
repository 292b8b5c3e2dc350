"""The table `layer_styles` of a GeoPackage, in which QGIS looks for styles and keeps its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from geoclass.errors import OutputError
from geoclass.products.qml import format_qml
from geoclass.products.sld import format_sld
from geoclass.products.styles import VectorStyle

TABLE = "layer_styles"


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleText:
    """One style in both languages."""

    layer: str
    name: str
    qml: str
    sld: str


def write_style_table(path: Path, styles: Mapping[str, Mapping[str, VectorStyle]]) -> None:
    """Add the table to a GeoPackage: styles by layer and name, the default of a layer first."""
    rows = [
        (layer, name, style, i == 0)
        for layer, named in styles.items()
        for i, (name, style) in enumerate(named.items())
    ]
    n = len(rows)
    table = pd.DataFrame(
        {
            "f_table_catalog": [""] * n,
            "f_table_schema": [""] * n,
            "f_table_name": [layer for layer, *_ in rows],
            "f_geometry_column": ["geom"] * n,
            "styleName": [name for _, name, *_ in rows],
            "styleQML": [format_qml(style) for _, _, style, _ in rows],
            "styleSLD": [format_sld(style, layer, name) for layer, name, style, _ in rows],
            "useAsDefault": [is_default for *_, is_default in rows],
            "description": [style.title for _, _, style, _ in rows],
            "owner": [""] * n,
            "ui": [""] * n,
            "update_time": pd.Series([pd.Timestamp.now()] * n, dtype="datetime64[ms]"),
        }
    )
    pyogrio.write_dataframe(table, path, layer=TABLE, driver="GPKG", append=False)


def read_style_table(path: Path) -> list[StyleText]:
    """The styles that a GeoPackage holds; OutputError where there are none."""
    try:
        table = pyogrio.read_dataframe(path, layer=TABLE, read_geometry=False)
    except (DataLayerError, DataSourceError) as error:
        raise OutputError(
            f"{path} holds no styles ({error}): give a map, change, monitor or sample file "
            "that geoclass wrote"
        ) from error
    columns = ("f_table_name", "styleName", "styleQML", "styleSLD")
    return [
        StyleText(layer=layer, name=name, qml=qml, sld=sld)
        for layer, name, qml, sld in table[list(columns)].itertuples(index=False)
    ]
