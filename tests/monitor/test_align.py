"""Which maps may be compared, and where their cells lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform_bounds

from geoclass.contract import Contract
from geoclass.errors import SettingsError
from geoclass.legend import EUROSAT, NODATA, Legend
from geoclass.monitor.align import find_mismatches, stack_maps
from geoclass.monitor.settings import AlignSettings
from tests.conftest import TRANSFORM, UTM, make_contract
from tests.monitor.scenes import CROP, FOREST, WATER, make_map


def test_dates_are_put_in_order() -> None:
    stack = stack_maps([make_map([[CROP]], "2021-01-01"), make_map([[FOREST]], "2020-01-01")])
    assert stack.dates == (date(2020, 1, 1), date(2021, 1, 1))
    assert stack.class_id.ravel().tolist() == [FOREST, CROP]


def test_maps_of_other_extents_are_laid_where_their_cells_coincide() -> None:
    later = make_map([[WATER]], "2021-01-01", transform=TRANSFORM @ Affine.translation(64, -64))
    stack = stack_maps([make_map([[FOREST, CROP]], "2020-01-01"), later])
    assert stack.class_id[0].tolist() == [[NODATA, NODATA], [FOREST, CROP]]
    assert stack.class_id[1].tolist() == [[NODATA, WATER], [NODATA, NODATA]]
    assert stack.grid.transform == TRANSFORM @ Affine.translation(0, -64)


def test_a_cell_cut_off_by_one_scene_only_is_not_compared() -> None:
    cut = make_map([[FOREST, FOREST]], "2020-01-01", trim=(0, 30))
    whole = make_map([[CROP, CROP, CROP]], "2021-01-01")
    assert stack_maps([cut, whole]).class_id[0].tolist() == [[FOREST, NODATA, NODATA]]
    # Cut off alike, the cells are the same.
    both = stack_maps([cut, make_map([[CROP, CROP]], "2021-01-01", trim=(0, 30))])
    assert both.class_id[0].tolist() == [[FOREST, FOREST]]


def test_tiles_of_one_date_are_put_together() -> None:
    right = make_map([[CROP]], transform=TRANSFORM @ Affine.translation(64, 0), scene="b.tif")
    stack = stack_maps([make_map([[FOREST]], scene="a.tif"), right])
    assert stack.class_id.tolist() == [[[FOREST, CROP]]]
    assert stack.scenes == ("a.tif, b.tif",)


def test_shifted_cells_are_refused_with_the_way_out_or_resampled() -> None:
    first = make_map([[FOREST, CROP], [WATER, FOREST]], "2020-01-01")
    shifted = make_map(
        [[CROP, CROP], [CROP, WATER]], "2021-01-01", transform=TRANSFORM @ Affine.translation(20, 3)
    )
    with pytest.raises(SettingsError, match=r"3.00 rows and 20.00 columns.*--snap.*--resample"):
        stack_maps([first, shifted])
    stack = stack_maps([first, shifted], AlignSettings(resample=True))
    assert stack.class_id[1].tolist() == [[CROP, CROP], [CROP, WATER]]


def test_resampling_takes_the_cell_at_the_middle_and_leaves_out_what_is_beyond() -> None:
    first = make_map([[FOREST, CROP, WATER]], "2020-01-01")
    shifted = make_map([[1, 2, 3]], "2021-01-01", transform=TRANSFORM @ Affine.translation(40, 0))
    stack = stack_maps([first, shifted], AlignSettings(resample=True))
    assert stack.class_id[1].tolist() == [[NODATA, 1, 2]]
    assert not stack.probabilities[1, 0, 0].any()


def test_maps_in_another_projection_are_resampled() -> None:
    first = make_map([[FOREST, CROP], [WATER, FOREST]], "2020-01-01")
    grid = first.landcover.grid
    west, north = grid.transform.c, grid.transform.f
    bounds = (west, north - 1280, west + 1280, north)
    left, bottom, right, top = transform_bounds(UTM, "EPSG:4326", *bounds)
    degrees = Affine((right - left) / 128, 0, left, 0, -(top - bottom) / 128, top)
    wgs = rasterio.CRS.from_epsg(4326).to_wkt()
    later = make_map([[FOREST, CROP], [WATER, FOREST]], "2021-01-01")
    other = replace(
        later, landcover=replace(later.landcover, grid=replace(grid, transform=degrees, crs=wgs))
    )
    with pytest.raises(SettingsError, match="different coordinate reference systems"):
        stack_maps([first, other])
    stack = stack_maps([first, other], AlignSettings(resample=True))
    np.testing.assert_array_equal(stack.class_id[1], stack.class_id[0])


def test_other_models_and_radiometries_are_refused_unless_borne() -> None:
    first = make_map([[FOREST]], "2020-01-01")
    other = make_map(
        [[CROP]], "2021-01-01", provenance={"model": "ef" * 32, "radiometry": {"name": "l2a"}}
    )
    with pytest.raises(SettingsError, match=r"of efef.*read as l1c.*as l2a.*--allow-mismatch"):
        stack_maps([first, other])
    stack = stack_maps([first, other], AlignSettings(allow_mismatch=True))
    assert len(stack.mismatches) == 2
    assert find_mismatches(first.landcover, first.landcover) == []


def test_options_that_change_labels_are_a_mismatch() -> None:
    plain, kept = (
        make_map([[1]], f"{year}-06-01", provenance={"options": {"keep_unknown": kept}})
        for year, kept in ((2020, False), (2021, True))
    )
    old = make_map([[1]], "2022-06-01", provenance={"options": {}})
    with pytest.raises(SettingsError, match="with and without --keep-unknown"):
        stack_maps([plain, kept])
    assert stack_maps([plain, old]).mismatches == ()


def test_an_offset_that_was_subtracted_is_no_mismatch() -> None:
    later = make_map(
        [[CROP]], "2021-01-01", provenance={"radiometry": {"name": "l1c", "dn_offset": 1000}}
    )
    assert stack_maps([make_map([[FOREST]], "2020-01-01"), later]).mismatches == ()


def test_a_class_missing_in_one_legend_is_named() -> None:
    names = ["AnnualCrop", "Forest", *(f"Other{i}" for i in range(8))]
    legend = Legend.for_names(names)
    contract: Contract = make_contract(legend=legend)
    other = make_map([[CROP]], "2021-01-01", contract=contract)
    with pytest.raises(SettingsError, match=r"legends .* differ .*only one contains .*Other0"):
        stack_maps([make_map([[FOREST]], "2020-01-01"), other])


def test_other_colours_are_no_other_legend_but_other_groups_are() -> None:
    first = make_map([[FOREST]], "2020-01-01")
    red = make_contract(legend=EUROSAT.described('{"Forest": {"title": "W", "color": "#ff0000"}}'))
    stack = stack_maps([first, make_map([[CROP]], "2021-01-01", contract=red)])
    assert stack.contract.legend == EUROSAT
    wood = make_contract(legend=EUROSAT.described('{"Forest": {"group": "wood"}}'))
    with pytest.raises(SettingsError, match=r"legends .* differ \(order or groups\)"):
        stack_maps([first, make_map([[CROP]], "2021-01-01", contract=wood)])


def test_no_maps_at_all_is_an_error() -> None:
    with pytest.raises(SettingsError, match="no maps were given"):
        stack_maps([])
