"""On which pixels a scene is mapped, and that its ground is found there."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.rpc import RPC
from rasterio.windows import Window

from geoclass.errors import SceneError, SettingsError
from geoclass.scene.georeference.frame import Frame, GridSpec, fit_frame, plan_frame
from geoclass.scene.georeference.place import assign_place, find_place, find_utm
from geoclass.scene.georeference.region import find_region
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.read.pixels import open_pixels, read_shrunk
from geoclass.scene.settings import FrameSettings
from tests.conftest import TRANSFORM, UTM

Make = Callable[..., Path]
SPEC = GridSpec(gsd_m=10.0, tile_size=64, stride=64)


def plan(path: Path, **wishes: Any) -> tuple[SceneSource, Frame]:
    settings = FrameSettings(**wishes)
    source = assign_place(open_scene(path), settings)
    frame = plan_frame(source, find_place(source), settings, SPEC, find_region(settings))
    return source, frame


def read(source: SceneSource, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    with open_pixels(source, frame) as read_pixels:
        return read_pixels(Window(0, 0, frame.width, frame.height))


def noise(height: int = 200, width: int = 150) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 3000, (3, height, width)).astype(np.uint16)


def ramp(transform: Affine, crs: str, height: int, width: int, to: str = UTM) -> np.ndarray:
    """Pixels that tell where they lie: metres east and north of a point, in tens."""
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = transform @ (cols, rows)
    east, north = pyproj.Transformer.from_crs(crs, to, always_xy=True).transform(x, y)
    values = np.stack([(east - 320000) / 10, (north - 5800000) / 10, np.full_like(x, 999)])
    return np.rint(values).astype(np.uint16)


def assert_ramp(source: SceneSource, frame: Frame, tolerance_px: float = 1.0) -> None:
    """Every valid pixel of the frame holds the place that the frame says it has."""
    stored, valid = read(source, frame)
    assert valid.mean() > 0.3
    expected = ramp(frame.transform, str(frame.crs), frame.height, frame.width)
    gap = np.abs(stored.astype(int) - expected.astype(int)).max(axis=0)
    assert gap[valid].max() <= tolerance_px


def test_metric_scene_of_the_models_pixels_is_read_as_it_is(make_scene: Make) -> None:
    pixels = noise()
    source, frame = plan(make_scene(pixels))
    assert (frame.access, frame.transform, frame.notes) == ("read", TRANSFORM, ())
    stored, valid = read(source, frame)
    np.testing.assert_array_equal(stored, pixels)
    assert valid.all()


def test_slightly_other_pixels_are_left_alone(make_scene: Make) -> None:
    _, frame = plan(make_scene(noise(), transform=Affine(10.8, 0, 0, 0, -10.8, 5.8e6)))
    assert frame.access == "read"


def test_degrees_are_warped_to_ten_metres_in_the_utm_zone(make_scene: Make) -> None:
    transform = Affine(1.4e-4, 0, 12.6, 0, -9e-5, 52.5)
    path = make_scene(ramp(transform, "EPSG:4326", 300, 200), crs="EPSG:4326", transform=transform)
    source, frame = plan(path)
    assert frame.access == "warp"
    assert pyproj.CRS.from_wkt(str(frame.crs)).to_epsg() == 32633
    assert (frame.transform.a, frame.transform.e) == (10, -10)
    assert frame.transform.c % 10 == frame.transform.f % 10 == 0
    assert "degrees" in frame.notes[0]
    assert "10 m in WGS 84 / UTM zone 33N (cubic)" in frame.notes[0]
    assert_ramp(source, frame)


def test_finer_pixels_are_averaged(make_scene: Make) -> None:
    fine = noise(640, 640)
    _, frame = plan(make_scene(fine, transform=Affine(5, 0, 330000, 0, -5, 5822040)))
    assert (frame.access, frame.resampling) == ("warp", "average")
    assert (frame.height, frame.width) == (320, 320)
    source, frame = plan(make_scene(fine, transform=Affine(5, 0, 330000, 0, -5, 5822040)))
    stored, valid = read(source, frame)
    means = fine.reshape(3, 320, 2, 320, 2).mean(axis=(2, 4))
    assert valid.all()
    assert np.abs(stored - means).max() <= 0.51


def test_coarser_pixels_are_interpolated_with_a_warning(make_scene: Make) -> None:
    _, frame = plan(make_scene(noise(), transform=Affine(20, 0, 330000, 0, -20, 5822040)))
    assert (frame.resampling, frame.height) == ("cubic", 400)
    assert "have less detail than the 10 m pixels" in frame.warnings[0]


def test_too_coarse_is_refused_unless_forced(make_scene: Make) -> None:
    path = make_scene(noise(), transform=Affine(30, 0, 330000, 0, -30, 5822040))
    with pytest.raises(SceneError, match=r"pixels of 30.0 m.* trained on 10 m.*--force"):
        plan(path)
    assert plan(path, force=True)[1].height == 600
    with pytest.raises(SceneError, match=r"pixels of 60.0 m"):
        plan(make_scene(noise()), resolution=60.0)


def test_resolution_and_resampling_can_be_chosen(make_scene: Make) -> None:
    path = make_scene(noise(), transform=Affine(5, 0, 330000, 0, -5, 5822040))
    _, native = plan(path, resolution="native")
    assert (native.access, native.transform.a) == ("read", 5)
    assert "made on pixels of 5.0 m" in native.warnings[0]
    for eight in (8, 8.0):
        _, chosen = plan(path, resolution=eight, resampling="nearest")
        assert (chosen.transform.a, chosen.resampling) == (8, "nearest")
    with pytest.raises(SettingsError, match="must be above 0 metres, got -5"):
        FrameSettings(resolution=-5)


def test_native_degrees_stay_degrees(make_scene: Make) -> None:
    transform = Affine(1.4e-4, 0, 12.6, 0, -9e-5, 52.5)
    _, frame = plan(make_scene(noise(), crs="EPSG:4326", transform=transform), resolution="native")
    assert (frame.access, frame.transform) == ("read", transform)


def test_web_mercator_is_no_metre_far_from_the_equator(make_scene: Make) -> None:
    _, frame = plan(
        make_scene(noise(), crs="EPSG:3857", transform=Affine(10, 0, 1.4e6, 0, -10, 6.9e6))
    )
    assert frame.access == "warp"
    assert pyproj.CRS.from_wkt(str(frame.crs)).to_epsg() == 32633


def test_feet_are_warped_to_metres(make_scene: Make) -> None:
    path = make_scene(noise(), crs="EPSG:2263", transform=Affine(33, 0, 1e6, 0, -33, 2e5))
    assert pyproj.CRS.from_wkt(str(plan(path)[1].crs)).to_epsg() == 32618


@pytest.mark.parametrize(
    "turn",
    [
        Affine.rotation(30),
        Affine.rotation(180),
        Affine.translation(0, 300) @ Affine.scale(1, -1),
        Affine.shear(10, 0),
    ],
    ids=["rotated", "upside down", "south up", "sheared"],
)
def test_scenes_that_do_not_lie_north_up_are_turned(make_scene: Make, turn: Affine) -> None:
    transform = TRANSFORM @ turn
    source, frame = plan(make_scene(ramp(transform, UTM, 300, 200), transform=transform))
    assert frame.access == "warp"
    assert (frame.transform.a, frame.transform.e) == (10, -10)
    assert frame.transform.b == frame.transform.d == 0
    assert_ramp(source, frame)


def test_south_up_scene_is_flipped_exactly(make_scene: Make) -> None:
    pixels = noise()
    path = make_scene(pixels[:, ::-1], transform=Affine(10, 0, 330000, 0, 10, 5822040 - 2000))
    stored, valid = read(*plan(path, resampling="nearest"))
    np.testing.assert_array_equal(stored, pixels)
    assert valid.all()


def test_ground_control_points(make_scene: Make, tmp_path: Path) -> None:
    turned = TRANSFORM @ Affine.rotation(20)
    pixels = ramp(turned, UTM, 300, 200)
    pixels[:, :30, :30] = 0
    points = [
        GroundControlPoint(row=row, col=col, x=(turned @ (col, row))[0], y=(turned @ (col, row))[1])
        for row in (0, 150, 300)
        for col in (0, 100, 200)
    ]
    path = tmp_path / "gcps.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=300, width=200, dtype="uint16",
        ) as file:  # fmt: skip
            file.write(pixels)
            file.gcps = (points, rasterio.CRS.from_string(UTM))
    source, frame = plan(path)
    assert frame.access == "gcps"
    assert "9 ground control points" in frame.notes[0]
    stored, valid = read(source, frame)
    expected = ramp(frame.transform, str(frame.crs), frame.height, frame.width)
    gap = np.abs(stored.astype(int) - expected.astype(int)).max(axis=0)
    assert gap[valid].max() <= 1
    assert valid.sum() == pytest.approx(300 * 200 - 900, rel=0.02)


def test_masks_are_minded_under_ground_control_points(tmp_path: Path) -> None:
    mask = np.full((300, 200), 255, np.uint8)
    mask[:, :50] = 0
    points = [
        GroundControlPoint(row=row, col=col, x=330000 + 10 * col, y=5822040 - 10 * row)
        for row in (0, 300)
        for col in (0, 200)
    ]
    for name, profile in (("mask.tif", {}), ("alpha.tif", {"alpha": "yes"})):
        bands = np.full((3 + len(profile), 300, 200), 100, np.uint8)
        bands[3:] = mask
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(
                tmp_path / name, "w", driver="GTiff", count=len(bands), height=300, width=200,
                dtype="uint8", photometric="rgb", **profile,
            ) as file:  # fmt: skip
                file.write(bands)
                file.gcps = (points, rasterio.CRS.from_string(UTM))
                if not profile:
                    file.write_mask(mask)
        source, frame = plan(tmp_path / name)
        _, valid = read(source, frame)
        assert valid.sum() == pytest.approx(300 * 150, rel=0.01)
        assert not valid[:, :49].any()


def test_rational_polynomials(tmp_path: Path) -> None:
    """Coefficients that say: columns go with longitude, rows against latitude."""
    one, zero = [1.0] + [0.0] * 19, [0.0] * 20
    rpcs = RPC(
        height_off=100.0, height_scale=500.0, lat_off=52.5, lat_scale=0.02, long_off=12.6,
        long_scale=0.03, line_off=149.5, line_scale=-150.0, samp_off=149.5, samp_scale=150.0,
        line_num_coeff=[*zero[:2], 1.0, *zero[3:]], line_den_coeff=one,
        samp_num_coeff=[*zero[:1], 1.0, *zero[2:]], samp_den_coeff=one,
    )  # fmt: skip
    degrees = Affine(0.03 / 150, 0, 12.57, 0, -0.02 / 150, 52.52)
    path = tmp_path / "rpcs.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=300, width=300, dtype="uint16", rpcs=rpcs
        ) as file:
            file.write(ramp(degrees, "EPSG:4326", 300, 300))
    source, frame = plan(path)
    assert frame.access == "rpcs"
    assert "in mountains" in frame.warnings[-1]
    # Half a pixel is GDAL's and RPC's different idea of where a pixel's coordinate is.
    assert_ramp(source, frame, tolerance_px=2.0)


def test_scene_without_a_place(make_scene: Make) -> None:
    path = make_scene(noise(), crs=None)
    source, frame = plan(path)
    assert frame.crs is None
    assert "no usable coordinate reference system" in frame.warnings[0]
    np.testing.assert_array_equal(read(source, frame)[0], noise())
    for wish in ({"snap": True}, {"resolution": 10.0}, {"bbox": (0, 0, 1, 1)}):
        with pytest.raises(SceneError, match="has no georeference.*--crs and --bounds"):
            plan(path, **wish)


def test_place_can_be_given(make_scene: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = make_scene(noise(), crs=None, transform=None)
    _, frame = plan(path, crs=UTM, bounds=(330000, 5820040, 331500, 5822040))
    assert frame.transform == TRANSFORM
    assert pyproj.CRS.from_wkt(str(frame.crs)).to_epsg() == 32633


@pytest.mark.parametrize("profile", [{}, {"nodata": 0}, {"nodata": 7}])
def test_missing_pixels_stay_missing_in_a_warp(make_scene: Make, profile: dict) -> None:
    """Of zeros in one band only the pixel is kept; in no case do they darken their neighbours."""
    pixels = np.full((3, 400, 400), 1000, np.uint16)
    pixels[:, :100] = profile.get("nodata", 0)
    pixels[0, 300:] = 0
    path = make_scene(pixels, transform=Affine(5, 0, 330000, 0, -5, 5822040), **profile)
    stored, valid = read(*plan(path))
    assert not valid[:50].any()
    assert valid[50:].all()
    assert (stored[1:, 50:] == 1000).all()


def test_masks_and_alpha_are_warped_too(make_scene: Make) -> None:
    transform = Affine(5, 0, 330000, 0, -5, 5822040)
    mask = np.full((400, 400), 255, np.uint8)
    mask[:100] = 0
    pixels = np.full((3, 400, 400), 100, np.uint8)
    path = make_scene(pixels, "mask.tif", mask=mask, transform=transform, photometric="rgb")
    _, valid = read(*plan(path))
    assert (not valid[:50].any(), valid[50:].all()) == (True, True)
    path = make_scene(
        np.concatenate([pixels, mask[None]]), "alpha.tif", photometric="rgb", alpha="yes",
        transform=transform,
    )  # fmt: skip
    _, valid = read(*plan(path))
    assert (not valid[:50].any(), valid[50:].all()) == (True, True)


def test_floats_that_are_no_numbers_are_missing(make_scene: Make) -> None:
    pixels = np.full((3, 100, 100), 0.1, np.float32)
    pixels[1, :10] = np.nan
    stored, valid = read(*plan(make_scene(pixels)))
    assert not valid[:10].any()
    assert valid[10:].all()
    assert np.isfinite(stored).all()


def test_snapped_grids_begin_at_whole_cells(make_scene: Make) -> None:
    pixels = noise()
    path = make_scene(pixels)
    source, frame = plan(path, snap=True)
    assert frame.access == "read"
    assert frame.transform.c % 640 == frame.transform.f % 640 == 0
    assert frame.height % 64 == frame.width % 64 == 0
    stored, valid = read(source, frame)
    assert valid.sum() == 200 * 150
    top, left = -frame.row_off, -frame.col_off
    np.testing.assert_array_equal(stored[:, top : top + 200, left : left + 150], pixels)


def test_snapped_scenes_of_other_extent_share_their_cells(make_scene: Make) -> None:
    pixels = noise(400, 400)
    frames = []
    for row, col in ((0, 0), (3, 3), (77, 130)):
        shifted = TRANSFORM @ Affine.translation(col, row)
        path = make_scene(pixels[:, row:, col:], f"{row}.tif", transform=shifted)
        frames.append(plan(path, snap=True))
    (first_source, first), *others = frames
    stored, _ = read(first_source, first)
    for source, frame in others:
        ours, valid = read(source, frame)
        dx = round((frame.transform.c - first.transform.c) / 10)
        dy = round((first.transform.f - frame.transform.f) / 10)
        assert dx % 64 == dy % 64 == 0
        theirs = stored[:, dy : dy + frame.height, dx : dx + frame.width]
        np.testing.assert_array_equal(ours[:, valid], theirs[:, valid])


def test_snapping_warps_a_scene_between_the_pixels(make_scene: Make) -> None:
    transform = TRANSFORM @ Affine.translation(0.4, 0.3)
    source, frame = plan(make_scene(ramp(transform, UTM, 200, 200), transform=transform), snap=True)
    assert frame.access == "warp"
    assert frame.transform.c % 640 == frame.transform.f % 640 == 0
    assert_ramp(source, frame)


def test_bounding_box_reads_its_cells_only(make_scene: Make) -> None:
    pixels = noise(640, 640)
    box = (330000 + 700, 5822040 - 2500, 330000 + 2000, 5822040 - 1300)
    source, frame = plan(make_scene(pixels), bbox=box, bbox_crs=UTM)
    # Cells whose centre, at 320 m + k · 640 m, lies in 700 … 2000 and 1300 … 2500.
    assert (frame.col_off, frame.width) == (64, 128)
    assert (frame.row_off, frame.height) == (128, 128)
    np.testing.assert_array_equal(read(source, frame)[0], pixels[:, 128:256, 64:192])


def test_box_in_degrees_is_the_default(make_scene: Make) -> None:
    to_degrees = pyproj.Transformer.from_crs(UTM, 4326, always_xy=True)
    west, south = to_degrees.transform(330700, 5822040 - 2500)
    east, north = to_degrees.transform(332000, 5822040 - 1300)
    _, frame = plan(make_scene(noise(640, 640)), bbox=(west, south, east, north))
    assert (frame.col_off, frame.row_off) == (64, 128)


def test_part_in_the_clipped_corner_has_room_for_a_tile(make_scene: Make) -> None:
    box = (330000 + 1280, 5822040 - 1500, 330000 + 1500, 5822040 - 1280)
    _, frame = plan(make_scene(noise(150, 150)), bbox=box, bbox_crs=UTM)
    assert (frame.row_off, frame.height, frame.col_off, frame.width) == (64, 86, 64, 86)


def test_box_without_a_cell_is_refused(make_scene: Make) -> None:
    with pytest.raises(SceneError, match=r"no cell .* bbox 2,41,2.1,41.1 \(WGS 84\)"):
        plan(make_scene(noise()), bbox=(2, 41, 2.1, 41.1))


def test_wide_scene_needs_a_part(make_scene: Make) -> None:
    """Half of Europe at 10 m, of which nothing is stored but the header."""
    path = make_scene(np.ones((3, 64, 64), np.uint8), "small.tif", crs="EPSG:4326",
                      transform=Affine(1e-4, 0, 0, 0, -1e-4, 60))  # fmt: skip
    vrt = path.with_suffix(".vrt")
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><ColorInterp>{color}</ColorInterp>'
        f"<SimpleSource><SourceFilename>{path}</SourceFilename><SourceBand>{i}</SourceBand>"
        '<SrcRect xOff="0" yOff="0" xSize="64" ySize="64"/>'
        '<DstRect xOff="100000" yOff="100000" xSize="64" ySize="64"/></SimpleSource>'
        "</VRTRasterBand>"
        for i, color in ((1, "Red"), (2, "Green"), (3, "Blue"))
    )
    vrt.write_text(
        '<VRTDataset rasterXSize="300000" rasterYSize="200000"><SRS>EPSG:4326</SRS>'
        f"<GeoTransform>0, 1e-4, 0, 60, 0, -1e-4</GeoTransform>{bands}</VRTDataset>"
    )
    with pytest.raises(SceneError, match="one UTM zone: map it in parts with --bbox"):
        plan(vrt)
    _, frame = plan(vrt, bbox=(20.0, 50.0, 20.1, 50.1))
    assert pyproj.CRS.from_wkt(str(frame.crs)).to_epsg() == 32634
    assert frame.height < 1200


@pytest.mark.parametrize("west", [179.95, -180.05, 180.0])
def test_antimeridian(make_scene: Make, west: float) -> None:
    transform = Affine(1e-4, 0, west, 0, -9e-5, -17.0)
    pixels = noise(400, 1000)
    path = make_scene(pixels, crs="EPSG:4326", transform=transform)
    source, frame = plan(path)
    stored, valid = read(source, frame)
    assert valid.mean() > 0.95
    assert frame.width == pytest.approx(1000 * 1.065, abs=20)
    assert stored[:, valid].mean() == pytest.approx(pixels.mean(), rel=0.01)


def test_box_over_the_antimeridian(make_scene: Make) -> None:
    transform = Affine(10, 0, 810000, 0, -10, 8120000)
    path = make_scene(noise(400, 800), crs="EPSG:32760", transform=transform)
    _, frame = plan(path, bbox=(179.95, -17.1, -179.97, -16.9))
    region = find_region(FrameSettings(bbox=(179.95, -17.1, -179.97, -16.9)))
    assert region is not None
    assert 0 < frame.width < 800
    lon = np.array([179.96, 180.0, -179.98, 179.9, 0.0])
    inside = region.contains(lon, np.full(5, -17.0), "EPSG:4326")
    assert inside.tolist() == [True, True, True, False, False]


def test_pole(make_scene: Make) -> None:
    transform = Affine(1e-3, 0, 10, 0, -9e-5, 86.0)
    _, frame = plan(make_scene(noise(300, 600), crs="EPSG:4326", transform=transform))
    assert pyproj.CRS.from_wkt(str(frame.crs)).to_epsg() == 5041
    with pytest.raises(SceneError, match="has coordinates that do not exist in WGS 84"):
        plan(
            make_scene(
                noise(300, 600), crs="EPSG:4326", transform=Affine(1e-3, 0, 10, 0, -9e-5, 90.01)
            )
        )


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (11.3, 46.5, 32632), (-0.1, 51.5, 32630), (5.3, 60.4, 32632), (15.6, 78.2, 32633),
        (179.9, -17, 32760), (-179.9, -17, 32701), (-180, 0.5, 32601), (20, -85, 5042),
    ],
)  # fmt: skip
def test_utm_zones(lon: float, lat: float, epsg: int) -> None:
    assert pyproj.CRS.from_wkt(find_utm(lon, lat)).to_epsg() == epsg


def test_frame_of_a_map_is_found_again(make_scene: Make) -> None:
    for number, wishes in enumerate(({}, {"snap": True}, {"resolution": 7.0})):
        source, frame = plan(make_scene(noise(), f"{number}.tif"), **wishes)
        pixels = Frame(
            height=frame.height, width=frame.width, transform=frame.transform, crs=frame.crs
        )
        fitted = fit_frame(source, find_place(source), pixels)
        assert fitted.access == frame.access
        np.testing.assert_array_equal(read(source, fitted)[1], read(source, frame)[1])
        shrunk, _ = read_shrunk(source, fitted, 50)
        assert max(shrunk.shape[1:]) == 50


@pytest.mark.parametrize(
    "wishes",
    [
        {"resolution": 0.0},
        {"resampling": "magic"},
        {"bbox": (1, 2, 3, 2)},
        {"bbox": (1, 2, 3, float("nan"))},
        {"bounds": (3, 2, 1, 4)},
        {"bbox": (1, 2, 3, 4), "aoi": "a.gpkg"},
    ],
)
def test_senseless_wishes_are_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        FrameSettings(**wishes)
