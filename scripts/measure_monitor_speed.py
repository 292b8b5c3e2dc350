#!/usr/bin/env python3
"""Write dated maps of made-up forest, fields and clearings, to time the monitor with.

    python scripts/measure_monitor_speed.py FOLDER --side 2740
    /usr/bin/time -v geoclass monitor FOLDER -o monitor.gpkg

2,740 cells of 40 m a side are a whole Sentinel-2 tile: 7.5 million cells. One cell in ten is under
cloud on each of the twelve dates, stands differ in colour, and the light differs by the date.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from scipy.ndimage import gaussian_filter, zoom

from geoclass.grid import Grid
from geoclass.landcover import LandCoverMap, Provenance
from geoclass.legend import MASKED, NODATA
from geoclass.model.checkpoint import load_model
from geoclass.products.files import write_map

DATES = tuple(date(year, month, 10) for year in range(2018, 2022) for month in (6, 7, 8))
CROPS, FOREST, WATER = 0, 1, 9
RED_GREEN_BLUE = {CROPS: (95, 105, 100), FOREST: (45, 68, 78), WATER: (40, 60, 85)}
CLEARED = 0.002
"""Of the cells, in patches, from the seventh date on."""


def smooth(rng: np.random.Generator, side: int, scale: float) -> np.ndarray:
    """float32 (side, side): a field whose hills are `scale` cells wide, of deviation 1."""
    coarse = gaussian_filter(rng.standard_normal((-(-side // 4) + 1,) * 2), scale / 4)
    field = zoom(coarse, 4, order=1)[:side, :side].astype(np.float32)
    return field / field.std()


def make_dates(rng: np.random.Generator, side: int) -> Iterator[LandCoverMap]:
    """Maps of all dates, one after the other."""
    contract = load_model().contract
    grid = Grid(
        height=4 * side, width=4 * side, stride=4, crs=CRS(32633).to_wkt(),
        transform=Affine(10, 0, 300_000, 0, -10, 5_900_000),
    )  # fmt: skip
    land = smooth(rng, side, 20)
    truth = np.select([land > 0.2, land < -1.8], [FOREST, WATER], CROPS).astype(np.uint8)
    stands, holes = smooth(rng, side, 6), smooth(rng, side, 4)
    cleared = (truth == FOREST) & (holes > np.quantile(holes, 1 - CLEARED))
    for number, day in enumerate(DATES):
        codes = np.where(cleared & (number >= 6), CROPS, truth).astype(np.uint8)
        table = np.array([RED_GREEN_BLUE.get(k, (0, 0, 0)) for k in range(10)], np.float32)
        light = rng.uniform(0.9, 1.1)
        colors = np.empty((side, side, 6), np.uint8)
        for band in range(3):
            mean = light * table[codes, band] + 3 * stands + rng.normal(0, 1.5, (side, side))
            colors[..., band] = np.clip(mean, 1, 255)
            colors[..., band + 3] = np.clip(mean - 4, 1, 255)
        sure = rng.integers(150, 240, (side, side), dtype=np.uint8)
        probabilities = np.repeat(((250 - sure) // 9)[..., None], 10, axis=2)
        np.put_along_axis(probabilities, codes[..., None].astype(int), sure[..., None], axis=2)
        clouds = smooth(rng, side, 12) > 1.28
        codes[clouds], probabilities[clouds], colors[clouds] = MASKED, 0, 0
        told = Provenance(
            scene=f"made_up_{day:%Y%m%d}.tif", date=str(day), source={}, bands=(1, 2, 3),
            radiometry={"name": "l1c"}, model="0" * 64, options={}, version="0", command="",
            fingerprint=str(day),
        )  # fmt: skip
        yield LandCoverMap(
            grid=grid, contract=contract, provenance=told, class_id=codes,
            best_class=np.where(clouds, NODATA, codes).astype(np.uint8),
            probabilities=probabilities, valid_share=np.where(clouds, 0, 250).astype(np.uint8),
            mask_reason=clouds.astype(np.uint8), colors=colors,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--side", type=int, default=2740, help="cells")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for landcover in make_dates(np.random.default_rng(0), args.side):
        write_map(landcover, args.folder / f"{landcover.provenance.date}.tif")
        sys.stdout.write(f"wrote the map of {landcover.provenance.date}\n")


if __name__ == "__main__":
    main()
