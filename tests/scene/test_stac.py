"""STAC items: assets, offsets and dates, as the catalogues write them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import open_scene
from geoclass.scene.open.stac import read_item

Make = Callable[..., Path]
DATA = os.environ.get("GEOCLASS_DATA")

PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)
COLORS = ("red", "green", "blue")


def describe(assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_T32TPS_20230823_L2A",
        "geometry": None,
        "properties": {"datetime": "2023-08-23T10:15:59Z", "s2:product_type": "S2MSI2A"}
        | properties,
        "links": [],
        "assets": assets,
        "stac_extensions": [],
    }


def write(folder: Path, assets: dict[str, Any], **properties: Any) -> Path:
    path = folder / "item.json"
    path.write_text(json.dumps(describe(assets, **properties)))
    return path


@pytest.fixture
def files(make_scene: Make) -> list[str]:
    """Relative addresses of three bands beside the item."""
    return ["./" + make_scene(PIXELS[i : i + 1], f"B0{4 - i}.tif", nodata=0).name for i in range(3)]


def test_assets_by_common_name(tmp_path: Path, make_scene: Make, files: list[str]) -> None:
    coarse = make_scene(PIXELS[:1, ::2, ::2].copy(), "coarse.tif").name
    scl = make_scene(PIXELS[:1, ::2, ::2].astype(np.uint8), "SCL.tif").name
    assets = {
        f"band{i}": {"href": href, "gsd": 10, "eo:bands": [{"name": "x", "common_name": color}]}
        for i, (href, color) in enumerate(zip(files, COLORS, strict=True))
    }
    assets["a"] = {"href": coarse, "gsd": 20, "eo:bands": [{"common_name": "red"}]}
    assets["visual"] = {
        "href": "TCI.tif", "roles": ["visual"], "eo:bands": [{"common_name": c} for c in COLORS],
    }  # fmt: skip
    assets["scl"] = {"href": scl}
    path = write(
        tmp_path, assets, **{"s2:processing_baseline": "05.09", "grid:code": "MGRS-32TPS"},
        platform="sentinel-2a",
    )  # fmt: skip
    source = open_scene(path)
    with open_dataset(source.dataset) as dataset:
        np.testing.assert_array_equal(dataset.read(source.bands), PIXELS)
    facts = source.facts
    assert source.kind == "stac"
    assert source.name == "S2A_T32TPS_20230823_L2A"
    assert (facts.level, facts.baseline, facts.date) == ("Level-2A", "05.09", "2023-08-23")
    assert facts.platform == "Sentinel-2A"
    assert facts.scl == str(tmp_path / "SCL.tif")
    assert {file.name for file in source.files} == {
        "item.json", "B04.tif", "B03.tif", "B02.tif", "SCL.tif",
    }  # fmt: skip


@pytest.mark.parametrize(
    "keys", [("red", "green", "blue"), ("B04", "B03", "B02"), ("B04_10m", "B03_10m", "B02_10m")]
)
def test_assets_by_key(tmp_path: Path, files: list[str], keys: tuple[str, ...]) -> None:
    assets = {key: {"href": href} for key, href in zip(keys, files, strict=True)}
    source = open_scene(write(tmp_path, assets))
    with open_dataset(source.dataset) as dataset:
        np.testing.assert_array_equal(dataset.read(source.bands), PIXELS)


def test_one_asset_with_all_bands(tmp_path: Path, make_scene: Make) -> None:
    make_scene(np.concatenate([PIXELS[:1], PIXELS]), photometric="minisblack")
    names = ("nir", "red", "green", "blue")
    asset = {
        "href": "scene.tif", "roles": ["data"], "bands": [{"eo:common_name": n} for n in names],
    }  # fmt: skip
    source = open_scene(write(tmp_path, {"image": asset}))
    assert source.bands == (2, 3, 4)
    assert source.warnings == ()


@pytest.mark.parametrize(
    ("scaling", "properties", "offset"),
    [
        ({"scale": 0.0001, "offset": -0.1}, {}, -1000),
        ({"scale": 0.0001, "offset": 0}, {"s2:processing_baseline": "02.14"}, 0),
        ({}, {"s2:processing_baseline": "05.09"}, None),
        ({"scale": 0.0001, "offset": -0.1}, {"earthsearch:boa_offset_applied": True}, 0),
        ({"scale": 0.0001, "offset": -0.1}, {"earthsearch:boa_offset_applied": False}, -1000),
    ],
)
@pytest.mark.parametrize("style", ["1.0", "1.1"])
def test_offsets(
    tmp_path: Path,
    files: list[str],
    scaling: dict,
    properties: dict,
    offset: int | None,
    style: str,
) -> None:
    told = {"raster:bands": [scaling]}
    if style == "1.1":
        told = {"bands": [{f"raster:{key}": value for key, value in scaling.items()}]}
    assets = {k: {"href": h, **told} for k, h in zip(COLORS, files, strict=True)}
    assert open_scene(write(tmp_path, assets, **properties)).facts.add_offset == offset


def test_other_scales_are_kept(tmp_path: Path, files: list[str]) -> None:
    assets = {
        k: {"href": h, "raster:bands": [{"scale": 2.75e-05, "offset": -0.2}]}
        for k, h in zip(COLORS, files, strict=True)
    }
    facts = open_scene(write(tmp_path, assets)).facts
    assert facts.scales == (2.75e-05,) * 3
    assert facts.offsets == (-0.2,) * 3


def test_missing_asset(tmp_path: Path, files: list[str]) -> None:
    assets = {"red": {"href": files[0]}, "nir": {"href": files[0]}}
    with pytest.raises(SceneError, match=r"no asset for green \(or B03\), it has red, nir"):
        open_scene(write(tmp_path, assets))


@pytest.mark.parametrize(
    "text",
    [
        '{"stac_version": "1.0.0"}',
        '{"stac_version": "1.0.0", "type": "Catalog", "id": "c", "description": "", "links": []}',
        '{"stac_version": "1.0.0", "type": "Feature", "id": "x", "properties": 3, "assets": []}',
        '{"stac_version": "1.0.0", "type": "Feature',
    ],
)
def test_no_item(tmp_path: Path, text: str) -> None:
    path = tmp_path / "item.json"
    path.write_text(text)
    with pytest.raises(SceneError, match="is not a STAC item"):
        open_scene(path)


def test_search_results(tmp_path: Path) -> None:
    path = tmp_path / "items.json"
    item = describe({})
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [item, item]}))
    with pytest.raises(SceneError, match="is a collection of items"):
        open_scene(path)


@pytest.mark.parametrize("name", ["one", 7])
def test_item_of_a_collection_is_identified_by_itself(
    tmp_path: Path, files: list[str], name: str | int
) -> None:
    path = tmp_path / "items.json"
    assets = {key: {"href": href} for key, href in zip(COLORS, files, strict=True)}
    assets["x"] = {"href": "https://example.org/x.tif?sig=one"}

    def save(*items: Any) -> None:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))

    one, two = describe(assets) | {"id": name}, describe(assets) | {"id": "two"}
    save(one, two)
    before = open_scene(f"{path}#{name}").identity
    assert open_scene(f"{path}#two").identity != before
    assert path.resolve() in open_scene(f"{path}#{name}").files  # no map may replace it
    signed = assets | {"x": {"href": "https://example.org/x.tif?sig=other"}}
    save(two, describe(signed) | {"id": name}, two | {"id": "three"}, {}, None)
    assert open_scene(f"{path}#{name}").identity == before
    save(describe(assets, **{"s2:processing_baseline": "05.09"}) | {"id": name})
    changed = open_scene(f"{path}#{name}").identity
    assert changed != before
    (tmp_path / files[0]).touch()
    assert open_scene(f"{path}#{name}").identity != changed


@pytest.mark.parametrize("href", ["file:///etc/passwd", "/etc/passwd", "HDF5:x://y", "ftp://x/y"])
def test_items_from_the_network_do_not_reach_local_files(href: str) -> None:
    text = json.dumps(describe({color: {"href": href} for color in COLORS})).encode()
    if href.startswith("/"):  # a place on that server
        (asset, *_) = read_item(text, "https://example.org/a/item.json", "item").assets
        assert asset.dataset == "/vsicurl/https://example.org/etc/passwd"
        return
    with pytest.raises(SceneError, match="expected a URL of http"):
        read_item(text, "https://example.org/a/item.json", "item")


def test_relative_addresses_of_remote_items() -> None:
    text = json.dumps(describe({color: {"href": f"../{color}.tif"} for color in COLORS})).encode()
    item = read_item(text, "https://example.org/a/b/item.json", "item")
    assert item.assets[0].dataset == "/vsicurl/https://example.org/a/red.tif"


@pytest.mark.skipif(not DATA, reason="GEOCLASS_DATA names no folder with real items")
@pytest.mark.parametrize(
    ("name", "baseline", "offset", "scl"),
    [
        ("earth-search-v1/sentinel-2-l2a_item", "05.09", 0, "SCL.tif"),
        ("earth-search-v1/sentinel-2-c1-l2a_item", "05.10", -1000, "SCL.tif"),
        ("earth-search-v0/sentinel-s2-l2a-cogs_item", "02.14", None, "SCL.tif"),
        ("planetary-computer/sentinel-2-l2a_item", "02.12", None, "SCL_20m.tif"),
        ("stactools/l2a_stac1.1_T22HBD", "02.14", 0, "SCL_20m.jp2"),
        ("stactools/l2a_stac1.1_T34LBP", "04.00", -1000, "SCL.jp2"),
        ("stactools/l2a_stac1.1_antimeridian_T01WCP", "05.09", -1000, "SCL_20m.jp2"),
    ],
)
def test_real_items(name: str, baseline: str, offset: int | None, scl: str) -> None:
    path = Path(str(DATA)) / "stac_examples" / f"{name}.json"
    item = read_item(path.read_bytes(), str(path), name)
    for asset, band in zip(item.assets, ("B04", "B03", "B02"), strict=True):
        start = "/" if name.startswith("stactools") else "/vsicurl/https://"
        assert asset.dataset.startswith(start)
        assert band in asset.dataset.rpartition("/")[2]
        assert not asset.dataset.endswith(("20m.jp2", "60m.jp2"))
    facts = item.facts
    assert (facts.level, facts.baseline, facts.add_offset) == ("Level-2A", baseline, offset)
    assert facts.date is not None
    assert str(facts.scl).endswith(scl)


def test_scale_and_offset_of_a_whole_asset(tmp_path: Path, files: list[str]) -> None:
    """As the Copernicus Data Space writes them."""
    assets = {
        f"{key}_10m": {"href": href, "raster:scale": 1e-4, "raster:offset": -0.1, "bands": [{}]}
        for key, href in zip(("B04", "B03", "B02"), files, strict=True)
    }
    assert open_scene(write(tmp_path, assets)).facts.add_offset == -1000


@pytest.mark.parametrize(
    ("properties", "level", "baseline"),
    [
        ({"product:type": "S2MSI2A"}, "Level-2A", None),
        ({"product:type": "S2MSI1C", "processing:version": "05.11"}, "Level-1C", "05.11"),
        ({"processing:level": "L2A"}, "Level-2A", None),
        ({"processing:level": "L2"}, None, None),
        ({"processing:version": "1.4.0"}, None, None),
        ({"processing:version": "511"}, None, None),
        ({"s2:processing_baseline": 5.11}, None, "05.11"),
        ({"s2:processing_baseline": "5.11"}, None, "05.11"),
        ({"s2:processing_baseline": "N0511"}, None, "05.11"),
        ({"s2:processing_baseline": "0511"}, None, "05.11"),
    ],
)
def test_level_and_baseline_under_the_names_that_archives_use(
    tmp_path: Path,
    files: list[str],
    properties: dict[str, Any],
    level: str | None,
    baseline: str | None,
) -> None:
    assets = {key: {"href": href} for key, href in zip(COLORS, files, strict=True)}
    item = describe(assets)
    item["properties"] = {"datetime": "2023-08-23T10:15:59Z", **properties}
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    facts = open_scene(path).facts
    assert (facts.level, facts.baseline) == (level, baseline)


@pytest.mark.parametrize(
    ("told", "properties", "scaling"),
    [
        ({"raster:scale": 1e-4}, {"s2:processing_baseline": "05.09"}, (None, None)),
        ({"raster:bands": [{"scale": 1e-4}]}, {}, (None, None)),
        ({"raster:bands": [{"scale": 1e-3}]}, {}, (None, (1e-3,) * 3)),
        ({"raster:bands": [{}], "raster:scale": 1e-4, "raster:offset": -0.1}, {}, (-1000, None)),
        ({"raster:bands": [None]}, {}, (None, None)),
        ({"raster:bands": [{"offset": -0.1}]}, {}, (None, (1.0,) * 3)),
    ],
)
def test_scale_or_offset_alone(
    tmp_path: Path, files: list[str], told: dict, properties: dict, scaling: tuple
) -> None:
    assets = {key: {"href": href, **told} for key, href in zip(COLORS, files, strict=True)}
    facts = open_scene(write(tmp_path, assets, **properties)).facts
    assert (facts.add_offset, facts.scales) == scaling


def test_scaling_of_some_bands_alone(tmp_path: Path, files: list[str]) -> None:
    assets: dict[str, Any] = {k: {"href": h} for k, h in zip(COLORS, files, strict=True)}
    assets["red"] |= {"raster:scale": 1e-4, "raster:offset": -0.1}
    with pytest.raises(SceneError, match="some of its bands have scale and offset, others do not"):
        open_scene(write(tmp_path, assets))


@pytest.mark.parametrize(
    ("last", "day"), [("2025-03-02T23:59:59Z", "2025-03-02"), ("2025-03-31T23:59:59Z", None)]
)
def test_composites_of_several_days_have_none(
    tmp_path: Path, files: list[str], last: str, day: str | None
) -> None:
    assets = {key: {"href": href} for key, href in zip(COLORS, files, strict=True)}
    times = {"datetime": None, "start_datetime": "2025-03-02T00:00:00Z", "end_datetime": last}
    text = json.dumps(describe(assets, **times)).encode()
    assert read_item(text, str(tmp_path / "item.json"), "item").facts.date == day


PRODUCT = "S2B_MSIL2A_20250302T095029_N0511_R079_T33UUU_20250302T104753"
BANDS = {"B02": ("blue", 0.49), "B03": ("green", 0.56), "B04": ("red", 0.665)}


def describe_cdse() -> dict[str, Any]:
    """An item of the Copernicus Data Space (stac.dataspace.copernicus.eu/v1, sentinel-2-l2a)."""
    granule = "GRANULE/L2A_T33UUU_A041713_20250302T095028/IMG_DATA"
    base = f"s3://eodata/Sentinel-2/MSI/L2A/2025/03/02/{PRODUCT}.SAFE/{granule}"
    stem = "T33UUU_20250302T095029"
    assets: dict[str, Any] = {
        f"{band}_{gsd}m": {
            "href": f"{base}/R{gsd}m/{stem}_{band}_{gsd}m.jp2",
            "type": "image/jp2",
            "roles": ["data", "reflectance"],
            "gsd": gsd,
            "bands": [{"name": band, "eo:common_name": color, "eo:center_wavelength": wave}],
            "nodata": 0,
            "data_type": "uint16",
            "raster:scale": 0.0001,
            "raster:offset": -0.1,
            "alternate": {"https": {"href": "https://download.dataspace.copernicus.eu/x/$value"}},
        }
        for gsd in (60, 20, 10)
        for band, (color, wave) in BANDS.items()
    }
    assets["SCL_20m"] = {"href": f"{base}/R20m/{stem}_SCL_20m.jp2", "roles": ["data"]}
    assets["TCI_10m"] = {
        "href": f"{base}/R10m/{stem}_TCI_10m.jp2",
        "roles": ["visual"],
        "bands": [{"name": band, "eo:common_name": BANDS[band][0]} for band in reversed(BANDS)],
    }
    assets["Product"] = {"href": "https://download.dataspace.copernicus.eu/p", "roles": ["data"]}
    properties = {
        "platform": "sentinel-2b",
        "constellation": "sentinel-2",
        "processing:level": "L2",
        "processing:version": "05.11",
        "product:type": "S2MSI2A",
        "grid:code": "MGRS-33UUU",
    }
    return describe(assets) | {"id": PRODUCT, "stac_version": "1.1.0", "properties": properties}


def describe_earth_search(applied: str = "earthsearch:boa_offset_applied") -> dict[str, Any]:
    """An item of Earth Search (earth-search.aws.element84.com/v1, sentinel-2-l2a)."""
    host = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/33/U/UU"
    base = f"{host}/2025/3/S2B_33UUU_20250302_0_L2A"
    raster = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
    assets: dict[str, Any] = {
        f"{color}{kind}": {
            "href": f"{base}/{band}{'.tif' if not kind else '.jp2'}",
            "roles": ["data", "reflectance"],
            "gsd": 10,
            "eo:bands": [{"name": color, "common_name": color, "center_wavelength": wave}],
            "raster:bands": [raster],
        }
        for kind in ("-jp2", "")
        for band, (color, wave) in BANDS.items()
    }
    assets["rededge1"] = {"href": f"{base}/B05.tif", "eo:bands": [{"common_name": "rededge"}]}
    assets["scl"] = {"href": f"{base}/SCL.tif", "roles": ["data", "reflectance"]}
    assets["visual"] = {
        "href": f"{base}/TCI.tif",
        "roles": ["visual"],
        "eo:bands": [{"common_name": BANDS[band][0]} for band in reversed(BANDS)],
    }
    properties = {
        "platform": "sentinel-2b",
        "grid:code": "MGRS-33UUU",
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": "05.11",
        "s2:product_uri": f"{PRODUCT}.SAFE",
        applied: True,
    }
    return describe(assets) | {"id": "S2B_33UUU_20250302_0_L2A", "properties": properties}


def describe_planetary_computer() -> dict[str, Any]:
    """An item of the Planetary Computer (sentinel-2-l2a), whose addresses are signed."""
    base = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/33/U/UU/2025/03/02"
    assets: dict[str, Any] = {
        band: {
            "href": f"{base}/T33UUU_20250302T095029_{band}_10m.tif?st=2025&sig=SECRET",
            "roles": ["data"],
            "gsd": 10.0,
            "eo:bands": [{"name": band, "common_name": color, "center_wavelength": wave}],
        }
        for band, (color, wave) in BANDS.items()
    }
    assets["SCL"] = {"href": f"{base}/T33UUU_20250302T095029_SCL_20m.tif?sig=SECRET", "gsd": 20.0}
    assets["visual"] = {
        "href": f"{base}/T33UUU_20250302T095029_TCI_10m.tif?sig=SECRET",
        "roles": ["data"],
        "eo:bands": [{"name": band, "common_name": BANDS[band][0]} for band in reversed(BANDS)],
    }
    properties = {
        "platform": "Sentinel-2B",
        "s2:mgrs_tile": "33UUU",
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": "05.11",
    }
    return describe(assets) | {"id": PRODUCT.replace("_N0511", ""), "properties": properties}


@pytest.mark.parametrize(
    ("item", "offset", "place"),
    [
        (describe_cdse(), -1000, "/vsis3/eodata/Sentinel-2/MSI/L2A/2025/03/02/"),
        (describe_earth_search(), 0, "/vsicurl/https://sentinel-cogs.s3.us-west-2."),
        (describe_earth_search("sentinel:boa_offset_applied"), 0, "/vsicurl/https://sentinel-cogs"),
        (describe_planetary_computer(), None, "/vsicurl/https://sentinel2l2a01.blob."),
    ],
    ids=["Copernicus Data Space", "Earth Search", "Earth Search v0", "Planetary Computer"],
)
def test_items_as_the_large_archives_write_them(
    item: dict[str, Any], offset: int | None, place: str
) -> None:
    item["properties"]["datetime"] = "2025-03-02T09:50:29.024000Z"
    found = read_item(json.dumps(item).encode(), "https://example.org/item", "item")
    facts = found.facts
    assert found.bands is None
    for asset, band in zip(found.assets, ("B04", "B03", "B02"), strict=True):
        assert asset.dataset.startswith(place)
        file = asset.dataset.partition("?")[0].rpartition("/")[2]
        assert file.endswith((f"{band}_10m.jp2", f"{band}_10m.tif", f"{band}.tif"))
    assert (facts.level, facts.baseline, facts.add_offset) == ("Level-2A", "05.11", offset)
    assert (facts.date, facts.platform) == ("2025-03-02", "Sentinel-2B")
    assert facts.scl is not None
    assert facts.scl.startswith(place)
    assert "SCL" in facts.scl
