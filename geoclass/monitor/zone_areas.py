"""Areas by zone and group: those of a map, and, with a labelled sample, estimates with errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES
from geoclass.monitor.area import Estimate, estimate_shares, read_counts
from geoclass.monitor.counts import SampleCounts
from geoclass.monitor.tables import join_zones, weigh_cells
from geoclass.products.layers import Layer, read_polygons, write_csv, write_layers

WHOLE = "map"
"""Name of the zone that is all of the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneArea:
    """How much of a zone one group covers, or one status without a class."""

    zone: str
    group: str
    """Or `unknown`, `masked`."""
    area_ha: float
    """As mapped."""
    share: float
    """Of the mapped area of the zone, nodata left out, 0–1."""
    estimate_ha: Estimate | None
    """Area corrected by the error matrix of a sample, in hectares of the classified area; None
    without a sample, and for a status."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZoneAreas:
    """Areas of all zones, and where these lie."""

    rows: tuple[ZoneArea, ...]
    """By zone, then by group."""
    polygons: Mapping[str, shapely.Geometry]
    """By name of the zone, in the CRS of the map."""
    crs: str


def measure_zones(
    landcover: LandCoverMap,
    zones: Path | str | None = None,
    sample: Path | str | None = None,
) -> ZoneAreas:
    """Hectares and shares of each group in each zone, from the finest cells of a map.

    `zones` is a vector file of polygons, named by its first column of texts, or numbered; polygons
    of one name are one zone, and None is the whole map. Cells count by the part that lies inside.
    `sample` is a labelled sample of this map or a table of counts, as `assess_sample` takes: its
    error matrix corrects the areas of each zone, under the assumption that errors are as frequent
    in the zone as in all of the map.

    Raises OutputError where a file cannot be read, SettingsError for a map without a place on
    Earth, where no zone touches it, or where the sample lacks a class of it.
    """
    finest = landcover.finest
    grid = finest.grid
    if grid.crs is None:
        raise SettingsError("the map has no place on Earth, so its areas are not known")
    counts = None if sample is None else read_counts(Path(sample))[0]
    hectares = grid.areas_ha()
    if zones is None:
        polygons = {WHOLE: _outline(grid)}
    else:
        polygons = join_zones(read_polygons(Path(zones), str(grid.crs)))
    rows: list[ZoneArea] = []
    for name, zone in polygons.items():
        within = weigh_cells(zone, grid)
        part = within[:2]
        codes, area = finest.class_id[part].ravel(), (hectares[part] * within[2]).ravel()
        by_code = np.bincount(codes, weights=area, minlength=256)
        rows.extend(_list_groups(name, by_code, landcover, counts))
    if not any(row.area_ha for row in rows):
        raise SettingsError(f"none of the zones of {zones} touches the map: check their places")
    return ZoneAreas(rows=tuple(rows), polygons=polygons, crs=str(grid.crs))


def _outline(grid: Grid) -> shapely.Geometry:
    rows, cols = np.array([0, 0, grid.rows, grid.rows]), np.array([0, grid.cols, grid.cols, 0])
    return shapely.Polygon(grid.corners(rows, cols))


def _list_groups(
    zone: str, by_code: np.ndarray, landcover: LandCoverMap, counts: SampleCounts | None
) -> list[ZoneArea]:
    """Rows of one zone; `by_code` is float64 (256,), hectares."""
    classes = landcover.legend.classes
    groups = {c.name: c.group for c in classes}
    total = float(by_code[:NODATA].sum())
    mapped = dict.fromkeys(groups.values(), 0.0)
    for item in classes:
        mapped[item.group] += float(by_code[item.class_id])
    estimates: Mapping[str, Estimate] = {}
    classified = sum(mapped.values())
    if counts is not None and classified:
        area = {c.name: float(by_code[c.class_id]) for c in classes}
        estimates = estimate_shares(counts, area, groups)
    mapped |= {s.name: float(by_code[s.class_id]) for s in STATUS_STYLES}
    return [
        ZoneArea(
            zone=zone,
            group=group,
            area_ha=area_ha,
            share=area_ha / total if total else 0.0,
            estimate_ha=estimates[group].times(classified) if group in estimates else None,
        )
        for group, area_ha in mapped.items()
    ]


def write_zone_areas(areas: ZoneAreas, path: Path | str) -> None:
    """Write a table with a row for each zone and group (.csv), or the zones (.gpkg).

    In the GeoPackage each zone has a column of hectares and of the share of each group, and with a
    sample the estimate and half the width of its 95 % interval. Raises OutputError where the file
    cannot be written, SettingsError for another suffix.
    """
    path = Path(path)
    if path.suffix.lower() == ".csv":
        write_csv(path, _make_table(areas.rows))
    elif path.suffix.lower() == ".gpkg":
        write_layers(path, [_make_layer(areas)], {})
    else:
        raise SettingsError(f"areas are written as .csv or .gpkg, got {path.name}")


def _make_table(rows: Sequence[ZoneArea]) -> dict[str, np.ndarray]:
    columns = {
        "zone": np.array([row.zone for row in rows], dtype=object),
        "group": np.array([row.group for row in rows], dtype=object),
        "area_ha": np.array([row.area_ha for row in rows]).round(2),
        "share": np.array([row.share for row in rows]).round(6),
    }
    estimates = [row.estimate_ha for row in rows]
    if any(estimate is not None for estimate in estimates):
        value, margin = (
            np.array([np.nan if e is None else getattr(e, name) for e in estimates]).round(2)
            for name in ("value", "margin")
        )
        columns |= {"estimate_ha": value, "margin_ha": margin}
    return columns


def _make_layer(areas: ZoneAreas) -> Layer:
    zones = list(areas.polygons)
    columns = {"zone": np.array(zones, dtype=object)}
    table = _make_table(areas.rows)
    for group in dict.fromkeys(row.group for row in areas.rows):
        of_group = table["group"] == group
        for name, values in table.items():
            if name not in ("zone", "group") and not np.isnan(values[of_group]).all():
                columns[f"{group}_{name.removeprefix('area_')}"] = values[of_group]
    polygons = np.array([areas.polygons[zone] for zone in zones], dtype=object)
    return Layer(name="zones", columns=columns, polygons=polygons, crs=areas.crs)
