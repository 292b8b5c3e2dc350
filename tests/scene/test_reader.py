"""Strips: all pixels, in order, with what is missing marked."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import SceneError
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.conversion import read_as_rgb8
from geoclass.scene.read.masks import find_masks
from geoclass.scene.read.strips import (
    Preprocessing,
    Strip,
    _count_readers,
    _plan_spans,
    read_strips,
)
from geoclass.scene.settings import MaskSettings

Make = Callable[..., Path]


def read_all(path: Path, strip_pixels: int) -> tuple[SceneSource, Grid, list[Strip]]:
    source = open_scene(path)
    frame = own_frame(source)
    grid = Grid(
        height=source.height,
        width=source.width,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
    )
    preprocessing = Preprocessing(
        radiometry=read_as_rgb8("test"), masks=find_masks(source, MaskSettings())
    )
    return source, grid, list(read_strips(source, frame, grid, preprocessing, strip_pixels))


def own_frame(source: SceneSource) -> Frame:
    return Frame(
        height=source.height,
        width=source.width,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
    )


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (3, height, width)).astype(np.uint8)


@pytest.mark.parametrize("strip_pixels", [1, 64 * 130, 2 * 64 * 130, 10**9])
@pytest.mark.parametrize(
    "profile", [{}, {"tiled": True, "blockxsize": 128, "blockysize": 128}, {"blockysize": 7}]
)
def test_strips_hold_the_scene(make_scene: Make, strip_pixels: int, profile: dict) -> None:
    pixels = noise(300, 130)
    _, grid, strips = read_all(make_scene(pixels, **profile), strip_pixels)
    assert strips[0].first_row == 0
    assert strips[-1].last_row == grid.rows
    for strip, following in pairwise(strips):
        assert strip.last_row == following.first_row
    for strip in strips:
        height = strip.pixels.shape[1]
        np.testing.assert_array_equal(strip.pixels, pixels[:, strip.top : strip.top + height])
        assert strip.top <= grid.row_edges[strip.first_row]
        assert strip.top + height >= grid.row_edges[strip.last_row]
        assert strip.valid.all()


def test_strips_follow_the_blocks(make_scene: Make) -> None:
    path = make_scene(noise(600, 100), tiled=True, blockxsize=128, blockysize=128)
    _, _, strips = read_all(path, 3 * 64 * 100)
    assert [strip.first_row for strip in strips] == [0, 2, 4, 6, 8]


def test_no_strip_is_larger_than_asked_for_by_more_than_a_row(make_scene: Make) -> None:
    _, _, strips = read_all(make_scene(noise(900, 100)), 2 * 64 * 100)
    assert max(strip.pixels.shape[1] for strip in strips) <= 128


def test_nodata_alpha_masks_and_zeros_are_not_valid(make_scene: Make) -> None:
    pixels = noise(64, 64)
    pixels[:, :10] = 0
    _, _, (zeros,) = read_all(make_scene(pixels, "zeros.tif"), 1)
    assert not zeros.valid[:10].any()
    assert zeros.valid[10:].all()

    pixels = noise(64, 64)
    pixels[:, :10] = 9
    _, _, (nodata,) = read_all(make_scene(pixels, "nodata.tif", nodata=9), 1)
    assert not nodata.valid[:10].any()

    mask = np.full((64, 64), 255, np.uint8)
    mask[:10] = 0
    _, _, (masked,) = read_all(make_scene(noise(64, 64), "mask.tif", mask=mask), 1)
    assert not masked.valid[:10].any()
    assert masked.valid[10:].all()

    with_alpha = np.concatenate([noise(64, 64), mask[None]])
    path = make_scene(with_alpha, "alpha.tif", photometric="rgb", alpha="yes")
    _, _, (alpha,) = read_all(path, 1)
    np.testing.assert_array_equal(alpha.valid, mask > 0)


def test_a_band_may_be_nodata_where_others_are_not(make_scene: Make) -> None:
    """Deep water may be 0 in red: the pixel is valid all the same."""
    pixels = noise(64, 64)
    pixels[0] = 0
    _, _, (strip,) = read_all(make_scene(pixels, nodata=0), 1)
    assert strip.valid.all()


def test_truncated_file(make_scene: Make) -> None:
    path = make_scene(noise(600, 600), tiled=True, blockxsize=128, blockysize=128)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SceneError, match="cannot read .*scene.tif"):
        read_all(path, 1)


@pytest.mark.parametrize("waits", [True, False])
def test_reading_may_stop_at_any_moment(make_scene: Make, waits: bool) -> None:
    """In a process of its own: closing a data set that is being read would end it.

    The executor does not wait for a thread if Ctrl-C arrives while the thread starts.
    """
    path = make_scene(noise(1500, 1500), compress="deflate", blockysize=64)
    code = f"""
