#!/usr/bin/env python3
r"""How much of the forest in real scenes a model calls forest, and what it calls it else.

    .venv/bin/python scripts/measure_forest.py SCENES [MODEL …]

docs/forest-tiles.csv has the tiles, a row for each: the scene, which is found by name in SCENES
or in sample_scenes, and the tile's upper left pixel. They were chosen by eye on the scenes, as
those that hold hardly anything but forest; maps of both had been looked at before. Boadella's are
of July 2021, for its forest stands all the while. Two days are left out there, overcast and half
clouded.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import rasterio

from geoclass.mapping.plan import plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.scene.settings import HAZES, Haze, RadiometrySettings

ROOT = Path(__file__).parents[1]
TILES = ROOT / "docs" / "forest-tiles.csv"
CLOUDED = ("20200118", "20200123")

Corners = list[tuple[int, int]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", type=Path, nargs="*", default=[Path("shipped")])
    parser.add_argument("--haze", choices=HAZES, default="auto", help="as of `geoclass map`")
    args = parser.parse_args()
    scenes = list_scenes(args.folder, read_corners())
    for path in args.models:
        model = load_model(path)
        classifier = Classifier(model)
        print(f"\n{path.name}: {model.arch} {model.sha256[:12]}\n")
        print("| scene | tiles | forest | unknown | others |\n|---|---|---|---|---|")
        totals: dict[str, Counter[str]] = defaultdict(Counter)
        for scene, place, corners in scenes:
            found = count_labels(
                cut_tiles(scene, corners, model, haze=args.haze), model, classifier
            )
            totals[place] += found
            print(write_row(scene.stem, found))
        for place, found in totals.items():
            print(write_row(f"**{place}**", found))


def read_corners() -> dict[str, Corners]:
    corners: dict[str, Corners] = defaultdict(list)
    with TILES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            corners[row["scene"]].append((int(row["row"]), int(row["col"])))
    return corners


def list_scenes(folder: Path, corners: dict[str, Corners]) -> list[tuple[Path, str, Corners]]:
    """Every scene with its place; a place of many dates is named instead of its scenes."""
    scenes = []
    for name, places in corners.items():
        pattern = name if name.endswith(".tif") else f"{name}_*.tif"
        paths = {*folder.rglob(pattern), *(ROOT / "sample_scenes").rglob(pattern)}
        clear = [path for path in sorted(paths) if not any(day in path.name for day in CLOUDED)]
        scenes += [(path, name, places) for path in clear]
    return scenes


def cut_tiles(scene: Path, corners: Corners, model: Model, *, haze: Haze) -> np.ndarray:
    """Uint8 (n, 3, tile, tile), as a map would read them."""
    radiometry = RadiometrySettings(haze=haze)
    if "l2a" in scene.name:
        radiometry = RadiometrySettings(profile="l2a", dn_offset=0, haze=haze)
    request = MapRequest(settings=MapSettings(radiometry=radiometry), bands=(1, 2, 3))
    plan = plan_map(scene, model.contract, model.sha256, request)
    with rasterio.open(scene) as file:
        pixels = plan.radiometry.apply(file.read([1, 2, 3]))
    size = model.contract.tile_size
    return np.stack([pixels[:, row : row + size, col : col + size] for row, col in corners])


def count_labels(tiles: np.ndarray, model: Model, classifier: Classifier) -> Counter[str]:
    prediction = classifier.predict(tiles)
    names = model.contract.legend.names
    labels = prediction.probabilities.argmax(axis=1)
    return Counter(
        "unknown" if unknown else names[label]
        for label, unknown in zip(labels, prediction.unknown, strict=True)
    )


def write_row(name: str, found: Counter[str]) -> str:
    count = found.total()
    others = [(n, label) for label, n in found.most_common() if label not in ("Forest", "unknown")]
    listed = ", ".join(f"{n} {label}" for n, label in others)
    shares = f"{found['Forest'] / count:.0%} | {found['unknown'] / count:.0%}"
    return f"| {name} | {count} | {shares} | {listed} |"


if __name__ == "__main__":
    main()
