"""Scenes without a place on Earth are refused by whoever lays a grid on them."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning

from geoclass.errors import SceneError
from geoclass.scene.georeference import check_georeference
from geoclass.scene.source import open_scene

Make = Callable[..., Path]

PIXELS = np.ones((3, 70, 70), dtype=np.uint16)


def test_no_crs(make_scene: Make) -> None:
    source = open_scene(make_scene(PIXELS, crs=None))
    assert source.crs is None
    with pytest.raises(SceneError, match="no coordinate reference system"):
        check_georeference(source)


def test_no_transform(make_scene: Make) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = make_scene(PIXELS, transform=None)
    source = open_scene(path)
    assert source.transform.is_identity
    with pytest.raises(SceneError, match="no georeference"):
        check_georeference(source)


def test_good_scene(make_scene: Make) -> None:
    source = open_scene(make_scene(PIXELS))
    assert check_georeference(source) == source.crs
