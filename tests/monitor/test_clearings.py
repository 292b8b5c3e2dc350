"""Clearings that are pasted for measurements: their sizes, their places, and when they appear."""

from __future__ import annotations

from datetime import date
from types import ModuleType

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.test_scripts import load


@pytest.fixture
def clearings(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return load("clearings")


def test_clearings_lie_apart_in_forest_and_appear_on_their_day(clearings: ModuleType) -> None:
    rng = np.random.default_rng(0)
    forest = np.zeros((160, 160), dtype=bool)
    forest[20:150, 10:150] = True
    dark = np.full((3, 160, 160), 300, dtype=np.uint16)
    series = clearings.Series(
        name="drawn", days=tuple(date(2020, 6, day) for day in (1, 10, 20)), pixels=(dark,) * 3,
        forest=forest, transform=clearings.CHIP_PLACE, crs=clearings.CHIP_CRS, level="l2a",
        first=range(1, 3),
    )  # fmt: skip
    wanted = [(2.0, "bare"), (0.5, "stumps"), (1.0, "grass")]
    chosen = clearings.choose_clearings(rng, series, wanted)
    assert [(c.size_ha, c.mask.sum()) for c in chosen] == [(2.0, 200), (1.0, 100), (0.5, 50)]
    assert all(forest[c.mask].all() for c in chosen)
    assert sum(c.mask.astype(int) for c in chosen).max() == 1
    patches = {
        "bare": [np.full((3, 16, 16), 1300, np.float32)],
        "grass": [np.full((3, 16, 16), 600, np.float32)],
    }
    pasted = clearings.paste(rng, series, chosen, patches)
    np.testing.assert_array_equal(pasted.pixels[0], dark)
    for clearing in chosen:
        red = [np.median(image[0][clearing.mask]) for image in pasted.pixels]
        for number, value in enumerate(red):
            assert (value > 400) == (number >= clearing.first), clearing.cover
    untouched = ~forest
    np.testing.assert_array_equal(pasted.pixels[2][:, untouched], dark[:, untouched])
