"""Plausible radiometries of a scene, by the user's settings, its metadata and its darkest pixels.

The atmosphere scatters blue light: dark pixels are brighter in blue at its top (Level-1C) than on
the ground (Level-2A).
"""

from __future__ import annotations

import re

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.facts import Triple
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.conversion import (
    BASELINE_OFFSET,
    EUROSAT_NAME,
    TCI_MAX_DN,
    ZEROS,
    Radiometry,
    read_as_level,
    read_as_rgb8,
    read_as_scaled,
    read_as_tci,
)
from geoclass.scene.radiometry.haze import DARK_SHARE, find_dark, remove_haze, treat_haze
from geoclass.scene.radiometry.sample import Sample
from geoclass.scene.radiometry.units import (
    BYTE_ADVICE,
    FRACTION_GAIN,
    MOST_DARK_BLUE,
    find_units,
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


def find_dark_of(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> np.ndarray | None:
    """Digital numbers of dark pixels before haze is removed, float (3,); None if ambiguous."""
    found = _find_readings(source, settings, sample)
    return find_dark(found[0], sample) if len(found) == 1 else None


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
        dark = sample.percentile(0.5)
        darkest = None if dark is None else dark * np.array(gain)
        for (red, green, blue), why in _find_offsets(source, settings, gain, darkest):
            bias = (-red, -green, -blue)
            reason = f"{unit}, {why}" if unit else why
            found += [
                read_as_level(level, gain, bias, f"{source.dtype} {level} ({told}), {reason}")
                for level, told in _find_levels(source, settings, _dark(sample, gain, bias))
            ]
    return found


def _dark(sample: Sample, gain: Triple, bias: Triple = ZEROS) -> np.ndarray | None:
    """Float (3,): digital numbers of dark pixels."""
    stored = sample.percentile(DARK_SHARE)
    return None if stored is None else stored * np.array(gain) + np.array(bias)


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
    levels = [known] if known in TCI_MAX_DN else list(TCI_MAX_DN)
    found = []
    for level in map(str, levels):
        dark = _dark(sample, _whiten(TCI_MAX_DN[level]))
        if len(levels) == 1 or level in _plausible_levels(dark):
            told = why if is_tci else f"8-bit values, dark as a {level} true colour image"
            found.append(read_as_tci(level, told))
    if is_tci:
        return found
    dark = _dark(sample, (2750 / 254,) * 3)
    if dark is None or "Level-1C" in _plausible_levels(dark) or not found:
        found.insert(0, read_as_rgb8("8-bit values, assumed to have EuroSAT's stretch"))
    for white, name in WHITES_DN.items():
        gain = _whiten(white)
        dark = _dark(sample, gain)
        if dark is not None and dark[2] > MOST_DARK_BLUE:
            continue
        plausible = _plausible_levels(dark) if len(levels) == 2 else map(str, levels)
        found += [
            read_as_level(level, gain, ZEROS, f"8-bit values, {level}, {name}")
            for level in plausible
        ]
    return found


def _whiten(white: float) -> Triple:
    return (white / 255,) * 3


def _find_offsets(
    source: SceneSource, settings: RadiometrySettings, gain: Triple, darkest: np.ndarray | None
) -> list[tuple[Triple, str]]:
    """Offsets to subtract from digital numbers, and reasons; `darkest` is float (3,)."""
    facts = source.facts
    if settings.dn_offset is not None:
        red, green, blue = (g * settings.dn_offset for g in gain)
        return [((red, green, blue), _tell(settings.dn_offset, "as requested"))]
    is_dark = darkest is None or float(darkest.min()) < BELOW_OFFSET
    if facts.offsets is not None:
        red, green, blue = (-1e4 * offset for offset in facts.offsets)
        why, told = "by the scale and offset of its bands", (red, green, blue)
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
    too_dark = darkest is not None and float((darkest - np.array(told)).min()) < BELOW_ZERO
    if darkest is not None and too_dark and not is_product:
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
    source: SceneSource, settings: RadiometrySettings, dark: np.ndarray | None
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
    blue = "unknown" if dark is None else f"{dark[2]:.0f}"
    return [(level, f"by its dark blue, {blue}") for level in _plausible_levels(dark)]


def _plausible_levels(dark: np.ndarray | None) -> list[str]:
    """Levels by the digital numbers of dark pixels, float (3,); at least one."""
    if dark is None:
        return ["Level-1C"]
    blue = float(dark[2])
    levels = ["Level-1C"] if blue > L1C_DARKEST_BLUE else []
    return [*levels, *(["Level-2A"] if blue < L2A_BRIGHTEST_BLUE else [])]
