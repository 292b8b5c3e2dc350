"""The public names."""

import subprocess
import sys

import pytest

import geoclass
from geoclass.mapping.pipeline import map_scene


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, geoclass; print({'torch', 'rasterio', 'numpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "set()\n"


def test_all_names_are_there() -> None:
    for name in geoclass.__all__:
        assert getattr(geoclass, name).__doc__
    assert geoclass.map_scene is map_scene
    assert set(geoclass.__all__) <= set(dir(geoclass))


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = geoclass.nothing
