"""Merged maps: one GeoPackage of many maps, without overlaps."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from geoclass._version import __version__
from geoclass.errors import OutputError, SettingsError
from geoclass.files.writing import drafted
from geoclass.landcover import LandCoverMap, credit
from geoclass.legend import NODATA
from geoclass.products.document import MERGED
from geoclass.products.files import holds_map, read_fingerprint
from geoclass.products.formats import Preference
from geoclass.products.geopackage import TITLES
from geoclass.products.layers import Layer, read_columns, read_layer_items, write_layer
from geoclass.products.shapes import name_columns, to_geodataframe
from geoclass.products.styles import map_styles, write_style_table

_CLASS = ["class_id", "class_name", "class_title", "group"]

SLIVER = 1e-6
"""Smaller remainders, as a fraction of the cell, are rounding errors."""

STRETCH = 20
"""Maximum ratio of a cell's width to the square root of its area."""


def merge_maps(
    maps: Sequence[LandCoverMap], *, crs: str | None = None, prefer: Preference = "confident"
) -> gpd.GeoDataFrame:
    """The cells of many maps, as of `to_geodataframe`, in one CRS and without overlaps.

    A column `map` has the number of the cell's map, from 1. `crs` is by default the most common
    one. Of overlapping cells of different maps, the classified one is kept, then (`prefer`) the
    more confident or the later one, then that of the first map; the others are cut. Every covered
    location is covered once.

    Raises SettingsError for an invalid CRS, a CRS that splits cells at 180°, and different legends.
    """
    legends = {json.dumps(m.legend.to_json(), sort_keys=True) for m in maps}
    if len(legends) != 1:
        raise SettingsError("the maps have different legends: map them with one model and legend")
    target = _choose_crs(maps, crs)
    frames = [_reproject(landcover, target) for landcover in maps]
    cells = gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs=target)
    owner = np.repeat(np.arange(len(frames)), [len(frame) for frame in frames])
    cells.insert(cells.columns.get_loc("geometry"), "map", owner.astype(np.int32) + 1)
    return _cut_overlaps(cells, owner, _rank(cells, owner, prefer))


def write_mosaic(
    cells: gpd.GeoDataFrame,
    maps: Sequence[LandCoverMap],
    path: Path | str,
    *,
    command: str = "geoclass.write_mosaic",
) -> None:
    """Write merged cells as layer `landcover` with styles and tables `areas` and `scenes`.

    If maps have a detail, layer `detail` has the patches of each cell's map. Raises OutputError.
    """
    path, legend = Path(path), maps[0].legend
    detailed = any(landcover.detail is not None for landcover in maps)
    with drafted(path, DataSourceError, DataLayerError) as draft:
        styles, sums = {}, [_sum_areas(cells.assign(cells=1))]
        if detailed:  # QGIS draws the first layer of a file on top
            sums = []
            for number, landcover in enumerate(maps, start=1):
                patches = _cut_detail(cells[cells["map"] == number], landcover)
                write_layer(
                    _as_layer(patches, "detail"),
                    draft,
                    append=number > 1,
                    identifier=TITLES["detail"],
                )
                sums.append(_sum_areas(patches))
            styles["detail"] = map_styles(legend, name_columns(legend, dissolve=True))
        write_layer(
            _as_layer(cells, "landcover"),
            draft,
            _describe(maps, command),
            identifier=TITLES["landcover"],
        )
        areas = _sum_areas(pd.concat(sums))
        for name, table in (("areas", areas), ("scenes", _list_scenes(maps))):
            pyogrio.write_dataframe(table, draft, layer=name, driver="GPKG")
        aliases = [*name_columns(legend, detailed=detailed), ("map", "Number of the map")]
        styles["landcover"] = map_styles(legend, aliases)
        write_style_table(draft, styles)


def _as_layer(frame: gpd.GeoDataFrame, name: str) -> Layer:
    columns = {column: frame[column].to_numpy() for column in frame if column != "geometry"}
    if "date" in columns:
        columns["date"] = columns["date"].astype("datetime64[D]")
    polygons, crs = frame.geometry.to_numpy(), frame.crs.to_wkt()
    return Layer(name=name, columns=columns, polygons=polygons, crs=crs)


