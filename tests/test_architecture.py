"""The packages of docs/design.md: allowed imports, and which package may use which library."""

from __future__ import annotations

import ast
import sys
from itertools import chain
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "geoclass"

ROWS = (
    ("__main__",),
    ("cli",),
    ("__init__",),
    ("report",),
    ("campaign", "learn"),
    ("mapping", "monitor"),
    ("model", "scene", "products"),
    ("landcover",),
    ("contract",),
    ("grid", "legend", "files"),
    ("dates", "errors", "machine", "vectors"),
    ("outside", "_version"),
)
"""Imports point from a row to any lower row, never sideways or up."""

SCENE_ROWS = (("read",), ("georeference", "radiometry"), ("open",), ("settings", "__init__"))
"""The same inside geoclass/scene."""

OWNERS = {
    "affine": {"grid", "monitor", "report", "scene"},
    "click": {"cli"},
    "defusedxml": {"scene"},
    "geopandas": {"products"},
    "jinja2": {"report"},
    "lazy_loader": {"__init__"},
    "markupsafe": {"report"},
    "msgspec": {"contract", "outside"},
    "matplotlib": {"report"},
    "numpy": {
        *{package for row in ROWS for package in row}
        - {"__init__", "__main__", "_version", "contract", "errors", "files", "legend", "outside"}
        - {"vectors"}
    },
    "obstore": {"files"},
    "onnx": {"model"},
    "onnxruntime": {"model"},
    "onnxscript": {"model"},
    "pandas": {"products"},
    "PIL": {"landcover", "learn", "report"},
    "pyarrow": {"products"},
    "pyogrio": {"products", "scene", "vectors"},
    "pyproj": {"grid", "monitor", "products", "report", "scene"},
    "pystac": {"scene"},
    "rasterio": {"mapping", "scene", "products"},
    "ray": {"campaign"},
    "rioxarray": {"scene"},
    "safetensors": {"model"},
    "scipy": {"learn", "mapping", "monitor", "products"},
    "shapely": {"grid", "monitor", "products", "scene"},
    "torch": {"campaign", "learn", "model"},
    "torchvision": {"learn"},
    "tqdm": {"cli"},
    "xarray": {"products", "scene"},
}  # fmt: skip
"""Outside libraries and the packages that may import them."""

ALL_MODULES = sorted(PACKAGE.rglob("*.py"))
PLUGIN = [path for path in ALL_MODULES if path.is_relative_to(PACKAGE / "qgis")]
"""The plugin, which runs in the Python of QGIS; no package imports it."""
MODULES = [path for path in ALL_MODULES if path not in PLUGIN]


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> list[str]:
    """Dotted names of everything that a module imports, wherever it does so."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            names.append(node.module or "")
    return names


def row_of(package: str, rows: tuple[tuple[str, ...], ...] = ROWS) -> int:
    return next(i for i, packages in enumerate(rows) if package in packages)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    package = package_of(path)
    for name in imports_of(path):
        top, _, rest = name.partition(".")
        other = rest.partition(".")[0] or "__init__"
        if top != "geoclass" or other == package:
            continue
        assert other != "qgis", f"{package} must not import the plugin"
        assert row_of(package) < row_of(other), f"{package} must not import {name}"


def test_scene_is_opened_placed_and_then_read() -> None:
    """`georeference` and `radiometry` do not need each other, and neither reads pixels."""
    for path in (PACKAGE / "scene").rglob("*.py"):
        package = path.relative_to(PACKAGE / "scene").parts[0].removesuffix(".py")
        for name in imports_of(path):
            other = name.removeprefix("geoclass.scene.").partition(".")[0]
            if name.startswith("geoclass.scene.") and other != package:
                below = row_of(package, SCENE_ROWS) < row_of(other, SCENE_ROWS)
                assert below, f"{path} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    for name in imports_of(path):
        library = name.partition(".")[0]
        if library == "geoclass" or library in sys.stdlib_module_names:
            continue
        assert package_of(path) in OWNERS[library], f"{package_of(path)} must not import {library}"


def test_plugin_needs_qgis_and_itself_alone() -> None:
    for path in PLUGIN:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
                names = [] if node.level else [node.module or ""]
            else:
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                library = name.partition(".")[0]
                assert library == "qgis" or library in sys.stdlib_module_names, f"{path}: {name}"


def test_every_room_is_in_the_picture() -> None:
    packages = {package_of(path) for path in MODULES}
    assert packages == set(chain.from_iterable(ROWS))


def test_mapping_does_not_need_torchvision() -> None:
    path = [p for p in MODULES if package_of(p) in ("mapping", "model", "scene", "products")]
    assert not any(name.startswith("torchvision") for p in path for name in imports_of(p))


def test_modules_are_read_in_one_sitting() -> None:
    assert [path for path in ALL_MODULES if len(path.read_text().splitlines()) > 400] == []