import time
from pathlib import Path
from geoclass.grid import Grid
from geoclass.scene.georeference.frame import Frame
from geoclass.scene.radiometry.conversion import read_as_rgb8
from geoclass.scene.read.masks import find_masks
from geoclass.scene.read.strips import Preprocessing, read_strips
from geoclass.scene.settings import MaskSettings
from geoclass.scene.open.source import open_scene
from geoclass.scene.read import strips as reader
class Threads(reader.ThreadPoolExecutor):
    def __exit__(self, *error):
        self.shutdown(wait={waits})
reader.ThreadPoolExecutor = Threads
s = open_scene(Path({str(path)!r}))
own = dict(height=s.height, width=s.width, crs=s.georeference.crs)
grid = Grid(**own, transform=s.georeference.transform)
preprocessing = Preprocessing(radiometry=read_as_rgb8("test"), masks=find_masks(s, MaskSettings()))
frame = Frame(**own, transform=s.georeference.transform)
for i in range(40):
    strips = read_strips(s, frame, grid, preprocessing, 64 * 1500 * 4)
    next(strips)
    time.sleep(0.001 * (i % 5))
    strips.close()
print("alive")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "alive\n"


TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}


@pytest.mark.parametrize("mask", [False, True])
def test_several_readers_give_the_same_strips(
    make_scene: Make, mask: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise(1100, 130)
    pixels[:, 300:420, 20:90] = 0
    own = np.where(noise(1100, 130)[0] > 40, 255, 0).astype(np.uint8)
    path = make_scene(pixels, mask=own if mask else None, **TILED)
    _, _, alone = read_all(path, 2 * 64 * 130)
    monkeypatch.setattr("geoclass.scene.read.strips.count_cores", lambda: 4)
    _, _, together = read_all(path, 2 * 64 * 130)
    assert len(together) == len(alone) == 9
    for one, other in zip(together, alone, strict=True):
        assert one.first_row == other.first_row
        np.testing.assert_array_equal(one.pixels, other.pixels)
        np.testing.assert_array_equal(one.valid, other.valid)


@pytest.mark.parametrize(
    ("profile", "stride", "expected"),
    [(TILED, 64, 4), ({"blockysize": 7}, 64, 4), (TILED, 16, 1), ({"blockysize": 1024}, 64, 1)],
)
def test_no_block_is_decoded_by_two_readers(
    make_scene: Make, profile: dict, stride: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles that overlap, and blocks taller than a strip, are left to one."""
    monkeypatch.setattr("geoclass.scene.read.strips.count_cores", lambda: 4)
    source = open_scene(make_scene(noise(1100, 130), **profile))
    grid = Grid(
        height=1100,
        width=130,
        transform=source.georeference.transform,
        crs=source.georeference.crs,
        stride=stride,
    )
    spans = _plan_spans(source, own_frame(source), grid, 128 * 130)
    assert _count_readers(source, own_frame(source), grid, spans) == expected


def test_numbers_for_nothing_of_the_file_and_of_a_person_both_count(make_scene: Make) -> None:
    pixels = noise(64, 64)
    pixels[:, :10], pixels[:, 10:20] = 9, 200
    path = make_scene(pixels, nodata=9)
    source = replace(open_scene(path), nodata=200.0)
    grid = Grid(
        height=64, width=64, transform=source.georeference.transform, crs=source.georeference.crs
    )
    preprocessing = Preprocessing(
        radiometry=read_as_rgb8("test"), masks=find_masks(source, MaskSettings())
    )
    (strip,) = read_strips(source, own_frame(source), grid, preprocessing)
    assert not strip.valid[:20].any()
    assert strip.valid[20:].mean() > 0.99