def _cut_detail(tiles: gpd.GeoDataFrame, landcover: LandCoverMap) -> gpd.GeoDataFrame:
    """Patches of the map's smallest cells, clipped to its remaining tiles."""
    whole = landcover.grid.areas_ha()[tiles["row"], tiles["col"]].round(4)
    is_cut = tiles["area_ha"].to_numpy() < whole
    kept = _patch(tiles[~is_cut], landcover)
    if not is_cut.any():
        return kept
    parts = _patch(tiles[is_cut], landcover)
    pieces = parts.assign(whole=parts.area).overlay(
        tiles[is_cut][["geometry"]], keep_geom_type=True
    )
    share = pieces.area / pieces.pop("whole")
    pieces["area_ha"] = (pieces["area_ha"] * share).round(4)
    pieces["cells"] = (pieces["cells"] * share).round().astype(np.int32)
    return gpd.GeoDataFrame(pd.concat([kept, pieces], ignore_index=True), crs=tiles.crs)


def _patch(tiles: gpd.GeoDataFrame, landcover: LandCoverMap) -> gpd.GeoDataFrame:
    """Patches of the smallest cells in some tiles, in the tiles' CRS."""
    finest = landcover.finest
    inside = np.zeros(landcover.class_id.shape, dtype=bool)
    inside[tiles["row"], tiles["col"]] = True
    codes = np.where(inside[landcover.grid.spread(finest.grid)], finest.class_id, NODATA)
    patches = to_geodataframe(replace(finest, class_id=codes.astype(np.uint8)), dissolve=True)
    return patches.to_crs(tiles.crs)


def is_mosaic(path: Path) -> bool:
    """Whether `write_mosaic` wrote this file."""
    try:
        return MERGED in (read_layer_items(path) or {})
    except OutputError:
        return False


def name_scenes_folder(path: Path) -> Path:
    """Folder of the maps that are merged into this file."""
    return path.with_name(f"{path.stem}.scenes")


def _describe(maps: Sequence[LandCoverMap], command: str) -> dict[str, str]:
    """Metadata items, for people."""
    return {
        MERGED: str(len(maps)),
        "GEOCLASS_VERSION": __version__,
        "GEOCLASS_COMMAND": command,
        "ATTRIBUTION": credit([(m.provenance.mission, m.provenance.date) for m in maps]),
    }


def _choose_crs(maps: Sequence[LandCoverMap], crs: str | None) -> CRS:
    if crs is None:
        [(crs, _)] = Counter(m.grid.crs for m in maps).most_common(1)
        assert crs is not None  # a map without place is not written as a GeoPackage
        return CRS.from_wkt(crs)
    return parse_crs(crs)


def parse_crs(crs: str) -> CRS:
    """Parse a projected or 2-D geographic CRS; SettingsError for others."""
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise SettingsError(f"{crs} is not a CRS: give one such as EPSG:3035") from error
    if not parsed.is_projected and not (parsed.is_geographic and len(parsed.axis_info) == 2):
        raise SettingsError(
            f"{crs} is a {parsed.type_name}, not a projected or a geographic one of two "
            "dimensions: give one such as EPSG:3035"
        )
    return parsed


def _reproject(landcover: LandCoverMap, target: CRS) -> gpd.GeoDataFrame:
    """Cells in the target CRS; SettingsError if it splits some at 180°."""
    cells = to_geodataframe(landcover).to_crs(target)
    if _find_split(cells, target).any():
        raise SettingsError(
            f"{landcover.provenance.scene} crosses 180°, where {target.name} has its edges: "
            "give a projected --map-crs that is continuous there, such as the scene's own"
        )
    return cells


def _find_split(cells: gpd.GeoDataFrame, target: CRS) -> np.ndarray:
    """Bool (n,): cells with corners at both edges of the target CRS."""
    west, south, east, north = cells.bounds.to_numpy().T
    width = (east - west) * target.axis_info[0].unit_conversion_factor
    if target.is_geographic:
        return width > np.pi
    # Projections also stretch cells; the centre of a split cell is far from its edge.
    side = np.sqrt(cells["area_ha"].to_numpy() * 1e4)
    split = width > STRETCH * side
    if split.any() and (ellipsoid := target.get_geod()):
        x, y = np.stack([west, (west + east) / 2])[:, split], ((south + north) / 2)[split]
        to_degrees = Transformer.from_crs(target, target.geodetic_crs, always_xy=True)
        lon, lat = to_degrees.transform(x, np.stack([y, y]))
        _, _, distance = ellipsoid.inv(lon[0], lat[0], lon[1], lat[1])
        split[split] = np.asarray(distance) > STRETCH * side[split]
    return split


