"""Polygons that say what the ground is, from a vector file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyproj
import shapely

from geoclass.errors import SceneError
from geoclass.scene.region import read_polygons


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledGround:
    """Polygons by class."""

    shapes: Mapping[str, shapely.Geometry]
    """By class name, in alphabetical order: the union of the class's polygons."""
    crs: str
    """WKT."""

    def find_shares(self, boxes: np.ndarray, crs: str | None) -> np.ndarray:
        """Float (n, classes), 0–1: how much of each box, a polygon in `crs`, a class covers.

        Raises SceneError where the boxes have no place on Earth.
        """
        if crs is None:
            raise SceneError(
                "the scene does not say where on Earth it lies, so polygons cannot be laid on it: "
                "give --crs and --bounds"
            )
        transformer = pyproj.Transformer.from_crs(self.crs, crs, always_xy=True)
        shares = np.zeros((len(boxes), len(self.shapes)))
        for i, shape in enumerate(self.shapes.values()):
            there = shapely.transform(shape, transformer.transform, interleaved=False)
            parts = shapely.get_parts(there)  # small parts make quick intersections
            box, part = shapely.STRtree(parts).query(boxes, predicate="intersects")
            covered = shapely.area(shapely.intersection(boxes[box], parts[part]))
            shares[:, i] = np.bincount(box, weights=covered, minlength=len(boxes))
        shares /= shapely.area(boxes)[:, None]
        return shares


def read_labels(path: Path, column: str, layer: str | None = None) -> LabelledGround:
    """Read polygons whose class stands in a column.

    Of several layers the only one that has the column is read, if none is named. Raises SceneError
    where polygons cannot be used, SettingsError where a layer is to be named.
    """
    polygons, values, crs = read_polygons(path, column, layer)
    names = np.array([_name_class(path, value) for value in values])
    _check_case(path, np.unique(names).tolist())
    return LabelledGround(
        shapes={str(name): shapely.union_all(polygons[names == name]) for name in np.unique(names)},
        crs=crs,
    )


def _name_class(path: Path, value: object) -> str:
    if isinstance(value, (float, np.floating)) and value.is_integer():
        value = int(value)  # as it was meant: a column with gaps, or of GeoJSON, holds 1.0 for 1
    name = "" if value is None else str(value).strip()
    if not name or name in ("nan", "None") or name.startswith(".") or set(name) & set('/\\:*?"<>|'):
        raise SceneError(
            f"a polygon in {path} is of class {name!r}, which cannot be a folder's name: "
            "give every polygon a plain name"
        )
    return name


def _check_case(path: Path, names: Iterable[str]) -> None:
    """Refuse classes whose folders are one and the same on Windows and macOS."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise SceneError(
                f"polygons in {path} are of classes {other} and {name}, which differ only in case: "
                "give all of them one name"
            )
