#!/usr/bin/env python3
r"""Whether bfloat16 keeps the labels of float32: of maps, and of EuroSAT's tiles.

    .venv/bin/python scripts/compare_precisions.py SCENE … --eurosat EuroSAT_RGB.zip

A scene whose file does not say which bands are red, green and blue is written SCENE:1,2,3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from geoclass.landcover import LandCoverMap
from geoclass.learn.dataset import read_tiles
from geoclass.learn.splits import PARTS, choose_part
from geoclass.mapping.job import map_scene
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier

OF_THE_TRAINING_PART = 8
"""Of so many training tiles one is enough."""


def compare_parts(model: Model, archive: Path) -> None:
    tiles = read_tiles(archive)
    for part in PARTS:
        chosen = choose_part(tiles, model.contract, part, None)
        chosen = chosen[::OF_THE_TRAINING_PART] if part == "train" else chosen
        images, labels = tiles.images[chosen], tiles.labels[chosen]
        full, half = (
            Classifier(model, device="cpu", precision=p).predict(images) for p in ("fp32", "bf16")
        )
        best = [p.probabilities.argmax(axis=1) for p in (full, half)]
        right = [f"{(b == labels).mean():.2%}" for b in best]
        same = (best[0] == best[1]) & (full.unknown == half.unknown)
        print(
            f"{part}: {same.sum()} of {len(same)} tiles have the same label; "
            f"right in float32 {right[0]}, in bf16 {right[1]}"
        )


def compare_maps(model: Model, scene: str, bands: list[int] | None) -> None:
    full, half = (
        map_scene(scene, model, settings=MapSettings(precision=p), bands=bands, device="cpu")
        for p in ("fp32", "bf16")
    )
    show_differences(scene, full, half)
    if full.detail is not None and half.detail is not None:
        show_differences(scene, full.detail, half.detail)


def show_differences(scene: str, full: LandCoverMap, half: LandCoverMap) -> None:
    differ = {
        name: int((getattr(full, name) != getattr(half, name)).sum())
        for name in ("class_id", "best_class")
    }
    print(
        f"{scene}: of {full.class_id.size} cells of {full.grid.stride} pixels "
        f"{differ['class_id']} have another label ({differ['class_id'] / full.class_id.size:.2%}), "
        f"{differ['best_class']} another likeliest class"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", help="SCENE or SCENE:RED,GREEN,BLUE")
    parser.add_argument("--eurosat", type=Path, help="EuroSAT_RGB.zip")
    parser.add_argument("-m", "--model", type=Path)
    args = parser.parse_args()
    model = load_model(args.model)
    for text in args.scenes:
        name, _, numbers = text.partition(":")
        compare_maps(model, name, [int(n) for n in numbers.split(",")] if numbers else None)
    if args.eurosat:
        compare_parts(model, args.eurosat)


if __name__ == "__main__":
    main()
