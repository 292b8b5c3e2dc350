"""Land-cover maps in memory."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import geoclass.landcover
from geoclass.landcover import credit, quantise_probabilities
from geoclass.legend import MASKED, NODATA, UNKNOWN
from tests.conftest import make_landcover


def test_confidence_is_the_probability_of_the_best_class() -> None:
    landcover = make_landcover()
    confidence = landcover.confidence
    assert np.isnan(confidence[landcover.best_class == NODATA]).all()
    known = landcover.best_class != NODATA
    np.testing.assert_allclose(confidence[known], landcover.probabilities[known].max(axis=1) / 250)


def test_areas_add_up_to_all_cells_but_nodata() -> None:
    landcover = make_landcover()
    areas = landcover.areas()
    inside = landcover.class_id != NODATA
    assert sum(row.cells for row in areas) == inside.sum()
    assert sum(row.area_ha for row in areas) == pytest.approx(
        landcover.grid.areas_ha()[inside].sum()
    )
    assert sum(row.share for row in areas) == pytest.approx(1)


def test_unknown_and_masked_are_listed_last() -> None:
    areas = make_landcover().areas()
    assert [row.class_id for row in areas] == [*range(10), UNKNOWN, MASKED]
    assert [row.cells for row in areas[-2:]] == [1, 1]


def test_areas_print_as_a_table() -> None:
    areas = make_landcover().areas()
    lines = str(areas).splitlines()
    shown = [row for row in areas if row.cells or row.group is None]
    assert lines[0].split() == ["class", "cells", "hectares", "share"]
    assert [line[:24].strip() for line in lines[1:]] == [*(row.title for row in shown), "all"]
    assert int(lines[-1].split()[1]) == sum(row.cells for row in areas)
    assert lines[1].endswith(f"{shown[0].share:.1%}")
    nowhere = replace(areas[0], area_ha=float("nan"))
    assert str(type(areas)([nowhere])).count("unknown") == 2


def test_notebooks_show_picture_and_areas(monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(make_landcover().provenance, scene="<script>.tif")
    landcover = make_landcover(provenance=made)
    text = landcover._repr_html_()
    assert "&lt;script&gt;.tif" in text
    assert "<script>" not in text
    assert landcover.areas()._repr_html_() in text
    np.testing.assert_array_equal(read_png(text), landcover.palette[landcover.class_id])
    monkeypatch.setattr(geoclass.landcover, "NOTEBOOK_PX", 2)
    assert max(read_png(landcover._repr_html_()).shape[:2]) <= 2


def read_png(text: str) -> np.ndarray:
    data = re.search(r"data:image/png;base64,([^\"]+)", text)
    assert data is not None
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as picture:
        picture.load()
        return np.asarray(picture.convert("RGBA"))


def test_map_without_a_valid_cell_has_no_shares() -> None:
    landcover = make_landcover()
    empty = make_landcover(class_id=np.full_like(landcover.class_id, NODATA))
    assert {row.share for row in empty.areas()} == {0.0}


def test_quantised_probabilities_are_within_half_a_step() -> None:
    exact = np.random.default_rng(0).dirichlet(np.ones(10), 500)
    stored = quantise_probabilities(exact)
    assert stored.dtype == np.uint8
    assert np.abs(stored / 250 - exact).max() <= 0.5 / 250 + 1e-12


def test_arrays_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="valid_share must be uint8"):
        make_landcover(valid_share=np.zeros((2, 2), np.uint8))


def test_credit_names_each_year_of_sentinel_data_once() -> None:
    images = [("Sentinel-2", "2018-05-01"), (None, "2019-05-01"), ("Sentinel-2", "2016-01-02")]
    assert credit(images) == "contains modified Copernicus Sentinel data 2016, 2018"
    assert credit([*images, ("Sentinel-2", "2018-07-01")]) == credit(images)
    assert credit([("Sentinel-2", None)]) == "contains modified Copernicus Sentinel data"
    assert credit([(None, "2019-05-01")]) == ""
