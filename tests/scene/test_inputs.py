"""What a person may type for a scene."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from geoclass.campaign.scenes import find_scenes
from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.inputs import find_input
from geoclass.scene.open.source import SceneSource, open_scene
from tests.scene.products import make_safe
from tests.scene.test_stac import describe

Make = Callable[..., Path]

PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)


def read(source: SceneSource) -> np.ndarray:
    with open_dataset(source.dataset) as dataset:
        return dataset.read(source.bands)


@pytest.fixture
def bands(make_scene: Make) -> dict[str, Path]:
    return {
        color: make_scene(PIXELS[i : i + 1], f"{color}.tif", nodata=7)
        for i, color in enumerate(("red", "green", "blue"))
    }


def join(bands: dict[str, Path]) -> str:
    return ",".join(f"{color}={path}" for color, path in bands.items())


def test_three_files(bands: dict[str, Path]) -> None:
    source = open_scene(join(bands))
    np.testing.assert_array_equal(read(source), PIXELS)
    assert source.kind == "bands"
    assert source.name == "red.tif"
    assert source.nodata == 7
    assert set(source.files) == {path.resolve() for path in bands.values()}
    assert len(source.identity["files"]) == 3


def test_names_with_commas_ampersands_and_brackets(make_scene: Make, bands: dict) -> None:
    odd = make_scene(PIXELS[:1], "a,b & <c>.tif", nodata=7)
    np.testing.assert_array_equal(read(open_scene(join({**bands, "red": odd}))), PIXELS)


def test_a_mask_is_kept(make_scene: Make, bands: dict[str, Path]) -> None:
    mask = np.full((70, 90), 255, np.uint8)
    mask[:10] = 0
    files = {
        color: make_scene(PIXELS[i : i + 1], f"{color}.tif", mask=mask)
        for i, color in enumerate(("red", "green", "blue"))
    }
    source = open_scene(join(files))
    assert not source.always_valid
    with open_dataset(source.dataset) as dataset:
        np.testing.assert_array_equal(dataset.read_masks(1), mask)


def test_ground_control_points_are_kept(make_scene: Make) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=300000 + 10 * c, y=5e6 - 10 * r, z=5)
        for r, c in ((0, 0), (0, 90), (70, 0), (70, 90))
    ]
    bands = {
        color: make_scene(PIXELS[:1], f"{color}.tif", transform=None, gcps=points)
        for color in ("red", "green", "blue")
    }
    source = open_scene(join(bands))
    assert source.georeference.gcps == 4
    assert "33N" in str(source.georeference.gcp_crs)
    with open_dataset(source.dataset) as dataset:
        assert [(p.row, p.col, p.x, p.y, p.z) for p in dataset.gcps[0]] == [
            (p.row, p.col, p.x, p.y, p.z) for p in points
        ]


@pytest.mark.parametrize(
    "text",
    [
        "red={red},green={green}",
        "red={red},green={green},green={blue}",
        "x,red={red},green={green}",
    ],
)
def test_incomplete_threes(bands: dict[str, Path], text: str) -> None:
    with pytest.raises(SceneError, match="expected red=FILE,green=FILE,blue=FILE"):
        open_scene(text.format(**bands))


def test_bands_that_do_not_fit(make_scene: Make, bands: dict[str, Path]) -> None:
    for change in (
        {"pixels": PIXELS[:1, :60]},
        {"pixels": PIXELS[:1].astype(np.uint8)},
        {"pixels": PIXELS[:1], "crs": "EPSG:32632"},
        {"pixels": PIXELS[:1], "transform": Affine(10, 0, 0, 0, -10, 0)},
    ):
        other = make_scene(name="other.tif", **change)
        with pytest.raises(SceneError, match="does not lie on the pixels of .*red.tif"):
            open_scene(join({**bands, "green": other}))


def test_files_of_several_bands(make_scene: Make, bands: dict[str, Path]) -> None:
    with pytest.raises(SceneError, match="has 3 bands, expected one, blue"):
        open_scene(join({**bands, "blue": make_scene(PIXELS, "three.tif")}))


def test_missing_band(bands: dict[str, Path]) -> None:
    with pytest.raises(SceneError, match="cannot read nowhere.tif"):
        open_scene(join({**bands, "blue": Path("nowhere.tif")}))


def test_raster_in_a_zip(make_scene: Make, tmp_path: Path) -> None:
    path = tmp_path / "scene.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(make_scene(PIXELS), "folder/scene.tif")
        archive.writestr("readme.txt", "hello")
    source = open_scene(path)
    np.testing.assert_array_equal(read(source), PIXELS)
    assert source.files == (path.resolve(),)


def test_zips_of_none_and_many(make_scene: Make, tmp_path: Path) -> None:
    path = tmp_path / "scene.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(SceneError, match="has no raster"):
        open_scene(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("a.tif", "b.tif"):
            archive.write(make_scene(PIXELS), name)
    with pytest.raises(SceneError, match="has a.tif, b.tif: unpack it, or name one as /vsizip/"):
        open_scene(path)
    np.testing.assert_array_equal(read(open_scene(f"/vsizip/{path}/b.tif")), PIXELS)


def test_subdataset_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.gpkg"
    for table, more in (("a", {}), ("b", {"APPEND_SUBDATASET": "YES"})):
        with rasterio.open(
            path, "w", driver="GPKG", count=3, height=70, width=90, dtype="uint8",
            crs="EPSG:32633", transform=Affine(10, 0, 0, 0, -10, 0), RASTER_TABLE=table,
            TILE_FORMAT="PNG", **more,
        ) as file:  # fmt: skip
            file.write((PIXELS // 12).astype(np.uint8))
    with pytest.raises(SceneError, match=r"holds GPKG:.*give the name of one instead"):
        open_scene(path)
    source = open_scene(f"GPKG:{path}:b")
    assert source.kind == "subdataset"
    assert source.name == "two.gpkg:b"
    assert source.files == (path.resolve(),)
    np.testing.assert_array_equal(read(source), PIXELS // 12)


def test_parts_of_a_vrt_belong_to_its_identity(tmp_path: Path, bands: dict[str, Path]) -> None:
    path = tmp_path / "scene.vrt"
    path.write_text(open_scene(join(bands)).dataset)
    before = open_scene(path)
    assert set(before.files) == {path.resolve(), *(band.resolve() for band in bands.values())}
    bands["green"].touch()
    assert open_scene(path).identity != before.identity


def test_spelling_does_not_change_identity(
    tmp_path: Path, bands: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scene.vrt").write_text(open_scene(join(bands)).dataset)
    assets = {color: {"href": path.name} for color, path in bands.items()}
    (tmp_path / "item.json").write_text(json.dumps(describe(assets)))
    collection = {"type": "FeatureCollection", "features": [describe(assets) | {"id": "a"}]}
    (tmp_path / "items.json").write_text(json.dumps(collection))
    make_safe(tmp_path, PIXELS).rename(tmp_path / "x.SAFE")
    monkeypatch.chdir(tmp_path)
    names = join({color: Path(path.name) for color, path in bands.items()})
    for typed, whole in (
        (names, join(bands)),
        *((x, f"{tmp_path}/{x}") for x in ("scene.vrt", "item.json", "items.json#a", "x.SAFE")),
    ):
        identity = open_scene(typed).identity
        assert identity == open_scene(whole).identity
        assert open_scene(identity["path"]).identity == identity
    turned = join({**bands, "red": bands["blue"], "blue": bands["red"]})
    assert open_scene(turned).identity != open_scene(names).identity


@pytest.mark.parametrize("suffix", [".aux.xml", ".msk", ".ovr"])
def test_what_gdal_reads_beside_a_scene_belongs_to_its_identity(
    make_scene: Make, suffix: str
) -> None:
    path, beside = make_scene(PIXELS), make_scene(PIXELS[:1] // 3000, f"scene.tif{suffix}")
    if suffix == ".aux.xml":
        beside.write_text("<PAMDataset></PAMDataset>")
    before = open_scene(path).identity
    beside.touch()
    assert open_scene(path).identity != before


@pytest.mark.parametrize("text", ["", "NONE:x", "a" * 5000, "nul\0byte.tif", "/vsimem/none.tif"])
def test_nothing_there(text: str) -> None:
    with pytest.raises(SceneError, match=r"no scene at|cannot read|is a folder"):
        open_scene(text)


def test_file_address(make_scene: Make) -> None:
    np.testing.assert_array_equal(read(open_scene(f"file://{make_scene(PIXELS)}")), PIXELS)


def test_names_that_are_not_utf_8_are_refused_in_words_that_can_be_printed() -> None:
    name = b"/data/sc\xe8ne.tif".decode(errors="surrogateescape")
    with pytest.raises(SceneError, match=r"the name /data/sc\\udce8ne.tif is not UTF-8") as caught:
        find_input(name)
    str(caught.value).encode()


def test_zarr_stores_are_refused_with_advice(tmp_path: Path) -> None:
    store = tmp_path / "S2B_MSIL2A_20250302T095029_N0511_R079_T33UUU_20250302T104753.zarr"
    band = store / "measurements" / "reflectance" / "r10m" / "b04"
    band.mkdir(parents=True)
    (store / ".zmetadata").write_text("{}")
    packed = tmp_path / "product.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(store / ".zmetadata", ".zmetadata")
    address = f"https://example.org/eopf/{store.name}"
    names = (store, band, packed, address, f"{address}/measurements?sig=SECRET", f"s3://b/{store}")
    for name in names:
        with pytest.raises(SceneError, match=r"Zarr store.*as \.SAFE, or convert.*red=F") as error:
            open_scene(name)
        assert "SECRET" not in str(error.value)
    assert find_scenes([str(tmp_path)]) == (str(store), str(packed))
    assert find_scenes([str(store)]) == (str(store),)
    item = tmp_path / "item.json"
    assets = {f"B0{i}_10m": {"href": f"{address}/measurements/b0{i}"} for i in (2, 3, 4)}
    item.write_text(json.dumps(describe(assets)))
    with pytest.raises(SceneError, match=r"item.json is in a Zarr store"):
        open_scene(item)


def test_a_file_may_be_called_like_a_zarr_store(make_scene: Make) -> None:
    np.testing.assert_array_equal(read(open_scene(make_scene(PIXELS, "bands.zarr"))), PIXELS)
