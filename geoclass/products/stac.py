"""A land-cover map as a STAC item beside its file, so that catalogues can take it in."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rasterio
from rasterio.warp import transform_geom

from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, SENTINEL_2, LandCoverMap
from geoclass.legend import NODATA
from geoclass.products.document import summarise_map
from geoclass.products.formats import MapFormat
from geoclass.products.geotiff import name_bands
from geoclass.products.stac_model import build_model_item
from geoclass.products.stac_parts import (
    ANYTIME,
    CLASSIFICATION,
    FILE,
    PROCESSING,
    PROJECTION,
    RASTER,
    build_classes,
    describe_file,
    make_item,
    name_model_item,
)
from geoclass.products.storage import StoredPath, Target

MEDIA_TYPES: Mapping[MapFormat, str] = {
    "gpkg": "application/geopackage+sqlite3",
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    "parquet": "application/vnd.apache.parquet",
    "fgb": "application/vnd.flatgeobuf",
    "geojson": "application/geo+json",
}

LEGAL_NOTICE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"

_COMPANIONS = {
    ".qml": {"title": "Style for QGIS", "type": "text/xml", "roles": ["metadata"]},
    ".aux.xml": {"title": "Names and colours for GDAL", "type": "text/xml", "roles": ["metadata"]},
}

_POINTS_A_SIDE = 9
"""Of the outline: a side that is straight on the map is bent in degrees."""


def name_item(path: Path) -> Path:
    """The file of the item of a map's file."""
    return path.with_name(f"{path.name}.stac.json")


def write_items(
    landcover: LandCoverMap,
    drafts: Mapping[str, Path],
    target: Target,
    map_format: MapFormat,
    model_file: Path | None,
) -> None:
    """Write the items of a map and, where its file is known, of its model; OSError.

    `drafts` are the files of the map by the names that they will bear beside `target`; the items
    are written beside the drafts.
    """
    folder = drafts[target.name].parent
    item = describe_landcover(landcover, drafts, target, map_format)
    if model_file is not None:
        sha256 = landcover.provenance.model
        href = _relate(str(model_file), target)
        model = build_model_item(landcover.contract, sha256, model_file, href)
        name = name_model_item(sha256)
        item["links"].append({"rel": "derived_from", "href": f"./{name}", "title": "Model"})
        (folder / name).write_text(_to_text(model), encoding="utf-8")
    (folder / name_item(Path(target.name)).name).write_text(_to_text(item), encoding="utf-8")


def describe_landcover(
    landcover: LandCoverMap, drafts: Mapping[str, Path], target: Target, map_format: MapFormat
) -> dict[str, Any]:
    """The item of a map; its assets are called relative to the item."""
    grid, provenance = landcover.finest.grid, landcover.provenance
    geometry, bbox = _locate(grid)
    day = provenance.date
    properties: dict[str, Any] = {
        **({"datetime": f"{day}T00:00:00Z"} if day else ANYTIME),
        "title": f"Land cover in {provenance.scene}",
        "description": summarise_map(landcover),
        "gsd": round(grid.gsd_m * grid.stride, 3),
        **_describe_crs(grid),
        "processing:level": "L4",
        "processing:software": {"geoclass": provenance.version},
        "processing:lineage": provenance.command,
        "geoclass:model_sha256": provenance.model,
        "geoclass:fingerprint": provenance.fingerprint,
    }
    links = [
        {"rel": "derived_from", "href": _relate(path, target), "title": "Scene"}
        for path in _list_sources(provenance.source)
    ]
    if provenance.mission == SENTINEL_2:
        properties |= {"constellation": "sentinel-2", "license": "other"}
        links.append({"rel": "license", "href": LEGAL_NOTICE, "title": provenance.attribution})
    assets: dict[str, Any] = {}
    for name, draft in drafts.items():
        asset = describe_file(draft, f"./{name}")
        kind = next((suffix for suffix in _COMPANIONS if name.endswith(suffix)), None)
        if kind is None:
            assets["map"] = asset | _describe_map(landcover, map_format)
        else:
            assets[kind.lstrip(".").replace(".", "_")] = asset | _COMPANIONS[kind]
    extensions = [CLASSIFICATION, FILE, PROCESSING, PROJECTION]
    extensions += [RASTER] if map_format == "tif" else []
    return make_item(target.stem, geometry, bbox, properties, assets, extensions, links)


