"""Where several readings of a scene's numbers are plausible, and where none is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from geoclass.errors import SceneError
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.scene.settings import FrameSettings, RadiometrySettings
from tests.conftest import COLORS, FakeClassifier, paint

Make = Callable[..., Path]


def plan(path: Path, classifier: FakeClassifier | None = None, **settings: object):
    contract = FakeClassifier().contract
    return plan_map(
        path, contract, "ab" * 32, MapRequest(settings=MapSettings(**settings)), classifier
    )


def dn_of(classes: list[list[int]], offset: int) -> np.ndarray:
    """Digital numbers that EuroSAT's stretch makes the classes' colours."""
    return np.rint((paint(classes).astype(float) - 1) * 2750 / 254 + offset).astype(np.uint16)


LEVEL = {"PROCESSING_LEVEL": "Level-1C"}
BRIGHT = [[0, 2, 5, 6, 8, 0, 2, 5]]
"""Classes whose colours are no darker than 80 in any band but red and blue of some."""


def test_readings_that_change_the_map_are_listed(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    """Bright numbers without a tag: with or without an offset of 1000?"""
    path = make_scene(dn_of(BRIGHT, 1000), photometric="rgb", tags=LEVEL)
    with pytest.raises(SceneError, match=r"of a sample's labels depend on it; plausible are l1c.*"):
        plan(path, classifier)
    told = plan(path, classifier, radiometry=RadiometrySettings(dn_offset=1000.0))
    assert told.radiometry.bias == (-1000,) * 3


def test_readings_that_do_not_matter_are_chosen_between_with_a_warning(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    path = make_scene(np.full((3, 64, 512), 1900, np.uint16), photometric="rgb")
    classifier.predict = one_class  # type: ignore[method-assign]
    chosen = plan(path, classifier)
    assert chosen.radiometry.name == "l1c"
    (warning,) = (w for w in chosen.warnings if "several possible meanings" in w)
    assert "0% of a sample's labels depend on it" in warning


def test_a_reading_left_because_the_likelier_one_is_too_bright_is_told(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    pixels = np.random.default_rng(0).integers(2900, 3300, (3, 64, 512)).astype(np.uint16)
    chosen = plan(make_scene(pixels, photometric="rgb", tags=LEVEL), classifier)
    assert chosen.radiometry.bias == (-1000,) * 3
    (warning,) = (w for w in chosen.warnings if "too bright as" in w)
    assert "read as uint16 Level-1C (by its metadata), offset 1000 subtracted" in warning


def test_without_a_full_tile_the_first_is_taken(
    make_scene: Make, classifier: FakeClassifier
) -> None:
    pixels = np.full((3, 64, 512), 1900, np.uint16)
    pixels[:, :, np.arange(512) % 64 >= 20] = 0
    chosen = plan(make_scene(pixels, photometric="rgb"), classifier)
    assert any("the first is used" in w for w in chosen.warnings)
    assert classifier.seen == []


def one_class(images: np.ndarray):
    return FakeClassifier().predict(np.broadcast_to(COLORS[0][:, None, None], images.shape))


def test_without_a_classifier_the_first_is_taken(make_scene: Make) -> None:
    path = make_scene(dn_of(BRIGHT, 1000), photometric="rgb", tags=LEVEL)
    assert any("the first is used" in w for w in plan(path).warnings)


@pytest.mark.parametrize("value", [5, 120, 9000])
def test_far_too_dark_and_far_too_bright_is_refused_with_numbers(
    make_scene: Make, value: int
) -> None:
    pixels = np.full((3, 64, 64), value, np.uint16)
    path = make_scene(pixels, tags={"PROCESSING_LEVEL": "Level-1C", "PROCESSING_BASELINE": "02.04"})
    with pytest.raises(
        SceneError,
        match=r"medians of [\d, ]+ in red, green and blue.*mean grey of 41 to 216.*--force",
    ):
        plan(path)
    assert plan(path, frame=FrameSettings(force=True)).radiometry.name == "l1c"


def test_decision_is_part_of_the_fingerprint(make_scene: Make) -> None:
    path = make_scene(dn_of(BRIGHT, 0), tags={"PROCESSING_BASELINE": "02.04"})
    plans = [
        plan(path, radiometry=RadiometrySettings(profile=profile)) for profile in ("l1c", "l2a")
    ]
    assert plans[0].provenance.fingerprint != plans[1].provenance.fingerprint


def test_the_usual_stride_asked_for_is_the_same_request(make_scene: Make) -> None:
    path = make_scene(dn_of(BRIGHT, 0), tags={"PROCESSING_BASELINE": "02.04"})
    usual, asked = plan(path).provenance, plan(path, stride=64).provenance
    assert (usual.request, usual.fingerprint) == (asked.request, asked.fingerprint)
