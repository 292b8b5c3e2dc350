"""What a scene's numbers mean: by what a person says, by tags, and by how dark its darkest are.

The air scatters blue light: above it (Level-1C) nothing is as dark in blue as on the ground
(Level-2A), where the air's light has been taken off.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from geoclass.errors import SceneError
from geoclass.scene.open.facts import Triple
from geoclass.scene.open.source import SceneSource
from geoclass.scene.radiometry.conversion import (
    BASELINE_OFFSET,
    EUROSAT_MAX_DN,
    EUROSAT_NAME,
    TCI_MAX_DN,
    ZEROS,
    Radiometry,
    read_as_l1c,
    read_as_l2a,
    read_as_rgb8,
    read_as_scaled,
    read_as_tci,
    warn,
)
from geoclass.scene.radiometry.sample import Sample
from geoclass.scene.radiometry.units import BYTE_ADVICE, FRACTION_GAIN, MOST_DARK_BLUE, find_units
from geoclass.scene.settings import Haze, RadiometrySettings

L1C_DARKEST_BLUE = 450.0
"""Above the air, dark pixels are brighter than this: of EuroSAT's tiles all, at 570 and more."""
L2A_BRIGHTEST_BLUE = 700.0
"""On the ground, some pixels of a clear scene are darker than this; 106 … 360 were met."""
BELOW_OFFSET = 950.0
"""Numbers this low have no offset of 1000 in them, but for noise."""
BELOW_ZERO = BELOW_OFFSET - BASELINE_OFFSET
"""Darker than this, but for noise, nothing is once an offset is subtracted."""

_NAMED_LEVEL = re.compile(r"(?<![a-z0-9])l(1c|2a)(?![a-z0-9])", re.IGNORECASE)
"""As people name their files: `bolzano_l2a.tif`."""

_Linear = tuple[Triple, Triple, str]
"""Gain, bias and reason: digital number = gain · stored + bias."""


