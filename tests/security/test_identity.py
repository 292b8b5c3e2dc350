"""A map is of the scene that was looked at, whole, or there is none."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoclass.campaign.jobs import Job
from geoclass.campaign.run import run_campaign, run_job
from geoclass.errors import SceneError
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.products.files import read_map
from geoclass.scene.open.source import check_read, open_scene
from geoclass.scene.settings import MaskSettings
from tests.conftest import FakeClassifier, make_contract, paint
from tests.scene.products import make_safe
from tests.scene.server import serve
from tests.security.test_formats import make_vrt

Make = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(1, 3000, (3, 70, 90)).astype(np.uint16)


def replace_quietly(path: Path, other: Path) -> None:
    """By a file of the same size and time of change."""
    status = path.stat()
    assert other.stat().st_size == status.st_size
    time.sleep(0.02)
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_equal_size_and_time_are_not_enough(make_scene: Make) -> None:
    path, other = make_scene(PIXELS), make_scene(PIXELS[::-1].copy(), "other.tif")
    before = open_scene(path).identity
    replace_quietly(path, other)
    assert open_scene(path).identity != before


def test_leaves_of_nested_vrts_count(tmp_path: Path, make_scene: Make) -> None:
    leaf = make_scene(PIXELS, "leaf.tif")
    (tmp_path / "inner.vrt").write_text(make_vrt(str(leaf)))
    (tmp_path / "outer.vrt").write_text(make_vrt(str(tmp_path / "inner.vrt")))
    before = open_scene(tmp_path / "outer.vrt", [1, 2, 3])
    assert {path.name for path in before.files} == {"leaf.tif", "inner.vrt", "outer.vrt"}
    leaf.touch()
    assert open_scene(tmp_path / "outer.vrt", [1, 2, 3]).identity != before.identity


@pytest.mark.parametrize("what", ["scene", "mask"])
def test_a_scene_replaced_on_the_way_gives_no_map(make_scene: Make, what: str) -> None:
    path = make_scene(paint([[1, 2]]))
    make_scene(np.zeros((1, 64, 128), np.uint8), "mask.tif")
    settings = MapSettings(masks=MaskSettings(mask=str(path.with_name("mask.tif"))))
    classifier = FakeClassifier()
    plan = plan_map(path, make_contract(), "0" * 64, MapRequest(settings=settings), classifier)
    path.with_name(f"{what}.tif").touch()
    with pytest.raises(SceneError, match=f"{what}.tif was changed while it was read: do it again"):
        run_map(plan, classifier)


@pytest.mark.parametrize("form", ["link.tif", "red=link.tif,green=link.tif,blue=link.tif"])
def test_a_link_that_leads_elsewhere_gives_no_map(
    make_scene: Make, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    bands = 3 if form == "link.tif" else 1
    path, other = (make_scene(PIXELS[:bands], f"{name}.tif") for name in "ab")
    monkeypatch.chdir(path.parent)
    link = Path("link.tif")
    link.symlink_to(path)
    source = open_scene(form)
    check_read(source)
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(SceneError, match="was changed while it was read"):
        check_read(source)


def test_a_scene_replaced_before_its_turn_is_looked_at_anew(
    tmp_path: Path, make_scene: Make
) -> None:
    path = make_scene(paint([[1, 2]]))
    source = open_scene(path)
    make_scene(paint([[1, 2], [3, 4]]))
    job, request = Job(scene=str(path), output=tmp_path / "map.tif"), MapRequest(map_format="tif")
    assert run_job(job, source, request, FakeClassifier()).status == "mapped"
    assert read_map(job.output).class_id.tolist() == [[1, 2], [3, 4]]


def test_a_flipped_byte_in_a_zip_is_found(tmp_path: Path) -> None:
    product = make_safe(tmp_path, PIXELS)
    path = tmp_path / "product.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(product.rglob("*")):
            archive.write(file, file.relative_to(product.parent))
    source = open_scene(path)
    check_read(source)
    with zipfile.ZipFile(path) as archive:
        (band,) = [entry for entry in archive.infolist() if "_B03" in entry.filename]
    data = bytearray(path.read_bytes())
    data[band.header_offset + 200 + band.file_size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(SceneError, match=r"damaged \(Bad CRC-32.*_B03.*fetch it again"):
        check_read(open_scene(path))


def test_a_remote_scene_that_changes_is_noticed(tmp_path: Path, make_scene: Make) -> None:
    path = make_scene(PIXELS, "a.tif")
    with serve(tmp_path) as log:
        source = open_scene(f"{log.address}/a.tif?sig=1")
        check_read(source)
        os.utime(path, ns=(1, 1))
        with pytest.raises(SceneError, match="was changed while it was read"):
            check_read(source)
    check_read(source)  # a server that does not answer says nothing


@pytest.fixture
def odd_scenes(tmp_path: Path, make_scene: Make) -> Path:
    """One good scene among items and files that cannot be one."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    shutil.move(make_scene(paint([[1, 2]])), folder / "good.tif")
    (folder / "items.json").write_text(
        '{"type": "FeatureCollection", "stac_version": "1.0.0", "features": [{"id": "twice"}, '
        '{"id": "twice"}, {"id": ["odd"]}, {}, 5, {"id": "a;b", "assets": [], "properties": 1}]}'
    )
    shutil.copy(folder / "good.tif", os.fsencode(folder) + b"/\xff.tif")
    return folder


def test_one_odd_scene_ends_no_campaign(
    tmp_path: Path, odd_scenes: Path, random_model: Path
) -> None:
    settings = MapRequest(model=random_model, map_format="tif")
    summary = run_campaign([str(odd_scenes)], tmp_path / "maps", settings)
    assert summary.counts == {"mapped": 1, "up to date": 0, "failed": 6}
    reasons = [outcome.reason for outcome in summary.failures]
    assert any("there are 2 items" in reason and "twice" in reason for reason in reasons)
    assert any("is not UTF-8" in reason for reason in reasons)
    assert any("the item.assets: Expected `object`" in reason for reason in reasons)
    assert not any("unexpected" in reason for reason in reasons)
    assert "\\udcff" in (tmp_path / "maps" / "failures.csv").read_text()
