"""Days of sensing in names and metadata."""

from __future__ import annotations

from datetime import date

import pytest

from geoclass.dates import find_day, find_days, parse_day

PRODUCTS = {
    "S2A_OPER_PRD_MSIL1C_PDMC_20160922T190000_R065_V20150813T101010_20150813T101010.SAFE": (
        "2015-08-13"
    ),
    "S2A_USER_PRD_MSIL2A_PDMC_20160922T190000_R022_V20160314T101010_20160314T101010": "2016-03-14",
    "S2A_OPER_MSI_L1C_DS_MTI__20160922T190000_S20160314T101010_N02.01": "2016-03-14",
    "S2A_MSIL1C_20170105T013442_N0204_R031_T53NMJ_20180206T013443.SAFE": "2017-01-05",
    "s2b_msil2a_20190208t101010_n0211_r022_t33uuu_20190209t101010.tif": "2019-02-08",
    "20230615_20230210T101059_N0509.tif": "2023-02-10",
    "T33UUU_20230615T102021_TCI_10m.jp2": "2023-06-15",
    "L1C_T33UUU_A012345_20200601T101030": "2020-06-01",
    "20230615T102021_20230616T102515_T33UUU.tif": "2023-06-15",
    "S2B_33UUU_20190208_0_L2A.tif": "2019-02-08",
    "SENTINEL2A_20230615-104012-123_L2A_T31TCJ_C_V3-0_FRE.tif": "2023-06-15",
    "HLS.S30.T33UUU.2023166T102021.v2.0.B04.tif": "2023-06-15",
    "HLS.L30.T33UUU.2023166T102021.v2.0.B04.tif": "2023-06-15",
    "MOD09A1.A2023166.h18v03.061.2023177123456.hdf": "2023-06-15",
    "LC08_L2SP_193023_20230615_20230622_02_T1_SR.tif": "2023-06-15",
    "LT05_CU_003012_20100101_20190110_C01_V01_SR.tif": "2010-01-01",
    "LC81930232023166LGN00.tif": "2023-06-15",
    "m_3807708_sw_18_060_20210615_20211020.tif": "2021-06-15",
    "20230615_101530_95_24b9_3B_AnalyticMS_SR.tif": "2023-06-15",
}
"""Names of products with more than one day, or with none that is plain to see."""

PLAIN = {
    "2025-03-02-00_00_2025-03-02-23_59_Sentinel-2_L2A_B04_(Raw).tiff": "2025-03-02",
    "15-06-2023-10-15.tif": "2023-06-15",
    "pisa_20180211.tif": "2018-02-11",
    "S2A_20230615T102021_T33UUU.tif": "2023-06-15",
    "20230615102021_B4.tif": "2023-06-15",
    "IMG_PHR1A_PMS_202306151020123_ORT.tif": "2023-06-15",
    "20230615235959.tif": "2023-06-15",
    "2023-06-15.tif": "2023-06-15",
    "2023.06.15.tif": "2023-06-15",
    "site_2023_06_15_b.tif": "2023-06-15",
    "2023_6_5.tif": "2023-06-05",
    "S2_2023-06-15T23_30_00+0200.tif": "2023-06-15",
    "2023-06-15-00:00_2023-06-15-23:59_Sentinel-2_L2A_B04_(Raw).tiff": "2023-06-15",
    "15062023_site.tif": "2023-06-15",
    "15-06-2023_site.tif": "2023-06-15",
    "33_15_06_2023.tif": "2023-06-15",
    "06-15-2023.tif": "2023-06-15",
    "05-05-2023.tif": "2023-05-05",
    "scene_2023166.tif": "2023-06-15",
    "2020366.tif": "2020-12-31",
    "19720723_landsat1.tif": "1972-07-23",
    "20230615_plot_2012345.tif": "2023-06-15",
}


@pytest.mark.parametrize(("name", "day"), [*PRODUCTS.items(), *PLAIN.items()])
def test_the_day_of_sensing_is_found(name: str, day: str) -> None:
    assert find_day(name) == date.fromisoformat(day)


@pytest.mark.parametrize(
    "name",
    [
        "tile_1024_1024.tif", "tile_2048_1024.tif", "tile_1984_1216.tif", "patch_3072_0512.tif",
        "swiss_2600-1205.tif", "swissimage-dop10_2020_2574-1221_0.1_2056.tif",
        "epsg3857_1012_scene.tif", "EPSG_2056_1130.tif", "scene_9999_12_31.tif",
        "scene_2023-0000000000-0000012544.tif", "sample_0001_1203.tif", "0101_1203_x.tif",
        "mosaic_2019_2020.tif", "planet_medres_visual_2023-06_mosaic.tif", "v2_2024_01_scene.tif",
        "dop_2020_1_2.tif", "20231306.tif", "20200230.tif", "2021366.tif", "19711231.tif",
        "20230615996099.tif", "scene.tif", "", "123456789.tif",
        "S2A_OPER_MSI_L1C_TL_EPA__20160929T154211_A000734_T32TQR_B04.jp2",
    ],
)  # fmt: skip
def test_other_numbers_are_no_days(name: str) -> None:
    assert find_days(name) == ()


def test_no_day_is_after_next_year() -> None:
    year = date.today().year  # noqa: DTZ011
    assert find_day(f"x_{year + 1}1231.tif") == date(year + 1, 12, 31)
    assert find_days(f"x_{year + 2}0101.tif") == ()
    assert parse_day(f"{year + 2}-01-01") is None


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("download_20240101_scene_20170216.tif", ["2017-02-16", "2024-01-01"]),
        ("05062023.tif", ["2023-05-06", "2023-06-05"]),
        ("5-6-2023.tif", ["2023-05-06", "2023-06-05"]),
        ("composite_20190101_20191231.tif", ["2019-01-01", "2019-12-31"]),
        ("Sentinel2_2015-06-23_to_2015-09-30_median.tif", ["2015-06-23", "2015-09-30"]),
        ("2025-02-28-00_00_2025-03-02-23_59_Sentinel-2_L2A.tiff", ["2025-02-28", "2025-03-02"]),
    ],
)
def test_all_days_are_told_where_several_are_possible(name: str, days: list[str]) -> None:
    assert [str(day) for day in find_days(name)] == days
    assert find_day(name) is None


@pytest.mark.parametrize("text", ["2020-06-01T10:00:00Z", "20200601T100000", "2020-06-01"])
def test_days_of_metadata(text: str) -> None:
    assert parse_day(text) == "2020-06-01"


@pytest.mark.parametrize("text", ["", None, "yesterday", "2020-13-01", "1024-10-24", "1970-01-01"])
def test_no_days_of_metadata(text: str | None) -> None:
    assert parse_day(text) is None
