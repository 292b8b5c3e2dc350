"""What GDAL would fill with zeros is noticed."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from geoclass.errors import SceneError
from geoclass.scene.open.source import open_scene

NOISE = np.random.default_rng(0).integers(1, 255, (3, 100, 120)).astype(np.uint8)


@pytest.mark.parametrize("driver", ["ENVI", "EHdr", "PNG"])
def test_cut_off_files(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "scene.raw"
    with rasterio.open(
        path, "w", driver=driver, count=3, height=100, width=120, dtype="uint8",
        crs="EPSG:32633", transform=Affine(10, 0, 330000, 0, -10, 5822040),
    ) as file:  # fmt: skip
        file.write(NOISE)
    assert open_scene(path).height == 100
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(SceneError, match="truncated"):
        open_scene(path)
