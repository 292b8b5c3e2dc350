"""Verdicts on plots of land, and plots as people hand them in."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine

import geoclass
from geoclass.errors import OutputError, SettingsError
from geoclass.monitor.plots import DISCLAIMER
from geoclass.monitor.settings import MonitorSettings, PlotSettings
from tests.conftest import TRANSFORM, UTM, make_contract
from tests.monitor.scenes import CLOUD, CROP, FOREST, WATER, make_map

F, C, W, X = FOREST, CROP, WATER, CLOUD

DAYS = ("2019-06-01", "2020-06-01", "2021-06-01", "2022-06-01", "2023-06-01")

BEFORE = [
    [F, F, F, F, F, W],
    [F, F, F, F, F, F],
    [F, F, F, F, F, F],
    [F, F, F, F, F, F],
    [F, F, F, F, F, F],
    [F, F, F, F, F, X],
]
AFTER = [[C if (r, c) in ((2, 2), (2, 3)) else BEFORE[r][c] for c in range(6)] for r in range(6)]

SIDE = 640
"""Metres; a cell has 40.96 ha."""


def watch(transform: Affine = TRANSFORM, crs: str = UTM, **changes: Any) -> geoclass.Monitoring:
    """Two cells of forest are felled between 2020 and 2021; one cell is never seen."""
    wkt = rasterio.CRS.from_string(crs).to_wkt()
    maps = []
    for day, codes in zip(DAYS, (BEFORE, BEFORE, AFTER, AFTER, AFTER), strict=True):
        dated = make_map(codes, day, sure=0.99, transform=transform)
        grid = dated.landcover.grid
        maps.append(make_map(codes, day, sure=0.99, transform=transform,
                             grid=type(grid)(height=grid.height, width=grid.width, crs=wkt,
                                             transform=transform), **changes))  # fmt: skip
    return geoclass.monitor_maps(maps)


@pytest.fixture(scope="module")
def monitor() -> geoclass.Monitoring:
    return watch()


def square(
    row: float, col: float, height: float = 1, width: float = 1, *, transform: Affine = TRANSFORM,
    crs: str = UTM,
) -> shapely.Polygon:  # fmt: skip
    """A rectangle of cells, in WGS 84."""
    x, y = transform.c + SIDE * col, transform.f - SIDE * row
    box = shapely.box(x, y - SIDE * height, x + SIDE * width, y)
    to_degrees = pyproj.Transformer.from_crs(crs, 4326, always_xy=True)
    return shapely.transform(box, to_degrees.transform, interleaved=False)


def write(folder: Path, shapes: list[Any], **properties: list[Any]) -> Path:
    """GeoJSON as a person types it, whatever is wrong with it."""
    path = folder / "plots.geojson"
    features = [
        {
            "type": "Feature",
            "properties": {name: values[i] for name, values in properties.items()},
            "geometry": shapely.geometry.mapping(shape)
            if isinstance(shape, shapely.Geometry)
            else shape,
        }
        for i, shape in enumerate(shapes)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def judge(
    folder: Path, monitor: geoclass.Monitoring, *shapes: Any, **settings: Any
) -> geoclass.PlotVerdicts:
    return geoclass.assess_plots(write(folder, list(shapes)), monitor,
                                 settings=PlotSettings(**settings))  # fmt: skip


def turn(shape: shapely.Geometry) -> shapely.Geometry:
    """Latitude first."""
    return shapely.transform(shape, lambda points: points[:, ::-1])


def test_a_loss_is_told_with_its_hectares_and_days(
    tmp_path: Path, monitor: geoclass.Monitoring
) -> None:
    found = judge(tmp_path, monitor, square(2, 1, 1, 2))
    (verdict,) = found.verdicts
    assert verdict.answer == "loss detected"
    assert verdict.area_ha == pytest.approx(2 * 40.96, rel=1e-3)
    assert verdict.forest_ha == pytest.approx(2 * 40.96, rel=1e-3)
    assert verdict.lost_ha == pytest.approx(40.96, rel=1e-3)
    assert (verdict.loss_after, verdict.loss_by) == (date(2020, 6, 1), date(2021, 6, 1))
    assert verdict.level == "highest"
    assert verdict.observed_share == pytest.approx(1, abs=1e-3)
    assert "may be older than 2020-12-31" in verdict.reason
    assert found.messages == []


def test_what_was_lost_by_the_day_does_not_count(
    tmp_path: Path, monitor: geoclass.Monitoring
) -> None:
    (verdict,) = judge(tmp_path, monitor, square(2, 2), forest_on=date(2021, 6, 1)).verdicts
    assert (verdict.answer, verdict.lost_ha, verdict.loss_by) == ("no loss detected", 0, None)
    assert verdict.reason == "there was no forest on 2021-06-01"
    (verdict,) = judge(tmp_path, monitor, square(2, 2), forest_on=date(2020, 6, 1)).verdicts
    assert verdict.answer == "loss detected"
    assert "may be older" in verdict.reason
    (verdict,) = judge(tmp_path, monitor, square(2, 2), forest_on=date(2020, 5, 31)).verdicts
    assert verdict.reason.endswith("between 2020-06-01 and 2021-06-01")


@pytest.mark.parametrize(
    ("shape", "answer", "reason"),
    [
        (square(0, 0, 2, 2), "no loss detected", "no loss of forest was detected from 2020-12-31"),
        (square(0, 5), "no loss detected", "there was no forest on 2020-12-31"),
        (square(5, 5), "cannot tell", "the plot was not observed clearly"),
        (square(4, 4, 2, 2), "cannot tell", "only 75% of the plot was observed clearly"),
        (square(0, 3, 1, 6), "cannot tell", "50% lies outside the maps"),
        (square(20, 20), "cannot tell", "lies outside the maps"),
        (square(0, 0, 0.5, 0.5), "cannot tell", "too small: 10.24 ha"),
        (square(2.2, 2.2, 0.5, 0.5), "cannot tell", "a loss by 2021-06-01 overlaps it"),
        # Only the edge of a cell that was felled lies in it.
        (square(1, 2, 1.01, 2), "no loss detected", "no loss of forest was detected"),
    ],
)  # fmt: skip
def test_other_verdicts_have_their_reason(
    tmp_path: Path, monitor: geoclass.Monitoring, shape: shapely.Polygon, answer: str, reason: str
) -> None:
    (verdict,) = judge(tmp_path, monitor, shape).verdicts
    assert verdict.answer == answer
    assert reason in verdict.reason


def test_outside_of_the_models_region_nothing_is_said(tmp_path: Path) -> None:
    crs = "EPSG:32737"
    transform = Affine(10, 0, 500000, 0, -10, 9_900_000)
    contract = make_contract()
    training = {name: getattr(contract.training, name) for name in contract.training.__slots__}
    told = type(contract.training)(**{**training, "data_set": "EuroSAT_RGB.zip"})
    there = watch(transform, crs, contract=make_contract(training=told))
    (verdict,) = judge(tmp_path, there, square(2, 2, transform=transform, crs=crs)).verdicts
    assert verdict.answer == "cannot tell"
    assert "outside Europe, where the model was trained" in verdict.reason
    assert verdict.lost_ha == pytest.approx(40.96, rel=1e-3)


def test_points_are_circles(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    point = square(2, 2).centroid
    found = judge(tmp_path, monitor, point, square(3, 3), radius_m=400)
    verdict = found.verdicts[0]
    assert found.plots[0].kind == "Point"
    assert verdict.area_ha == pytest.approx(np.pi * 400**2 / 1e4, rel=0.01)
    assert verdict.answer == "loss detected"
    found = judge(tmp_path, monitor, point, square(3, 3))
    assert "it is a point: give --radius" in found.verdicts[0].reason
    assert [v.answer for v in found.verdicts] == ["cannot tell", "no loss detected"]
    with pytest.raises(SettingsError, match="above 0 metres, got -1"):
        PlotSettings(radius_m=-1)


def test_plots_are_put_right_with_a_message(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    plain = square(2, 1, 1, 2)
    ring = list(plain.exterior.coords)
    raised = shapely.Polygon([(x, y, 100.0) for x, y in ring])
    bow = shapely.Polygon([ring[0], ring[2], ring[1], ring[3], ring[0]])
    mixed = shapely.GeometryCollection([plain, shapely.LineString(ring[:2])])
    found = judge(tmp_path, monitor, plain, turn(plain), raised, bow, mixed)
    assert found.messages == [
        "1 plot (plotId 2): has swapped axes (latitude before longitude); repaired",
        "1 plot (plotId 3): has heights (Z); they are ignored",
        "1 plot (plotId 4): intersects or overlaps itself; repaired, no area counts twice",
        "1 plot (plotId 5): contains lines or points beside its polygons; they are ignored",
    ]
    first = found.verdicts[0]
    for number in (1, 2, 4):
        assert found.verdicts[number].lost_ha == pytest.approx(first.lost_ha), number
        assert found.verdicts[number].answer == "loss detected", number
    assert found.verdicts[3].area_ha == pytest.approx(first.area_ha / 2, rel=1e-3)


def test_plots_are_rejected_one_by_one(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    plain = square(2, 1, 1, 2)
    metres = shapely.box(500_000, 5_400_000, 500_100, 5_400_100)
    line = shapely.LineString(plain.exterior.coords)
    flat = shapely.Polygon([plain.exterior.coords[0]] * 4)
    empty = {"type": "Polygon", "coordinates": []}
    wide = shapely.box(-170, 10, 20, 20)
    found = judge(tmp_path, monitor, None, empty, line, metres, flat, wide, plain)
    reasons = [plot.rejected for plot in found.plots]
    assert reasons[:2] == ["it has no geometry"] * 2
    assert reasons[2] == "it is a LineString: give a polygon or a point"
    assert reasons[3] is not None
    assert "for example 500100, 5400000, are not degrees" in reasons[3]
    assert reasons[4] == "it has no area"
    assert reasons[5] == "it is 170° wide, expected at most 10°"
    assert reasons[6] is None
    assert [verdict.answer for verdict in found.verdicts] == ["cannot tell"] * 6 + ["loss detected"]
    assert "2 plots (plotId 1, 2): was rejected: it has no geometry" in found.messages
    geoclass.write_verdicts(found, tmp_path / "v.gpkg")
    written = gpd.read_file(tmp_path / "v.gpkg", layer="plots")
    assert written.geometry.isna().tolist() == [True] * 6 + [False]
    assert written["Area"].isna().tolist() == [True] * 6 + [False]


def test_a_file_of_nothing_but_rejected_plots(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    line = shapely.LineString([(12, 52), (13, 53)])
    found = judge(tmp_path, monitor, line, shapely.Point(12, 52))
    assert found.counts == {"no loss detected": 0, "loss detected": 0, "cannot tell": 2}
    for suffix in ("gpkg", "geojson", "csv"):
        geoclass.write_verdicts(found, tmp_path / f"v.{suffix}")
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 3


def test_plots_with_one_id_are_told_apart(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    shapes = [square(2, 2), square(0, 0), square(1, 1)]
    path = write(tmp_path, shapes, farm=["A", "A", "B"], id=[7, 7, None])
    found = geoclass.assess_plots(path, monitor)
    assert [plot.external_id for plot in found.plots] == ["7", "7", ""]
    assert found.messages == [
        "1 plot (plotId 2): has the id of another plot; plotId distinguishes them"
    ]
    named = geoclass.assess_plots(path, monitor, settings=PlotSettings(id_column="farm"))
    assert [plot.external_id for plot in named.plots] == ["A", "A", "B"]
    with pytest.raises(SettingsError, match="no column 'plot'; columns are"):
        geoclass.assess_plots(path, monitor, settings=PlotSettings(id_column="plot"))


def test_plots_in_another_crs_or_in_none(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    frame = gpd.GeoDataFrame({"name": ["a"]}, geometry=[square(2, 1, 1, 2)], crs=4326)
    frame.to_crs(3035).to_file(tmp_path / "laea.gpkg")
    (laea,) = geoclass.assess_plots(tmp_path / "laea.gpkg", monitor).verdicts
    assert laea.lost_ha == pytest.approx(40.96, rel=1e-3)
    frame.to_file(tmp_path / "none.shp")
    (tmp_path / "none.prj").unlink()
    found = geoclass.assess_plots(tmp_path / "none.shp", monitor)
    assert found.messages == [
        "1 plot (plotId 1): has no coordinate reference system; WGS 84 is assumed"
    ]
    assert found.verdicts[0].lost_ha == pytest.approx(40.96, rel=1e-3)
    frame.to_crs(UTM).to_file(tmp_path / "metres.shp")
    (tmp_path / "metres.prj").unlink()
    (metres,) = geoclass.assess_plots(tmp_path / "metres.shp", monitor).plots
    assert "are not degrees" in (metres.rejected or "")


def test_plots_across_180_degrees(tmp_path: Path) -> None:
    crs = "EPSG:32660"
    to_metres = pyproj.Transformer.from_crs(4326, crs, always_xy=True)
    x, y = to_metres.transform(180, 66)
    # 180° runs through the middle of the third column.
    transform = Affine(10, 0, x - 2.5 * SIDE, 0, -10, y + 2.5 * SIDE)
    there = watch(transform, crs)
    plain = square(2, 1, 1, 2, transform=transform, crs=crs)
    west, east = plain.bounds[0], plain.bounds[2]
    assert (west, east) == pytest.approx((-180, 180), abs=0.1)  # as GeoJSON of old has it
    counting = shapely.transform(plain, lambda p: np.stack([p[:, 0] % 360, p[:, 1]], axis=1))
    halves = shapely.MultiPolygon(
        [
            shapely.intersection(counting, shapely.box(170, 0, 180, 90)),
            shapely.transform(
                shapely.intersection(counting, shapely.box(180, 0, 190, 90)),
                lambda p: p - np.array([360, 0]),
            ),
        ]
    )
    found = judge(tmp_path, there, plain, counting, halves)
    for verdict in found.verdicts:
        assert verdict.answer == "loss detected"
        assert verdict.area_ha == pytest.approx(2 * 40.96, rel=2e-3)
        assert verdict.lost_ha == pytest.approx(40.96, rel=2e-3)
    assert found.messages == ["2 plots (plotId 1, 3): crosses 180°; the two sides are joined"]
    geoclass.write_verdicts(found, tmp_path / "v.geojson")
    written = gpd.read_file(tmp_path / "v.geojson")
    for shape in written.geometry:
        assert len(shape.geoms) == 2
        assert all(part.bounds[2] - part.bounds[0] < 1 for part in shape.geoms)
    assert np.abs(written["Centroid_lon"]).min() > 179.9


def test_a_border_of_100000_corners(tmp_path: Path, monitor: geoclass.Monitoring) -> None:
    plain = square(1, 1, 4, 4)
    angle = np.linspace(0, 2 * np.pi, 100_000)
    centre, width = plain.centroid, plain.bounds[2] - plain.bounds[0]
    radius = width / 2 * (0.9 + 0.02 * np.sin(5_000 * angle))
    shape = shapely.Polygon(
        np.stack([centre.x + radius * np.cos(angle), centre.y + radius * 0.6 * np.sin(angle)], 1)
    )
    started = time.process_time()
    (verdict,) = judge(tmp_path, monitor, shape).verdicts
    assert time.process_time() - started < 20  # seconds; of a busy machine
    assert verdict.answer == "loss detected"
    assert verdict.lost_ha == pytest.approx(2 * 40.96, rel=0.02)


def test_files_have_the_columns_of_whisp_and_say_what_they_are(
    tmp_path: Path, monitor: geoclass.Monitoring
) -> None:
    found = judge(tmp_path, monitor, square(2, 2), square(0, 0), None)
    for suffix in ("gpkg", "geojson", "csv"):
        geoclass.write_verdicts(found, tmp_path / f"v.{suffix}")
    files = (tmp_path / f"v.{suffix}" for suffix in ("gpkg", "geojson"))
    frames = [gpd.read_file(file, layer="plots") for file in files]
    for frame in frames:
        assert frame.crs.to_epsg() == 4326
        assert {
            "plotId", "external_id", "Area", "Unit", "Geometry_type", "Centroid_lon",
            "Centroid_lat",
        } <= set(frame.columns)  # fmt: skip
        assert frame["verdict"].tolist() == ["loss detected", "no loss detected", "cannot tell"]
        assert frame["plotId"].tolist() == [1, 2, 3]
    rows = (tmp_path / "v.csv").read_text().splitlines()
    assert rows[0].startswith("plotId,external_id,verdict,reason,Area,Unit,forest_on,forest_ha")
    assert ",2020-12-31,40.96,40.96,2020-06-01,2021-06-01,highest," in rows[1]
    where = "loss_by = '2021-06-01' AND forest_on = '2020-12-31'"
    assert len(pyogrio.read_dataframe(tmp_path / "v.gpkg", layer="plots", where=where)) == 1
    items = pyogrio.read_info(tmp_path / "v.gpkg", layer="plots")["layer_metadata"]
    assert items["DISCLAIMER"] == DISCLAIMER
    assert "Copernicus Sentinel data" in items["ATTRIBUTION"]
    described = json.loads((tmp_path / "v.geojson").read_text())["description"]
    assert described.startswith("The verdicts are not a legal determination")
    with pytest.raises(OutputError, match="must end in .geojson, .gpkg, .csv"):
        geoclass.write_verdicts(found, tmp_path / "v.shp")


def test_what_the_monitor_cannot_tell_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [square(2, 2)])
    known = watch()
    for day in (date(2019, 5, 31), date(2023, 6, 1)):
        with pytest.raises(SettingsError, match="from 2019-06-01 to 2023-06-01.*--forest-on"):
            geoclass.assess_plots(path, known, settings=PlotSettings(forest_on=day))
    maps = [make_map(BEFORE, day) for day in DAYS]
    water = geoclass.monitor_maps(maps, settings=MonitorSettings(watch=("water",)))
    with pytest.raises(SettingsError, match="watches water, not forest"):
        geoclass.assess_plots(path, water)
    with pytest.raises(OutputError, match="check the path"):
        geoclass.assess_plots(tmp_path / "none.geojson", known)
    with pytest.raises(OutputError, match="holds no features"):
        geoclass.assess_plots(write(tmp_path, []), known)
    (tmp_path / "text.geojson").write_text("no plots")
    with pytest.raises(OutputError, match="as a vector file"):
        geoclass.assess_plots(tmp_path / "text.geojson", known)
