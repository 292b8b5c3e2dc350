"""Scale and north of maps."""

from __future__ import annotations

import pytest
import rasterio
from affine import Affine

from geoclass.grid import Grid
from geoclass.report.quicklook import choose_bar, format_length, measure_ground
from tests.conftest import TRANSFORM, UTM


def make_grid(transform: Affine, crs: str | None) -> Grid:
    wkt = crs and rasterio.CRS.from_string(crs).to_wkt()
    return Grid(height=128, width=192, transform=transform, crs=wkt)


def test_utm_is_true_but_for_scale_and_convergence() -> None:
    ground = measure_ground(make_grid(TRANSFORM, UTM))
    assert ground is not None
    # 170 km west of the central meridian of zone 33, the scale is 0.9996 · (1 + 170² / (2·6390²)).
    assert ground.pixel_width_m == pytest.approx(10 / 0.99995, rel=1e-5)
    assert ground.pixel_height_m == pytest.approx(10 / 0.99995, rel=1e-5)
    # Convergence: Δλ · sin φ = -2.48° · sin 52.5°, so that north leans to the right.
    assert ground.north_deg == pytest.approx(1.97, abs=0.02)


def test_degrees_are_narrower_than_high() -> None:
    ground = measure_ground(make_grid(Affine(1e-4, 0, 11, 0, -1e-4, 60), "EPSG:4326"))
    assert ground is not None
    assert ground.pixel_width_m == pytest.approx(5.58, abs=0.01)
    assert ground.pixel_height_m == pytest.approx(11.14, abs=0.01)
    assert ground.north_deg == pytest.approx(0, abs=1e-6)


def test_a_turned_grid_turns_north() -> None:
    ground = measure_ground(make_grid(TRANSFORM @ Affine.rotation(30), UTM))
    assert ground is not None
    # Columns run 30° to the south of east: up is 30° east of north, north is left of up.
    assert ground.north_deg == pytest.approx(1.97 - 30, abs=0.05)


def test_pixels_without_a_place_have_no_scale() -> None:
    assert measure_ground(make_grid(Affine.scale(1, -1), None)) is None


@pytest.mark.parametrize(
    ("width_m", "text"),
    [(1999, "1 km"), (2000, "2 km"), (7.5, "5 m"), (510, "500 m"), (0.3, "0.2 m")],
)
def test_bars_have_round_lengths(width_m: float, text: str) -> None:
    assert format_length(choose_bar(width_m)) == text
