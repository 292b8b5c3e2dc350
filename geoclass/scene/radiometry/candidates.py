"""Plausible radiometries of a scene, by the user's settings, its metadata and its darkest pixels.

Units (which value is a reflectance of 1) are recognised by percentiles, so by most pixels of a
sample: a few unmarked nodata values must not change how the others are read.

The atmosphere scatters blue light: dark pixels are brighter in blue at its top (Level-1C) than on
the ground (Level-2A).
"""

import re

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.facts import Triple, make_triple
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.conversion import (
    BASELINE_OFFSET,
    EUROSAT_NAME,
    TCI_MAX_DN,
    ZEROS,
    Radiometry,
    Sample,
    find_dark,
    read_as_level,
    read_as_rgb8,
    read_as_scaled,
    read_as_tci,
    remove_haze,
    treat_haze,
)
from geoclass.scene.settings import RadiometrySettings

L1C_DARKEST_BLUE = 450.0
"""Minimum of dark pixels at the top of the atmosphere; EuroSAT's tiles have 570 or more."""
L2A_BRIGHTEST_BLUE = 700.0
"""Maximum of dark pixels on the ground in clear scenes; 106 … 360 were found."""
BELOW_OFFSET = 950.0
"""Values below this do not contain an offset of 1000, except by noise."""
BELOW_ZERO = BELOW_OFFSET - BASELINE_OFFSET
"""Minimum after an offset is subtracted, except by noise."""
WHITES_DN = {3000: "0 … 0.3 stretched", 4000: "gain 2.5", 10000: "reflectance × 255"}
"""Digital number of 255 in other 8-bit exports."""

_NAMED_LEVEL = re.compile(r"(?<![a-z0-9])l(1c|2a)(?![a-z0-9])", re.IGNORECASE)
"""In file names such as `bolzano_l2a.tif`."""


