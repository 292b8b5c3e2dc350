"""Adjacent scenes of one day share their haze."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from affine import Affine

from geoclass.campaign.jobs import Job
from geoclass.campaign.run import join_adjacent, run_job, share_haze
from geoclass.mapping.plan import fingerprint_request, plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.products.files import read_map
from geoclass.scene.open.source import SceneSource, open_scene
from geoclass.scene.radiometry.conversion import USUAL_DARK_DN
from geoclass.scene.settings import MaskSettings, RadiometrySettings
from tests.conftest import TRANSFORM, FakeClassifier

Make = Callable[..., Path]
USUAL = np.array(USUAL_DARK_DN)


@pytest.fixture
def make_part(make_scene: Make) -> Callable[..., Path]:
    """A part of an export, 128 pixels wide, hazy by so much in blue."""

    def make(number: int, blue: float, *, east: int | None = None, day: str = "2020-06-01") -> Path:
        pixels = np.random.default_rng(number).uniform(1500, 2500, (3, 128, 128))
        dark = USUAL + np.array([blue / 2, blue / 2, blue])
        pixels[:, :40] = dark[:, None, None]
        return make_scene(
            np.rint(pixels).astype(np.uint16),
            f"part{number}.tif",
            descriptions=("B04", "B03", "B02"),
            transform=TRANSFORM @ Affine.translation(128 * (number if east is None else east), 0),
            tags={
                "PROCESSING_LEVEL": "Level-1C",
                "PROCESSING_BASELINE": "02.04",
                "DATATAKE_1_DATATAKE_SENSING_START": f"{day}T10:00:00Z",
            },
        )

    return make


def share(paths: list[Path], settings: MapSettings | None = None) -> list[SceneSource]:
    settings = settings or MapSettings()
    opened = {Job(scene=str(p), output=p.with_suffix(".gpkg")): open_scene(p) for p in paths}
    joined = join_adjacent(opened, settings)
    pending = [(job, found) for job, found in joined.items() if isinstance(found, SceneSource)]
    return [source for _, source in share_haze(pending, settings)]


def read(source: SceneSource) -> tuple[tuple[float, ...], str]:
    contract = FakeClassifier().contract
    radiometry = plan_map(source, contract, "ab" * 32, MapRequest()).radiometry
    return radiometry.gain, radiometry.reason


def test_parts_of_one_day_are_treated_alike(make_part: Callable[..., Path]) -> None:
    paths = [make_part(i, blue) for i, blue in enumerate((410, 546, 480))]
    alone = {read(open_scene(path))[0] for path in paths}
    assert len(alone) == 3
    together = [read(source) for source in share(paths)]
    assert len({gain for gain, _ in together}) == 1
    assert all("haze of 205, 205, 410 removed, as of all adjacent scenes" in r for _, r in together)


def test_little_haze_in_one_part_leaves_all_as_they_are(make_part: Callable[..., Path]) -> None:
    together = [read(source) for source in share([make_part(0, 100), make_part(1, 500)])]
    assert all("haze" not in reason for _, reason in together)


def test_other_days_and_other_places_are_others(make_part: Callable[..., Path]) -> None:
    paths = [make_part(0, 410), make_part(1, 546, day="2020-06-02"), make_part(2, 480, east=40)]
    assert all(source.adjacent == () and source.haze is None for source in share(paths))


@pytest.mark.parametrize("haze", ["keep", "remove", (10.0, 20.0, 400.0)])
def test_what_is_asked_for_is_not_shared(make_part: Callable[..., Path], haze: object) -> None:
    settings = MapSettings(radiometry=RadiometrySettings(haze=haze))
    assert all(s.haze is None for s in share([make_part(0, 410), make_part(1, 546)], settings))


def test_a_scene_changed_since_keeps_the_shared_haze(
    make_part: Callable[..., Path], tmp_path: Path
) -> None:
    paths = [make_part(i, blue) for i, blue in enumerate((410, 546))]
    source = share(paths)[1]
    os.utime(paths[1], ns=(1, 1))
    job = Job(scene=str(paths[1]), output=tmp_path / "map.gpkg")
    request = MapRequest(settings=MapSettings())
    assert run_job(job, source, request, FakeClassifier()).status == "mapped"
    reason = read_map(job.output).provenance.radiometry["reason"]
    assert "as of all adjacent scenes" in reason


def test_the_request_knows_the_parts_of_a_virtual_mask(
    make_part: Callable[..., Path], make_scene: Make
) -> None:
    source, part = open_scene(make_part(0, 410)), make_scene(np.ones((1, 64, 64)), "mask.tif")
    mask = part.with_suffix(".vrt")
    rasterio.shutil.copy(part, mask, driver="VRT")
    settings = MapSettings(masks=MaskSettings(mask=str(mask)))
    legend, asked = FakeClassifier().contract.legend, set()
    for modified_ns in (1, 2):
        os.utime(part, ns=(1, modified_ns))
        asked.add(fingerprint_request(source, "ab" * 32, legend, settings))
    assert len(asked) == 2


def test_the_request_knows_the_adjacent_scenes(make_part: Callable[..., Path]) -> None:
    paths = [make_part(i, blue) for i, blue in enumerate((410, 546, 480))]
    legend, settings = FakeClassifier().contract.legend, MapSettings()

    def ask(source: SceneSource) -> str:
        return fingerprint_request(source, "ab" * 32, legend, settings)

    first = share(paths)[0]
    assert ask(first) == ask(share([paths[2], paths[0], paths[1]])[1])
    assert len({ask(first), ask(share(paths[:2])[0]), ask(open_scene(paths[0]))}) == 3
