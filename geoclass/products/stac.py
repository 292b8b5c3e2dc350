"""STAC items of land-cover maps and models."""

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rasterio
import shapely
import shapely.geometry
from rasterio.warp import transform_geom

from geoclass.contract import Contract
from geoclass.files.writing import Target
from geoclass.grid import Grid
from geoclass.landcover import FULL_SCALE, SENTINEL_2, LandCoverMap
from geoclass.legend import NODATA, Legend
from geoclass.products.document import summarise_map
from geoclass.products.formats import MapFormat
from geoclass.products.geotiff import name_bands


def build_model_item(contract: Contract, sha256: str, file: Path, href: str) -> dict[str, Any]:
    """The item of a model in `file`, referenced as `href`; OSError.

    A model applies to any place and date, so the item has no geometry and no end.
    """
    training = contract.training
    arch = str(training.recipe.get("arch", "unknown"))
    size = contract.tile_size
    model = {
        **describe_file(file, href),
        "title": f"Weights of {arch}",
        "type": "application/vnd.safetensors",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "safetensors.torch.save_file",
        # Of MLM's three ways to name bands, STAC 1.1 forbids its own.
        "eo:bands": [{"name": band} for band in contract.bands],
    }
    properties = {
        **ANYTIME,
        "title": f"geoclass {arch}",
        "description": (
            f"Labels tiles of {size}×{size} pixels of {contract.gsd_m:g} m with one of "
            f"{len(contract.legend)} classes of land cover. Trained on {training.data_set}; "
            f"validation accuracy {training.validation_accuracy:.2%}."
        ),
        "mlm:name": f"geoclass {arch} {sha256[:12]}",
        "mlm:architecture": arch,
        "mlm:tasks": ["scene-classification"],
        "mlm:framework": "PyTorch",
        "mlm:accelerator_constrained": False,
        "mlm:hyperparameters": dict(training.recipe),
        "mlm:input": [
            {
                "name": "tiles",
                "description": f"8-bit values of radiometry {contract.radiometry}.",
                "bands": list(contract.bands),
                "input": {
                    "shape": [-1, len(contract.bands), size, size],
                    "dim_order": ["batch", "bands", "height", "width"],
                    "data_type": "uint8",
                },
                "value_scaling": [
                    {"type": "z-score", "mean": 255 * mean, "stddev": 255 * std}
                    for mean, std in zip(contract.mean, contract.std, strict=True)
                ],
            }
        ],
        "mlm:output": [
            {
                "name": "probabilities",
                "description": f"Softmax of the logits divided by {contract.temperature:.4f}.",
                "tasks": ["scene-classification"],
                "result": {
                    "shape": [-1, len(contract.legend)],
                    "dim_order": ["batch", "class"],
                    "data_type": "float32",
                },
                "classification:classes": build_classes(contract.legend, statuses=False),
            }
        ],
        "geoclass:radiometry": contract.radiometry,
        "geoclass:split": asdict(training.split),
        "geoclass:scores": None if contract.scores is None else asdict(contract.scores),
    }
    return {
        **_begin_item(f"model-{sha256[:12]}", [EO, FILE, MLM]),
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {"model": model},
    }


STAC_VERSION = "1.1.0"

_SCHEMAS = "https://stac-extensions.github.io/{}/schema.json"
CLASSIFICATION = _SCHEMAS.format("classification/v2.0.0")
EO = _SCHEMAS.format("eo/v1.1.0")
FILE = _SCHEMAS.format("file/v2.1.0")
MLM = _SCHEMAS.format("mlm/v1.5.2")
PROCESSING = _SCHEMAS.format("processing/v1.2.0")
PROJECTION = _SCHEMAS.format("projection/v2.0.0")
RASTER = _SCHEMAS.format("raster/v2.0.0")

ANYTIME = {
    "datetime": None,
    "start_datetime": "1900-01-01T00:00:00Z",
    "end_datetime": "9999-12-31T23:59:59Z",
}
"""STAC requires dates."""

_MULTIHASH_SHA256 = "1220"
"""Hexadecimal code of SHA-256 and length of its digest, 32 bytes."""


# pystac's version determines the extension versions that it writes; these are fixed, and tests
# validate items against the official schemas.
def _begin_item(name: str, extensions: Sequence[str]) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": sorted(extensions),
        "id": name,
    }


