"""Polygons of cells that are alike, against the cells' own."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
import shapely

from geoclass.legend import NODATA
from geoclass.monitor.align import date_map
from geoclass.monitor.change import build_cells, change_maps, compare_areas
from geoclass.monitor.history import monitor_maps
from geoclass.monitor.layers import build_series
from geoclass.monitor.sampling import sample_map
from geoclass.monitor.tables import BLOCK, weigh_zones
from geoclass.products.formats import DISSOLVED_FROM
from geoclass.products.layers import Layer
from tests.conftest import make_detailed
from tests.monitor.scenes import CROP, FOREST, yearly

F, C = FOREST, CROP
D2020, D2022 = date(2020, 6, 1), date(2022, 6, 1)


def draw(layer: Layer) -> dict[tuple[object, ...], tuple[float, shapely.Geometry]]:
    """Hectares and union of all polygons by what is said of them."""
    texts = [name for name in layer.columns if layer.columns[name].dtype.kind in "OM"]
    kinds = list(zip(*(layer.columns[name].tolist() for name in texts), strict=True))
    assert layer.polygons is not None
    return {
        kind: (
            sum(layer.columns["area_ha"][[k == kind for k in kinds]]),
            shapely.union_all(layer.polygons[[k == kind for k in kinds]]),
        )
        for kind in set(kinds)
    }


def test_large_series_show_neighbours_that_are_alike_as_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawings = ([[F, F, C], [F, C, C]],) * 3 + ([[C, F, C], [C, C, C]],) * 3
    result = monitor_maps(yearly(*drawings))
    cells = build_series(result)
    monkeypatch.setitem(DISSOLVED_FROM, "gpkg", 1)
    patches = build_series(result)
    assert len(patches.polygons) < len(cells.polygons)
    one, other = draw(cells), draw(patches)
    assert one.keys() == other.keys()
    for kind, (area_ha, shape) in one.items():
        assert other[kind][0] == pytest.approx(area_ha)
        assert shapely.equals(other[kind][1], shape)


def test_maps_are_compared_in_their_finest_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = (
        date_map(make_detailed(4, 4, seed=seed), day=day) for seed, day in ((0, D2020), (1, D2022))
    )
    change = change_maps(old, new)
    assert change.stack.grid == old.landcover.finest.grid
    assert compare_areas(change)["cells"].sum() == change.compared.sum()
    cells = build_cells(change)
    seen = [m.landcover.finest.class_id for m in (old, new)]
    assert len(cells.polygons) == ((seen[0] != NODATA) | (seen[1] != NODATA)).sum()
    monkeypatch.setitem(DISSOLVED_FROM, "gpkg", 1)
    patches = build_cells(change)
    assert len(patches.polygons) < len(cells.polygons)
    one, other = draw(cells), draw(patches)
    assert one.keys() == other.keys()
    assert any("masked" in kind for kind in one)
    for kind, (area_ha, shape) in one.items():
        assert other[kind][0] == pytest.approx(area_ha)
        assert shapely.equals(other[kind][1], shape)


def test_samples_are_drawn_from_the_finest_cells() -> None:
    landcover = make_detailed(6, 6, stride=8)
    sample = sample_map(landcover)
    assert sample.strata.grid == landcover.finest.grid
    assert set(sample.strata.stratum.ravel()) == set(range(-1, 10))


def test_zones_of_many_cells_are_weighed_as_each_cell_is() -> None:
    """A disc with a hole that holds whole blocks, cuts others and leaves some alone."""
    grid = make_detailed(20, 24, stride=8).finest.grid
    assert min(grid.rows, grid.cols) > 4 * BLOCK
    x, y = (part.mean() for part in grid.centres())
    zone = shapely.Point(x, y).buffer(5500).difference(shapely.Point(x, y).buffer(700))
    share = weigh_zones(grid, [("disc", zone)])["disc"].reshape(grid.rows, grid.cols)
    rows, cols = np.divmod(np.arange(share.size), grid.cols)
    cells = grid.polygons(rows, cols)
    expected = shapely.area(shapely.intersection(cells, zone)) / shapely.area(cells)
    np.testing.assert_allclose(share.ravel(), expected, atol=1e-9)