def find_candidates(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    """All plausible radiometries, the most likely first; SceneError if there is none."""
    found = _find_readings(source, settings, sample)
    # If several are plausible, haze of one may be the offset or the atmosphere of another.
    is_told = len(found) == 1 and settings.scale is None
    haze = "keep" if settings.haze == "auto" and not is_told else settings.haze
    if source.haze is None or haze != "auto":
        return [treat_haze(reading, sample, haze) for reading in found]
    if not any(source.haze):
        return found
    return [remove_haze(reading, source.haze, ", as of all adjacent scenes") for reading in found]


def find_dark_of(source: SceneSource, settings: RadiometrySettings, sample: Sample) -> np.ndarray:
    """Digital numbers of dark pixels before haze is removed, float (3,); NaN if ambiguous."""
    found = _find_readings(source, settings, sample)
    return find_dark(found[0], sample) if len(found) == 1 else np.full(3, np.nan)


def _find_readings(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    if settings.scale is not None:
        return [read_as_scaled(*settings.scale)]
    if settings.profile == "rgb8":
        return [read_as_rgb8("as requested")]
    if settings.profile == "tci" or (source.dtype == "uint8" and settings.quantification is None):
        return _read_bytes(source, settings, sample)
    found = []
    for gain, unit in find_units(source, settings, sample):
        darkest = sample.percentile(0.5) * gain
        for (red, green, blue), why in _find_offsets(source, settings, gain, darkest):
            bias = (-red, -green, -blue)
            reason = f"{unit}, {why}" if unit else why
            found += [
                read_as_level(level, gain, bias, f"{source.dtype} {level} ({told}), {reason}")
                for level, told in _find_levels(source, settings, sample.find_dark(gain, bias))
            ]
    return found


def _read_bytes(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    """8-bit pictures: EuroSAT's stretch, true colour images, and others."""
    if settings.profile in ("l1c", "l2a") or settings.dn_offset is not None:
        raise SceneError(
            f"{source.shown} has 8-bit values, which are not the digital numbers of a product: "
            f"{BYTE_ADVICE}"
        )
    is_tci = settings.profile == "tci" or source.is_true_color
    if source.facts.radiometry == EUROSAT_NAME and settings.profile == "auto":
        return [read_as_rgb8(f"8-bit values, {EUROSAT_NAME} by their tag")]
    why = "as requested" if settings.profile == "tci" else "by its name"
    known = source.facts.level
    found = []
    for level, white in TCI_MAX_DN.items():
        if level in _plausible_levels(sample.find_dark(_whiten(white)), known):
            told = why if is_tci else f"8-bit values, dark as a {level} true colour image"
            found.append(read_as_tci(level, told))
    if is_tci:
        return found
    dark = sample.find_dark((2750 / 254,) * 3)
    if "Level-1C" in _plausible_levels(dark) or not found:
        found.insert(0, read_as_rgb8("8-bit values, assumed to have EuroSAT's stretch"))
    for white, name in WHITES_DN.items():
        gain = _whiten(white)
        dark = sample.find_dark(gain)
        if dark[2] > MOST_DARK_BLUE:
            continue
        found += [
            read_as_level(level, gain, ZEROS, f"8-bit values, {level}, {name}")
            for level in _plausible_levels(dark, known)
        ]
    return found


def _whiten(white: float) -> Triple:
    return (white / 255,) * 3


def _find_offsets(
    source: SceneSource, settings: RadiometrySettings, gain: Triple, darkest: np.ndarray
) -> list[tuple[Triple, str]]:
    """Offsets to subtract from digital numbers, and reasons; `darkest` is float (3,)."""
    facts = source.facts
    if settings.dn_offset is not None:
        offsets = make_triple(g * settings.dn_offset for g in gain)
        return [(offsets, _tell(settings.dn_offset, "as requested"))]
    is_dark = not darkest.min() >= BELOW_OFFSET  # also without valid pixels
    if facts.offsets is not None:
        why = "by the scale and offset of its bands"
        told = make_triple(-1e4 * offset for offset in facts.offsets)
    elif facts.add_offset is not None:
        why, told = "by the tag of its offset", (-float(facts.add_offset),) * 3
    elif facts.baseline is not None:
        # Baselines have a fixed format, so they compare as text.
        offset = BASELINE_OFFSET if facts.baseline >= "04.00" else 0
        why, told = f"baseline {facts.baseline}", (float(offset),) * 3
    elif is_dark:
        return [_subtract(0, "no tag of an offset, and too dark for one")]
    else:
        return [
            _subtract(0, "no tag of an offset"),
            _subtract(BASELINE_OFFSET, "no tag, but bright as with an offset"),
        ]
    # Whole products have consistent metadata; other files may have lost or kept a tag.
    is_product = source.kind == "safe"
    if (darkest - told).min() < BELOW_ZERO and not is_product:
        low = f"values down to {darkest.min():.0f}"
        return [_subtract(0, f"{why}, but {low}: its offset is already subtracted")]
    found = [(told, why if facts.offsets is not None else _tell(told[0], why))]
    if min(gain) >= FRACTION_GAIN and any(told) and facts.add_offset is not None:
        # The program that computed reflectance may have subtracted the offset, too.
        found.append(_subtract(0, f"{why}, but subtracted when reflectance was computed"))
    if source.kind == "stac" and told == ZEROS and not is_dark:
        # Items describe whole collections, and some of their pixels differ.
        found.append(_subtract(BASELINE_OFFSET, f"{why}, but bright as with an offset"))
    return found


def _subtract(offset: float, why: str) -> tuple[Triple, str]:
    return (offset,) * 3, _tell(offset, why)


def _tell(offset: float, why: str) -> str:
    return f"offset {offset:g} subtracted ({why})" if offset else f"no offset ({why})"


def _find_levels(
    source: SceneSource, settings: RadiometrySettings, dark: np.ndarray
) -> list[tuple[str, str]]:
    """Plausible levels and reasons."""
    if settings.profile in ("l1c", "l2a"):
        return [("Level-1C" if settings.profile == "l1c" else "Level-2A", "as requested")]
    known = (source.facts.level or "").upper()
    for level in TCI_MAX_DN:
        if level[-2:] in known:
            return [(level, "by its metadata")]
    if found := _NAMED_LEVEL.search(source.name):
        return [(f"Level-{found[1].upper()}", "by its name")]
    blue = "unknown" if np.isnan(dark[2]) else f"{dark[2]:.0f}"
    return [(level, f"by its dark blue, {blue}") for level in _plausible_levels(dark)]


def _plausible_levels(dark: np.ndarray, known: str | None = None) -> list[str]:
    """The known level, else at least one by the digital numbers of dark pixels, float (3,)."""
    if known in TCI_MAX_DN:
        return [known]
    levels = ["Level-1C"] if dark[2] > L1C_DARKEST_BLUE else []
    levels += ["Level-2A"] if dark[2] < L2A_BRIGHTEST_BLUE else []
    return levels or ["Level-1C"]  # without valid pixels


Unit = tuple[Triple, str]
"""Digital numbers (reflectance × 10000) of a stored 1 in each band, and the reason."""

FRACTION_GAIN = 1e4
"""Digital number of a reflectance of 1."""
MOST_FRACTION, LEAST_NUMBER = 2.0, 100.0
"""Medians of reflectance are below, of digital numbers above; between them are other units."""
LEAST_FRACTION_SCALE = 0.01
"""Smaller scales are for digital numbers, not for reflectance."""

PICTURE_GAIN = 2.5
"""Usual brightening of reflectance for display."""
_PICTURE_NAME = re.compile(r"true.?colou?r|visual", re.IGNORECASE)
MOST_DARK_BLUE = 1350.0
"""Top of the atmosphere, the haziest of 25 scenes has 1232."""
LEAST_LAND_DN = 250.0
"""Minimum median in green of 230 Level-2A scenes of land."""

MOST_BYTE = 255.0
MOST_THOUSANDTHS = (130.0, 200.0, 700.0)
"""Maximum dark blue, median green and brightest value of clear scenes in thousandths."""

BYTE_ADVICE = (
    "say --radiometry tci (Sentinel-2's true colour image) or rgb8 (stretched as EuroSAT's tiles "
    "are), or with --quantification N which value a reflectance of 1 would have (255: plain; "
    "637.5: gain 2.5; 850: 0–0.3 stretched), or with --scale LO,HI what is black and white"
)
SCALE_ADVICE = "say with --scale LO,HI what is black and white"


def find_units(source: SceneSource, settings: RadiometrySettings, sample: Sample) -> list[Unit]:
    """Plausible units, the most likely first; SceneError if there is none."""
    if settings.quantification is not None:
        reason = f"{settings.quantification:g} for a reflectance of 1, as requested"
        return [((1e4 / settings.quantification,) * 3, reason)]
    middle = sample.percentile(50)
    is_float = source.dtype.startswith("float")
    is_fraction = is_float and not middle.max() > MOST_FRACTION
    facts = source.facts
    if facts.scales is not None:
        if is_fraction and max(facts.scales) < LEAST_FRACTION_SCALE:
            reason = "fractions of 1, to which the scale of the bands is already applied"
            return [((FRACTION_GAIN,) * 3, reason)]
        return [(make_triple(1e4 * scale for scale in facts.scales), "")]
    if is_fraction:
        return [((FRACTION_GAIN,) * 3, "fractions of 1"), *_find_picture(source, sample)]
    if is_float and middle.max() < LEAST_NUMBER:
        raise SceneError(
            f"{source.shown} has {source.dtype} values with medians up to {middle.max():.3g}, "
            "neither reflectance (0–1) nor reflectance × 10000: say with --quantification N which "
            "value is a reflectance of 1, such as 100 or 255, or with --scale LO,HI what is black "
            "and white"
        )
    found = [((1.0,) * 3, "reflectance × 10000" if is_float else "")]
    if facts.add_offset is None and facts.baseline is None:
        if _may_be_thousandths(sample):
            found.append(((10.0,) * 3, "reflectance × 1000, which fits its darkness"))
        if sample.percentile(100).max() <= MOST_BYTE:
            found.append(((1e4 / MOST_BYTE,) * 3, "reflectance × 255, as no value is above 255"))
    return found


def _find_picture(source: SceneSource, sample: Sample) -> list[Unit]:
    """The unit of reflectance that may have been brightened for display."""
    dark, middle = sample.percentile(2), sample.percentile(50)
    gain = FRACTION_GAIN / PICTURE_GAIN
    facts = source.facts
    told = facts.baseline is not None or facts.add_offset is not None
    sure = _PICTURE_NAME.search(source.name) is not None
    sure |= not told and dark[2] * FRACTION_GAIN > MOST_DARK_BLUE
    # At the top of the atmosphere dark pixels are brightest in blue.
    fits = dark[1] > dark[2] and middle[1] * gain > LEAST_LAND_DN
    if sure or (fits and not source.described):
        return [((gain,) * 3, "fractions of 1, brightened 2.5 times for display")]
    return []


def _may_be_thousandths(sample: Sample) -> bool:
    """Whether values fit the reflectance of land × 1000 better than × 10000."""
    dark, middle, bright = (sample.percentile(share) for share in (2, 50, 98))
    return bool(
        dark[2] < MOST_THOUSANDTHS[0]
        and LEAST_LAND_DN / 10 < middle[1] < MOST_THOUSANDTHS[1]
        and bright.max() < MOST_THOUSANDTHS[2]
    )
