"""Maps as data sets of xarray."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import rioxarray  # noqa: F401  # lends data sets their .rio
from affine import Affine

import geoclass
from geoclass.legend import NODATA, UNKNOWN
from tests.conftest import UTM, make_detailed, make_landcover


# rioxarray multiplies transforms in a way that affine 3 will give up.
@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_arrays_lie_where_the_map_lies() -> None:
    landcover = make_landcover(4, 3)
    data = geoclass.to_xarray(landcover)
    assert dict(data.sizes) == {"class": 10, "y": 4, "x": 3}
    assert data.rio.crs.to_string() == UTM
    assert data.rio.transform() == landcover.grid.cell_transform
    assert data.class_id.rio.nodata == NODATA
    x, y = landcover.grid.centres()
    assert data.x[0] == x[0, 0]
    assert data.y[0] == y[0, 0]
    assert data.x.attrs["standard_name"] == "projection_x_coordinate"
    frame = geoclass.to_geodataframe(landcover)
    # Whole cells, though polygons end with the scene.
    assert data.rio.bounds()[0] == frame.total_bounds[0]
    assert data.rio.bounds()[3] == frame.total_bounds[3]


def test_values_are_the_maps() -> None:
    landcover = make_landcover()
    data = geoclass.to_xarray(landcover)
    np.testing.assert_array_equal(data.class_id, landcover.class_id)
    np.testing.assert_allclose(data.confidence, landcover.confidence, rtol=1e-6)
    seen = landcover.best_class != NODATA
    forest = data.probabilities.sel({"class": "Forest"}).to_numpy()
    np.testing.assert_allclose(forest[seen], landcover.probabilities[seen][:, 1] / 250, rtol=1e-6)
    assert np.isnan(forest[~seen]).all()
    codes = data.class_id.attrs["flag_values"].tolist()
    words = data.class_id.attrs["flag_meanings"].split()
    assert dict(zip(codes, words, strict=True))[UNKNOWN] == "unknown"
    assert data.attrs["geoclass_fingerprint"] == landcover.provenance.fingerprint


def test_a_map_without_a_place_keeps_its_pixels() -> None:
    landcover = make_landcover()
    grid = replace(landcover.grid, crs=None, transform=Affine.identity())
    data = geoclass.to_xarray(replace(landcover, grid=grid))
    assert data.x.to_numpy().tolist() == [32, 96, 160, 224]
    assert data.rio.crs is None


def test_without_xarray_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(geoclass.GeoclassError, match=r"pip install 'geoclass\[xarray\]'"):
        geoclass.to_xarray(make_landcover())


def test_of_a_map_with_a_detail_the_detail_is_given() -> None:
    landcover = make_detailed()
    given, finest = (geoclass.to_xarray(m) for m in (landcover, landcover.finest))
    assert given.identical(finest)
    assert given.sizes["y"] == landcover.finest.grid.rows
