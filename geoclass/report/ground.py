"""How the pixels of a map lie on the ground: what scale bars and north arrows stand on."""

from __future__ import annotations

from dataclasses import dataclass

import pyproj

from geoclass.grid import Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Measured in the middle of a map, on the ellipsoid of its CRS."""

    pixel_width_m: float
    pixel_height_m: float
    north_deg: float
    """Where north is: degrees clockwise from the top of the map, -180 to 180."""


def measure_ground(grid: Grid) -> Ground | None:
    """Pixel size and north; None where the map has no place on Earth."""
    if grid.crs is None:
        return None
    crs = pyproj.CRS.from_wkt(grid.crs)
    ellipsoid = crs.get_geod()
    if ellipsoid is None:
        return None
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    step = grid.tile_size / 2
    row, col = grid.height / 2, grid.width / 2
    corners = ((col - step, row), (col + step, row), (col, row + step), (col, row - step))
    left, right, bottom, top = (to_degrees.transform(*(grid.transform @ c)) for c in corners)
    _, _, width_m = ellipsoid.inv(*left, *right)
    upward, _, height_m = ellipsoid.inv(*bottom, *top)
    return Ground(
        pixel_width_m=width_m / grid.tile_size,
        pixel_height_m=height_m / grid.tile_size,
        north_deg=-upward,
    )


def choose_bar(width_m: float) -> float:
    """The longest of 1, 2 or 5 times a power of ten metres that is at most `width_m`, above 0."""
    power = 10.0 ** len(str(int(width_m)))
    while True:
        for digit in (5.0, 2.0, 1.0):
            if digit * power <= width_m:
                return digit * power
        power /= 10


def format_length(length_m: float) -> str:
    """`500 m`, `2 km`."""
    return f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
