"""A part of a scene of Sentinel-2's size behind an address: few bytes, though lines are bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.windows import Window

from geoclass.landcover import LandCoverMap
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.scene.settings import FrameSettings, RadiometrySettings
from tests.conftest import FakeClassifier, make_contract
from tests.scene.products import UTM
from tests.scene.server import serve

SIZE = 10980
BLOCK = 512
TRANSFORM = Affine(10, 0, 399960, 0, -10, 5000040)
BOX = Window(4200, 6100, 2000, 1500)
"""Columns and rows from which, how many: of all cells whose centres are in it."""


@pytest.fixture(scope="module")
def cog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COG of 10980×10980: noise around the box, which compresses badly, zeros elsewhere."""
    folder = tmp_path_factory.mktemp("www")
    plain, path = folder / "plain.tif", folder / "scene.tif"
    noisy = Window(3584, 5632, 3072, 2560)
    pixels = np.random.default_rng(0).integers(1, 3000, (3, 2560, 3072)).astype(np.uint16)
    with rasterio.open(
        plain, "w", driver="GTiff", count=3, height=SIZE, width=SIZE, dtype="uint16", crs=UTM,
        transform=TRANSFORM, tiled=True, blockxsize=BLOCK, blockysize=BLOCK, sparse_ok=True,
        compress="deflate", photometric="rgb",
    ) as file:  # fmt: skip
        file.write(pixels, window=noisy)
        file.update_tags(PROCESSING_LEVEL="Level-1C", PROCESSING_BASELINE="02.09")
    rasterio.shutil.copy(
        plain, path, driver="COG", blocksize=BLOCK, compress="deflate", level=1, sparse_ok=True
    )
    plain.unlink()
    return path


def run(scene: str) -> LandCoverMap:
    left, top = TRANSFORM @ (BOX.col_off, BOX.row_off)
    right, bottom = TRANSFORM @ (BOX.col_off + BOX.width, BOX.row_off + BOX.height)
    frame = FrameSettings(bbox=(left, bottom, right, top), bbox_crs=UTM)
    # A remote scene is told by its overview, where noise has less haze.
    settings = MapSettings(frame=frame, radiometry=RadiometrySettings(haze="keep"))
    plan = plan_map(scene, make_contract(), "ab" * 32, MapRequest(settings=settings))
    return run_map(plan, FakeClassifier(), strip_pixels=1_000_000)


def stored_bytes(path: Path, landcover: LandCoverMap) -> int:
    """Bytes of all blocks of the file that hold a pixel of the map."""
    grid = landcover.grid
    col, row = (round(v) for v in ~TRANSFORM @ (grid.transform.c, grid.transform.f))
    with rasterio.open(path) as file:
        assert file.block_shapes[0] == (BLOCK, BLOCK)
        return sum(
            int(file.get_tag_item(f"BLOCK_SIZE_{x}_{y}", "TIFF", bidx=1))
            for y in range(row // BLOCK, (row + grid.height - 1) // BLOCK + 1)
            for x in range(col // BLOCK, (col + grid.width - 1) // BLOCK + 1)
        )


def test_only_the_blocks_needed_are_fetched(cog: Path) -> None:
    local = run(str(cog))
    needed = stored_bytes(cog, local)
    assert needed < 0.6 * cog.stat().st_size
    with serve(cog.parent) as log:
        remote = run(f"{log.address}/{cog.name}")
    np.testing.assert_array_equal(remote.class_id, local.class_id)
    np.testing.assert_array_equal(remote.probabilities, local.probabilities)
    print(f"fetched {log.sent_bytes:,} bytes, blocks needed {needed:,}")
    assert log.sent_bytes <= 1.3 * needed


def test_a_server_that_drops_one_connection_in_ten(
    cog: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setattr("geoclass.scene.open.gdal.RETRY_DELAY_S", 0.01)
    local = run(str(cog))
    with serve(cog.parent, drop_every=10) as log:
        remote = run(f"{log.address}/{cog.name}")
    assert log.dropped > 0
    np.testing.assert_array_equal(remote.class_id, local.class_id)
    np.testing.assert_array_equal(remote.probabilities, local.probabilities)
