#!/usr/bin/env python3
r"""Map scenes in small cells with and without --fast, and count what comes out the same.

    .venv/bin/python scripts/compare_fast.py SCENE … [--bands 1 2 3]

Prints, for each scene and stride, the share of cells with the same label and with the same
likeliest class, and processor seconds of one thread with their ratio to those of stride 64.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import geoclass
from geoclass.landcover import LandCoverMap
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model, load_model

STRIDES = (32, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path, nargs="+")
    parser.add_argument("--bands", type=int, nargs=3, help="red, green, blue, counted from 1")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model()
    print("| scene | stride | cells | same label | same likeliest | seconds | with --fast |")
    print("|---|---|---|---|---|---|---|")
    for scene in args.scenes:
        for stride in STRIDES:
            settings = MapSettings(stride=stride)
            plain, seconds = make_map(scene, settings, model, args.bands)
            shared = MapSettings(stride=stride, fast=True)
            fast, fast_seconds = make_map(scene, shared, model, args.bands)
            _, base = make_map(scene, MapSettings(), model, args.bands)
            same = (plain.class_id == fast.class_id).mean()
            likeliest = (plain.best_class == fast.best_class).mean()
            print(
                f"| {scene.stem} | {stride} | {plain.class_id.size} | {same:.1%} "
                f"| {likeliest:.1%} | {seconds:.1f} ({seconds / base:.1f}) "
                f"| {fast_seconds:.1f} ({fast_seconds / base:.1f}) |",
                flush=True,
            )


def make_map(
    scene: Path, settings: MapSettings, model: Model, bands: list[int] | None
) -> tuple[LandCoverMap, float]:
    """A map, and the processor seconds that it took."""
    started = time.process_time()
    made = geoclass.map_scene(scene, model, settings=settings, bands=bands)
    return made, time.process_time() - started


if __name__ == "__main__":
    main()
