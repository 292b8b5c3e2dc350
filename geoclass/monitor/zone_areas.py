"""Areas by zone and group: those of a map and, with a labelled sample, estimates with errors."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geoclass.errors import SettingsError
from geoclass.landcover import LandCoverMap
from geoclass.legend import NODATA, STATUS_STYLES
from geoclass.monitor.area import Estimate, estimate_shares, read_counts
from geoclass.monitor.counts import SampleCounts
from geoclass.monitor.tables import as_texts, join_zones, weigh_cells
from geoclass.products.layers import Layer, read_polygons, write_csv, write_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneArea:
    """Area of one group, or of one status without a class, in a zone."""

    zone: str
    group: str
    """Or `unknown`, `masked`."""
    area_ha: float
    """In the map."""
    share: float
    """Fraction of the zone's area with data, 0–1."""
    estimate_ha: Estimate | None
    """Area corrected by the error matrix of a sample, in hectares of the classified area; None
    without a sample, and for a status."""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ZoneAreas:
    """Areas of all zones, and their polygons."""

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
    """Hectares and fractions of each group in each zone, from the finest cells of a map.

    `zones` is a vector file of polygons, named by its first text column, or numbered; polygons with
    the same name are one zone. Without it the only zone is `map`, the whole map. Cells count by
    their part inside the zone. `sample` is a labelled sample of this map or a table of counts, as
    for `assess_sample`: its error matrix corrects the areas of each zone, assuming the same error
    rates in all zones.

    Raises OutputError for unreadable files, SettingsError for a map without a coordinate reference
    system, if no zone intersects it, or if the sample lacks a class of the map.
    """
    finest = landcover.finest
    grid = finest.grid
    if grid.crs is None:
        raise SettingsError("the map has no coordinate reference system, so areas are unknown")
    counts = None if sample is None else read_counts(Path(sample))[0]
    hectares = grid.areas_ha()
    if zones is None:
        row, col = np.array([0, 0, grid.rows, grid.rows]), np.array([0, grid.cols, grid.cols, 0])
        polygons = {"map": shapely.Polygon(grid.corners(row, col))}
    else:
        polygons = join_zones(read_polygons(Path(zones), str(grid.crs)))
    found: list[ZoneArea] = []
    for name, zone in polygons.items():
        rows, cols, share = weigh_cells(zone, grid)
        area = (hectares[rows, cols] * share).ravel()
        by_code = np.bincount(finest.class_id[rows, cols].ravel(), weights=area, minlength=256)
        found += _list_groups(name, by_code, landcover, counts)
    if not any(row.area_ha for row in found):
        raise SettingsError(f"none of the zones of {zones} intersects the map: check their CRS")
    return ZoneAreas(rows=tuple(found), polygons=polygons, crs=str(grid.crs))


def _list_groups(
    zone: str, by_code: np.ndarray, landcover: LandCoverMap, counts: SampleCounts | None
) -> list[ZoneArea]:
    """Rows of one zone; `by_code` is float64 (256,), hectares."""
    classes = landcover.legend.classes
    groups = {c.name: c.group for c in classes}
    area = {c.name: float(by_code[c.class_id]) for c in classes}
    mapped = dict.fromkeys(groups.values(), 0.0)
    for name, group in groups.items():
        mapped[group] += area[name]
    total, classified = float(by_code[:NODATA].sum()), sum(mapped.values())
    estimates = estimate_shares(counts, area, groups) if counts and classified else {}
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

    In the GeoPackage each zone has columns of hectares and fraction of each group, and with a
    sample the estimate and half the width of its 95 % interval. Raises OutputError if the file
    cannot be written, SettingsError for other suffixes.
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
        "zone": as_texts(row.zone for row in rows),
        "group": as_texts(row.group for row in rows),
        "area_ha": np.array([row.area_ha for row in rows]).round(2),
        "share": np.array([row.share for row in rows]).round(6),
    }
    estimates = [row.estimate_ha for row in rows]
    if any(estimate is not None for estimate in estimates):
        for column, name in (("estimate_ha", "value"), ("margin_ha", "margin")):
            values = [np.nan if e is None else getattr(e, name) for e in estimates]
            columns[column] = np.array(values).round(2)
    return columns


def _make_layer(areas: ZoneAreas) -> Layer:
    columns = {"zone": as_texts(areas.polygons)}
    table = _make_table(areas.rows)
    for group in dict.fromkeys(row.group for row in areas.rows):
        of_group = table["group"] == group
        for name, values in table.items():
            if name not in ("zone", "group") and not np.isnan(values[of_group]).all():
                columns[f"{group}_{name.removeprefix('area_')}"] = values[of_group]
    polygons = np.array(list(areas.polygons.values()), dtype=object)
    return Layer(name="zones", columns=columns, polygons=polygons, crs=areas.crs)
