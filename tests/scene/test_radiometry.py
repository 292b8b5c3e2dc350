"""EuroSAT's stretch, grey level for grey level."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile

from geoclass.errors import SceneError
from geoclass.scene.radiometry import decide_radiometry, stretch_table
from geoclass.scene.source import open_scene

Make = Callable[..., Path]


def test_table_has_gdals_fixed_points() -> None:
    table = stretch_table()
    assert table.shape == (65536,)
    assert [table[0], table[1375], table[2750], table[65535]] == [1, 128, 255, 255]
    assert (np.diff(table.astype(int)) >= 0).all()


def test_table_equals_gdal_translate(make_scene: Make) -> None:
    """GDAL's own scaling, through a VRT, on all digital numbers to 3999."""
    dn = np.arange(4000, dtype=np.uint16).reshape(1, 50, 80)
    path = make_scene(dn, "dn.tif")
    vrt = f"""<VRTDataset rasterXSize="80" rasterYSize="50">
      <GeoTransform>0, 1, 0, 0, 0, -1</GeoTransform><VRTRasterBand dataType="Byte" band="1">
      <ComplexSource><SourceFilename>{path}</SourceFilename><SourceBand>1</SourceBand>
      <ScaleOffset>1</ScaleOffset><ScaleRatio>{254 / 2750!r}</ScaleRatio></ComplexSource>
      </VRTRasterBand></VRTDataset>"""
    with MemoryFile(vrt.encode(), ext=".vrt") as memory, rasterio.open(memory.name) as file:
        gdal = file.read(1)
    clipped = np.minimum(dn[0], 2750)
    np.testing.assert_array_equal(stretch_table()[clipped], np.where(dn[0] < 2750, gdal, 255))


def test_offset_is_subtracted_first() -> None:
    np.testing.assert_array_equal(stretch_table(1000)[1000:4000], stretch_table()[:3000])
    assert (stretch_table(1000)[:1000] == 1).all()


@pytest.mark.parametrize(
    ("baseline", "offset"),
    [("02.04", 0), ("03.01", 0), ("04.00", 1000), ("05.11", 1000), ("10.00", 1000), (None, 0)],
)
def test_baseline_decides_the_offset(make_scene: Make, baseline: str | None, offset: int) -> None:
    tags = {"PROCESSING_BASELINE": baseline} if baseline else {}
    scene = make_scene(np.ones((3, 70, 70), np.uint16), tags=tags)
    radiometry = decide_radiometry(open_scene(scene))
    assert radiometry.dn_offset == offset
    assert radiometry.name == "l1c"


@pytest.mark.parametrize("tag", ["RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"])
def test_tag_of_the_offset_beats_the_baseline(make_scene: Make, tag: str) -> None:
    scene = make_scene(np.ones((3, 70, 70), np.uint16), tags={tag: "-1000"})
    radiometry = decide_radiometry(open_scene(scene))
    assert radiometry.dn_offset == 1000
    assert radiometry.warnings == ()


def test_what_is_doubtful_is_warned_of(make_scene: Make) -> None:
    pixels = np.ones((3, 70, 70), np.uint16)
    (doubt,) = decide_radiometry(open_scene(make_scene(pixels, "a.tif"))).warnings
    assert "no tag tells the processing baseline" in doubt
    tags = {"PROCESSING_LEVEL": "Level-2A", "PROCESSING_BASELINE": "03.01"}
    (doubt,) = decide_radiometry(open_scene(make_scene(pixels, "b.tif", tags=tags))).warnings
    assert "the network was trained on Level-1C" in doubt


def test_same_ground_with_and_without_offset_looks_the_same(make_scene: Make) -> None:
    dn = np.random.default_rng(0).integers(0, 5000, (3, 70, 70)).astype(np.uint16)
    old = decide_radiometry(
        open_scene(make_scene(dn, "old.tif", tags={"PROCESSING_BASELINE": "02.04"}))
    )
    new = decide_radiometry(
        open_scene(make_scene(dn, "new.tif", tags={"PROCESSING_BASELINE": "04.00"}))
    )
    np.testing.assert_array_equal(old.apply(dn), new.apply(dn + 1000))


def test_8_bit_values_are_taken_as_they_are(make_scene: Make) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 70, 70)).astype(np.uint8)
    radiometry = decide_radiometry(open_scene(make_scene(values)))
    assert radiometry.name == "rgb8"
    np.testing.assert_array_equal(radiometry.apply(values), values)


DATA = os.environ.get("GEOCLASS_DATA")


@pytest.mark.skipif(not DATA, reason="GEOCLASS_DATA names no folder with EuroSAT's own files")
def test_eurosats_own_tiles_come_out_as_eurosats_jpegs() -> None:
    """13-band L1C tiles against the published JPEGs made of them."""
    folder = Path(str(DATA))
    tiles = sorted((folder / "eurosat_ms").rglob("*.tif"))
    assert tiles
    before_jpeg = []
    with zipfile.ZipFile(folder / "EuroSAT_RGB.zip") as archive:
        entries = {Path(name).name: name for name in archive.namelist() if "__MACOSX" not in name}
        for tile in tiles:
            with rasterio.open(tile) as file:
                stretched = stretch_table()[file.read((4, 3, 2))].transpose(1, 2, 0)
            published = archive.read(entries[f"{tile.stem}.jpg"])
            decoded = np.asarray(Image.open(io.BytesIO(published)))
            before_jpeg.append(np.abs(stretched.astype(int) - decoded).mean())
            encoded = io.BytesIO()
            Image.fromarray(stretched).save(encoded, "JPEG", quality=100, subsampling="4:2:0")
            np.testing.assert_array_equal(np.asarray(Image.open(encoded)), decoded, tile.name)
    # Halving the resolution of colour moves single tiles of small bright things further.
    assert np.mean(before_jpeg) <= 2
    assert max(before_jpeg) <= 5


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_other_types_are_refused(make_scene: Make, dtype: str) -> None:
    source = open_scene(make_scene(np.ones((3, 70, 70), dtype)))
    assert source.dtype == dtype
    with pytest.raises(SceneError, match=f"stores {dtype}, expected uint8 or uint16"):
        decide_radiometry(source)
