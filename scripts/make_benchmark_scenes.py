#!/usr/bin/env python3
r"""Make the scenes that `scripts/benchmark` maps: Sentinel-2's size and numbers, and texture.

    .venv/bin/python scripts/make_benchmark_scenes.py FOLDER --size 10980 --form cog
    .venv/bin/python scripts/make_benchmark_scenes.py FOLDER --eurosat EuroSAT_RGB.zip

With EuroSAT's tiles a scene is a random mosaic of them, its grey levels brought back to digital
numbers; without, fields and woods of made-up texture. Both are compressed about as well as a
real scene is. A scene that is there already is left as it is.
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.windows import Window
from scipy.ndimage import zoom

TILE = 64
MOSAIC_TILES = 2000
"""So many of EuroSAT's tiles are drawn for a mosaic."""
DN_PER_GREY = 2750 / 254
"""EuroSAT's stretch, taken back."""

TAGS = {"PROCESSING_LEVEL": "Level-1C", "PROCESSING_BASELINE": "02.04"}
FORMS = ("cog", "stripped", "jp2")

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Generator and width → uint16 (3, TILE, width): a row of tiles, as digital numbers."""


def read_mosaic(archive: Path) -> Draw:
    """Rows of random tiles of EuroSAT."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(archive) as file:
        names = sorted(name for name in file.namelist() if name.endswith(".jpg"))
        chosen = rng.choice(names, min(MOSAIC_TILES, len(names)), replace=False)
        tiles = np.stack([np.asarray(Image.open(io.BytesIO(file.read(n)))) for n in chosen])

    def draw(rng: np.random.Generator, width: int) -> np.ndarray:
        row = tiles[rng.integers(len(tiles), size=-(-width // TILE))]
        grey = np.concatenate(list(row), axis=1)[:, :width].transpose(2, 0, 1)
        dither = rng.integers(0, int(DN_PER_GREY), grey.shape)
        return ((np.maximum(grey, 1) - 1.0) * DN_PER_GREY + dither + 1).astype(np.uint16)

    return draw


def draw_fields(rng: np.random.Generator, width: int) -> np.ndarray:
    """Fields of a tile's width: a colour each, hills and furrows of made-up texture."""
    cols = -(-width // TILE)
    colour = rng.uniform(400, 1600, (3, 1, cols)).repeat(TILE, axis=2)[:, :, :width]
    texture = np.zeros((TILE, width))
    for octave in (4, 8, 16, 32):
        noise = rng.standard_normal((TILE // octave + 1, width // octave + 2))
        texture += octave * zoom(noise, octave, order=1)[:TILE, :width]
    grain = rng.normal(0, 8, (3, TILE, width))
    return np.clip(colour + 3 * texture + grain, 1, 10000).astype(np.uint16)


def make_scene(folder: Path, size: int, form: str, eurosat: Path | None = None) -> Path:
    """The scene of that size and form, made unless it is there."""
    kind = "fields" if eurosat is None else "eurosat"
    target = folder / f"l1c-{kind}-{size}-{form}{'.jp2' if form == 'jp2' else '.tif'}"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making.", dir=folder) as draft_folder:
        draft = Path(draft_folder) / f"draft{target.suffix}"
        stripped = draft.with_name("stripped.tif")
        _write_stripped(stripped, size, draw_fields if eurosat is None else read_mosaic(eurosat))
        if form == "stripped":
            draft = stripped
        elif form == "cog":
            rasterio.shutil.copy(
                stripped, draft, driver="COG", compress="deflate", predictor="yes", blocksize=512
            )
        else:
            rasterio.shutil.copy(
                stripped, draft, driver="JP2OpenJPEG", quality=100, reversible="yes"
            )
        draft.replace(target)
    return target


def _write_stripped(path: Path, size: int, draw: Draw) -> None:
    rng = np.random.default_rng(0)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=size,
        width=size,
        dtype="uint16",
        compress="deflate",
        predictor=2,
        crs="EPSG:32633",
        transform=rasterio.Affine(10, 0, 300000, 0, -10, 5900040),
    ) as file:
        file.descriptions = ("B04", "B03", "B02")
        file.update_tags(**TAGS)
        for top in range(0, size, TILE):
            rows = min(TILE, size - top)
            file.write(draw(rng, size)[:, :rows], window=Window(0, top, size, rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=10980, help="pixels a side")
    parser.add_argument("--form", choices=FORMS, default="cog")
    parser.add_argument("--eurosat", type=Path, help="EuroSAT_RGB.zip")
    args = parser.parse_args()
    print(make_scene(args.folder, args.size, args.form, args.eurosat))


if __name__ == "__main__":
    main()