def describe_file(path: Path, href: str) -> dict[str, Any]:
    """Address, size and checksum (multihash) of an asset."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "href": href,
        "file:size": path.stat().st_size,
        "file:checksum": f"{_MULTIHASH_SHA256}{digest}",
    }


def build_classes(legend: Legend, *, statuses: bool) -> list[dict[str, Any]]:
    """`classification:classes`, with `statuses` also the codes of cells without a class."""
    listed: list[dict[str, Any]] = [
        {
            "value": entry.class_id,
            # The extension allows only these characters.
            "name": re.sub(r"[^0-9A-Za-z_-]+", "_", entry.name),
            "title": entry.title,
            "description": entry.title,
            "color_hint": entry.color.removeprefix("#").upper(),
        }
        for entry in (legend.entries if statuses else legend.classes)
    ]
    if statuses:
        nothing = {"title": "No data", "description": "No data", "nodata": True}
        listed.append({"value": NODATA, "name": "nodata", **nothing})
    return listed


MEDIA_TYPES: Mapping[MapFormat, str] = {
    "gpkg": "application/geopackage+sqlite3",
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
    "parquet": "application/vnd.apache.parquet",
    "fgb": "application/vnd.flatgeobuf",
    "geojson": "application/geo+json",
}

LEGAL_NOTICE = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"

_COMPANIONS = {".qml": "Style for QGIS", ".aux.xml": "Names and colours for GDAL"}
"""Suffix → title."""

_POINTS = 36
"""Points of the outline, at least: straight sides of the map are curved in degrees."""


def name_item(path: Path) -> Path:
    """The path of the item of a map."""
    return path.with_name(f"{path.name}.stac.json")


def write_items(
    landcover: LandCoverMap,
    drafts: Mapping[str, Path],
    target: Target,
    map_format: MapFormat,
    model_file: Path | None,
) -> dict[str, Path]:
    """Write the items of a map and, if its file is given, of its model; OSError.

    `drafts` are the map's temporary files by final name. The items are written beside them and
    returned in the same form.
    """
    described = describe_landcover(landcover, drafts, target, map_format)
    items = {name_item(Path(target.name)).name: described}
    if model_file is not None:
        sha256 = landcover.provenance.model
        name = f"model-{sha256[:12]}.stac.json"
        href = _relate(str(model_file), target)
        described["links"].append({"rel": "derived_from", "href": f"./{name}", "title": "Model"})
        items[name] = build_model_item(landcover.contract, sha256, model_file, href)
    written = {}
    for number, (name, item) in enumerate(items.items()):
        written[name] = drafts[target.name].with_name(f"item{number}.json")
        text = json.dumps(item, indent=1, ensure_ascii=False, allow_nan=False)
        written[name].write_text(f"{text}\n", encoding="utf-8")
    return written


def describe_landcover(
    landcover: LandCoverMap, drafts: Mapping[str, Path], target: Target, map_format: MapFormat
) -> dict[str, Any]:
    """The item of a map; addresses of assets are relative to the item."""
    grid, provenance = landcover.finest.grid, landcover.provenance
    geometry, bbox = _locate(grid)
    crs = rasterio.CRS.from_wkt(str(grid.crs))
    authority, day = crs.to_authority(), provenance.date
    properties: dict[str, Any] = {
        **({"datetime": f"{day}T00:00:00Z"} if day else ANYTIME),
        "title": f"Land cover in {provenance.scene}",
        "description": summarise_map(landcover),
        "gsd": round(grid.gsd_m * grid.stride, 3),
        "proj:code": ":".join(authority) if authority else None,
        **({} if authority else {"proj:wkt2": crs.to_wkt(version="WKT2_2019")}),
        "processing:level": "L4",
        "processing:software": {"geoclass": provenance.version},
        "processing:lineage": provenance.command,
        "geoclass:model_sha256": provenance.model,
        "geoclass:fingerprint": provenance.fingerprint,
    }
    sources = provenance.source.get("files", [provenance.source])
    links = [
        {"rel": "derived_from", "href": _relate(part["path"], target), "title": "Scene"}
        for part in sources
        if "path" in part
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
            more = {"title": _COMPANIONS[kind], "type": "text/xml", "roles": ["metadata"]}
            assets[kind.lstrip(".").replace(".", "_")] = asset | more
    extensions = [CLASSIFICATION, FILE, PROCESSING, PROJECTION]
    extensions += [RASTER] if map_format == "tif" else []
    return {
        **_begin_item(target.stem, extensions),
        "geometry": geometry,
        "bbox": bbox,
        "properties": properties,
        "links": links,
        "assets": assets,
    }


def _describe_map(landcover: LandCoverMap, map_format: MapFormat) -> dict[str, Any]:
    described = {"title": "Land cover", "type": MEDIA_TYPES[map_format], "roles": ["data"]}
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
    """All codes with their number of cells and percentage of the area."""
    rows = {row.class_id: row for row in landcover.areas()}
    classes = build_classes(landcover.legend, statuses=True)
    for item in classes:
        if row := rows.get(item["value"]):
            item |= {"count": row.cells, "percentage": round(100 * row.share, 4)}
    return classes


def _locate(grid: Grid) -> tuple[dict[str, Any], list[float]]:
    """The outline in degrees, cut at the antimeridian, and west, south, east, north."""
    corners = ((0, 0), (0, grid.height), (grid.width, grid.height), (grid.width, 0))
    outline = shapely.Polygon([grid.transform @ corner for corner in corners])
    outline = shapely.segmentize(outline, outline.length / _POINTS)
    crs = rasterio.CRS.from_wkt(str(grid.crs))
    geometry: dict[str, Any] = dict(
        transform_geom(crs, "EPSG:4326", outline, antimeridian_cutting=True, precision=7)
    )
    parts = shapely.get_parts(shapely.geometry.shape(geometry))
    west, south, east, north = shapely.bounds(parts).T
    # If the area is cut, its western edge has the larger longitude (RFC 7946, 5.2).
    return geometry, [west.max(), south.min(), east.min(), north.max()]


def _relate(path: str, target: Target) -> str:
    """A path relative to the map's folder; addresses are returned as they are."""
    if "://" in path:
        return path
    if isinstance(target, Path):
        with contextlib.suppress(ValueError):  # on another drive
            return Path(os.path.relpath(path, target.parent)).as_posix()
    return Path(path).absolute().as_uri()
