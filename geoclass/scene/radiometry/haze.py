"""Haze: atmospheric light above the usual amount, estimated from the darkest pixels.

Where a scene has woods or water, its darkest pixels reflect almost no light: the excess over the
usual value is haze (dark object subtraction, Chavez 1988). Haze is blue or white: an excess of
green over blue, or of red over green, comes from the ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from geoclass.scene.open.facts import Triple
from geoclass.scene.radiometry.conversion import EUROSAT_MAX_DN, ZEROS, Radiometry
from geoclass.scene.radiometry.sample import Sample
from geoclass.scene.settings import Haze

DARK_SHARE = 2.0
"""Percentile of the dark pixels."""
USUAL_DARK_DN: Triple = (379.0, 639.0, 790.0)
"""10th percentile of EuroSAT's pixels in red, green and blue, as digital numbers."""
HAZY_DN = 350.0
"""Minimum excess in blue of a hazy scene."""
HAZIEST_DN = 700.0
"""Larger excesses are clouds, or the scene has no dark pixels."""


def find_dark(radiometry: Radiometry, sample: Sample) -> np.ndarray | None:
    """Digital numbers of the dark pixels, float (3,); None if they are unknown."""
    stored = sample.percentile(DARK_SHARE)
    if stored is None or radiometry.name == "rgb8":
        return None
    dark: np.ndarray = np.array(radiometry.gain) * stored + np.array(radiometry.bias)
    return dark


def find_haze(dark: np.ndarray | None) -> Triple | None:
    """Haze in red, green and blue by the digital numbers of the dark pixels; None if unknown."""
    if dark is None:
        return None
    red, green, blue = (float(v) for v in (dark - np.array(USUAL_DARK_DN)).clip(min=0))
    green = min(green, blue)
    return (min(red, green), green, blue) if blue <= HAZIEST_DN else None


def find_shared_haze(darks: Sequence[np.ndarray | None]) -> Triple | None:
    """Haze of adjacent scenes by the dark pixels of each; None if one of them is unknown.

    The scene with the least haze decides.
    """
    known = [dark for dark in darks if dark is not None]
    haze = find_haze(np.min(known, axis=0)) if len(known) == len(darks) else None
    if haze is None:
        return None
    return haze if haze[2] >= HAZY_DN else ZEROS


def treat_haze(radiometry: Radiometry, sample: Sample, wish: Haze) -> Radiometry:
    """The radiometry with haze removed as the settings ask."""
    if not isinstance(wish, str):
        if radiometry.name == "rgb8":
            return radiometry.warn("no haze removed: the scene has EuroSAT's 8 bits")
        return remove_haze(radiometry, wish, ", as requested")
    haze = None if wish == "keep" else find_haze(find_dark(radiometry, sample))
    if haze is None:
        if wish != "remove":
            return radiometry
        return radiometry.warn("no haze removed: the scene's pixels do not show how much there is")
    if wish == "auto" and haze[2] < HAZY_DN:
        return radiometry
    return remove_haze(radiometry, haze)


def remove_haze(radiometry: Radiometry, haze: Triple, why: str = "") -> Radiometry:
    """The radiometry less haze, a digital number for each band; white stays white."""
    # Haze removes about as much light from bright ground as it adds to dark ground.
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
        reason=f"{radiometry.reason}; haze of {told} removed{why}",
    )
