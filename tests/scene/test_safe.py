"""Sentinel-2 products: what their own metadata say is what is read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import SceneError
from geoclass.scene.open.gdal import open_dataset
from geoclass.scene.open.source import open_scene
from tests.scene.products import make_safe, write_jp2, zip_safe

PIXELS = np.random.default_rng(0).integers(1100, 3000, (3, 128, 192)).astype(np.uint16)
SCL = np.random.default_rng(1).integers(0, 12, (64, 96)).astype(np.uint8)


def read(source) -> np.ndarray:
    with open_dataset(source.dataset) as dataset:
        return dataset.read(source.bands)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("level", ["1C", "2A"])
def test_bands_and_facts(tmp_path: Path, level: str, old: bool, zipped: bool) -> None:
    safe = make_safe(tmp_path, PIXELS, level=level, old=old, scl=SCL if level == "2A" else None)
    source = open_scene(zip_safe(safe) if zipped else safe)
    np.testing.assert_array_equal(read(source), PIXELS)
    facts = source.facts
    assert source.kind == "safe"
    assert source.name == safe.name
    assert source.bands == (1, 2, 3)
    assert (facts.level, facts.baseline, facts.add_offset) == (f"Level-{level}", "05.11", -1000)
    assert (facts.date, facts.platform) == ("2023-08-23", "Sentinel-2A")
    assert source.warnings == ()
    if level == "2A":
        with open_dataset(str(source.facts.scl)) as classification:
            np.testing.assert_array_equal(classification.read(1), SCL)
            assert classification.transform.a == 20
    else:
        assert source.facts.scl is None


def test_files_are_those_read(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS, level="2A", scl=SCL)
    files = {path.name.removesuffix(".jp2")[-7:] for path in open_scene(safe).files}
    assert files == {"L2A.xml", "B04_10m", "B03_10m", "B02_10m", "SCL_20m"}
    archive = zip_safe(safe)
    assert open_scene(archive).files == (archive.resolve(),)


def test_identity_changes_with_a_band(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS)
    before = open_scene(safe).identity
    band = next(safe.rglob("*_B03.jp2"))
    band.touch()
    assert open_scene(safe).identity != before


@pytest.mark.parametrize("name", ["MTD_MSIL1C.xml", "manifest.safe", "GRANULE/*"])
def test_parts_stand_for_the_product(tmp_path: Path, name: str) -> None:
    safe = make_safe(tmp_path, PIXELS)
    np.testing.assert_array_equal(read(open_scene(next(safe.glob(name)))), PIXELS)


def test_a_folder_around_one_product(tmp_path: Path) -> None:
    make_safe(tmp_path, PIXELS)
    np.testing.assert_array_equal(read(open_scene(tmp_path)), PIXELS)


def test_before_the_offsets(tmp_path: Path) -> None:
    facts = open_scene(make_safe(tmp_path, PIXELS, baseline="02.09")).facts
    assert (facts.baseline, facts.add_offset, facts.scales) == ("02.09", None, None)


def test_another_quantification_becomes_a_scale(tmp_path: Path) -> None:
    facts = open_scene(make_safe(tmp_path, PIXELS, quantification=1000)).facts
    assert facts.scales == (0.001,) * 3
    assert facts.offsets == (-1.0,) * 3


def test_several_tiles_are_refused_until_one_is_named(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS, old=True, tiles=("32TPS", "32TQS"))
    with pytest.raises(SceneError, match="has 2 tiles .32TPS, 32TQS.*GRANULE"):
        open_scene(safe)
    source = open_scene(next(safe.glob("GRANULE/*T32TQS*")))
    images = [path.name for path in source.files if path.suffix == ".jp2"]
    assert len(images) == 3
    assert all("T32TQS" in name for name in images)


def test_missing_band(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS)
    next(safe.rglob("*_B03.jp2")).unlink()
    with pytest.raises(SceneError, match="lacks the file of B03, .*_B03.jp2"):
        open_scene(safe)


def test_only_coarse_bands(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS, level="2A")
    metadata = safe / "MTD_MSIL2A.xml"
    metadata.write_text(metadata.read_text().replace("_10m<", "_60m<"))
    with pytest.raises(SceneError, match=r"do not name B04 at 10 m \(only 20m, 60m\)"):
        open_scene(safe)


@pytest.mark.parametrize("level", ["Level-1B", "Level-0", ""])
def test_other_levels(tmp_path: Path, level: str) -> None:
    safe = make_safe(tmp_path, PIXELS)
    metadata = safe / "MTD_MSIL1C.xml"
    metadata.write_text(metadata.read_text().replace(">Level-1C<", f">{level}<"))
    with pytest.raises(SceneError, match=f"product of {level or 'no level'}, expected Level-1C"):
        open_scene(safe)


BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol">
<!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
<!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">]>
<Level><PROCESSING_LEVEL>&lol3;</PROCESSING_LEVEL></Level>"""
OUTSIDER = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>
<Level><PROCESSING_LEVEL>&e;</PROCESSING_LEVEL></Level>"""


@pytest.mark.parametrize("text", [BOMB, OUTSIDER, "", "<Level>", "no XML"])
def test_hostile_and_broken_metadata(tmp_path: Path, text: str) -> None:
    safe = make_safe(tmp_path, PIXELS)
    (safe / "MTD_MSIL1C.xml").write_text(text)
    with pytest.raises(SceneError, match="is not the metadata of a product"):
        open_scene(safe)


def test_metadata_that_do_not_end(tmp_path: Path) -> None:
    """A zip entry of 200 kB that unpacks to 200 MB."""
    path = tmp_path / "S2A.SAFE.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("S2A.SAFE/MTD_MSIL1C.xml", b" " * 200_000_000)
    with pytest.raises(SceneError, match="more than 20 MB"):
        open_scene(path)


def test_folder_named_safe_without_metadata(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS)
    (safe / "MTD_MSIL1C.xml").unlink()
    with pytest.raises(SceneError, match="no metadata"):
        open_scene(safe)


def test_several_products(tmp_path: Path) -> None:
    one, other = make_safe(tmp_path, PIXELS), make_safe(tmp_path, PIXELS, baseline="02.09")
    with pytest.raises(SceneError, match="has 2 products"):
        open_scene(tmp_path)
    path = tmp_path / "two.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for safe in (one, other):
            archive.write(safe / "MTD_MSIL1C.xml", f"{safe.name}/MTD_MSIL1C.xml")
    with pytest.raises(SceneError, match="has 2 products"):
        open_scene(path)


def test_truncated_zip(tmp_path: Path) -> None:
    path = zip_safe(make_safe(tmp_path, PIXELS))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(SceneError, match="not a whole zip"):
        open_scene(path)


def test_bands_of_different_size(tmp_path: Path) -> None:
    safe = make_safe(tmp_path, PIXELS)
    write_jp2(next(safe.rglob("*_B02.jp2")), PIXELS[0, :64])
    with pytest.raises(SceneError, match="does not lie on the pixels of B04"):
        open_scene(safe)
