"""Tiles that show none of EuroSAT's classes, to measure whether a model notices.

The recipes were written before any score of novelty was fitted and are never used for fitting.
All tiles are uint8 (n, 3, 64, 64), red, green, blue, as EuroSAT's stretch has them: 255 is a
reflectance of 0.275.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage import data as photographs
from sklearn.datasets import load_sample_images

SEED = 20150623
SIZE = 64
PHOTOGRAPH_SIDES = (64, 128, 256)
"""Photographs are brought to these shorter sides, in pixels, and cut into tiles."""

Recipe = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""From real tiles, which some recipes spoil, to strange ones."""


def draw_texture(n: int, roughness: float, generator: np.random.Generator) -> np.ndarray:
    """Random clouds or dunes: float (n, 64, 64), mean 0, standard deviation 1.

    Noise whose amplitude falls with spatial frequency to the power of `roughness`.
    """
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.rfftfreq(SIZE), indexing="ij"))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.normal(size=(n, SIZE, SIZE))) / frequency**roughness
    texture = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return texture / texture.std(axis=(1, 2), keepdims=True)


def paint(reflectance: tuple[float, float, float], contrast: float, roughness: float) -> Recipe:
    """A surface of one colour whose brightness varies by `contrast`."""

    def recipe(tiles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        texture = draw_texture(len(tiles), roughness, generator)[:, None]
        brightness = generator.uniform(0.85, 1.15, (len(tiles), 1, 1, 1))
        color = np.array(reflectance)[None, :, None, None] * brightness
        return stretch(color * (1 + contrast * texture))

    return recipe


def stretch(reflectance: np.ndarray) -> np.ndarray:
    """EuroSAT's stretch of reflectances."""
    dn = np.clip(reflectance * 10_000, 0, 2750)
    return np.floor(1 + dn * 254 / 2750 + 0.5).astype(np.uint8)


def blank(value: int) -> Recipe:
    """One value everywhere."""
    return lambda tiles, _generator: np.full_like(tiles, value)


def blank_half(tiles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Real tiles of which one half, at any side, has no data."""
    out = tiles.copy()
    for tile, side in zip(out, generator.integers(4, size=len(out)), strict=True):
        np.rot90(tile, side, axes=(1, 2))[:, : SIZE // 2] = 0
    return out


def veil(tiles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Real tiles under thin cloud, which gives between 45 and 75 % of the light, unevenly."""
    texture = draw_texture(len(tiles), 1.6, generator)[:, None]
    share = generator.uniform(0.45, 0.75, (len(tiles), 1, 1, 1)) + 0.08 * texture
    cloud = generator.uniform(200, 255, (len(tiles), 1, 1, 1))
    mixed = tiles + np.clip(share, 0, 1) * (cloud - tiles)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def draw_noise(tiles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every value as likely as any other."""
    return generator.integers(0, 256, tiles.shape, dtype=np.uint8)


def cut_photographs(_tiles: np.ndarray, _generator: np.random.Generator) -> np.ndarray:
    """A cat, coffee, an astronaut, a rocket, a motorcycle, a temple and a flower."""
    pictures = [
        photographs.chelsea(),
        photographs.coffee(),
        photographs.astronaut(),
        photographs.rocket(),
        np.array(photographs.stereo_motorcycle()[0]),
        *load_sample_images().images,
    ]
    tiles = []
    for picture in pictures:
        for side in PHOTOGRAPH_SIDES:
            height, width = picture.shape[:2]
            size = [max(SIZE, round(x * side / min(height, width))) for x in (width, height)]
            pixels = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
            tiles += [
                pixels[top : top + SIZE, left : left + SIZE].transpose(2, 0, 1)
                for top in range(0, pixels.shape[0] - SIZE + 1, SIZE)
                for left in range(0, pixels.shape[1] - SIZE + 1, SIZE)
            ]
    return np.stack(tiles)


def stack_clouds(tiles: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Thick cloud with its own shading: bright, grey, nearly the same in all bands."""
    texture = draw_texture(len(tiles), 1.8, generator)[:, None]
    brightness = generator.uniform(0.24, 0.7, (len(tiles), 1, 1, 1))
    tint = np.array([0.98, 1.0, 1.04])[None, :, None, None]
    shaded = ndimage.gaussian_filter(brightness * (1 + 0.12 * texture), (0, 0, 1, 1))
    return stretch(shaded * tint)


STRANGE: dict[str, Recipe] = {
    "nodata": blank(0),
    "half nodata": blank_half,
    "white": blank(255),
    "cloud": stack_clouds,
    "desert": paint((0.40, 0.30, 0.20), 0.06, 1.3),
    "snow": paint((0.60, 0.62, 0.66), 0.15, 1.2),
    "noise": draw_noise,
    "thin cloud": veil,
    "photographs": cut_photographs,
}


def make_strange_tiles(name: str, tiles: np.ndarray) -> np.ndarray:
    """The tiles of one recipe; `tiles` are real ones, uint8 (n, 3, 64, 64)."""
    return STRANGE[name](tiles, np.random.default_rng(SEED))
