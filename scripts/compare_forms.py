#!/usr/bin/env python3
"""The same ground in many forms: how often a map of each agrees with that of the first.

    .venv/bin/python scripts/compare_forms.py SCENE [MODEL]

SCENE is a Sentinel-2 L1C GeoTIFF in UTM without an offset, such as the one in sample_scenes.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform

from geoclass.errors import GeoclassError
from geoclass.landcover import LandCoverMap
from geoclass.mapping.job import map_scene
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.scene.settings import FrameSettings

SHIFT = 3
LEVEL = {"PROCESSING_LEVEL": "Level-1C"}
OLD, NEW = {**LEVEL, "PROCESSING_BASELINE": "02.09"}, {**LEVEL, "PROCESSING_BASELINE": "04.00"}


def main() -> None:
    model = load_model(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    with rasterio.open(sys.argv[1]) as scene, tempfile.TemporaryDirectory() as folder:
        forms = make_forms(scene, Path(folder))
        plain = {snap: map_form(forms.pop(name), model, snap=snap) for snap, name in FIRST.items()}
        print(f"model {model.sha256[:12]}, {plain[False].class_id.size} cells\n")
        print("| form | read as | cells | same label | largest change of confidence |")
        print("|---|---|---|---|---|")
        for name, path in forms.items():
            # Warped maps are compared cell by cell, so all are laid on the same cells.
            snap = name in WARPED
            try:
                print(f"| {name} | {compare(map_form(path, model, snap=snap), plain[snap])} |")
            except GeoclassError as error:
                print(f"| {name} | refused | | | {str(error).replace(str(path), '…')[:60]}… |")


FIRST = {False: "plain", True: "plain, snapped"}
WARPED = ("EPSG:4326", "at 5 m")


def make_forms(scene: rasterio.DatasetReader, folder: Path) -> dict[str, Path]:
    dn = scene.read((1, 2, 3))
    shifted = {"transform": scene.transform @ Affine.translation(SHIFT, SHIFT)}

    def save(name: str, pixels: np.ndarray, tags: dict[str, str], **profile: Any) -> Path:
        path = folder / name
        bands, height, width = pixels.shape
        settings = {"crs": scene.crs, "transform": scene.transform, **profile}
        with rasterio.open(
            path, "w", driver="GTiff", count=bands, height=height, width=width,
            dtype=pixels.dtype, **settings,
        ) as file:  # fmt: skip
            file.write(pixels)
            file.descriptions = ("B04", "B03", "B02")
            file.update_tags(**tags)
        return path

    first = save("plain.tif", dn, OLD)
    tci = np.clip(np.rint(dn * (255 / 3558)), 1, 255).astype(np.uint8)
    place = calculate_default_transform(
        scene.crs, "EPSG:4326", scene.width, scene.height, *scene.bounds
    )
    degrees, at, _ = warp(first, "EPSG:4326", place)
    size = (scene.transform @ Affine.scale(0.5), 2 * scene.width, 2 * scene.height)
    fine, _, _ = warp(first, scene.crs, size)
    reflectance = (dn / 1e4).astype(np.float32)
    return {
        "plain": first,
        "plain, snapped": first,
        "+1000, baseline 04.00": save("new.tif", dn + 1000, NEW),
        "+1000, no tags but level": save("bare.tif", dn + 1000, LEVEL),
        "no tags at all": save("none.tif", dn, {}),
        "reflectance, float32": save("float.tif", reflectance, OLD),
        "TCI, 8 bits": save("T33UUU_20170216T102101_TCI_10m.tif", tci, LEVEL),
        "EPSG:4326": save("degrees.tif", degrees, OLD, crs="EPSG:4326", transform=at),
        "at 5 m": save("fine.tif", fine, OLD, transform=size[0]),
        f"shifted by {SHIFT} pixels": save("shift.tif", dn[:, SHIFT:, SHIFT:], OLD, **shifted),
    }


def warp(path: Path, crs: Any, place: tuple[Affine, int, int]) -> tuple[np.ndarray, Affine, Any]:
    transform, width, height = place
    with rasterio.open(path) as file:
        with WarpedVRT(
            file, crs=crs, transform=transform, width=width, height=height,
            src_nodata=0, nodata=0, resampling=Resampling.cubic,
        ) as warped:  # fmt: skip
            return warped.read(), transform, crs


def map_form(path: Path, model: Model, *, snap: bool) -> LandCoverMap:
    return map_scene(path, model, settings=MapSettings(frame=FrameSettings(snap=snap)))


def compare(one: LandCoverMap, other: LandCoverMap) -> str:
    """Over the cells that are whole in both, by where they lie."""
    step = (one.grid.transform @ (0, 0), other.grid.transform @ (0, 0))
    cell = one.grid.stride * one.grid.transform.a
    col, row = (round((a - b) / cell * s) for a, b, s in zip(*step, (1, -1), strict=True))
    rows, cols = np.indices(one.class_id.shape)
    there = (rows + row, cols + col)
    shape = other.class_id.shape
    inside = (there[0] >= 0) & (there[1] >= 0) & (there[0] < shape[0]) & (there[1] < shape[1])
    rows, cols = rows[inside], cols[inside]
    there = (there[0][inside], there[1][inside])
    whole = (one.valid_share[rows, cols] == 250) & (other.valid_share[there] == 250)
    same = one.best_class[rows, cols][whole] == other.best_class[there][whole]
    change = np.abs(one.confidence[rows, cols][whole] - other.confidence[there][whole])
    reading = one.provenance.radiometry["name"]
    return f"{reading} | {whole.sum()} | {same.mean():.1%} | {change.max():.2f}"


if __name__ == "__main__":
    main()
