#!/usr/bin/env python3
"""Open a map of each format with each reader, and print what came out as a table.

usage: compare_readers.py > table.md

A tick says that the reader found every cell's class; colours are compared where a format has
them. A dash stands where a reader is not made for a format, or has no driver for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pystac
import rasterio
from rio_cogeo.cogeo import cog_validate

from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES
from geoclass.products.files import write_map
from geoclass.products.formats import FileSettings

FILES = {
    "GeoPackage": "map.gpkg",
    "GeoTIFF (COG)": "raster.tif",
    "GeoParquet": "columns.parquet",
    "FlatGeobuf": "stream.fgb",
    "GeoJSON": "web.geojson",
    "STAC item": "raster.tif.stac.json",
}
DESCRIBE = Path(__file__).parents[1] / "tests" / "qgis" / "describe.py"

CLASSES, BOTH, VALID, NONE = "✓ classes", "✓ classes, colours", "✓ valid", "–"


class WrongError(Exception):
    """A reader found something else than was written."""


def write_all(landcover: LandCoverMap, folder: Path) -> None:
    """One map in all formats, of different names: QGIS looks for styles by name alone."""
    for name in FILES.values():
        if not name.endswith(".json"):
            write_map(landcover, folder / name, settings=FileSettings(stac=name == "raster.tif"))


def expected_colors(landcover: LandCoverMap) -> dict[int, str]:
    """`#rrggbb` by code."""
    colors = {c.class_id: c.color for c in landcover.legend.classes}
    return colors | {s.class_id: s.color for s in STATUS_STYLES}


def check(found: object, wanted: object) -> None:
    """Raise where two things differ."""
    if found != wanted:
        raise WrongError(f"found {found}, expected {wanted}")


def check_cells(table: Any, landcover: LandCoverMap) -> str:
    """A table with the columns row, col, class_id and class_name."""
    found = {
        (row, col): (code, name)
        for row, col, code, name in zip(
            table["row"], table["col"], table["class_id"], table["class_title"], strict=True
        )
    }
    titles = {c.class_id: c.title for c in landcover.legend.classes}
    titles |= {s.class_id: s.title for s in STATUS_STYLES}
    rows, cols = np.nonzero(landcover.class_id != NODATA)
    codes = landcover.class_id[rows, cols]
    wanted = {
        (row, col): (code, titles[code])
        for row, col, code in zip(rows.tolist(), cols.tolist(), codes.tolist(), strict=True)
    }
    check(found, wanted)
    return CLASSES


def read_with_gdal(path: Path, landcover: LandCoverMap) -> str:
    """GDAL as rasterio and pyogrio bring it; these have no Parquet driver."""
    if path.suffix == ".tif":
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(1), landcover.class_id)
            colors = file.colormap(1)
        shown = {code: "#{:02x}{:02x}{:02x}".format(*colors[code]) for code in colors}
        wanted = expected_colors(landcover)
        check({code: shown[code] for code in wanted}, wanted)
        return BOTH
    if path.suffix in (".parquet", ".json"):
        return NONE
    return check_cells(pyogrio.read_dataframe(path, layer="landcover"), landcover)


def read_with_geopandas(path: Path, landcover: LandCoverMap) -> str:
    """GeoParquet by pyarrow, the others by pyogrio; polygons are where the cells are."""
    if path.suffix in (".tif", ".json"):
        return NONE
    parquet = path.suffix == ".parquet"
    frame = gpd.read_parquet(path) if parquet else gpd.read_file(path, layer="landcover")
    rows, cols = np.nonzero(landcover.class_id != NODATA)
    wanted = gpd.GeoSeries(landcover.grid.polygons(rows, cols), crs=landcover.grid.crs)
    placed = frame.sort_values(["row", "col"]).to_crs(wanted.crs).geometry
    apart = placed.reset_index(drop=True).symmetric_difference(wanted).area.max()
    if apart > 1e-4 * wanted.area.max():
        raise WrongError(f"polygons lie apart by {apart} m²")
    return check_cells(frame, landcover)


def read_with_qgis(path: Path, landcover: LandCoverMap, python: str = "/usr/bin/python3") -> str:
    """QGIS, headless, as by drag and drop."""
    if path.suffix in (".parquet", ".json"):  # Debian's QGIS 3.22 has no driver for Parquet
        return NONE
    layer = "-" if path.suffix == ".tif" else "landcover"
    root = os.environ.get("GEOCLASS_QGIS_ROOT")  # of scripts/test_newer_qgis
    request = [str(path), layer, str(path.with_suffix(f"{path.suffix}.png"))]
    run = subprocess.run(
        [*(["chroot", root] if root else []), python, DESCRIBE, json.dumps([request])],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=True,
    )
    if "Warning" in run.stderr:
        raise WrongError(run.stderr)
    (seen,) = json.loads(run.stdout)
    codes = expected_colors(landcover)
    titles = {c.class_id: c.title for c in landcover.legend.classes}
    titles |= {s.class_id: s.title for s in STATUS_STYLES}
    check(seen["classes"], {titles[code]: color for code, color in codes.items()})
    present = {codes[int(code)] for code in np.unique(landcover.class_id) if code in codes}
    if len(present & set(seen["shown"])) < len(present) / 2:
        raise WrongError(f"the picture shows {seen['shown']}")
    return BOTH


def read_with_rio_cogeo(path: Path, _: LandCoverMap) -> str:
    """rio-cogeo's strict validator."""
    if path.suffix != ".tif":
        return NONE
    check(cog_validate(path, strict=True, quiet=True), (True, [], []))
    return VALID


def read_with_pystac(path: Path, landcover: LandCoverMap) -> str:
    """Classes of the asset, as pystac hands them out."""
    if path.suffix != ".json":
        return NONE
    asset = pystac.Item.from_file(str(path)).assets["map"].to_dict()
    listed = asset["bands"][0]["classification:classes"]
    shown = {c["value"]: f"#{c['color_hint'].lower()}" for c in listed if "color_hint" in c}
    check(shown, expected_colors(landcover))
    return BOTH


def read_with_pyarrow(path: Path, landcover: LandCoverMap) -> str:
    """The columns, and the version that the file says it has."""
    if path.suffix != ".parquet":
        return NONE
    table = pq.read_table(path)
    check(json.loads(table.schema.metadata[b"geo"])["version"], "1.1.0")
    return check_cells(table.to_pydict(), landcover)


READERS: Mapping[str, Callable[[Path, LandCoverMap], str]] = {
    "GDAL": read_with_gdal,
    "geopandas": read_with_geopandas,
    "QGIS 3.22": read_with_qgis,
    "rio-cogeo": read_with_rio_cogeo,
    "pystac": read_with_pystac,
    "pyarrow": read_with_pyarrow,
}


def read_cell(file_format: str, reader: str, folder: Path, landcover: LandCoverMap) -> str:
    """What one reader makes of one format; WrongError where that is wrong."""
    return READERS[reader](folder / FILES[file_format], landcover)


def main() -> None:
    """Print the table for the sample scene's map."""
    from geoclass.mapping.job import map_scene

    scene = Path(__file__).parents[1] / "sample_scenes" / "havelland_20170216_l1c.tif"
    landcover = map_scene(scene)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_all(landcover, folder)
        print(f"| | {' | '.join(READERS)} |")
        print(f"|---|{'---|' * len(READERS)}")
        for file_format in FILES:
            cells = [read_cell(file_format, reader, folder, landcover) for reader in READERS]
            print(f"| {file_format} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
