"""EuroSAT's stretch, grey level for grey level, and what is taken back before it."""

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

from geoclass.scene.radiometry.conversion import (
    AIR_PATH_DN,
    AIR_TRANSMITTANCE,
    ONES,
    ZEROS,
    Radiometry,
    read_as_level,
    read_as_rgb8,
    read_as_scaled,
    read_as_tci,
    stretch,
)

Make = Callable[..., Path]
DN = np.random.default_rng(0).integers(0, 5000, (3, 70, 70)).astype(np.uint16)


def test_stretch_has_gdals_fixed_points() -> None:
    table = stretch(np.arange(65536))
    assert [table[0], table[1375], table[2750], table[65535]] == [1, 128, 255, 255]
    assert (np.diff(table.astype(int)) >= 0).all()
    assert stretch(np.array([-5.0])) == [1]


def test_stretch_equals_gdal_translate(make_scene: Make) -> None:
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
    np.testing.assert_array_equal(stretch(clipped), np.where(dn[0] < 2750, gdal, 255))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "int32", "uint32", "float32", "float64"])
def test_numbers_of_any_type_look_the_same(dtype: str) -> None:
    first = read_as_level("Level-1C", ONES, ZEROS, "test")
    np.testing.assert_array_equal(first.apply(DN.astype(dtype)), stretch(DN))


def test_negative_numbers_are_black() -> None:
    stored = np.full((3, 2, 2), -7, dtype=np.int16)
    assert (read_as_level("Level-1C", ONES, ZEROS, "test").apply(stored) == 1).all()


def test_same_ground_in_all_its_forms_looks_the_same() -> None:
    plain = read_as_level("Level-1C", ONES, ZEROS, "test").apply(DN)
    offset = read_as_level("Level-1C", ONES, (-1000.0,) * 3, "test")
    np.testing.assert_array_equal(offset.apply(DN + 1000), plain)
    fraction = read_as_level("Level-1C", (1e4,) * 3, ZEROS, "test").apply(
        (DN / 1e4).astype(np.float32)
    )
    assert np.abs(fraction.astype(int) - plain).max() <= 1
    assert (fraction == plain).mean() > 0.999


def test_true_colour_images_are_stretched_back() -> None:
    """To within the grey levels that the narrower scale of the image has lost."""
    stored = np.clip(np.rint(DN * (255 / 3558)), 0, 255).astype(np.uint8)
    radiometry = read_as_tci("Level-1C", "test")
    plain = read_as_level("Level-1C", ONES, ZEROS, "test").apply(DN)
    assert np.abs(radiometry.apply(stored).astype(int) - plain).max() <= 1


def test_level_2a_gets_its_air_back() -> None:
    ground = np.array([[[0]], [[1000]], [[2000]]], dtype=np.uint16)
    seen = [
        p + t * g for p, t, g in zip(AIR_PATH_DN, AIR_TRANSMITTANCE, (0, 1000, 2000), strict=True)
    ]
    expected = stretch(np.array(seen))
    assert (
        read_as_level("Level-2A", ONES, ZEROS, "test").apply(ground).ravel().tolist()
        == expected.tolist()
    )
    tci = np.clip(np.rint(DN * (255 / 2000)), 0, 255).astype(np.uint8)
    known = DN < 2000
    gap = read_as_tci("Level-2A", "test").apply(tci).astype(int) - read_as_level(
        "Level-2A", ONES, ZEROS, "test"
    ).apply(DN)
    assert np.abs(gap[known]).max() <= 1


def test_air_is_blue() -> None:
    assert AIR_PATH_DN[2] > AIR_PATH_DN[1] > AIR_PATH_DN[0]
    assert AIR_TRANSMITTANCE[2] < AIR_TRANSMITTANCE[1] < AIR_TRANSMITTANCE[0] < 1


def test_eurosats_bytes_are_taken_as_they_are() -> None:
    values = (DN % 256).astype(np.uint8)
    assert read_as_rgb8("test").apply(values) is values
    np.testing.assert_array_equal(read_as_rgb8("test").apply(values.astype(np.int16)), values)


def test_chosen_scale() -> None:
    stored = np.array([100, 200, 300], dtype=np.uint16).reshape(3, 1, 1)
    assert read_as_scaled(100, 300).apply(stored).ravel().tolist() == [1, 128, 255]


@pytest.mark.parametrize(
    "radiometry", [read_as_scaled(3, 7), read_as_rgb8("a"), read_as_tci("Level-2A", "b")]
)
def test_json_round_trip(radiometry: Radiometry) -> None:
    assert Radiometry.from_json(radiometry.to_json()) == radiometry


def test_json_of_the_first_schema() -> None:
    old = Radiometry.from_json({"name": "l1c", "dn_offset": 1000, "reason": "uint16"})
    np.testing.assert_array_equal(
        old.apply(DN + 1000), read_as_level("Level-1C", ONES, ZEROS, "").apply(DN)
    )


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
                stretched = stretch(file.read((4, 3, 2))).transpose(1, 2, 0)
            published = archive.read(entries[f"{tile.stem}.jpg"])
            decoded = np.asarray(Image.open(io.BytesIO(published)))
            before_jpeg.append(np.abs(stretched.astype(int) - decoded).mean())
            encoded = io.BytesIO()
            Image.fromarray(stretched).save(encoded, "JPEG", quality=100, subsampling="4:2:0")
            np.testing.assert_array_equal(np.asarray(Image.open(encoded)), decoded, tile.name)
    # Halving the resolution of colour moves single tiles of small bright things further.
    assert np.mean(before_jpeg) <= 2
    assert max(before_jpeg) <= 5
