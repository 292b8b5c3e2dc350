"""Clearings that never were, pasted into real forest: bare ground, stumps and young grass.

What is pasted are real pixels of Level-2A chips with labels (S2GLC), the texture of each patch
whole; Level-1C scenes get them through a typical atmosphere. Stumps are bare ground with tufts of
grass and trees that were left.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import rasterio
import rasterio.warp
from affine import Affine
from make_sample_scenes import draw_shape
from scipy.ndimage import binary_erosion, gaussian_filter, median_filter, shift, uniform_filter
from scipy.signal import fftconvolve

import geoclass
from geoclass.errors import GeoclassError
from geoclass.mapping.settings import MapSettings
from geoclass.model.checkpoint import Model
from geoclass.monitor.align import DatedMap
from geoclass.scene.radiometry.conversion import AIR_PATH_DN, AIR_TRANSMITTANCE
from geoclass.scene.settings import FrameSettings, RadiometrySettings

SIZES_HA = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
COVERS = ("bare", "stumps", "grass")

PATCH_PX = 16
"""Side of the patches that clearings are filled with, mirrored as often as it takes."""
CULTIVATED, HERBACEOUS, BARE, BROADLEAF, CONIFER = 3, 6, 7, 4, 5
APART_PX = 14
"""Between clearings: three cells and more."""
MOST_CLEARED = 0.25
"""Of a scene's forest."""

CHIP_DAYS = (
    "2019-06-28", "2019-08-02", "2020-06-20", "2020-07-10", "2020-07-30", "2020-08-22", "2021-07-01"
)  # fmt: skip
"""Made-up days of scenes of one date; the clearings appear on one of the fourth to sixth."""
CHIP_PLACE = Affine(10, 0, 500_000, 0, -10, 5_400_000)
CHIP_CRS = "EPSG:32632"
"""Made up for chips that do not say where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """Dated scenes of one place, and where its forest stands."""

    name: str
    days: tuple[date, ...]
    pixels: tuple[np.ndarray, ...]
    """uint16 (3, rows, cols) of each day: digital numbers of red, green and blue."""
    forest: np.ndarray
    """bool (rows, cols): forest, by a reference that geoclass did not make."""
    transform: Affine
    crs: object
    level: str
    """`l1c` or `l2a`."""
    first: range
    """Numbers of the dates from which on a clearing may be there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Clearing:
    """A clearing in the pixels of a series."""

    size_ha: float
    cover: str
    first: int
    """Number of the first date on which it is there."""
    mask: np.ndarray
    """bool (rows, cols)."""


Patches = dict[str, list[np.ndarray]]


def read_patches(folder: Path) -> Patches:
    """Float32 (3, 16, 16) patches by kind, Level-2A, out of labelled chips (`NNN_l2a.tif`)."""
    patches: Patches = {"bare": [], "grass": []}
    for path in sorted(folder.glob("*_l2a.tif")):
        with rasterio.open(path) as file:
            pixels = file.read().astype(np.float32)
        with rasterio.open(path.with_name(path.name.replace("_l2a", "_labels"))) as file:
            labels = file.read(1)
        for top in range(0, labels.shape[0] - PATCH_PX, PATCH_PX):
            for left in range(0, labels.shape[1] - PATCH_PX, PATCH_PX):
                here = np.s_[top : top + PATCH_PX, left : left + PATCH_PX]
                patch, inside = pixels[(slice(None), *here)], labels[here]
                red, green, _ = np.median(patch, axis=(1, 2))
                soil = np.isin(inside, (BARE, CULTIVATED)).mean() > 0.97
                if soil and red > green and 900 < red < 2500:
                    patches["bare"].append(patch)
                if (inside == HERBACEOUS).mean() > 0.97 and green > 1.15 * red and red > 350:
                    patches["grass"].append(patch)
    return patches