def find_candidates(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    """All plausible readings of a scene's numbers, the likeliest first; SceneError if none is."""
    found = _find_readings(source, settings, sample)
    # Where several are plausible, haze in one may be the offset or the air of another.
    is_told = len(found) == 1 and settings.scale is None
    haze = "keep" if settings.haze == "auto" and not is_told else settings.haze
    if source.haze is not None and haze == "auto":
        if not any(source.haze):
            return found
        return [
            _remove_haze(reading, source.haze, "as of all adjacent scenes") for reading in found
        ]
    return [treat_haze(reading, sample, haze) for reading in found]


def find_dark(
    source: SceneSource, sample: Sample, settings: RadiometrySettings
) -> np.ndarray | None:
    """Digital numbers of dark pixels above the air, float (3,), before any haze is taken off.

    None where several readings are plausible, or the scene says nothing of its haze.
    """
    found = _find_readings(source, settings, sample)
    stored = sample.percentile(DARK_SHARE)
    if len(found) != 1 or stored is None or found[0].name == "rgb8":
        return None
    dark: np.ndarray = np.array(found[0].gain) * stored + np.array(found[0].bias)
    return dark


def _find_readings(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    if settings.scale is not None:
        return [read_as_scaled(*settings.scale)]
    if settings.profile == "rgb8":
        return [read_as_rgb8("as asked for")]
    if settings.profile == "tci" or (source.dtype == "uint8" and settings.quantification is None):
        return _read_bytes(source, settings, sample)
    return [
        _read_level(level, gain, bias, f"{source.dtype} {level} ({why}), {reason}")
        for gain, bias, reason in _find_linear(source, settings, sample)
        for level, why in _find_levels(source, settings, _dark(sample, gain, bias))
    ]


def _read_level(level: str, gain: Triple, bias: Triple, reason: str) -> Radiometry:
    return (read_as_l2a if level == "Level-2A" else read_as_l1c)(gain, bias, reason)


def _dark(sample: Sample, gain: Triple, bias: Triple) -> np.ndarray | None:
    """Float (3,): digital numbers of dark pixels."""
    stored = sample.percentile(DARK_SHARE)
    return None if stored is None else stored * np.array(gain) + np.array(bias)


WHITES_DN = {3000: "0 … 0.3 stretched", 4000: "gain 2.5", 10000: "reflectance × 255"}
"""Digital numbers that exports of 8 bits make 255, beside true colour images and EuroSAT."""


def _read_bytes(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[Radiometry]:
    """8-bit pictures: EuroSAT's stretch, Sentinel-2's true colour images, and others."""
    if settings.profile in ("l1c", "l2a") or settings.dn_offset is not None:
        raise SceneError(
            f"{source.shown} stores 8-bit values, which are no digital numbers of a product: "
            f"{BYTE_ADVICE}"
        )
    is_tci = settings.profile == "tci" or source.is_true_color
    if source.facts.radiometry == EUROSAT_NAME and settings.profile == "auto":
        return [read_as_rgb8(f"8-bit values, {EUROSAT_NAME} by their tag")]
    why = "as asked for" if settings.profile == "tci" else "by its name"
    levels = [source.facts.level] if source.facts.level in TCI_MAX_DN else list(TCI_MAX_DN)
    found = []
    for level in levels:
        dark = _dark(sample, _whiten(TCI_MAX_DN[str(level)]), ZEROS)
        if len(levels) == 1 or level in _plausible_levels(dark):
            told = why if is_tci else f"8-bit values, dark as those of a {level} true colour image"
            found.append(read_as_tci(str(level), told))
    if is_tci:
        return found
    dark = _dark(sample, (2750 / 254,) * 3, ZEROS)
    if dark is None or "Level-1C" in _plausible_levels(dark) or not found:
        found.insert(0, read_as_rgb8("8-bit values, taken to be stretched as EuroSAT's are"))
    for white, name in WHITES_DN.items():
        gain = _whiten(white)
        dark = _dark(sample, gain, ZEROS)
        if dark is not None and dark[2] > MOST_DARK_BLUE:
            continue
        plausible = _plausible_levels(dark)
        found += [
            _read_level(str(level), gain, ZEROS, f"8-bit values, {level}, {name}")
            for level in (plausible if len(levels) == 2 else levels)
        ]
    return found


def _whiten(white: float) -> Triple:
    return (white / 255,) * 3


def _find_linear(
    source: SceneSource, settings: RadiometrySettings, sample: Sample
) -> list[_Linear]:
    """Ways from stored numbers to digital numbers; what says more beats what says less."""
    found = []
    for gain, unit in find_units(source, settings, sample):
        dark = sample.percentile(0.5)
        darkest = None if dark is None else dark * np.array(gain)
        for (red, green, blue), reason in _find_offsets(source, settings, gain, darkest):
            bias = (-red, -green, -blue)
            found.append((gain, bias, f"{unit}, {reason}" if unit else reason))
    return found


def _find_offsets(
    source: SceneSource, settings: RadiometrySettings, gain: Triple, darkest: np.ndarray | None
) -> list[tuple[Triple, str]]:
    """What is to be subtracted of the digital numbers, and why; `darkest` is float (3,)."""
    facts = source.facts
    if settings.dn_offset is not None:
        red, green, blue = (g * settings.dn_offset for g in gain)
        return [((red, green, blue), _tell(settings.dn_offset, "as asked for"))]
    is_dark = darkest is None or float(darkest.min()) < BELOW_OFFSET
    if facts.offsets is not None:
        red, green, blue = (-1e4 * offset for offset in facts.offsets)
        why, told = "by the scale and offset of its bands", (red, green, blue)
    elif facts.add_offset is not None:
        why, told = "by the tag of its offset", (-float(facts.add_offset),) * 3
    elif facts.baseline is not None:
        # Baselines compare as text: two digits, a point, two digits.
        offset = BASELINE_OFFSET if facts.baseline >= "04.00" else 0
        why, told = f"baseline {facts.baseline}", (float(offset),) * 3
    elif is_dark:
        return [_subtract(0, "no tag of an offset, and too dark for one")]
    else:
        return [
            _subtract(0, "no tag of an offset"),
            _subtract(BASELINE_OFFSET, "no tag, but bright as with an offset"),
        ]
    # A product is complete with its metadata; other files may have lost or kept a tag.
    is_product = source.kind == "safe"
    too_dark = darkest is not None and float((darkest - np.array(told)).min()) < BELOW_ZERO
    if darkest is not None and too_dark and not is_product:
        low = f"numbers down to {darkest.min():.0f}"
        return [_subtract(0, f"{why}, but {low}: its offset has been subtracted before")]
    found = [(told, why if facts.offsets is not None else _tell(told[0], why))]
    if min(gain) >= FRACTION_GAIN and any(told) and facts.add_offset is not None:
        # What has made fractions of numbers may have subtracted their offset, too.
        found.append(_subtract(0, f"{why}, but subtracted when fractions were made"))
    if source.kind == "stac" and told == ZEROS and not is_dark:
        # Items say so of whole collections, and of some pixels it is not true.
        found.append(_subtract(BASELINE_OFFSET, f"{why}, but bright as with an offset"))
    return found


def _subtract(offset: float, why: str) -> tuple[Triple, str]:
    return (offset, offset, offset), _tell(offset, why)


def _tell(offset: float, why: str) -> str:
    return f"offset {offset:g} subtracted ({why})" if offset else f"no offset ({why})"


def _find_levels(
    source: SceneSource, settings: RadiometrySettings, dark: np.ndarray | None
) -> list[tuple[str, str]]:
    """Levels and what says so."""
    if settings.profile in ("l1c", "l2a"):
        return [("Level-1C" if settings.profile == "l1c" else "Level-2A", "as asked for")]
    known = (source.facts.level or "").upper()
    for level in TCI_MAX_DN:
        if level[-2:] in known:
            return [(level, "by its metadata")]
    if found := _NAMED_LEVEL.search(source.name):
        return [(f"Level-{found[1].upper()}", "by its name")]
    blue = "unknown" if dark is None else f"{dark[2]:.0f}"
    return [(level, f"by its dark blue, {blue}") for level in _plausible_levels(dark)]


def _plausible_levels(dark: np.ndarray | None) -> list[str]:
    """By the dark pixels' digital numbers, float (3,); never none."""
    if dark is None:
        return ["Level-1C"]
    blue = float(dark[2])
    levels = ["Level-1C"] if blue > L1C_DARKEST_BLUE else []
    return [*levels, *(["Level-2A"] if blue < L2A_BRIGHTEST_BLUE else [])]


DARK_SHARE = 2.0
"""Per cent of pixels that are darker than what counts as dark."""
USUAL_DARK_DN: Triple = (379.0, 639.0, 790.0)
"""Digital numbers of red, green and blue that a tenth of EuroSAT's pixels stays below: its woods
and waters, as the network knows them."""
HAZY_DN = 350.0
"""With so much more in blue a scene is hazy."""
HAZIEST_DN = 700.0
"""More than this is cloud, or nothing in the scene is dark."""


def find_haze(radiometry: Radiometry, sample: Sample) -> Triple | None:
    """Digital numbers of red, green and blue that are the haze's; None where that cannot be told.

    Where a scene has woods or water, its darkest pixels send up hardly any light of their own:
    what is more than usual is the air's (dark object subtraction, Chavez 1988). Haze is blue or
    white: what is more in green than in blue, or in red than in green, is the ground's.
    """
    stored = sample.percentile(DARK_SHARE)
    if stored is None or radiometry.name == "rgb8":
        return None
    return find_haze_of(np.array(radiometry.gain) * stored + np.array(radiometry.bias))


def find_haze_of(dark: np.ndarray) -> Triple | None:
    """What `find_haze` says of a scene with such dark pixels, digital numbers, float (3,)."""
    red, green, blue = (float(v) for v in (dark - np.array(USUAL_DARK_DN)).clip(min=0))
    green = min(green, blue)
    return (min(red, green), green, blue) if blue <= HAZIEST_DN else None


def treat_haze(radiometry: Radiometry, sample: Sample, wish: Haze) -> Radiometry:
    """The reading with the haze's light taken off, where that is wished for and can be told."""
    if not isinstance(wish, str):
        if radiometry.name == "rgb8":
            return warn(radiometry, "no haze taken off: EuroSAT's own 8 bits are left alone")
        return _remove_haze(radiometry, wish, "as asked for")
    haze = None if wish == "keep" else find_haze(radiometry, sample)
    if haze is None:
        if wish != "remove":
            return radiometry
        return warn(radiometry, "no haze taken off: nothing in the scene tells how much there is")
    if wish == "auto" and haze[2] < HAZY_DN:
        return radiometry
    return _remove_haze(radiometry, haze)


def _remove_haze(radiometry: Radiometry, haze: Triple, why: str = "") -> Radiometry:
    # White stays white, since haze takes about as much from bright ground as it adds to dark.
    white = EUROSAT_MAX_DN
    left = [1 - h / (white - usual) for h, usual in zip(haze, USUAL_DARK_DN, strict=True)]
    red, green, blue = (g / share for g, share in zip(radiometry.gain, left, strict=True))
    red_b, green_b, blue_b = (
        white - (white - b) / share for b, share in zip(radiometry.bias, left, strict=True)
    )
    told = ", ".join(f"{h:.0f}" for h in haze)
    return replace(
        radiometry,
        gain=(red, green, blue),
        bias=(red_b, green_b, blue_b),
        reason=f"{radiometry.reason}; haze of {told} taken off{f', {why}' if why else ''}",
    )


MOST_REDDER, REDDER_SHARE = 2.0, 0.3
"""Times as bright in red as in green, and of so many pixels: no ground in visible light is."""


def check_colors(source: SceneSource, radiometry: Radiometry, sample: Sample) -> None:
    """Refuse a scene whose red is near infrared, by how bright its plants are in it; SceneError."""
    if source.facts.radiometry is not None:  # made for networks, whatever is in it
        return
    red, green, _ = (
        band[sample.valid] * gain + bias
        for band, gain, bias in zip(sample.stored, radiometry.gain, radiometry.bias, strict=True)
    )
    share = float((red > MOST_REDDER * np.maximum(green, 1)).mean()) if red.size else 0.0
    if share > REDDER_SHARE:
        raise SceneError(
            f"band {source.bands[0]} of {source.shown}, taken for red, is over twice as bright "
            f"as green in {share:.0%} of a sample's pixels, as near infrared is over plants: give "
            "bands of visible light with -b"
        )
