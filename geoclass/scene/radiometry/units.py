"""Which number stands for a reflectance of 1, and which numbers stand for nothing at all.

Both are told by percentiles of a sample, and so by most of its pixels: fill values that no tag
names, and bands that are missing in part, must not decide how all others are read.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.facts import Triple
from geoclass.scene.open.source import Possible, SceneSource
from geoclass.scene.radiometry.sample import Sample, find_impossible
from geoclass.scene.settings import RadiometrySettings

Unit = tuple[Triple, str]
"""Digital numbers (reflectance × 10000) that a stored 1 stands for in each band, and why."""

LEAST_DN, MOST_DN = -1500.0, 30000.0
"""Reflectance of -0.15 is left where offsets are taken off dark pixels; of clouds, 2.8 was met."""
DARK_DN = 400.0
"""Where Level-2A is 0 or 1 in one band, the others are below this: in 99.9 % of such pixels of 160
chips of Europe. Where one is missing over land they are brighter."""
RIM_DN, RIM_SHARE, MOST_RIM = 5.0, 0.005, 0.9
"""So dark in all bands, and so many: what resampling or compression left of a rim of zeros. Of
more, the whole scene is dark."""
MOST_AFFECTED = 0.1
"""Of the sample's pixels: with more, a person is to say what they mean."""

PICTURE_GAIN = 2.5
"""What browsers multiply reflectance by, for the eye."""
_PICTURE_NAME = re.compile(r"true.?colou?r|visual", re.IGNORECASE)

MOST_BYTE = 255.0
BYTE_DN = 10.0
"""About what a step of an 8-bit picture is."""


def find_units(source: SceneSource, settings: RadiometrySettings, sample: Sample) -> list[Unit]:
    """Plausible ones, the likeliest first; SceneError where there is none."""
    if settings.quantification is not None:
        reason = f"{settings.quantification:g} for a reflectance of 1, as asked for"
        return [(_every(1e4 / settings.quantification), reason)]
    middle = sample.percentile(50)
    is_float = source.dtype.startswith("float")
    is_fraction = is_float and (middle is None or float(middle.max()) <= MOST_FRACTION)
    facts = source.facts
    if facts.scales is not None:
        if not (is_fraction and max(facts.scales) < LEAST_FRACTION_SCALE):
            red, green, blue = (1e4 * scale for scale in facts.scales)
            return [((red, green, blue), "")]
        return [
            (_every(FRACTION_GAIN), "fractions of 1, the scale of its bands is in them already")
        ]
    if is_fraction:
        return [(_every(FRACTION_GAIN), "fractions of 1"), *_find_picture(source, sample)]
    if is_float and middle is not None and float(middle.max()) < LEAST_NUMBER:
        raise SceneError(
            f"{source.shown} holds {source.dtype} with medians of {middle.max():.3g}, neither "
            "reflectance (0–1) nor reflectance × 10000: say with --quantification N which number "
            "stands for a reflectance of 1, such as 100 or 255, or with --scale LO,HI what is "
            "black and white"
        )
    found = [(_every(1.0), "reflectance × 10000" if is_float else "")]
    if facts.add_offset is None and facts.baseline is None:
        if _may_be_thousandths(sample):
            found.append((_every(10.0), "reflectance × 1000, as its darkness would fit"))
        top = sample.percentile(100)
        if top is not None and float(top.max()) <= MOST_BYTE:
            found.append((_every(1e4 / MOST_BYTE), "reflectance × 255, as none is above 255"))
    return found


FRACTION_GAIN = 1e4
"""Digital numbers that a fraction of 1 stands for."""
MOST_FRACTION, LEAST_NUMBER = 2.0, 100.0
"""Medians: fractions of 1 lie below, numbers above; in between per cent, bytes or thousandths."""
LEAST_FRACTION_SCALE = 0.01
"""A scale below this would make fractions of 1 nothing."""


def _every(gain: float) -> Triple:
    return gain, gain, gain


def _find_picture(source: SceneSource, sample: Sample) -> list[Unit]:
    """What fractions are that were made brighter for the eye, where they may have been."""
    dark, middle = sample.percentile(2), sample.percentile(50)
    gain = FRACTION_GAIN / PICTURE_GAIN
    if dark is None or middle is None:
        return []
    facts = source.facts
    told = facts.baseline is not None or facts.add_offset is not None
    sure = _PICTURE_NAME.search(source.name) is not None
    sure |= not told and dark[2] * FRACTION_GAIN > MOST_DARK_BLUE
    # Above the air, unlike in such pictures, the dark is brightest in blue.
    fits = dark[1] > dark[2] and middle[1] * gain > LEAST_LAND_DN
    if sure or (fits and not source.described):
        return [(_every(gain), "fractions of 1 made 2.5 times brighter, as pictures are")]
    return []