def _describe_map(landcover: LandCoverMap, map_format: MapFormat) -> dict[str, Any]:
    described = {
        "title": "Land cover",
        "type": MEDIA_TYPES[map_format],
        "roles": ["data"],
    }
    classes = _count_classes(landcover)
    if map_format != "tif":
        code = {"proj:code": "EPSG:4326"} if map_format == "geojson" else {}
        return {**described, **code, "classification:classes": classes}
    grid = landcover.finest.grid
    bands = []
    for name, is_code in name_bands(landcover).items():
        band: dict[str, Any] = {"name": name, "data_type": "uint8", "nodata": NODATA}
        if not is_code:
            band["raster:scale"] = 0.01 if name.endswith("percent") else 1 / FULL_SCALE
        if name == "tile_class":
            band["classification:classes"] = build_classes(landcover.legend, statuses=True)
        bands.append(band)
    bands[0]["classification:classes"] = classes
    return {
        **described,
        "proj:shape": [grid.rows, grid.cols],
        "proj:transform": list(grid.cell_transform)[:6],
        "raster:spatial_resolution": round(grid.gsd_m * grid.stride, 3),
        "raster:sampling": "area",
        "bands": bands,
    }


def _count_classes(landcover: LandCoverMap) -> list[dict[str, Any]]:
    """All codes with the number of cells and their share of the area in percent."""
    rows = {row.class_id: row for row in landcover.areas()}
    classes = build_classes(landcover.legend, statuses=True)
    for item in classes:
        if row := rows.get(item["value"]):
            item |= {"count": row.cells, "percentage": round(100 * row.share, 4)}
    return classes


def _locate(grid: Grid) -> tuple[dict[str, Any], list[float]]:
    """The outline in degrees, cut at the antimeridian, and west, south, east, north."""
    steps = [i / _POINTS_A_SIDE for i in range(_POINTS_A_SIDE)]
    corners = ((0, 0), (0, grid.height), (grid.width, grid.height), (grid.width, 0))
    ring = [
        grid.transform @ (x + step * (next_x - x), y + step * (next_y - y))
        for (x, y), (next_x, next_y) in zip(corners, corners[1:] + corners[:1], strict=True)
        for step in steps
    ]
    outline = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    crs = rasterio.CRS.from_wkt(str(grid.crs))
    geometry: dict[str, Any] = dict(
        transform_geom(crs, "EPSG:4326", outline, antimeridian_cutting=True, precision=7)
    )
    cut = geometry["type"] == "MultiPolygon"
    polygons = geometry["coordinates"] if cut else [geometry["coordinates"]]
    points = [point for polygon in polygons for point in polygon[0]]
    lons, lats = [x for x, _ in points], [y for _, y in points]
    # Of an area that is cut in two, the western edge lies in the east (RFC 7946, 5.2).
    west = min(x for x in lons if x > 0) if cut else min(lons)
    east = max(x for x in lons if x < 0) if cut else max(lons)
    return geometry, [west, min(lats), east, max(lats)]


def _describe_crs(grid: Grid) -> dict[str, Any]:
    crs = rasterio.CRS.from_wkt(str(grid.crs))
    authority = crs.to_authority()
    if authority is not None:
        return {"proj:code": ":".join(authority)}
    return {"proj:code": None, "proj:wkt2": crs.to_wkt(version="WKT2_2019")}


def _list_sources(source: Mapping[str, Any]) -> list[str]:
    """Files and addresses of a scene, as its identity tells them."""
    return [part["path"] for part in source.get("files", [source]) if "path" in part]


def _relate(path: str, target: Target) -> str:
    """A file as seen from the map's folder; addresses are what they are."""
    if "://" in path:
        return path
    if isinstance(target, StoredPath):
        return Path(path).absolute().as_uri()
    try:
        return Path(os.path.relpath(path, target.parent)).as_posix()
    except ValueError:  # on another drive
        return Path(path).absolute().as_uri()


def _to_text(item: Mapping[str, Any]) -> str:
    return json.dumps(item, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
