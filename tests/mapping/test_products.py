"""However a scene is shipped, its map is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from geoclass.landcover import LandCoverMap
from geoclass.mapping.pipeline import run_map
from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest
from tests.conftest import FakeClassifier, make_contract
from tests.scene.products import ORIGIN, UTM, make_safe, zip_safe

Make = Callable[..., Path]

DN = np.random.default_rng(0).integers(1, 2751, (3, 3, 4)).astype(np.uint16)
PIXELS = DN.repeat(64, axis=1).repeat(64, axis=2)
PLACE = {"crs": UTM, "transform": Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])}


def run(scene: Path | str) -> tuple[LandCoverMap, np.ndarray]:
    """The map, and all pixels that the classifier was shown."""
    classifier = FakeClassifier()
    landcover = run_map(plan_map(scene, make_contract(), "ab" * 32, MapRequest()), classifier)
    return landcover, np.concatenate(classifier.seen)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("level", ["1C", "2A"])
@pytest.mark.parametrize("baseline", ["02.09", "04.00", "05.11"])
def test_product_maps_as_its_plain_geotiff(
    tmp_path: Path, make_scene: Make, baseline: str, level: str, zipped: bool
) -> None:
    tags = {"PROCESSING_LEVEL": f"Level-{level}", "PROCESSING_BASELINE": "02.09"}
    plain, shown = run(make_scene(PIXELS, tags=tags, **PLACE))
    added = 1000 if baseline >= "04.00" else 0
    safe = make_safe(tmp_path, PIXELS + np.uint16(added), level=level, baseline=baseline)
    product, shown_of_product = run(zip_safe(safe) if zipped else safe)
    np.testing.assert_array_equal(shown_of_product, shown)
    np.testing.assert_array_equal(product.class_id, plain.class_id)
    np.testing.assert_array_equal(product.probabilities, plain.probabilities)
    assert product.grid == plain.grid
    assert len(np.unique(plain.class_id)) > 3
    assert product.provenance.date == "2023-08-23"
    assert product.provenance.scene == safe.name


def test_three_files_map_as_one(tmp_path: Path, make_scene: Make) -> None:
    tags = {"PROCESSING_LEVEL": "Level-1C", "PROCESSING_BASELINE": "04.00"}
    whole, shown = run(make_scene(PIXELS, tags=tags, **PLACE))
    parts = {
        color: make_scene(PIXELS[i : i + 1], f"{color}.tif", tags=tags, **PLACE)
        for i, color in enumerate(("red", "green", "blue"))
    }
    text = ",".join(f"{color}={parts[color]}" for color in ("blue", "red", "green"))
    stacked, shown_of_stack = run(text)
    np.testing.assert_array_equal(shown_of_stack, shown)
    np.testing.assert_array_equal(stacked.class_id, whole.class_id)
    assert stacked.provenance.radiometry == whole.provenance.radiometry
