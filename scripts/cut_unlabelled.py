#!/usr/bin/env python3
r"""Write pictures without labels as one NumPy file, for scripts/label_unlabelled.

    .venv/bin/python scripts/cut_unlabelled.py FOLDER pictures.npy --level 2A

FOLDER holds true-colour images of 8 bits (Sentinel-2's TCI), .jpg, .png or .tif; squares of SIZE
pixels are cut from them, and their stretch is taken back to that of EuroSAT's tiles.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from geoclass.scene.radiometry.conversion import read_as_tci

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff"}


def cut(pixels: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Squares (3, size, size) of an image (3, h, w), side by side; a rest is not used."""
    height, width = pixels.shape[1:]
    for row in range(0, height - size + 1, size):
        for col in range(0, width - size + 1, size):
            yield pixels[:, row : row + size, col : col + size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--level", choices=("1C", "2A"), required=True)
    parser.add_argument("--size", type=int, default=201)
    args = parser.parse_args()
    radiometry = read_as_tci(f"Level-{args.level}", "as asked for")
    files = sorted(f for f in args.folder.iterdir() if f.suffix.lower() in SUFFIXES)
    pictures: list[np.ndarray] = []
    for file in files:
        with Image.open(file) as image:
            stored = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        pictures += cut(radiometry.apply(stored.astype(np.float32)), args.size)
    if not pictures:
        raise SystemExit(f"no image of {args.size} pixels a side in {args.folder}")
    np.save(args.output, np.stack(pictures))
    print(f"wrote {len(pictures)} pictures of {args.size}×{args.size} pixels to {args.output}")


if __name__ == "__main__":
    main()
