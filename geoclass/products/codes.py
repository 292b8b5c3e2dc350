"""One band of numbers a cell as GeoTIFF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from geoclass.errors import OutputError
from geoclass.grid import Grid
from geoclass.products.writing import draft_folder


def write_codes(path: Path, codes: np.ndarray, grid: Grid, tags: Mapping[str, str]) -> None:
    """Write uint16 (rows, cols), 0 for none, whole or not at all; OutputError if that fails."""
    try:
        with draft_folder(path) as folder:
            draft = Path(folder) / "draft.tif"
            with rasterio.open(
                draft,
                "w",
                driver="GTiff",
                height=grid.rows,
                width=grid.cols,
                count=1,
                dtype="uint16",
                nodata=0,
                crs=grid.crs and rasterio.CRS.from_wkt(grid.crs),
                transform=grid.cell_transform,
                tiled=True,
                blockxsize=256,
                blockysize=256,
                compress="deflate",
            ) as file:
                file.write(codes, 1)
                file.update_tags(**tags)
            draft.replace(path)
    except (OSError, RasterioError) as error:
        raise OutputError(f"cannot write {path}: {error}") from error
