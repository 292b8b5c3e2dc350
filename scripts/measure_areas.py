#!/usr/bin/env python3
"""Compare the areas of cells with geodesic ones, for five projections at three latitudes each.

usage: measure_areas.py > table.md
"""

from __future__ import annotations

import numpy as np
import pyproj
import shapely
from affine import Affine

from geoclass.grid import Grid

PLACES = {
    4326: (15.5, (0.0, 45.0, 70.0)),
    3857: (15.5, (0.0, 45.0, 70.0)),
    32633: (17.5, (0.0, 45.0, 70.0)),
    3035: (15.5, (36.0, 50.0, 66.0)),
    27700: (-4.5, (50.5, 54.5, 58.5)),
}
"""EPSG code → longitude and latitudes; of 32633 near the edge of the zone."""

PIXEL_DEGREES, PIXEL_M = 1e-4, 10.0
PIXELS = 640
POINTS_A_PIXEL = 1 / 4
"""Of an outline: straight lines on the map are no geodesics."""


def make_grid(epsg: int, lon: float, lat: float) -> Grid:
    """Ten by ten cells around a place."""
    crs = pyproj.CRS.from_epsg(epsg)
    x, y = pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform(lon, lat)
    pixel = PIXEL_DEGREES if crs.is_geographic else PIXEL_M
    half = pixel * PIXELS / 2
    transform = Affine(pixel, 0, x - half, 0, -pixel, y + half)
    return Grid(height=PIXELS, width=PIXELS, transform=transform, crs=crs.to_wkt())


def measure_geodesic(grid: Grid) -> np.ndarray:
    """float64 (rows, cols): hectares by pyproj's Geod, of outlines with many points."""
    crs = pyproj.CRS.from_wkt(str(grid.crs))
    rows, cols = np.divmod(np.arange(grid.rows * grid.cols), grid.cols)
    step = abs(grid.transform.a) / POINTS_A_PIXEL
    outlines = shapely.segmentize(grid.polygons(rows, cols), step)
    back = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    geod = crs.get_geod()
    areas = []
    for outline in outlines:
        lon, lat = back.transform(*shapely.get_coordinates(outline).T)
        areas.append(abs(geod.polygon_area_perimeter(lon, lat)[0]) / 1e4)
    return np.array(areas).reshape(grid.rows, grid.cols)


def largest_error(areas: np.ndarray, truth: np.ndarray) -> float:
    """The relative error of a cell that is largest by amount, with its sign."""
    errors = (areas / truth - 1).ravel()
    return float(errors[np.abs(errors).argmax()])


def main() -> None:
    """Print the table."""
    print("| EPSG | latitude | as the plane has it | as a map says |")
    print("|---|---|---|---|")
    for epsg, (lon, latitudes) in PLACES.items():
        for lat in latitudes:
            grid = make_grid(epsg, lon, lat)
            truth = measure_geodesic(grid)
            planar = grid.pixel_counts() * abs(grid.transform.determinant) / 1e4
            degrees = pyproj.CRS.from_epsg(epsg).is_geographic
            naive = "no metres" if degrees else f"{largest_error(planar, truth):+.3%}"
            said = largest_error(grid.areas_ha(), truth)
            print(f"| {epsg} | {lat:g}° | {naive} | {said:+.4%} |")


if __name__ == "__main__":
    main()