def fill(
    rng: np.random.Generator, cover: str, patches: Patches, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Level-2A pixels, float32 (3, rows, cols), and where a forest's own pixels stay, bool."""

    def spread(kind: str) -> np.ndarray:
        patch = patches[kind][rng.integers(len(patches[kind]))]
        patch = np.rot90(patch, rng.integers(4), axes=(1, 2))
        mirrored = np.concatenate([patch, patch[:, ::-1]], axis=1)
        mirrored = np.concatenate([mirrored, mirrored[:, :, ::-1]], axis=2)
        repeats = (1, *(-(-side // mirrored.shape[i]) for i, side in enumerate(shape, start=1)))
        return np.tile(mirrored, repeats)[:, : shape[0], : shape[1]]

    if cover != "stumps":
        return spread(cover), np.zeros(shape, dtype=bool)
    blobs = gaussian_filter(rng.standard_normal(shape), 0.8)
    rank = blobs.ravel().argsort().argsort().reshape(shape) / blobs.size
    return np.where(rank < 0.25, spread("grass"), spread("bare")), rank > 0.8


def choose_clearings(
    rng: np.random.Generator, series: Series, wanted: Sequence[tuple[float, str]]
) -> list[Clearing]:
    """As many of the wanted sizes and covers as the forest has room for, the largest first."""
    free = binary_erosion(series.forest, iterations=2)
    room = MOST_CLEARED * series.forest.sum()
    clearings = []
    for size_ha, cover in sorted(wanted, reverse=True):
        shape = draw_shape(rng, np.sqrt(size_ha * 100))
        if room < shape.sum() or max(shape.shape) >= min(free.shape):
            continue
        covered = fftconvolve(free.astype(float), shape[::-1, ::-1].astype(float), mode="same")
        reach = shape.shape[0] // 2 + 1
        covered[:reach], covered[-reach:], covered[:, :reach], covered[:, -reach:] = 0, 0, 0, 0
        places = np.argwhere(covered > 0.98 * shape.sum())
        if not len(places):
            continue
        row, col = places[rng.integers(len(places))]
        mask = np.zeros(free.shape, dtype=bool)
        rows, cols = np.nonzero(shape)
        mask[rows + row - shape.shape[0] // 2, cols + col - shape.shape[1] // 2] = True
        around = np.argwhere(mask)
        (top, left), (bottom, right) = around.min(0) - APART_PX, around.max(0) + APART_PX
        free[max(0, top) : bottom, max(0, left) : right] = False
        room -= mask.sum()
        first = int(rng.choice(series.first))
        clearings.append(Clearing(size_ha=size_ha, cover=cover, first=first, mask=mask))
    return clearings


def paste(
    rng: np.random.Generator, series: Series, clearings: Sequence[Clearing], patches: Patches
) -> Series:
    """The series with the clearings."""
    images = [image.astype(np.float32) for image in series.pixels]
    path, kept = (np.array(v, np.float32)[:, None, None] for v in (AIR_PATH_DN, AIR_TRANSMITTANCE))
    for clearing in clearings:
        soft = gaussian_filter(clearing.mask.astype(np.float32), rng.uniform(0.6, 1.2))
        (top, left), (bottom, right) = (f(np.argwhere(soft > 0.01), 0) for f in (np.min, np.max))
        here = np.s_[top : bottom + 1, left : right + 1]
        ground, trees = fill(rng, clearing.cover, patches, soft[here].shape)
        share = np.where(trees, 0, soft[here])
        if series.level == "l1c":
            ground = path + kept * ground
        for number in range(clearing.first, len(images)):
            part = images[number][(slice(None), *here)]
            wetter = rng.uniform(0.85, 1.1)
            part += share * (ground * wetter - part)
    stored = [np.clip(np.rint(i), 1, 65535).astype(np.uint16) for i in images]
    return replace(series, pixels=tuple(stored))


def vary(rng: np.random.Generator, pixels: np.ndarray, count: int) -> list[np.ndarray]:
    """One scene as if seen on several days: sun, haze, stands that dry, noise, places off by 3 m.

    Means of 40 m then differ by 15 to 40 digital numbers, as those of real dates do.
    """
    haze = np.array([0.35, 0.55, 1.0], np.float32)[:, None, None]
    images = []
    for _ in range(count):
        moved = np.stack([shift(b.astype(np.float32), rng.uniform(-0.3, 0.3, 2), order=1,
                                mode="nearest") for b in pixels])  # fmt: skip
        stands = gaussian_filter(rng.standard_normal(pixels.shape[1:]), 12)
        stands = 1 + 0.04 * stands / stands.std()
        air = gaussian_filter(rng.standard_normal(pixels.shape[1:]), 60)
        air = rng.uniform(0, 80) + rng.uniform(0, 40) * air / air.std()
        image = moved * rng.uniform(0.92, 1.08) * stands + haze * air
        noise = rng.normal(0, 12, pixels.shape)
        images.append(np.clip(np.rint(image + noise), 1, 65535).astype(np.uint16))
    return images


def rank_chips(folder: Path) -> list[Path]:
    """Labelled chips, those with most forest first."""
    shares = {}
    for path in sorted(folder.glob("*_labels.tif")):
        with rasterio.open(path) as file:
            chip = path.with_name(path.name.replace("_labels", "_l2a"))
            shares[chip] = np.isin(file.read(1), (BROADLEAF, CONIFER)).mean()
    return sorted(shares, key=lambda path: -shares[path])


def read_chip(rng: np.random.Generator, path: Path) -> Series:
    """A labelled chip of one date, as a series of made-up days."""
    with rasterio.open(path) as file:
        pixels = file.read()
    with rasterio.open(path.with_name(path.name.replace("_l2a", "_labels"))) as file:
        forest = np.isin(file.read(1), (BROADLEAF, CONIFER))
    return _make_series(rng, f"s2glc {path.stem[:3]}", pixels, forest, "l2a")


def read_bolzano(rng: np.random.Generator, path: Path) -> Series:
    """One date with Sen2Cor's scene classification: dark, plain vegetation is forest."""
    with rasterio.open(path) as file:
        pixels, scl = file.read([1, 2, 3]), file.read(5)
    smooth = uniform_filter(pixels[0].astype(np.float32), 5)
    forest = median_filter((scl == 4) & (smooth < 350), 5)
    return _make_series(rng, "bolzano", pixels, forest, "l2a")


def read_oscd(rng: np.random.Generator, masks: Path, scene: Path) -> Series:
    """A Level-1C scene whose masks tell forest by the near infrared of two dates."""
    with rasterio.open(scene) as file:
        pixels = file.read([1, 2, 3])
    with rasterio.open(masks) as file:
        forest = file.read(1) == 2
    return _make_series(rng, f"oscd {masks.stem[:-6]}", pixels, forest, "l1c")


def _make_series(
    rng: np.random.Generator, name: str, pixels: np.ndarray, forest: np.ndarray, level: str
) -> Series:
    return Series(
        name=name,
        days=tuple(map(date.fromisoformat, CHIP_DAYS)),
        pixels=tuple(vary(rng, pixels, len(CHIP_DAYS))),
        forest=forest,
        transform=CHIP_PLACE,
        crs=CHIP_CRS,
        level=level,
        first=range(3, 6),
    )


def read_boadella(folder: Path) -> Series:
    """Eleven dates of one place where nothing is felled.

    Forest is what is dark and green on the clear summer dates, and no water in winter.
    """
    paths = sorted(folder.glob("boadella_*_l2a.tif"))
    days = [date.fromisoformat(p.stem.split("_")[1]) for p in paths]
    images = []
    for path in paths:
        with rasterio.open(path) as file:
            images.append(np.clip(file.read(), 1, None).astype(np.uint16))
            transform, crs = file.transform, file.crs
    summer = [i for i, day in enumerate(days) if day.isoformat() in (
        "2020-06-21", "2020-09-14", "2021-07-16", "2021-07-21", "2022-06-01")]  # fmt: skip
    red, green, _ = np.median([images[i] for i in summer], axis=0)
    smooth = [uniform_filter(band.astype(np.float32), 5) for band in (red, green)]
    winter = images[[d.isoformat() for d in days].index("2020-01-28")]
    dry = uniform_filter(winter[0].astype(np.float32), 3) < 900
    forest = (smooth[0] < 420) & (smooth[1] > 1.25 * smooth[0]) & dry
    return Series(
        name="boadella",
        days=tuple(days),
        pixels=tuple(images),
        forest=median_filter(forest, 7),
        transform=transform,
        crs=crs,
        level="l2a",
        first=range(7, len(days) - 1),
    )


def map_series(
    series: Series, model: Model, folder: Path, known: dict[str, DatedMap] | None = None
) -> Iterator[DatedMap]:
    """Maps of the dates that can be mapped; those in `known`, by day, are taken from there."""
    settings = MapSettings(
        frame=FrameSettings(snap=True),
        radiometry=RadiometrySettings(profile=series.level, dn_offset=0),
    )
    for day, pixels in zip(series.days, series.pixels, strict=True):
        if known is not None and day.isoformat() in known:
            yield known[day.isoformat()]
            continue
        path = folder / f"{series.name.replace(' ', '_')}_{day:%Y%m%d}_{series.level}.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=pixels.shape[1], width=pixels.shape[2],
            dtype="uint16", nodata=0, crs=series.crs, transform=series.transform,
        ) as file:  # fmt: skip
            file.write(pixels)
            file.descriptions = ("B04", "B03", "B02")
        try:
            yield geoclass.date_map(geoclass.map_scene(path, model, settings=settings), day=day)
        except GeoclassError as error:
            print(f"left out: {error}")


def warp_mask(series: Series, mask: np.ndarray, dated: DatedMap) -> np.ndarray:
    """float64 (rows, cols): the share of each of a map's finest cells that a mask covers."""
    grid = dated.landcover.finest.grid
    warped = np.zeros((grid.rows * grid.stride, grid.cols * grid.stride), dtype=np.float32)
    rasterio.warp.reproject(
        mask.astype(np.float32), warped, src_transform=series.transform, src_crs=series.crs,
        dst_transform=grid.transform, dst_crs=grid.crs, resampling=rasterio.warp.Resampling.nearest,
    )  # fmt: skip
    cells = warped.reshape(grid.rows, grid.stride, grid.cols, grid.stride)
    share: np.ndarray = cells.mean(axis=(1, 3))
    return share


def describe_clearings(clearings: Sequence[Clearing]) -> str:
    """What was pasted, as JSON."""
    return json.dumps([{"ha": c.size_ha, "cover": c.cover, "first": c.first} for c in clearings])
