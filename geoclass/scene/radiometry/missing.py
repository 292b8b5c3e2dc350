"""Unmarked nodata values, and values whose meaning a viewer's stretch has destroyed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.sample import Possible, Sample
from geoclass.scene.radiometry.units import BYTE_ADVICE, SCALE_ADVICE, find_units
from geoclass.scene.settings import RadiometrySettings

LEAST_DN, MOST_DN = -1500.0, 30000.0
"""Dark pixels after an offset is subtracted reach -0.15; clouds of 2.8 were found."""
DARK_DN = 400.0
"""In 160 Level-2A chips of Europe, 99.9 % of pixels with 0 or 1 in one band are darker than this
in the others. Pixels with a missing band are brighter over land."""
RIM_DN, RIM_SHARE, MOST_RIM = 5.0, 0.005, 0.9
"""Values and fractions of a rim of zeros after resampling or compression. Above MOST_RIM the whole
scene is dark."""
MOST_AFFECTED = 0.1
"""Maximum fraction of missing pixels in a sample without the user's confirmation."""
BYTE_DN = 10.0
"""Approximate step of an 8-bit picture."""
ABSURD = 65535.0
"""No unit has such values."""
CLIPPED_SHARE = 1.0
"""Per cent of pixels at each end; viewers clip 2 %."""


def find_missing(
    source: SceneSource, settings: RadiometrySettings, sample: Sample, *, force: bool
) -> tuple[Possible | None, Sample, tuple[str, ...]]:
    """Limits of valid values, the sample within them, and warnings.

    Raises SceneError if many pixels of the sample exceed them, unless `force` is set.
    """
    # With a scale or a known radiometry, all values have a meaning.
    if settings.scale is not None or source.facts.radiometry is not None:
        return None, sample, ()
    if settings.tells_nothing and not source.is_true_color:
        _check_clipped(source, sample)
    absurd = (np.abs(sample.stored.astype(np.float64)) >= ABSURD).any(axis=0)
    absurd |= (sample.stored == 0).any(axis=0)
    rough = replace(sample, valid=sample.valid & ~absurd)
    is_byte = source.dtype == "uint8" or settings.profile in ("tci", "rgb8")
    gain = BYTE_DN
    if not is_byte or settings.quantification is not None:
        gain = max(find_units(source, settings, rough)[0][0])
    possible = Possible(low=LEAST_DN / gain, high=MOST_DN / gain, dark=DARK_DN / gain)
    rim = (sample.stored.max(axis=0) <= RIM_DN / gain) & sample.valid
    if not is_byte and RIM_SHARE < rim.sum() / max(1, sample.valid.sum()) < MOST_RIM:
        possible = replace(possible, rim=RIM_DN / gain)
    affected = sample.valid & possible.excludes(sample.stored)
    if not affected.any():
        return possible, sample, ()
    pixels = sample.stored[:, affected]
    beyond = pixels[(pixels < possible.low) | (pixels > possible.high)]
    share = float(affected.sum() / sample.valid.sum())
    told = f"{share:.1%} of a sample's pixels have {_describe(pixels, beyond, possible)}"
    is_explained = source.nodata == 0 and not beyond.size
    if share > MOST_AFFECTED and not force and not is_explained:
        raise SceneError(
            f"{source.shown}: {told}, which no tag explains: give the nodata value with "
            "--nodata N, or take all of these pixels as missing with --force"
        )
    clean = replace(sample, valid=sample.valid & ~affected)
    return possible, clean, (f"{told}: taken as missing",)


def _check_clipped(source: SceneSource, sample: Sample) -> None:
    """SceneError for 8 bits, or floats from 0 to 1, that a viewer has stretched in each band."""
    low, high = sample.percentile(CLIPPED_SHARE), sample.percentile(100 - CLIPPED_SHARE)
    top = sample.percentile(100)
    if low is None or high is None or top is None:
        return
    is_byte, is_float = source.dtype == "uint8", source.dtype.startswith("float")
    white = 255.0 if is_byte else 1.0
    is_picture = is_byte or (is_float and float(top.max()) == white)
    if is_picture and low.max() <= white / 255 and high.min() >= white * 254 / 255:
        raise SceneError(
            f"{source.shown} has {source.dtype} values of which many are black and many white "
            "in each band, as in pictures that a viewer has stretched: the original values are "
            f"lost; give the original product, or {BYTE_ADVICE if is_byte else SCALE_ADVICE}"
        )


def _describe(pixels: np.ndarray, beyond: np.ndarray, possible: Possible) -> str:
    """What is wrong with pixels (3, n), of whose values `beyond` (m,) are out of range."""
    if beyond.size:
        common = Counter(beyond.tolist()).most_common(2)
        return f"impossible values ({', '.join(f'{value:g}' for value, _ in common)})"
    if possible.rim is not None and (pixels.max(axis=0) <= possible.rim).any():
        return f"values from {pixels.min():g} to {possible.rim:.2g} in all bands"
    return "0 in one of three bands"