MOST_DARK_BLUE = 1350.0
"""Above the air, of the haziest of 25 scenes: 1232. A stretch that makes more is another one."""
LEAST_LAND_DN = 250.0
"""Of 230 Level-2A scenes of land none had a darker median in green."""


def _may_be_thousandths(sample: Sample) -> bool:
    """Whether numbers fit the reflectance of land × 1000 better than × 10000."""
    dark, middle, bright = (sample.percentile(share) for share in (2, 50, 98))
    if dark is None or middle is None or bright is None:
        return False
    return bool(
        dark[2] < MOST_THOUSANDTHS[0]
        and LEAST_LAND_DN / 10 < middle[1] < MOST_THOUSANDTHS[1]
        and bright.max() < MOST_THOUSANDTHS[2]
    )


MOST_THOUSANDTHS = (130.0, 200.0, 700.0)
"""Dark blue, median green and brightest numbers of clear scenes in thousandths."""


def find_missing(
    source: SceneSource, settings: RadiometrySettings, sample: Sample, *, force: bool
) -> tuple[SceneSource, Sample]:
    """The scene with the numbers that ground can have, and the sample without the others.

    Raises SceneError where many pixels of the sample hold others, unless `force` is set.
    """
    # Whatever the numbers are, somebody has said what to make of them.
    if settings.scale is not None or source.facts.radiometry is not None:
        return source, sample
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
    affected = sample.valid & find_impossible(sample.stored, possible)
    clean = replace(sample, valid=sample.valid & ~affected)
    source = replace(source, possible=possible)
    if not affected.any():
        return source, clean
    share = float(affected.sum() / sample.valid.sum())
    told = (
        f"{share:.1%} of a sample's pixels hold {_describe(sample.stored[:, affected], possible)}"
    )
    is_explained = source.nodata == 0 and not _is_beyond(sample.stored[:, affected], possible).any()
    if share > MOST_AFFECTED and not force and not is_explained:
        raise SceneError(
            f"{source.shown}: {told}, which no tag explains: say with --nodata N which number "
            "means that nothing is there, or with --force that all of these pixels are missing"
        )
    return replace(source, warnings=(*source.warnings, f"{told}: taken for missing")), clean


ABSURD = 65535.0
"""No scale has such numbers."""

BYTE_ADVICE = (
    "say --radiometry tci (Sentinel-2's true colour image) or rgb8 (stretched as EuroSAT's tiles "
    "are), or with --quantification N which value a reflectance of 1 would have (255: plain; "
    "637.5: gain 2.5; 850: 0–0.3 stretched), or with --scale LO,HI what is black and white"
)
SCALE_ADVICE = "say with --scale LO,HI what is black and white"
CLIPPED_SHARE = 1.0
"""Per cent of the pixels, at either end, in each band: a viewer's stretch, which cuts 2 % off."""


def _check_clipped(source: SceneSource, sample: Sample) -> None:
    """Refuse 8 bits, and floats from 0 to 1, that a viewer stretched band by band; SceneError."""
    low, high = sample.percentile(CLIPPED_SHARE), sample.percentile(100 - CLIPPED_SHARE)
    top = sample.percentile(100)
    if low is None or high is None or top is None:
        return
    is_byte, is_float = source.dtype == "uint8", source.dtype.startswith("float")
    white = 255.0 if is_byte else 1.0
    is_picture = is_byte or (is_float and float(top.max()) == white)
    if is_picture and low.max() <= white / 255 and high.min() >= white * 254 / 255:
        raise SceneError(
            f"{source.shown} stores {source.dtype} values of which many are black and many white "
            "in each band, as in pictures that a viewer has stretched: what they were before is "
            f"lost; give the product's own numbers, or {BYTE_ADVICE if is_byte else SCALE_ADVICE}"
        )


def _is_beyond(stored: np.ndarray, possible: Possible) -> np.ndarray:
    """Bool, the shape of `stored`: numbers that no ground has."""
    beyond: np.ndarray = (stored < possible.low) | (stored > possible.high)
    return beyond


def _describe(stored: np.ndarray, possible: Possible) -> str:
    """What is wrong with pixels, (3, n)."""
    beyond = stored[_is_beyond(stored, possible)]
    if beyond.size:
        common = Counter(beyond.tolist()).most_common(2)
        return f"numbers that no ground has ({', '.join(f'{value:g}' for value, _ in common)})"
    if possible.rim is not None and (stored.max(axis=0) <= possible.rim).any():
        return f"numbers from {stored.min():g} to {possible.rim:.2g} in all bands"
    return "0 in one of three bands"