def _rank(cells: gpd.GeoDataFrame, owner: np.ndarray, prefer: Preference) -> np.ndarray:
    """Int64 (n,): 0 is the most preferred cell."""
    unclassified = (cells["status"] != "classified").to_numpy()
    confidence = -cells["confidence"].fillna(0).to_numpy()
    dates = cells["date"].fillna(pd.Timestamp(0)).to_numpy()
    age = -dates.astype("datetime64[D]").astype(np.int64)
    criteria = (confidence, age) if prefer == "confident" else (age, confidence)
    return np.lexsort((owner, *reversed(criteria), unclassified)).argsort()


def _cut_overlaps(cells: gpd.GeoDataFrame, owner: np.ndarray, rank: np.ndarray) -> gpd.GeoDataFrame:
    """Cut each cell by the preferred cells of other maps."""
    shapes = cells.geometry.to_numpy()
    loser, winner = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    rivals = (owner[loser] != owner[winner]) & (rank[loser] > rank[winner])
    loser, winner = loser[rivals], winner[rivals]
    overlap = shapely.area(shapely.intersection(shapes[loser], shapes[winner]))
    meet = overlap > SLIVER * shapely.area(shapes[loser])  # not only at an edge
    loser, winner = loser[meet], winner[meet]
    order = np.argsort(loser, kind="stable")
    cut, starts = np.unique(loser[order], return_index=True)
    before = [shapely.union_all(part) for part in np.split(shapes[winner[order]], starts[1:])]
    if len(cut):
        whole = shapely.area(shapes[cut])
        rest = shapely.difference(shapes[cut], np.array(before))
        share = shapely.area(rest) / whole
        cells.loc[cut, "area_ha"] = (cells["area_ha"].to_numpy()[cut] * share).round(4)
        shapes = shapes.copy()
        shapes[cut] = rest
        gone = cut[share <= SLIVER]
        cells = cells.set_geometry(gpd.GeoSeries(shapes, crs=cells.crs)).drop(index=gone)
    return cells.reset_index(drop=True)


def _sum_areas(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby(_CLASS, dropna=False, as_index=False)[["cells", "area_ha"]].sum()


def _list_scenes(maps: Sequence[LandCoverMap]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "scene": [m.provenance.scene for m in maps],
            "date": [m.provenance.date for m in maps],
            "model": [m.provenance.model for m in maps],
            "radiometry": [str(m.provenance.radiometry.get("reason", "")) for m in maps],
            "fingerprint": [m.provenance.fingerprint for m in maps],
        }
    )


READABLE = (".gpkg", ".tif", ".tiff")
"""Suffixes of maps that geoclass reads."""


def find_maps(path: Path | str) -> list[Path]:
    """The map files that `path` stands for; empty if it is not a map.

    A folder stands for all maps in it, a merged map for the maps that it was merged from. Raises
    OutputError if these are missing or have changed.
    """
    path = Path(path)
    if path.is_dir():
        files = (file for file in sorted(path.iterdir()) if file.suffix.lower() in READABLE)
        return [file for file in files if holds_map(file)]
    if not path.is_file():
        return []
    if holds_map(path):
        return [path]
    return _find_merged(path) if path.suffix.lower() == ".gpkg" and is_mosaic(path) else []


def _find_merged(path: Path) -> list[Path]:
    folder = name_scenes_folder(path)
    there = {read_fingerprint(file): file for file in find_maps(folder)}
    merged = read_columns(path, "scenes")
    gone = [
        scene
        for fingerprint, scene in zip(merged["fingerprint"], merged["scene"], strict=True)
        if fingerprint not in there
    ]
    if gone:
        raise OutputError(
            f"{len(gone)} of the maps that {path} was merged from "
            f"({gone[0]}{' and others' if gone[1:] else ''}) are not in {folder}, or have changed: "
            "merge them again, or give the maps themselves"
        )
    return [there[fingerprint] for fingerprint in merged["fingerprint"]]
